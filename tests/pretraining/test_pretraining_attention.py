"""Attention on CPUs against torch's own in fp32."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from recscale.pretraining import attention
from recscale.pretraining.attention import attention_for

CPU = torch.device("cpu")


def states(heads: int, groups: int, length: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Queries, keys and values as a layer passes them: heads before positions."""
    generator = torch.Generator().manual_seed(heads)
    made = (torch.randn(3, length, n, 8, generator=generator) for n in (heads, groups, groups))
    return [made_one.to(dtype).transpose(1, 2).requires_grad_() for made_one in made]


def results(
    implementation: str, inputs: list[torch.Tensor], mask: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """The output, of shape (windows, length, heads, width), and the inputs' gradients."""
    module = torch.nn.Module()
    module.num_key_value_groups = inputs[0].shape[1] // inputs[1].shape[1]
    module.is_causal = True
    found, _ = AttentionInterface()[implementation](module, *inputs, mask, scaling=0.3)
    weights = torch.linspace(-1, 1, found.numel()).view(found.shape).to(found.dtype)
    return [found, *torch.autograd.grad((found * weights).sum(), inputs)]


def expected(inputs: list[torch.Tensor], mask: torch.Tensor | None = None) -> list[torch.Tensor]:
    """The same by torch, in fp32."""
    copies = [one.detach().float().requires_grad_() for one in inputs]
    found = scaled_dot_product_attention(
        *copies, attn_mask=mask, is_causal=mask is None, scale=0.3, enable_gqa=True
    ).transpose(1, 2)
    weights = torch.linspace(-1, 1, found.numel()).view(found.shape)
    return [found, *torch.autograd.grad((found * weights).sum(), copies)]


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (3, 1)])
def test_in_fp32_it_is_torchs(heads: int, groups: int) -> None:
    inputs = states(heads, groups, 10, torch.float32)
    torch.testing.assert_close(results(attention_for(CPU), inputs), expected(inputs))


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (3, 1)])
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("longest", [256, 5], ids=["products", "kernel"])
def test_in_bf16_it_is_near(
    heads: int, groups: int, autocast: bool, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With autocast over fp32, or states in bf16; either side of the longest window."""
    monkeypatch.setattr(attention, "_LONGEST", longest)
    inputs = states(heads, groups, 10, torch.float32 if autocast else torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = results(attention_for(CPU), inputs)
    assert found[0].dtype is torch.bfloat16
    for mine, theirs, given in zip(found, expected(inputs), [found[0], *inputs], strict=True):
        assert mine.dtype is given.dtype
        assert (mine - theirs).norm() < 0.01 * theirs.norm()


def test_a_token_sees_none_after_it() -> None:
    inputs = states(4, 2, 10, torch.bfloat16)
    before = results(attention_for(CPU), inputs)[0]
    for tensor in inputs:
        with torch.no_grad():
            tensor[:, :, 6:] += 1
    after = results(attention_for(CPU), inputs)[0]
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6:], after[:, 6:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_is_heeded(dtype: torch.dtype) -> None:
    inputs = states(2, 2, 6, dtype)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    mask[:, 0] = False
    mask[0, 0] = True
    found = results(attention_for(CPU), inputs, mask)
    for mine, theirs in zip(found, expected(inputs, mask), strict=True):
        assert (mine - theirs).norm() < 0.01 * theirs.norm()


def test_a_gpu_has_torchs_own() -> None:
    assert attention_for(torch.device("cuda")) == "sdpa"
