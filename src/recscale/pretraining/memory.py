"""Memory of a training on each GPU, known before it starts (section 6.1).

The arithmetic is `recscale.pretraining.step_memory`'s; here its numbers are read off a model.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen3Config

from recscale.errors import UserError
from recscale.pretraining.loss import rows_at_once
from recscale.pretraining.step_memory import (
    Memory,
    Widths,
    computes_in,
    kept_by_layers,
    step_memory,
)

if TYPE_CHECKING:
    from recscale.pretraining.trainer import TrainingSettings

_GIB = 1 << 30


def widths_of(config: Qwen3Config) -> Widths:
    """The shape of a Qwen3 model."""
    return Widths(
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        key_value_heads=cast(int, config.num_key_value_heads),
        head_dimension=config.head_dim,
        feed_forward=cast(int, config.intermediate_size),
    )


def activation_bytes(config: Qwen3Config, computed: str, compiled: bool) -> int:
    """Bytes a token that all layers of a model keep: see `kept_by_layers`."""
    return kept_by_layers(widths_of(config), computed, compiled)


def training_memory(
    model: PreTrainedModel,
    tokens: int,
    computed: str,
    compiled: bool = False,
    shards: int = 1,
    replicated: bool = False,
    accumulates: bool = False,
    device: torch.device | None = None,
) -> Memory:
    """Memory of a training step.

    Args:
        model: a Qwen3 model, on any device.
        tokens: computed together by a process.
        computed: see `computes_in`.
        compiled: whether torch.compile has each layer.
        shards: processes that share one copy of the parameters.
        replicated: whether several processes hold a copy each (DDP), which keeps another gradient.
        accumulates: whether a step has several parts.
        device: sets the loss's chunks; None: a GPU.
    """
    config = cast(Qwen3Config, model.config)
    head = cast(Tensor, model.get_output_embeddings().weight)
    first = cast(nn.ModuleList, model.base_model.layers)[0]
    layer = sum(p.numel() for p in first.parameters())
    device = device or torch.device("cuda")
    # A CPU casts logits and softmax apart.
    on_cpu = device.type == "cpu" and computed != "fp32"
    return step_memory(
        widths_of(config),
        count=sum(p.numel() for p in model.parameters()),
        of_layers=layer * config.num_hidden_layers,
        rows=len(head),
        tokens=tokens,
        rows_at_once=rows_at_once(len(head), device),
        computed=computed,
        compiled=compiled,
        shards=shards,
        replicated=replicated,
        accumulates=accumulates,
        logits=10 if on_cpu else None,
    )


def check_memory(
    accelerator: Accelerator,
    model: PreTrainedModel,
    settings: TrainingSettings,
    length: int,
    free: int | None = None,
) -> None:
    """Check that a training fits the memory of the accelerator's GPU.

    Args:
        accelerator: from `parallel.start`.
        model: the model to train, not yet on the GPU.
        settings: of the training.
        length: tokens of a window.
        free: bytes; None: what the GPU has free; a CPU is not checked.

    Raises:
        UserError: it does not fit; names what is missing and what to set.
    """
    if free is None:
        if accelerator.device.type != "cuda":
            return
        free = torch.cuda.mem_get_info(accelerator.device)[0]
    processes = accelerator.num_processes
    part = settings.batch_windows // processes
    shards = {
        "none": 1,
        "full": processes,
        "node": int(os.environ.get("LOCAL_WORLD_SIZE", processes)),
    }[settings.sharding]
    precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"

    def needed(windows: int, shards: int) -> Memory:
        return training_memory(
            model,
            windows * length,
            computes_in(precision, "none" if shards == 1 else "full"),
            settings.compile_layers,
            shards,
            replicated=processes > 1 and shards == 1,
            accumulates=windows < part,
        )

    windows = min(settings.windows_at_once or part, part)
    found = needed(windows, shards)
    need = found.with_fragments
    if need <= free:
        return
    fewer = [n for n in range(1, windows) if part % n == 0]
    fitting = [n for n in fewer if needed(n, shards).with_fragments <= free]
    more = [n for n in (2, 4, 8, 16, 32, 64) if n > shards]
    enough = [n for n in more if needed(1, n).with_fragments <= free]
    if fitting:
        way_out = f"set pretraining.windows_at_once to {fitting[-1]}"
    elif enough:
        way_out = (
            f"set pretraining.sharding to full with {enough[0]} GPUs or more, and "
            "pretraining.windows_at_once to 1"
        )
    else:
        way_out = "use GPUs with more memory, or shorter windows"
    parts = ", ".join(
        f"{value / _GIB:.2f} of {name}"
        for name, value in (
            ("parameters and moments", found.parameters),
            ("gradients", found.gradients),
            (f"activations of {windows} windows", found.activations),
            ("logits", found.loss),
        )
    )
    raise UserError(
        f"the training needs about {need / _GIB:.2f} GiB a GPU ({parts}), "
        f"{(need - free) / _GIB:.2f} GiB more than the {free / _GIB:.2f} that are free",
        way_out,
    )
