"""Products through oneDNN against torch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from recscale.pretraining import products
from recscale.pretraining.products import product, use_onednn

WIDTHS = st.integers(1, 33)


@given(WIDTHS, WIDTHS, WIDTHS, st.booleans(), st.booleans())
@hypothesis_settings(max_examples=40, deadline=None)
def test_products_are_those_of_matmul(
    rows: int, inner: int, columns: int, left_transposed: bool, right_transposed: bool
) -> None:
    generator = torch.Generator().manual_seed(rows)
    left = torch.randn(rows, inner, generator=generator)
    right = torch.randn(columns, inner, generator=generator)
    expected = (left.double() @ right.double().t()).float()
    left = left.t().contiguous().t() if left_transposed else left
    right = right.t().contiguous().t() if right_transposed else right
    torch.testing.assert_close(product(left, right), expected)


@given(WIDTHS, WIDTHS, st.booleans())
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_layer_and_its_gradients_are_those_of_linear(inner: int, outer: int, bias: bool) -> None:
    torch.manual_seed(inner)
    ours, theirs = nn.Linear(inner, outer, bias), nn.Linear(inner, outer, bias)
    theirs.load_state_dict(ours.state_dict())
    use_onednn(ours)
    values = torch.randn(3, 4, inner)
    found, gradients = [], []
    for layer in (ours, theirs):
        given = values.clone().requires_grad_()
        found.append(layer(given))
        found[-1].square().sum().backward()
        gradients.append([given.grad, *(p.grad for p in layer.parameters())])
    torch.testing.assert_close(*found)
    torch.testing.assert_close(*gradients)


def test_the_layers_of_a_model_change_their_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its products are really taken here, unless autocast wants them in bf16."""
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.LayerNorm(3))
    state = model.state_dict()
    calls: list[torch.dtype] = []

    def counted(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        calls.append(left.dtype)
        return left @ right.t()

    monkeypatch.setattr(products, "product", counted)
    use_onednn(model)
    assert list(model.state_dict()) == list(state)
    assert isinstance(model[0], nn.Linear) and type(model[1]) is nn.LayerNorm
    model(torch.ones(2, 4)).sum().backward()
    assert calls == [torch.float32] * 3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model[0](torch.ones(2, 4)).dtype is torch.bfloat16
    assert model[0].double()(torch.ones(2, 4).double()).dtype is torch.float64
    assert len(calls) == 3
