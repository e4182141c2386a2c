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
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from recscale.pretraining.attention import attention_for
from recscale.pretraining.products import product, use_onednn

_LOGITS_AT_ONCE = {"cpu": 1 << 19}  # stays in the cache of a CPU core
_LOGITS_AT_ONCE_ELSEWHERE = 1 << 28  # 1 GiB in fp32, enough to fill a GPU


def rows_at_once(vocabulary: int, device: torch.device) -> int:
    """Tokens whose logits are formed together."""
    logits = _LOGITS_AT_ONCE.get(device.type, _LOGITS_AT_ONCE_ELSEWHERE)
    return max(64, logits // vocabulary)


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
        logits = product(rows, head).float()
        losses.append(cross_entropy(logits, wanted, reduction="none"))
    return torch.cat(losses)


def _with_gradients(
    rows: Tensor, head: Tensor, wanted: Tensor, counts: Tensor, of_rows: Tensor, of_head: Tensor
) -> Tensor:
    """Sum of a chunk's cross-entropies. Targets, and whether they count, are columns.

    Its gradient by the rows is written to `of_rows`; that by the head, transposed, is added to
    `of_head`.
    """
    logits = product(rows, head)
    gradient = torch.softmax(logits, 1, dtype=torch.float32)
    # ln of the sum of exponentials: the largest logit is known, and so is its share.
    of_all = logits.amax(1, keepdim=True) - gradient.amax(1, keepdim=True).log()
    loss = ((of_all - logits.gather(1, wanted)) * counts).sum()
    del logits
    # The gradient with respect to the logits: softmax minus the one-hot target.
    gradient.scatter_add_(1, wanted, gradient.new_full(wanted.shape, -1))
    gradient = gradient.to(head.dtype)
    torch.mul(product(gradient, head.t()), counts, out=of_rows)
    of_head += product((rows * counts).t(), gradient.t())
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of cross-entropies whose gradients are formed in the forward pass, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        counted: Tensor,
        chunk: int,
        dtype: torch.dtype,
    ) -> Tensor:
        weight = head.to(dtype)
        hidden_gradient = torch.empty_like(hidden)
        head_gradient = hidden.new_zeros(head.shape[1], head.shape[0], dtype=torch.float32)
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, hidden.shape[0], chunk):
            part = slice(start, start + chunk)
            total += _with_gradients(
                hidden[part].to(dtype),
                weight,
                targets[part, None],
                counted[part, None],
                hidden_gradient[part],
                head_gradient,
            )
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, head_gradient = ctx.saved_tensors
        of_head = torch.empty(head_gradient.shape[::-1], device=outer.device)
        torch.mul(head_gradient.t(), outer, out=of_head)
        return hidden_gradient * outer, of_head.to(ctx.head_dtype), None, None, None, None


def summed_loss(
    hidden: Tensor, head: Tensor, targets: Tensor, counted: Tensor, chunk: int
) -> Tensor:
    """Sum of the cross-entropies that count, in nats: a scalar in fp32 with gradients.

    Under autocast the products are in its type; softmax, sums and the head's gradient in fp32.

    Args:
        hidden, head, targets, chunk: as for `token_losses`.
        counted: which targets count, shape `(tokens,)`.
    """
    device = hidden.device.type
    cast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if cast else head.dtype
    with torch.autocast(device, enabled=False):
        return _ChunkedCrossEntropy.apply(hidden, head, targets, counted, chunk, dtype)


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

    def _counted(self, ids: Tensor) -> Tensor:
        """Which tokens after the first of each window are targets that count."""
        if self._end_of_text is None:
            return torch.ones_like(ids[:, 1:], dtype=torch.bool)
        ends = ids == self._end_of_text
        return ~(ends[:, 1:] & ends[:, :-1])

    def count_targets(self, ids: Tensor) -> Tensor:
        """Targets of the windows `ids` that count in the mean: a scalar, on their device."""
        return self._counted(ids).sum()

    def forward(
        self, ids: Tensor, reduce: bool = True, divisor: Tensor | float | None = None
    ) -> Tensor:
        """Loss of the windows `ids` of shape `(windows, length)`, in nats.

        The first token of a window has no context and is no target. With `reduce` the result is the
        mean over the targets that count, with gradients, or their sum over `divisor`: parts of a
        batch that are given the whole batch's `count_targets` add up to its mean. Without `reduce`
        it is the loss of each target, padding included, of shape `(windows, length - 1)`.
        """
        hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        hidden, targets = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        head = self.model.get_output_embeddings().weight
        chunk = rows_at_once(head.shape[0], ids.device)
        if not reduce:
            return token_losses(hidden, head, targets, chunk).view(len(ids), -1)
        # Padding is masked: to leave its rows out, a GPU would have to wait for their number.
        counted = self._counted(ids)
        if divisor is None:
            divisor = counted.sum().clamp(min=1)
        return summed_loss(hidden, head, targets, counted.flatten(), chunk) / divisor


def ready(
    accelerator: Accelerator, model: PreTrainedModel, end_of_text: int | None = None
) -> NextTokenLoss:
    """The model as a loss, with what is fastest on the accelerator's device."""
    model.set_attn_implementation(attention_for(accelerator.device))
    if accelerator.device.type == "cpu":
        use_onednn(model)
    return NextTokenLoss(model, end_of_text)
