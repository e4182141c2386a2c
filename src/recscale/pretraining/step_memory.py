"""Memory of a training step on each GPU, from numbers alone (section 6.1).

The state is 16 bytes a parameter: itself, its gradient and AdamW's two moments, in fp32. What the
forward pass keeps for the backward pass grows with the tokens computed together; at the paper's
sizes it is the larger part, and what `pretraining.windows_at_once` is for. There is no torch here,
so that a plan can ask before any environment is made.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Widths:
    """A Qwen3 model's shape, as the config names it."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_dimension: int
    feed_forward: int


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

    @property
    def with_fragments(self) -> int:
        """The same with what the allocator cannot use."""
        return int(self.total * (1 + _FRAGMENTS))


def computes_in(precision: str, sharding: str) -> str:
    """How a model is computed: fp32, autocast (fp32 parameters), or bf16 (sharded parameters)."""
    if precision == "fp32":
        return "fp32"
    return "autocast" if sharding == "none" else "bf16"


def kept_by_layers(widths: Widths, computed: str, compiled: bool) -> int:
    """Bytes a token that all layers of a model keep for the backward pass.

    Args:
        widths: of the model.
        computed: see `computes_in`.
        compiled: whether torch.compile has each layer.
    """
    query = widths.heads * widths.head_dimension
    key = widths.key_value_heads * widths.head_dimension
    each = (widths.hidden, query, key, widths.feed_forward)
    layer = sum(n * width for n, width in zip(_KEPT[computed, compiled], each, strict=True))
    # In fp32: a number for each norm of the layer, of a head, and the attention's of each head.
    layer += 4 * (2 + 2 * widths.heads + widths.key_value_heads)
    return layer * widths.layers


def step_memory(
    widths: Widths,
    count: int,
    of_layers: int,
    rows: int,
    tokens: int,
    rows_at_once: int,
    computed: str,
    compiled: bool,
    shards: int,
    replicated: bool,
    accumulates: bool,
    logits: int | None = None,
) -> Memory:
    """Memory of a training step.

    Args:
        widths: of the model.
        count: all its parameters.
        of_layers: those of its layers.
        rows: of its head, a token each.
        tokens: computed together by a process.
        rows_at_once: tokens whose logits are formed together.
        computed: see `computes_in`.
        compiled: whether torch.compile has each layer.
        shards: processes that share one copy of the parameters.
        replicated: whether several processes hold a copy each (DDP), which keeps another gradient.
        accumulates: whether a step has several parts.
        logits: bytes of a logit on its way; None: those of a GPU.
    """
    width = 4 if computed == "fp32" else 2
    held = 12 * count // shards
    gradients = 4 * count // shards
    if shards > 1:
        # Embedding and head are whole from forward to backward, and so are the layer at work, the
        # next one and a gradient.
        held += width * (count - of_layers + 3 * of_layers // widths.layers)
        gradients += 4 * (count - of_layers)
    elif replicated:
        gradients += 4 * count
    kept = kept_by_layers(widths, computed, compiled) + _KEPT_AFTER[computed] * widths.hidden
    kept *= tokens
    if computed == "autocast":
        kept += 2 * of_layers
    head = rows * widths.hidden
    chunk = min(tokens, rows_at_once) * rows
    # Logits and softmax; or their gradient and a part of the head's. The head's cast and whole
    # gradient are there throughout.
    if logits is None:
        logits = 8 if computed == "fp32" else 6
    loss = max(logits * chunk, width * chunk + 4 * head) + (4 + width % 4) * head
    return Memory(held, gradients, kept, loss, accumulates)
