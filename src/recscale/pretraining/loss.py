"""Cross-entropy of a linear head, computed a few rows at a time.

The logits of a step (262,144 tokens of 159,872 each in the paper) would need 168 GB; a chunk of
them at a time needs a fixed amount of memory, whatever the vocabulary and the batch.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from recscale.pretraining.model import attention_for

_LOGITS_AT_ONCE = {"cpu": 1 << 19}  # stays in the cache of a CPU core
_LOGITS_AT_ONCE_ELSEWHERE = 1 << 28  # 1 GiB in fp32, enough to fill a GPU


def rows_at_once(vocabulary: int, device: torch.device) -> int:
    """Tokens whose logits are formed together."""
    logits = _LOGITS_AT_ONCE.get(device.type, _LOGITS_AT_ONCE_ELSEWHERE)
    return max(16, logits // vocabulary)


def token_losses(hidden: Tensor, head: Tensor, targets: Tensor, chunk: int) -> Tensor:
    """Cross-entropy of each token, in nats and fp32, without gradient.

    Args:
        hidden: last hidden states, shape `(tokens, width)`.
        head: the head's weight, shape `(vocabulary, width)`.
        targets: ids of the next tokens, shape `(tokens,)`.
        chunk: tokens whose logits are formed together.

    Returns:
        Losses of shape `(tokens,)`.
    """
    losses = []
    for rows, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
        logits = (rows @ head.t()).float()
        losses.append(torch.logsumexp(logits, 1) - logits.gather(1, wanted[:, None]).squeeze(1))
    return torch.cat(losses)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy whose gradients are formed in the forward pass, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, chunk: int, dtype: torch.dtype
    ) -> Tensor:
        tokens, weight = hidden.shape[0], head.to(dtype)
        hidden_gradient = torch.empty_like(hidden)
        head_gradient = torch.zeros_like(head, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, tokens, chunk):
            rows = hidden[start : start + chunk].to(dtype)
            wanted = targets[start : start + chunk, None]
            logits = (rows @ weight.t()).float()
            logits -= logits.amax(1, keepdim=True)
            total -= logits.gather(1, wanted).sum()
            sums = logits.exp_().sum(1, keepdim=True)
            total += sums.log().sum()
            # The gradient with respect to the logits: softmax minus the one-hot target.
            gradient = logits.mul_(1 / (sums * tokens))
            gradient.scatter_add_(1, wanted, torch.full_like(sums, -1 / tokens))
            gradient = gradient.to(dtype)
            hidden_gradient[start : start + chunk] = gradient @ weight
            head_gradient += gradient.t() @ rows
        ctx.save_for_backward(hidden_gradient, head_gradient)
        return total / tokens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, head_gradient = ctx.saved_tensors
        return (
            hidden_gradient * outer.to(hidden_gradient.dtype),
            head_gradient * outer,
            None,
            None,
            None,
        )


def mean_loss(hidden: Tensor, head: Tensor, targets: Tensor, chunk: int) -> Tensor:
    """Mean cross-entropy in nats, a scalar in fp32 with gradients; arguments as `token_losses`.

    Under autocast the products are in its type; softmax, sums and the head's gradient in fp32.
    """
    device = hidden.device.type
    cast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if cast else head.dtype
    with torch.autocast(device, enabled=False):
        return _ChunkedCrossEntropy.apply(hidden, head, targets, chunk, dtype)


class NextTokenLoss(nn.Module):
    """A causal language model that returns losses instead of logits.

    Args:
        model: the model; its parameters are this module's.
        end_of_text: the token that ends a document. After another of its kind it is what whole
            documents are padded with (`recscale.curriculum.packing`), and no target.
    """

    def __init__(self, model: PreTrainedModel, end_of_text: int | None = None) -> None:
        super().__init__()
        self.model = model
        self._end_of_text = end_of_text

    def forward(self, ids: Tensor, reduce: bool = True) -> Tensor:
        """Loss of the windows `ids` of shape `(windows, length)`, in nats.

        The first token of a window has no context and is no target. With `reduce` the result is the
        mean, with gradients; without, the loss of each target, padding included, of shape
        `(windows, length - 1)`.
        """
        hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        hidden, targets = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        head = self.model.get_output_embeddings().weight
        chunk = rows_at_once(head.shape[0], ids.device)
        if reduce:
            if self._end_of_text is not None:
                ends = ids == self._end_of_text
                counts = ~(ends[:, 1:] & ends[:, :-1]).flatten()
                if not counts.all():
                    hidden, targets = hidden[counts], targets[counts]
            return mean_loss(hidden, head, targets, chunk)
        return token_losses(hidden, head, targets, chunk).view(len(ids), -1)


def ready(
    accelerator: Accelerator, model: PreTrainedModel, end_of_text: int | None = None
) -> NextTokenLoss:
    """The model as a loss, with the attention that is fastest on the accelerator's device."""
    model.set_attn_implementation(attention_for(accelerator.device))
    return NextTokenLoss(model, end_of_text)
