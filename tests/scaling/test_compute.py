"""FLOPs of a shape: by hand, by the rule 6ND, and what a manifest must fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import joint_inputs
from recscale.errors import UserError
from recscale.scaling import compute
from recscale.scaling.compute import Shape

QWEN3 = Shape(1024, 28, 16, 8, 128, 3072)  # Qwen3-0.6B


def test_a_small_shape_by_hand() -> None:
    # Width 4, 2 heads and 1 key-value head of 3, feed-forward 5, one layer.
    shape = Shape(4, 1, 2, 1, 3, 5)
    matrices = 4 * 6 + 4 * 3 + 4 * 3 + 6 * 4 + 3 * 4 * 5
    assert compute.matrix_weights(shape) == matrices
    norms = 2 * 4 + 2 * 3 + 4
    assert compute.non_embedding_parameters(shape) == matrices + norms
    # Three positions attend to 1, 2 and 3: products of query and key, and of weights and value,
    # 2 FLOPs a multiplication and addition, three times for forward and backward.
    attention = 3 * 2 * 2 * 6 * (1 + 2 + 3) / 3
    assert compute.flops_per_token(shape, rows=7, length=3) == 6 * (matrices + 7 * 4) + attention


def test_published_sizes_have_their_parameters() -> None:
    assert compute.non_embedding_parameters(QWEN3) == 440_467_456  # 0.44B on the model's card
    large = Shape(4096, 36, 32, 8, 128, 12288)
    assert compute.non_embedding_parameters(large) == 6_946_075_648  # Qwen3-8B: 6.95B


@given(
    hidden=st.integers(1, 512), layers=st.integers(1, 8), rows=st.integers(1, 4096),
    length=st.integers(1, 1024), more=st.integers(1, 64),
)  # fmt: skip
def test_exact_flops_exceed_6nd_of_the_matrices_and_grow_with_everything(
    hidden, layers, rows, length, more
) -> None:
    shape = Shape(hidden, layers, 2, 1, 8, 2 * hidden)
    flops = compute.flops_per_token(shape, rows, length)
    assert flops > compute.six_n_d(compute.matrix_weights(shape), 1)
    assert compute.flops_per_token(shape, rows + more, length) - flops == 6 * more * hidden
    assert compute.flops_per_token(shape, rows, length + more) - flops == 6 * more * layers * 16
    deeper = Shape(hidden, layers + 1, 2, 1, 8, 2 * hidden)
    assert compute.flops_per_token(deeper, rows, length) > flops


@pytest.mark.parametrize(("copies", "rows"), [(1, 1600), (2, 1600), (1, 3000), (2, 3200)])
def test_a_head_is_found_whether_tied_or_not(copies, rows) -> None:
    shape = joint_inputs.SHAPES["size3"]
    own = compute.non_embedding_parameters(shape)
    manifest = {"run": "r", "size": "size3", "non_embedding_parameters": own}
    manifest["parameters"] = own + copies * rows * 48
    assert compute.head_rows(manifest, shape, vocabulary=1538) == rows


def test_a_shape_that_is_not_the_runs_is_named() -> None:
    shape = joint_inputs.SHAPES["size3"]
    own = compute.non_embedding_parameters(shape)
    manifest = {"run": "r", "size": "size3", "non_embedding_parameters": own, "parameters": own}
    with pytest.raises(UserError, match="run r has an embedding of 0 rows for 1538 tokens"):
        compute.head_rows(manifest, shape, 1538)
    with pytest.raises(UserError, match=r"run r has 90288 parameters .* size3 has 197312"):
        compute.head_rows(manifest, joint_inputs.SHAPES["size4"], 1538)
    chosen = compute.Settings(dict(joint_inputs.SHAPES), 128)
    with pytest.raises(UserError, match="no shape of size9"):
        compute.flops_of_run(manifest | {"size": "size9"}, chosen, 1538)
    with pytest.raises(UserError, match="sizes.size1.hidden is None"):
        compute.Settings({"size1": Shape(None, 2, 2, 1, 16, 72)}, 128)
