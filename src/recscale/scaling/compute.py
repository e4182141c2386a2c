"""Training compute of a Qwen3 shape: exact FLOPs, and the rule C = 6ND (section 7.3, Figure 8).

A token costs two FLOPs for each weight of a matrix on the way forward and twice as much backward:
6 in all. The head counts and the look-up of the embedding does not. Attention adds 6 FLOPs per
layer, unit of query width and position that a token attends to, (length + 1) / 2 of them on
average. Norms, rotations and the softmax are left out: they are below one in a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recscale.artefact import read_keys
from recscale.errors import UserError


@dataclass(frozen=True)
class Shape:
    """A size of `pretraining.sizes` of the config; `checkpoint` is not read here."""

    hidden: int | None
    layers: int | None
    heads: int | None
    key_value_heads: int | None
    head_dimension: int | None
    feed_forward: int | None
    checkpoint: str | None = None


@dataclass(frozen=True)
class Settings:
    """Config values of exact FLOPs: the shape of each size, and the tokens of a window."""

    sizes: dict[str, Shape]
    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserError(f"length is {self.length}", "a window has at least one token")
        for size, shape in self.sizes.items():
            for name, value in vars(shape).items():
                if name != "checkpoint" and (value is None or value < 1):
                    raise UserError(
                        f"sizes.{size}.{name} is {value}", "give the shape of the model in full"
                    )


def _numbers(shape: Shape) -> tuple[int, int, int, int, int, int]:
    """Hidden, layers, query width, key-value width, head dimension, feed-forward width."""
    of = {name: int(value or 0) for name, value in vars(shape).items() if name != "checkpoint"}
    head = of["head_dimension"]
    query, other = of["heads"] * head, of["key_value_heads"] * head
    return of["hidden"], of["layers"], query, other, head, of["feed_forward"]


def matrix_weights(shape: Shape) -> int:
    """Weights of the matrices of all layers, without embedding and head."""
    hidden, layers, query, other, _, feed_forward = _numbers(shape)
    return layers * (2 * hidden * (query + other) + 3 * hidden * feed_forward)


def non_embedding_parameters(shape: Shape) -> int:
    """All parameters but those of embedding and head: matrices, and the scales of the norms."""
    hidden, layers, _, _, head, _ = _numbers(shape)
    return matrix_weights(shape) + layers * (2 * hidden + 2 * head) + hidden


def flops_per_token(shape: Shape, rows: int, length: int) -> int:
    """FLOPs of training on one token, forward and backward.

    Args:
        shape: of the model.
        rows: of its head.
        length: tokens of a window.
    """
    hidden, layers, query, *_ = _numbers(shape)
    return 6 * (matrix_weights(shape) + rows * hidden) + 6 * layers * query * (length + 1)


def six_n_d(parameters: Any, tokens: Any) -> Any:
    """C = 6ND, the rule that leaves attention out; of numbers or of columns of them."""
    return 6.0 * parameters * tokens


def head_rows(manifest: Mapping[str, Any], shape: Shape, vocabulary: int) -> int:
    """Rows of the head of a run's model.

    What is not outside the embedding is one matrix of vocabulary times hidden, or two where the
    head is not tied to the embedding.

    Args:
        manifest: of a run; its parameters and non_embedding_parameters are read.
        shape: of its size.
        vocabulary: tokens of its tokenizer, which has no more rows than the head.

    Raises:
        UserError: the shape is not that of the run, or its embedding is smaller than the
            vocabulary.
    """
    run, hidden = manifest["run"], _numbers(shape)[0]
    expected = non_embedding_parameters(shape)
    if manifest["non_embedding_parameters"] != expected:
        raise UserError(
            f"run {run} has {manifest['non_embedding_parameters']} parameters outside the "
            f"embedding, the shape of {manifest['size']} has {expected}",
            "pass the shapes of the config that the run was trained with",
        )
    rows, rest = divmod(manifest["parameters"] - expected, hidden)
    if rest or rows < vocabulary:
        raise UserError(
            f"run {run} has an embedding of {rows} rows for {vocabulary} tokens",
            "pass the manifest of the tokenizer that the run was trained with",
        )
    return int(rows if rows < 2 * vocabulary else rows // 2)


def read_vocabulary(tokenizer: Path) -> int:
    """Tokens of a tokenizer, from its manifest; raises UserError as `read_keys`."""
    return int(read_keys(tokenizer, ("vocabulary",))["vocabulary"])


def flops_of_run(manifest: Mapping[str, Any], chosen: Settings, vocabulary: int) -> int:
    """FLOPs a token of a run.

    Raises:
        UserError: as `head_rows`, or the config has no shape of the run's size.
    """
    size = manifest["size"]
    if size not in chosen.sizes:
        raise UserError(f"no shape of {size} is given", f"known: {', '.join(chosen.sizes)}")
    shape = chosen.sizes[size]
    return flops_per_token(shape, head_rows(manifest, shape, vocabulary), chosen.length)
