"""Memory of a training on each GPU, known before it starts (section 6.1).

The state is 16 bytes a parameter: itself, its gradient and AdamW's two moments, in fp32. What the
forward pass keeps for the backward pass grows with the tokens computed together; at the paper's
sizes it is the larger part, and what `pretraining.windows_at_once` is for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen3Config

from recscale.errors import UserError
from recscale.pretraining.loss import rows_at_once

if TYPE_CHECKING:
    from recscale.pretraining.trainer import TrainingSettings

_GIB = 1 << 30
# Of the estimate, for what the allocator cannot use between blocks.
_FRAGMENTS = 0.05
# Bytes that a layer keeps for each of its residual width, query width, key-value width and
# feed-forward width, a token. Autocast keeps a bf16 copy of an input for each product it enters;
# torch.compile computes norms, rotations and gates anew in the backward pass.
_KEPT = {
    ("fp32", False): (24, 16, 16, 16),
    ("fp32", True): (16, 12, 12, 12),
    ("autocast", False): (26, 10, 10, 8),
    ("autocast", True): (10, 6, 6, 6),
    ("bf16", False): (16, 10, 10, 8),
    ("bf16", True): (8, 6, 6, 6),
}
# Bytes a token for each of the residual width after the last layer: the final norm, the hidden
# states the loss reads, and their gradient.
_KEPT_AFTER = {"fp32": 20, "autocast": 20, "bf16": 12}


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU.

    parameters: with AdamW's moments, and whole ones where they are sharded; gradients; activations:
    kept for the backward pass, with autocast's copies of the layers' matrices; loss: logits of a
    chunk and the head's gradient; accumulates: a step has several parts, so that gradients are
    there while activations are.
    """

    parameters: int
    gradients: int
    activations: int
    loss: int
    accumulates: bool

    @property
    def total(self) -> int:
        """The most there is at one time: activations are freed as gradients are formed."""
        passing = self.activations + self.loss
        both = passing + self.gradients if self.accumulates else max(passing, self.gradients)
        return self.parameters + both


def computes_in(precision: str, sharding: str) -> str:
    """How a model is computed: fp32, autocast (fp32 parameters), or bf16 (sharded parameters)."""
    if precision == "fp32":
        return "fp32"
    return "autocast" if sharding == "none" else "bf16"


def activation_bytes(config: Qwen3Config, computed: str, compiled: bool) -> int:
    """Bytes a token that all layers of a model keep for the backward pass.

    Args:
        config: of a Qwen3 model.
        computed: see `computes_in`.
        compiled: whether torch.compile has each layer.
    """
    query = config.num_attention_heads * config.head_dim
    key_value_heads = cast(int, config.num_key_value_heads)
    key = key_value_heads * config.head_dim
    widths = (config.hidden_size, query, key, cast(int, config.intermediate_size))
    layer = sum(n * width for n, width in zip(_KEPT[computed, compiled], widths, strict=True))
    # In fp32: a number for each norm of the layer, of a head, and the attention's of each head.
    layer += 4 * (2 + 2 * config.num_attention_heads + key_value_heads)
    return layer * config.num_hidden_layers


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
    count = sum(p.numel() for p in model.parameters())
    layer = sum(p.numel() for p in first.parameters())
    layers = layer * config.num_hidden_layers
    width = 4 if computed == "fp32" else 2
    held = 12 * count // shards
    if shards > 1:
        # Embedding and head are whole from forward to backward, and so are the layer at work, the
        # next one and a gradient.
        held += width * (count - layers + 3 * layer)
    gradients = 4 * count // shards
    if shards > 1:
        gradients += 4 * (count - layers)
    elif replicated:
        gradients += 4 * count
    kept = activation_bytes(config, computed, compiled)
    kept = tokens * (kept + _KEPT_AFTER[computed] * config.hidden_size)
    if computed == "autocast":
        kept += 2 * layers
    device = device or torch.device("cuda")
    chunk = min(tokens, rows_at_once(len(head), device)) * len(head)
    # Logits and softmax, which a CPU casts apart; or their gradient and a part of the head's. The
    # head's cast and whole gradient are there throughout.
    logits = 8 if computed == "fp32" else 10 if device.type == "cpu" else 6
    loss = max(logits * chunk, width * chunk + 4 * head.numel()) + (4 + width % 4) * head.numel()
    return Memory(held, gradients, kept, loss, accumulates)


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

    def with_fragments(memory: Memory) -> int:
        return int(memory.total * (1 + _FRAGMENTS))

    windows = settings.windows_at_once or part
    found = needed(windows, shards)
    need = with_fragments(found)
    if need <= free:
        return
    fewer = [n for n in range(1, windows) if part % n == 0]
    fitting = [n for n in fewer if with_fragments(needed(n, shards)) <= free]
    more = [n for n in (2, 4, 8, 16, 32, 64) if n > shards]
    enough = [n for n in more if with_fragments(needed(1, n)) <= free]
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
