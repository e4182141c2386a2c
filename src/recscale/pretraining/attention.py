"""Causal attention on CPUs, where torch's bf16 kernel is several times slower backward than fp32's.

In bf16, windows up to `_LONGEST` tokens take plain batched products instead, whose scores a cache
can hold: forward and backward took 0.6 of the fp32 kernel's time at 128 tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

_LONGEST = 256
_NAME = "causal_on_cpu"


class _CausalAttention(torch.autograd.Function):
    """Attention of each token to itself and those before it, in bf16 with a softmax in fp32.

    The query heads of a key-value head are the rows of one matrix, below each other.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        windows, heads, length, _ = query.shape
        groups = key.shape[1]

        def stacked(states: Tensor) -> Tensor:
            return states.bfloat16().reshape(windows * groups, -1, states.shape[-1])

        rows, keys, values = stacked(query * scaling), stacked(key), stacked(value)
        later = rows.new_full((length, length), -torch.inf).triu_(1).repeat(heads // groups, 1)
        scores = torch.baddbmm(later, rows, keys.transpose(1, 2))
        weights = torch.softmax(scores.float(), -1).bfloat16()
        ctx.save_for_backward(rows, keys, values, weights)
        ctx.scaling, ctx.types = scaling, (query.dtype, key.dtype, value.dtype)
        return (weights @ values).view(windows, heads, length, -1).transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, keys, values, weights = ctx.saved_tensors
        windows, length, heads, width = gradient.shape
        above = gradient.transpose(1, 2).bfloat16().reshape(rows.shape)
        of_weights = above @ values.transpose(1, 2)
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_query = (of_scores @ keys).view(windows, heads, length, width)
        of_keys, of_values = of_scores.transpose(1, 2) @ rows, weights.transpose(1, 2) @ above
        types = ctx.types
        return (
            of_query.to(types[0]) * ctx.scaling,
            of_keys.view(windows, -1, length, width).to(types[1]),
            of_values.view(windows, -1, length, width).to(types[2]),
            None,
        )


def _attention_on_cpu(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention in the form that transformers' models call."""
    device, length = query.device.type, query.shape[2]
    cast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if cast else query.dtype
    whole = attention_mask is None and not dropout and length == key.shape[2]
    with torch.autocast(device, enabled=False):
        if dtype is torch.bfloat16 and whole and length <= _LONGEST:
            return _CausalAttention.apply(query, key, value, scaling), None
        output, _ = sdpa_attention_forward(
            module,
            query.float(),
            key.float(),
            value.float(),
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            **options,
        )
    return output.to(dtype), None


AttentionInterface.register(_NAME, _attention_on_cpu)


def attention_for(device: torch.device) -> str:
    """Name of the attention implementation that is fastest on a device."""
    return _NAME if device.type == "cpu" else "sdpa"
