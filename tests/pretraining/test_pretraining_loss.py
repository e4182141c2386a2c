"""The chunked cross-entropy against torch's own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.functional import cross_entropy

from recscale.pretraining.attention import attention_for
from recscale.pretraining.loss import NextTokenLoss, ready, rows_at_once, summed_loss, token_losses
from recscale.pretraining.model import ModelSettings, new_model

from .tiny_curriculum import TINY


def random_head(tokens: int, vocabulary: int, width: int) -> tuple[torch.Tensor, ...]:
    """Hidden states, a head and targets; a naive softmax would overflow on their logits."""
    generator = torch.Generator().manual_seed(tokens * 1000 + vocabulary)
    hidden = 20 * torch.randn(tokens, width, generator=generator)
    head = torch.randn(vocabulary, width, generator=generator)
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator)
    return hidden, head, targets


@given(st.integers(1, 40), st.integers(2, 50), st.integers(1, 50), st.integers(1, 3))
@hypothesis_settings(max_examples=30, deadline=None)
def test_summed_loss_and_gradients_are_those_of_cross_entropy(
    tokens: int, vocabulary: int, chunk: int, every: int
) -> None:
    hidden, head, targets = random_head(tokens, vocabulary, 6)
    counted = torch.arange(tokens) % every == 0
    ours = [hidden.clone().requires_grad_(), head.clone().requires_grad_()]
    theirs = [hidden.clone().requires_grad_(), head.clone().requires_grad_()]
    value = summed_loss(*ours, targets, counted, chunk)
    expected = cross_entropy((theirs[0] @ theirs[1].t())[counted], targets[counted])
    expected = expected * counted.sum()
    (3 * value).backward()
    (3 * expected).backward()
    torch.testing.assert_close(value, expected)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, reference.grad, rtol=1e-4, atol=1e-3)


def test_token_losses_are_those_of_cross_entropy() -> None:
    hidden, head, targets = random_head(37, 11, 5)
    expected = cross_entropy(hidden @ head.t(), targets, reduction="none")
    torch.testing.assert_close(token_losses(hidden, head, targets, 8), expected)


def test_under_bf16_autocast_the_head_gradient_stays_fp32() -> None:
    hidden, head, targets = random_head(64, 32, 16)
    hidden, head = (hidden / 20).requires_grad_(), head.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = summed_loss(hidden, head, targets, torch.ones(64) > 0, 16) / 64
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
    model.set_attn_implementation(attention_for(torch.device("cpu")))
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
    assert NextTokenLoss(model, 0).count_targets(ids) == 7 + 11
    assert NextTokenLoss(model).count_targets(ids) == 22


def test_windows_of_padding_alone_cost_nothing() -> None:
    model = new_model(ModelSettings(**TINY), 50, 12, 0)
    assert NextTokenLoss(model, 0)(torch.zeros(2, 12, dtype=torch.long)) == 0


def gradients(loss: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The gradients of a module's parameters, whole, in fp32; they are then cleared."""
    found = {}
    for name, parameter in loss.named_parameters():
        gradient = parameter.grad
        if isinstance(gradient, DTensor):
            gradient = gradient.full_tensor()
        found[name] = gradient.float().clone()
    loss.zero_grad()
    return found


def windows_with_padding() -> torch.Tensor:
    ids = torch.randint(1, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    ids[0, 3:] = 0
    return ids


def test_parts_of_a_batch_add_up_to_its_mean() -> None:
    """The parts have 3 + 11 and 11 + 11 targets: a mean of their means would be another number."""
    torch.manual_seed(0)
    loss = NextTokenLoss(new_model(ModelSettings(**TINY), 50, 12, 0), 0)
    ids = windows_with_padding()
    whole = loss(ids)
    whole.backward()
    expected = gradients(loss)
    divisor = loss.count_targets(ids)
    parts = [loss(part, divisor=divisor) for part in ids.split(2)]
    sum(parts).backward()
    torch.testing.assert_close(sum(parts), whole)
    assert abs(sum(loss(part) for part in ids.split(2)) / 2 - whole) > 1e-3
    for name, gradient in gradients(loss).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    """A mesh of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sharded_parameters_give_the_same_loss(
    mesh: DeviceMesh, dtype: torch.dtype, tied: bool
) -> None:
    """With fully_shard; in bf16, to that type's precision of the products."""
    torch.manual_seed(0)
    model = new_model(ModelSettings(**TINY), 50, 12, 0)
    if not tied:
        model.config.tie_word_embeddings = False
        model = type(model)(model.config)
    model.set_attn_implementation(attention_for(torch.device("cpu")))
    loss, ids = NextTokenLoss(model, 0), windows_with_padding()
    plain = loss(ids)
    plain.backward()
    expected = gradients(loss)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(loss, mesh=mesh, mp_policy=policy)
    value = loss(ids, divisor=loss.count_targets(ids))
    value.backward()
    near = {} if dtype is torch.float32 else {"rtol": 0.01, "atol": 0.0}
    torch.testing.assert_close(value, plain, **near)
    assert {p.grad.dtype for p in loss.parameters()} == {torch.float32}
    for name, gradient in gradients(loss).items():
        if dtype is torch.float32:
            torch.testing.assert_close(gradient, expected[name], msg=name)
        else:
            assert (gradient - expected[name]).norm() < 0.03 * expected[name].norm(), name
    with torch.no_grad():
        each = loss(ids, reduce=False)
    assert each.shape == (4, 11)
    torch.testing.assert_close(each[1:].mean() * 33 / 36 + each[0, :3].sum() / 36, plain, **near)


@pytest.mark.parametrize("mixed", [False, True])
def test_compiled_layers_give_the_same_loss(accelerator: Accelerator, mixed: bool) -> None:
    """Traced and differentiated by torch.compile, though not translated to C++."""
    found = []
    for compiled in (False, True):
        torch.manual_seed(0)
        loss = ready(accelerator, new_model(ModelSettings(**TINY), 50, 12, 0), 0)
        if compiled:
            for layer in loss.model.model.layers:
                layer.compile(backend="aot_eager", fullgraph=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            value = loss(windows_with_padding())
        value.backward()
        found.append((value.detach(), gradients(loss)))
    near = {"rtol": 0.01, "atol": 0.01} if mixed else {}
    torch.testing.assert_close(*found, **near)
