"""Memory of a training on each GPU, from its shape alone (section 6.1).

The arithmetic is that of `recscale.pretraining.memory`, which reads it off a model and checks it
before a training starts; a plan has no model and no torch. A test compares the two.
"""

from __future__ import annotations

from recscale.scaling.compute import Shape, non_embedding_parameters

# Bytes a layer keeps, a token, for each of its residual, query, key-value and feed-forward widths.
_KEPT = {
    ("autocast", False): (26, 10, 10, 8),
    ("autocast", True): (10, 6, 6, 6),
    ("bf16", False): (16, 10, 10, 8),
    ("bf16", True): (8, 6, 6, 6),
    ("fp32", False): (24, 16, 16, 16),
    ("fp32", True): (16, 12, 12, 12),
}
_KEPT_AFTER = {"fp32": 20, "autocast": 20, "bf16": 12}
_LOGITS_AT_ONCE = 1 << 28
FRAGMENTS = 0.05


def parameters(shape: Shape, rows: int, tied: bool) -> int:
    """All parameters of a model whose embedding, and head where it is another, has these rows."""
    return non_embedding_parameters(shape) + (1 if tied else 2) * rows * int(shape.hidden or 0)


def bytes_per_gpu(
    shape: Shape,
    rows: int,
    tied: bool,
    tokens: int,
    precision: str,
    compiled: bool,
    processes: int,
    shards: int,
    accumulates: bool,
) -> int:
    """The most bytes a training needs on one GPU, allocator's fragments included.

    Args:
        shape: of the model.
        rows: of its embedding.
        tied: whether that is the head too.
        tokens: computed together by a process.
        precision: bf16 or fp32.
        compiled: whether torch.compile has each layer.
        processes: of the training.
        shards: processes that share one copy of the parameters.
        accumulates: whether a step has several parts.
    """
    computed = precision if precision == "fp32" or shards > 1 else "autocast"
    hidden, layers = int(shape.hidden or 0), int(shape.layers or 0)
    heads, pairs = int(shape.heads or 0), int(shape.key_value_heads or 0)
    head = int(shape.head_dimension or 0)
    count = parameters(shape, rows, tied)
    of_layers = non_embedding_parameters(shape) - hidden
    width = 4 if computed == "fp32" else 2
    held = 12 * count // shards
    gradients = 4 * count // shards
    if shards > 1:
        held += width * (count - of_layers + 3 * of_layers // layers)
        gradients += 4 * (count - of_layers)
    elif processes > 1:
        gradients += 4 * count
    widths = (hidden, heads * head, pairs * head, int(shape.feed_forward or 0))
    layer = sum(n * w for n, w in zip(_KEPT[computed, compiled], widths, strict=True))
    layer += 4 * (2 + 2 * heads + pairs)
    activations = tokens * (layer * layers + _KEPT_AFTER[computed] * hidden)
    if computed == "autocast":
        activations += 2 * of_layers
    chunk = min(tokens, max(64, _LOGITS_AT_ONCE // rows)) * rows
    logits = 8 if computed == "fp32" else 6
    matrix = rows * hidden
    loss = max(logits * chunk, width * chunk + 4 * matrix) + (4 + width % 4) * matrix
    passing = activations + loss
    total = held + (passing + gradients if accumulates else max(passing, gradients))
    return int(total * (1 + FRAGMENTS))
