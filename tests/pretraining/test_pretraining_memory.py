"""The estimate of a training's memory against what torch's trackers count."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import Qwen3ForCausalLM

from recscale.errors import UserError
from recscale.pretraining.loss import NextTokenLoss
from recscale.pretraining.memory import (
    activation_bytes,
    check_memory,
    computes_in,
    training_memory,
)
from recscale.pretraining.model import ModelSettings, new_model
from recscale.pretraining.trainer import TrainingSettings

from .tiny_curriculum import TINY, settings

ROWS, LENGTH = 256, 32
SHAPES = [
    {"hidden": 32, "heads": 4, "key_value_heads": 2, "head_dimension": 16, "feed_forward": 80},
    {"hidden": 48, "heads": 2, "key_value_heads": 2, "head_dimension": 8, "feed_forward": 104},
]


def kept(shape: dict[str, int], layers: int, computed: str) -> int:
    """Bytes that a model keeps for its backward pass on three windows, each storage once."""
    torch.manual_seed(0)
    model = new_model(ModelSettings(**(TINY | shape | {"layers": layers})), ROWS, LENGTH, 0)
    if computed == "bf16":
        model.bfloat16()
    weights = {p.shape for p in model.parameters()} | {p.t().shape for p in model.parameters()}
    seen: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape not in weights:  # parameters, and autocast's copies of them
            seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with (
        saved_tensors_hooks(keep, lambda t: t),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=computed == "autocast"),
    ):
        model.base_model(input_ids=torch.ones(3, LENGTH, dtype=torch.long), use_cache=False)
    return sum(t.untyped_storage().nbytes() for t in seen.values())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("computed", ["fp32", "autocast", "bf16"])
def test_activations_are_those_that_torch_keeps(shape: dict[str, int], computed: str) -> None:
    """To the byte: what two more layers keep."""
    more = kept(shape, 3, computed) - kept(shape, 1, computed)
    config = new_model(ModelSettings(**(TINY | shape | {"layers": 2})), ROWS, LENGTH, 0).config
    assert activation_bytes(config, computed, compiled=False) * 3 * LENGTH == more


def peak_of_a_step(model: Qwen3ForCausalLM, ids: torch.Tensor, mixed: bool, parts: int) -> int:
    """The most bytes that a step of training holds at a time."""
    loss = NextTokenLoss(model)
    adamw = torch.optim.AdamW(loss.parameters(), fused=True)

    tracker = MemTracker()

    def step() -> None:
        for part in ids.chunk(parts):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
                value = loss(part, divisor=loss.count_targets(ids))
            value.backward()
            tracker.reset_mod_stats()
        torch.nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad()

    step()
    tracker.track_external(loss, adamw)
    with tracker:
        step()
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]


@pytest.mark.parametrize(
    ("hidden", "rows", "windows", "parts"),
    [(32, 256, 64, 1), (32, 256, 64, 4), (256, 64, 1, 1), (32, 20_000, 2, 1), (32, 20_000, 32, 1)],
    ids=["activations", "accumulated", "parameters", "head", "logits"],
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_estimate_is_near_the_peak_of_a_step(
    precision: str, hidden: int, rows: int, windows: int, parts: int
) -> None:
    """Within 5 %, whichever part is the largest."""
    torch.manual_seed(0)
    shape = TINY | SHAPES[0] | {"hidden": hidden, "layers": 3}
    model = new_model(ModelSettings(**shape), rows, LENGTH, 0)
    ids = torch.randint(1, rows, (windows, LENGTH), generator=torch.Generator().manual_seed(0))
    peak = peak_of_a_step(model, ids, precision == "bf16", parts)
    estimate = training_memory(
        model,
        windows // parts * LENGTH,
        computes_in(precision, "none"),
        accumulates=parts > 1,
        device=torch.device("cpu"),
    )
    assert estimate.total == pytest.approx(peak, rel=0.05)


@pytest.fixture
def qwen3() -> Qwen3ForCausalLM:
    """Qwen3-0.6B without its weights."""
    shape = (1024, 28, 16, 8, 128, 3072, None)
    with torch.device("meta"):
        return new_model(ModelSettings(*shape), 159_872, 512, 0)


def test_a_parameter_takes_16_bytes_however_many_share_them(qwen3: Qwen3ForCausalLM) -> None:
    count = sum(p.numel() for p in qwen3.parameters())
    found = training_memory(qwen3, 512, "autocast")
    assert found.parameters + found.gradients == 16 * count
    sharded = training_memory(qwen3, 512, "bf16", shards=8)
    replicated = training_memory(qwen3, 512, "autocast", replicated=True)
    assert sharded.parameters + sharded.gradients < 4 * count
    assert replicated.gradients == 2 * found.gradients


def check(qwen3: Qwen3ForCausalLM, gib: float, processes: int = 1, **changes: Any) -> None:
    """Check Qwen3-0.6B's training with so much free memory."""
    values = {"batch_windows": 64, "precision": "bf16", "sharding": "none"} | changes
    accelerator = SimpleNamespace(
        num_processes=processes, mixed_precision="bf16", device=torch.device("cpu")
    )
    check_memory(
        cast(Accelerator, accelerator),
        qwen3,
        TrainingSettings(**settings(**values)),
        length=512,
        free=int(gib * 2**30),
    )


def test_what_fits_passes(qwen3: Qwen3ForCausalLM) -> None:
    check(qwen3, 75, compile_layers=True)
    check(qwen3, 45, windows_at_once=16)
    check(qwen3, 30, windows_at_once=16, compile_layers=True)
    check(qwen3, 13, windows_at_once=1, processes=8, sharding="full")


def test_too_little_memory_is_named_with_what_to_set(qwen3: Qwen3ForCausalLM) -> None:
    with pytest.raises(UserError) as error:
        check(qwen3, 75)
    found = re.search(
        r"needs about ([\d.]+) GiB a GPU .* activations of 64 windows, .*, ([\d.]+) GiB more than "
        r"the 75.00 that are free",
        error.value.what,
    )
    assert found is not None
    need, missing = map(float, found.groups())
    assert need - missing == pytest.approx(75, abs=0.02)
    assert error.value.way_out == "set pretraining.windows_at_once to 32"
    check(qwen3, 75, windows_at_once=32)
    check(qwen3, need + 0.01)
    with pytest.raises(UserError):
        check(qwen3, need - 0.01)


def test_a_model_too_large_for_one_gpu_is_to_be_sharded(qwen3: Qwen3ForCausalLM) -> None:
    with pytest.raises(UserError, match="pretraining.sharding to full with 4 GPUs or more"):
        check(qwen3, 8)
    with pytest.raises(UserError, match="use GPUs with more memory"):
        check(qwen3, 1)
    with pytest.raises(UserError, match="windows_at_once to 8"):
        check(qwen3, 14, processes=8, sharding="full", batch_windows=512)


def test_a_cpu_is_not_checked(qwen3: Qwen3ForCausalLM, accelerator: Accelerator) -> None:
    check_memory(accelerator, qwen3, TrainingSettings(**settings()), length=512)
