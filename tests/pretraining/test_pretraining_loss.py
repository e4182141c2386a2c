"""The chunked cross-entropy against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from recscale.pretraining.loss import NextTokenLoss, mean_loss, rows_at_once, token_losses
from recscale.pretraining.model import ModelSettings, new_model

from .tiny_curriculum import TINY


def random_head(tokens: int, vocabulary: int, width: int) -> tuple[torch.Tensor, ...]:
    """Hidden states, a head and targets; a naive softmax would overflow on their logits."""
    generator = torch.Generator().manual_seed(tokens * 1000 + vocabulary)
    hidden = 20 * torch.randn(tokens, width, generator=generator)
    head = torch.randn(vocabulary, width, generator=generator)
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator)
    return hidden, head, targets


@given(st.integers(1, 40), st.integers(2, 50), st.integers(1, 50))
@hypothesis_settings(max_examples=30, deadline=None)
def test_mean_loss_and_gradients_are_those_of_cross_entropy(
    tokens: int, vocabulary: int, chunk: int
) -> None:
    hidden, head, targets = random_head(tokens, vocabulary, 6)
    ours = [hidden.clone().requires_grad_(), head.clone().requires_grad_()]
    theirs = [hidden.clone().requires_grad_(), head.clone().requires_grad_()]
    value = mean_loss(*ours, targets, chunk)
    expected = cross_entropy(theirs[0] @ theirs[1].t(), targets)
    (3 * value).backward()
    (3 * expected).backward()
    torch.testing.assert_close(value, expected)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, reference.grad, rtol=1e-4, atol=1e-4)


def test_token_losses_are_those_of_cross_entropy() -> None:
    hidden, head, targets = random_head(37, 11, 5)
    expected = cross_entropy(hidden @ head.t(), targets, reduction="none")
    torch.testing.assert_close(token_losses(hidden, head, targets, 8), expected)


def test_under_bf16_autocast_the_head_gradient_stays_fp32() -> None:
    hidden, head, targets = random_head(64, 32, 16)
    hidden, head = (hidden / 20).requires_grad_(), head.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = mean_loss(hidden, head, targets, 16)
    value.backward()
    expected = cross_entropy(hidden @ head.t(), targets)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=2e-2)
    assert head.grad is not None and head.grad.dtype == torch.float32
    (reference,) = torch.autograd.grad(expected, head)
    assert (head.grad - reference).norm() < 0.02 * reference.norm()


def test_chunks_hold_the_logits_within_a_fixed_number() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for vocabulary in (1_600, 159_872):
        assert rows_at_once(vocabulary, cuda) * vocabulary <= 1 << 28
    assert rows_at_once(1_600, cpu) * 1_600 <= 1 << 19


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary() -> None:
    model = new_model(ModelSettings(**TINY), 100, 12, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    ids = torch.randint(0, 100, (3, 12), generator=torch.Generator().manual_seed(0))
    loss = NextTokenLoss(model)
    assert math.exp(loss(ids).item()) == pytest.approx(100)
    assert torch.allclose(loss(ids, reduce=False), torch.full((3, 11), math.log(100)))


def test_the_loss_and_gradients_of_the_module_are_transformers_own() -> None:
    torch.manual_seed(0)
    model = new_model(ModelSettings(**TINY), 50, 12, 0)
    ids = torch.randint(0, 50, (3, 12), generator=torch.Generator().manual_seed(1))
    expected = model(input_ids=ids, labels=ids).loss
    expected.backward()
    reference = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.set_attn_implementation("sdpa_fp32")
    value = NextTokenLoss(model)(ids)
    value.backward()
    torch.testing.assert_close(value, expected)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, reference[name], msg=name)


def test_padding_is_no_target() -> None:
    """An end of text (0) after an end of text costs nothing; the first one is a target."""
    torch.manual_seed(0)
    model = new_model(ModelSettings(**TINY), 50, 12, 0)
    ids = torch.randint(1, 50, (2, 12), generator=torch.Generator().manual_seed(1))
    ids[0, 7:] = 0
    each = NextTokenLoss(model)(ids, reduce=False)
    expected = torch.cat([each[0, :7], each[1]]).mean()
    torch.testing.assert_close(NextTokenLoss(model, 0)(ids), expected)
    assert NextTokenLoss(model)(ids) != expected
