"""Matrix products in fp32 on CPUs through oneDNN.

torch hands them to MKL, which does not use the AVX-512 instructions of AMD's CPUs: on one such core
MKL reached 115 GFLOP/s and oneDNN 250, with the same errors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


def _through_onednn(tensor: Tensor) -> bool:
    if torch.compiler.is_compiling():  # which has its own products
        return False
    fp32_on_cpu = tensor.device.type == "cpu" and tensor.dtype is torch.float32
    return _HAS_ONEDNN and fp32_on_cpu and not torch.is_autocast_enabled("cpu")


def product(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right.t()`, `right` being a matrix; the way through oneDNN has no gradient."""
    if _through_onednn(left):
        return torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return linear(left, right)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(values, weight)
        return product(values, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, weight = ctx.saved_tensors
        of_values, of_gradient = values.flatten(0, -2).t(), gradient.flatten(0, -2).t()
        # oneDNN copies a transposed matrix to its left, so that the narrower one is put there.
        if len(of_values) < len(of_gradient):
            of_weight = product(of_values, of_gradient).t()
        else:
            of_weight = product(of_gradient, of_values)
        return product(gradient, weight.t()), of_weight


class _Linear(nn.Linear):
    """A linear layer whose products in fp32 are oneDNN's, forward and backward."""

    def forward(self, input: Tensor) -> Tensor:
        if self.bias is not None or not _through_onednn(input):
            return super().forward(input)
        return _Product.apply(input, self.weight)


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers of a model take their products from oneDNN, where that is possible.

    Parameters and their names stay as they are.
    """
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = _Linear
