"""Greedy and beam search for the next item (section 8): among real items, or among all tokens.

The prompts of a batch have one length, and all beams of a prompt read one copy of its keys and
values: only what a beam has written itself is kept for each beam and follows it when beams are
chosen anew. Nothing is called for a single beam; greedy search is a beam of one.

Probabilities are the model's over its whole vocabulary in both cases. A beam at least as wide as
the trie has ids drops no prefix of an item, so that it ranks all items exactly.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from recscale.item_ids.trie import Trie
from recscale.pretraining.data import Vocabulary

_ATTENTION = "shared_prompt"


def _shared_prompt_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    prompt: DynamicCache | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of one new token a beam to its prompt and to the tokens of its own beam.

    Without `prompt` it is causal attention. Shapes: query `(prompts * beams, heads, 1, size)`; key
    and value, of the beams' own tokens, `(prompts * beams, key-value heads, tokens, size)`.
    """
    if prompt is None:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling)
    keys, values = _keys_and_values(prompt, cast(int, module.layer_idx))
    prompts, groups, length, size = keys.shape
    beams, heads = len(query) // prompts, query.shape[1]
    by_beam = (prompts, beams, groups, heads // groups)
    by_prompt = (prompts, groups, beams * (heads // groups))

    def gathered(rows: Tensor) -> Tensor:
        """From rows of beams to rows of prompts."""
        return rows.reshape(*by_beam, -1).transpose(1, 2).reshape(*by_prompt, -1)

    def scattered(rows: Tensor) -> Tensor:
        """The way back."""
        return rows.reshape(prompts, groups, beams, heads // groups, -1).transpose(1, 2)

    own = query.reshape(len(query), groups, heads // groups, size)
    to_prompt = gathered(own) @ keys.transpose(-1, -2)
    weights = torch.cat([to_prompt, gathered(own @ key.transpose(-1, -2))], dim=-1) * scaling
    weights = weights.softmax(-1, dtype=torch.float32).to(query.dtype)
    from_prompt = scattered(weights[..., :length] @ values)
    on_own = scattered(weights[..., length:]).reshape(*own.shape[:-1], -1)
    output = from_prompt.reshape(own.shape) + on_own @ value
    return output.reshape(len(query), 1, heads, size), None


def _keys_and_values(cache: DynamicCache, layer: int) -> tuple[Tensor, Tensor]:
    """Of one layer, each `(rows, key-value heads, tokens, size)`."""
    found = cast(DynamicLayer, cache.layers[layer])
    return cast(Tensor, found.keys), cast(Tensor, found.values)


AttentionInterface.register(_ATTENTION, _shared_prompt_attention)


class _Continuations:
    """What the model says of the next token, for the beams of some prompts `(prompts, length)`."""

    def __init__(self, model: PreTrainedModel, prompts: Tensor) -> None:
        self._model, self._prompts = model, len(prompts)
        self._prompt, self._own = (DynamicCache(config=model.config) for _ in range(2))
        self._position = prompts.shape[1]
        self.logits = self._call(prompts, self._prompt)

    def follow(self, parents: Tensor, tokens: Tensor) -> None:
        """Give every prompt new beams, `(prompts, beams)`: beams `parents` followed by `tokens`."""
        rows, beams = tokens.numel(), tokens.shape[1]
        if self._own.get_seq_length():
            above = self.logits.shape[1] * torch.arange(self._prompts, device=tokens.device)
            rows_before = (parents + above[:, None]).flatten()
            self._own.reorder_cache(cast(torch.LongTensor, rows_before))
        position = torch.full((rows, 1), self._position, device=tokens.device)
        logits = self._call(
            tokens.reshape(rows, 1), self._own, position_ids=position, prompt=self._prompt
        )
        self._position += 1
        self.logits = logits.reshape(self._prompts, beams, -1)

    def _call(self, tokens: Tensor, cache: DynamicCache, **options: Any) -> Tensor:
        """Logits after the last of the tokens, `(rows, 1, vocabulary)` in fp32."""
        found = self._model(
            input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1, **options
        )
        return found.logits.float()


class BeamSearch:
    """Beam search with one model.

    Args:
        model: a causal language model on the device to search on; its attention is replaced.
        vocabulary: what its ids mean.
        bf16: whether to compute in bf16 (autocast).
    """

    def __init__(self, model: PreTrainedModel, vocabulary: Vocabulary, bf16: bool = False) -> None:
        self._model, self._vocabulary, self._bf16 = model.eval(), vocabulary, bf16
        model.set_attn_implementation(_ATTENTION)
        # The arrays of the last trie, on the device.
        self._trie: tuple[Trie, list[Tensor], list[Tensor]] | None = None

    def items(self, prompts: Tensor, trie: Trie, beams: int) -> tuple[Tensor, Tensor]:
        """The likeliest ids of the trie after prompts that end with an opening delimiter.

        Args:
            prompts: token ids, shape `(prompts, length)`.
            trie: the items that may follow.
            beams: width of the beam.

        Returns:
            Leaves of the trie and the log probabilities of their codes, shape `(prompts, found)`
            with `found` at most `beams`, likeliest first. A place that no item takes has the log
            probability -inf.
        """
        last, children = self._on_device(trie, prompts.device)
        with torch.inference_mode(), self._precision(prompts.device):
            found = _Continuations(self._model, prompts)
            node = torch.zeros((len(prompts), 1), dtype=torch.int64, device=prompts.device)
            score = torch.zeros((len(prompts), 1), device=prompts.device)
            for depth in range(trie.width):
                first, after = children[depth][node], children[depth][node + 1]
                place = torch.arange(int((after - first).max()), device=prompts.device)
                child = first[..., None] + place
                is_child = child < after[..., None]
                child = child.where(is_child, first[..., None])
                tokens = last[depth][child]
                gain = found.logits.gather(2, tokens) - found.logits.logsumexp(2, keepdim=True)
                total = (score[..., None] + gain).masked_fill(~is_child, -torch.inf).flatten(1)
                score, chosen = total.topk(min(beams, total.shape[1]))
                node = child.flatten(1).gather(1, chosen)
                if depth + 1 < trie.width:
                    found.follow(chosen // len(place), tokens.flatten(1).gather(1, chosen))
        return node, score

    def tokens(self, prompts: Tensor, length: int, beams: int) -> tuple[Tensor, Tensor]:
        """The likeliest continuations after prompts, among all tokens of the vocabulary.

        A continuation ends with the closing delimiter or the end of a text, which counts, and is
        filled up with ends of text, which do not; those that ended keep their place in the beam.

        Args:
            prompts: token ids, shape `(prompts, length of a prompt)`.
            length: most tokens to write.
            beams: width of the beam.

        Returns:
            Token ids, shape `(prompts, found, length)` with `found` at most `beams`, and their log
            probabilities, likeliest first.
        """
        vocabulary, device = self._vocabulary, prompts.device
        ending = torch.tensor([vocabulary.rec_close, vocabulary.end_of_text], device=device)
        filling = torch.full((vocabulary.vocabulary,), -torch.inf, device=device)
        filling[vocabulary.end_of_text] = 0
        with torch.inference_mode(), self._precision(device):
            found = _Continuations(self._model, prompts)
            score = torch.zeros((len(prompts), 1), device=device)
            has_ended = torch.zeros((len(prompts), 1), dtype=torch.bool, device=device)
            written = torch.zeros((len(prompts), 1, 0), dtype=torch.int64, device=device)
            for step in range(length):
                gain = found.logits.log_softmax(2)[..., : len(filling)]
                gain = gain.where(~has_ended[..., None], filling)
                total = (score[..., None] + gain).flatten(1)
                score, chosen = total.topk(min(beams, total.shape[1]))
                parents, tokens = chosen // len(filling), chosen % len(filling)
                before = written.gather(1, parents[..., None].expand(-1, -1, step))
                written = torch.cat([before, tokens[..., None]], dim=2)
                has_ended = has_ended.gather(1, parents) | torch.isin(tokens, ending)
                if step + 1 < length:
                    found.follow(parents, tokens)
        return written, score

    def _on_device(self, trie: Trie, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        """The token of every node, and where its children are, by depth."""
        if self._trie is None or self._trie[0] is not trie:
            first = self._vocabulary.first_rec
            last = [torch.from_numpy(codes.astype("int64") + first) for codes in trie.last]
            children = [torch.from_numpy(places) for places in trie.children]
            self._trie = trie, [a.to(device) for a in last], [a.to(device) for a in children]
        return self._trie[1:]

    def _precision(self, device: torch.device) -> AbstractContextManager:
        return torch.autocast(device.type, torch.bfloat16, enabled=self._bf16)
