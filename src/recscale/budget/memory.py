"""Memory of a training on each GPU, from its shape alone (section 6.1)."""

from __future__ import annotations

from recscale.pretraining.step_memory import Widths, computes_in, step_memory
from recscale.scaling.compute import Shape, non_embedding_parameters

# As `recscale.pretraining.loss` has it on a GPU; a plan has no torch, and a test compares the two.
_LOGITS_AT_ONCE = 1 << 28


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
    return step_memory(
        Widths(**{name: int(n or 0) for name, n in vars(shape).items() if name != "checkpoint"}),
        count=parameters(shape, rows, tied),
        of_layers=non_embedding_parameters(shape) - int(shape.hidden or 0),
        rows=rows,
        tokens=tokens,
        rows_at_once=max(64, _LOGITS_AT_ONCE // rows),
        computed=computes_in(precision, "full" if shards > 1 else "none"),
        compiled=compiled,
        shards=shards,
        replicated=processes > 1 and shards == 1,
        accumulates=accumulates,
    ).with_fragments
