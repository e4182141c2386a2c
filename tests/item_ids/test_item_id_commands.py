"""Fit, encode and compare as commands: what they write, and that nothing held out leaks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from recscale import files
from recscale.contracts import check
from recscale.errors import UserError
from recscale.item_ids import catalogue as catalogues
from recscale.item_ids import compare, encode, fit, methods, quality
from recscale.item_ids.codes import collision_rate, n_collisions

from .catalogue import catalogue

METHODS = list(methods.KINDS)
SETTINGS = {
    "seed": 1,
    "fit_items": None,
    "sae": {
        **{"latents": 16, "active": 3, "epochs": 3, "batch_size": 32},
        "learning_rate": 0.01,
    },
    "rq": {"layers": 3, "codes": 4, "beam": 5},
    "rq_vae": {
        **{"hidden": 16, "code_dimensions": 4, "epochs": 3, "batch_size": 32, "cures": True},
        "learning_rate": 0.003,
    },
}
HELD_OUT = 5  # rows 0, 5, ... of the catalogue are held out
TRAINING = np.arange(120) % HELD_OUT != 0


def unit_vectors(rows: int, seed: int) -> np.ndarray:
    """Vectors in a few loose clusters, so that codes collide."""
    rng = np.random.default_rng(seed)
    vectors = np.random.default_rng(0).normal(size=(15, 8))[rng.integers(0, 15, rows)]
    vectors = vectors + 0.2 * rng.normal(size=(rows, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def write_inputs(folder, items=None, vectors=None):
    """Items, their embeddings, and those of passages of general text."""
    folder.mkdir(exist_ok=True)
    items = catalogue() if items is None else items
    files.write_table(items, folder / "items.parquet", "items")
    vectors = unit_vectors(len(items), seed=1) if vectors is None else vectors
    files.write_array(vectors, folder / "embeddings.npy")
    files.write_array(unit_vectors(90, seed=2), folder / "text_embeddings.npy")
    return vectors


def inputs(folder, method, general=True):
    found = ["--method", method, "--items", folder / "items.parquet"]
    found += ["--embeddings", folder / "embeddings.npy"]
    if general and method == "sae_general":
        found += ["--general-embeddings", folder / "text_embeddings.npy"]
    return found


def run_fit(call, folder, method, general=True, **settings):
    call(
        *(fit.main, *inputs(folder, method, general), "--model", folder / f"{method}.npz"),
        *("--settings", json.dumps(SETTINGS | settings)),
    )
    return (folder / f"{method}.npz").read_bytes()


def run_encode(call, folder, method, tie_breaking="none", model=None):
    """The table's codes (items, width), and the card."""
    call(
        *(encode.main, *inputs(folder, method, general=False)),
        *("--model", model or folder / f"{method}.npz", "--card", folder / f"{method}.json"),
        *("--item-ids", folder / f"{method}.parquet"),
        *("--settings", json.dumps({"seed": 1, "tie_breaking": tie_breaking})),
    )
    table = files.read_table(folder / f"{method}.parquet", "item_ids")
    return np.stack(table["codes"].tolist()), files.read_json(folder / f"{method}.json")


def run_compare(call, folder, method, trainings=2):
    call(
        *(compare.main, "--setting", "a", *inputs(folder, method)),
        *("--quality", folder / "quality.parquet"),
        *("--settings", json.dumps(SETTINGS | {"trainings": trainings})),
    )
    return check(
        files.read_table(folder / "quality.parquet", "item_id_quality"), "item_id_quality", "table"
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_held_out_item_changes_neither_the_fit_nor_a_training_items_codes(tmp_path, call, method):
    write_inputs(tmp_path / "a")
    items, vectors = catalogue(), unit_vectors(120, seed=1)
    items.loc[5, ["title", "brand", "c0", "c1"]] = ["okapi quagga", None, "zoo", "ungulates"]
    vectors[5] = unit_vectors(1, seed=99)[0] * 3
    vectors[10], vectors[15] = vectors[1], vectors[2]
    write_inputs(tmp_path / "b", items, vectors)
    first, second = (run_fit(call, tmp_path / name, method) for name in "ab")
    assert first == second
    for ties in ("none", "next_best"):
        (before, _), (after, _) = (run_encode(call, tmp_path / n, method, ties) for n in "ab")
        assert (before[TRAINING] == after[TRAINING]).all()
        assert (before != after).any()
    vectors[1] = unit_vectors(1, seed=98)[0]
    write_inputs(tmp_path / "c", items, vectors)
    changed = run_fit(call, tmp_path / "c", method) != first
    assert changed == (method != "sae_general")  # what is fitted on does change the fit


@pytest.mark.parametrize("ties", ["none", "next_best"])
@pytest.mark.parametrize("method", METHODS)
def test_the_table_is_that_of_its_contract_and_the_card_counts_it(tmp_path, call, method, ties):
    write_inputs(tmp_path)
    run_fit(call, tmp_path, method)
    codes, card = run_encode(call, tmp_path, method, ties)
    table = files.read_table(tmp_path / f"{method}.parquet", "item_ids")
    check(table, "item_ids", "table")
    assert table["item_id"].tolist() == catalogue()["item_id"].tolist()
    assert table["n_collisions"].tolist() == n_collisions(codes).tolist()
    rec_tokens = 12 if method.startswith("rq") else 16
    assert codes.shape == (120, 3) and codes.max() < rec_tokens
    if method.startswith("rq"):
        assert (codes // 4 == [0, 1, 2]).all()
    else:
        assert all(len(set(row)) == 3 for row in codes.tolist())
    assert card.pop("shared") == pytest.approx((n_collisions(codes) > 0).mean())
    before = run_encode(call, tmp_path, method)[0] if ties == "next_best" else codes
    assert card.pop("shared_before_ties") == pytest.approx(collision_rate(before)) != 0
    assert (before != codes).any() == (ties == "next_best")
    assert card == {
        **{"method": method, "items": 120, "codes_an_item": 3, "rec_tokens": rec_tokens},
        "tie_breaking": ties,
    }


@pytest.mark.parametrize("method", METHODS)
def test_trainings_are_compared_by_the_codes_that_a_fit_and_an_encoding_give(
    tmp_path, call, method
):
    same = catalogue()
    for row in range(60):  # two items of each of these texts
        same.loc[60 + row, "title":"color"] = same.loc[row, "title":"color"]
    vectors = write_inputs(tmp_path, same)
    run_fit(call, tmp_path, method)
    codes, _ = run_encode(call, tmp_path, method)
    tied, _ = run_encode(call, tmp_path, method, "next_best")
    table = run_compare(call, tmp_path, method)
    assert table["training"].tolist() == [0, 1] and set(table["setting"]) == {"a"}
    assert table["cures"].tolist() == [True if method == "rq_vae" else None] * 2
    row = table.iloc[0]  # the training that a fit makes too
    items = catalogues.read(tmp_path / "items.parquet")
    space = 4**3 if method.startswith("rq") else 16 * 15 * 14
    expected = {
        **dict(zip(("shared", "surplus"), quality.collisions(codes), strict=True)),
        **{"width": 3, "items": 120, "distinct_texts": len(set(items.text))},
        "shared_distinct_texts": quality.collisions(codes[items.first_of_text])[0],
        "shared_ties_broken": quality.collisions(tied)[0],
        "surplus_ties_broken": quality.collisions(tied)[1],
        "shared_uniform": 1 - (1 - 1 / space) ** 119,
        "held_out_like_training": np.mean(
            [(codes[TRAINING] == row).all(1).any() for row in codes[~TRAINING]]
        ),
        "code_use": len(np.unique(codes)) / row["rec_tokens"],
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    fitted = methods.read(method, tmp_path / f"{method}.npz")
    unexplained = quality.unexplained_variance(fitted, vectors[~TRAINING])
    assert row["distinct_texts"] == 60 and row["shared_distinct_texts"] < row["shared"]
    assert row["unexplained_variance"] == pytest.approx(unexplained)
    assert np.allclose(row["purity"], quality.prefix_purity(codes, items.leaf)[0], equal_nan=True)
    assert (table["unexplained_variance"] > 0).all() and (table["neighbour_overlap"] > 0.1).all()
    first = (tmp_path / "quality.parquet").read_bytes()
    run_compare(call, tmp_path, method)
    assert (tmp_path / "quality.parquet").read_bytes() == first


def test_no_more_than_fit_items_are_fitted_on_and_none_that_is_held_out(tmp_path, call):
    vectors = write_inputs(tmp_path)
    items = catalogues.read(tmp_path / "items.parquet")
    chosen = {}
    for count in (30, 60, 96, 97, None):
        settings = methods.Settings(1, count, *[None] * 3)
        numbers = np.arange(120, dtype=np.float32)[:, None]
        rows = methods.to_fit_on("sae", numbers, None, items, settings)[:, 0].astype(int)
        assert len(rows) == min(count or 96, 96) and TRAINING[rows].all()
        chosen[count] = set(rows)
    assert chosen[30] < chosen[60] < chosen[96] == chosen[97] == chosen[None]
    reverse = (column[::-1] for column in dataclasses.astuple(items))
    settings = methods.Settings(1, 30, *[None] * 3)
    rows = methods.to_fit_on("sae", numbers[::-1], None, catalogues.Catalogue(*reverse), settings)
    assert set(rows[:, 0]) == chosen[30]
    first = run_fit(call, tmp_path, "sae", fit_items=30)
    for row in set(range(120)) - chosen[30]:
        vectors[row] = unit_vectors(1, seed=row)[0]
    write_inputs(tmp_path, vectors=vectors)
    assert run_fit(call, tmp_path, "sae", fit_items=30) == first
    assert run_fit(call, tmp_path, "sae") != first


def test_a_fit_that_cannot_be_made_is_one_line(tmp_path, call):
    vectors = write_inputs(tmp_path)
    with pytest.raises(UserError, match="--general-embeddings is missing"):
        run_fit(call, tmp_path, "sae_general", general=False)
    with pytest.raises(UserError, match="item_ids.rq.codes is 4 for 3 training items"):
        run_fit(call, tmp_path, "rq_vae", fit_items=3)
    write_inputs(tmp_path, vectors=vectors[:-1])
    with pytest.raises(UserError, match=r"embeddings.npy has 119 rows for 120 items"):
        run_fit(call, tmp_path, "sae")
    with pytest.raises(UserError, match=r"embeddings.npy has 119 rows for 120 items"):
        run_compare(call, tmp_path, "sae")
    vectors[7, 0] = np.nan
    write_inputs(tmp_path, vectors=vectors)
    for method in ("sae", "rq_kmeans", "rq_vae"):
        with pytest.raises(UserError, match="1 embeddings of training items are not finite"):
            run_fit(call, tmp_path, method)
    assert not list(tmp_path.glob("*.npz")) and not (tmp_path / "quality.parquet").exists()


def test_a_model_that_does_not_fit_is_one_line(tmp_path, call):
    write_inputs(tmp_path)
    whole = run_fit(call, tmp_path, "sae")
    with pytest.raises(UserError, match=r"sae.npz is missing or no fitted ResidualQuantiser"):
        run_encode(call, tmp_path, "rq_kmeans", model=tmp_path / "sae.npz")
    with pytest.raises(UserError, match=r"none.npz is missing or no fitted SparseQuantiser"):
        run_encode(call, tmp_path, "sae", model=tmp_path / "none.npz")
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "sae.npz").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"sae.npz is missing or no fitted SparseQuantiser"):
            run_encode(call, tmp_path, "sae")
    (tmp_path / "sae.npz").write_bytes(whole)
    with pytest.raises(UserError, match="item_ids.tie_breaking is 'worst'"):
        run_encode(call, tmp_path, "sae", tie_breaking="worst")
    assert not list(tmp_path.glob("sae.parquet"))
    assert run_encode(call, tmp_path, "sae")[1]["rec_tokens"] == 16
