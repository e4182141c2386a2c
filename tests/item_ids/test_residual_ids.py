"""Residual codes: the beam search against every combination and faiss, the fits, and ties."""

from __future__ import annotations

import dataclasses
import itertools

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale.errors import UserError
from recscale.item_ids import quantiser, rq_kmeans, rq_vae
from recscale.item_ids.codes import n_collisions
from recscale.item_ids.residual_search import search
from recscale.item_ids.rq_kmeans import ResidualQuantiser
from recscale.item_ids.ties import CANDIDATES, break_ties

SHAPE = rq_kmeans.Settings(layers=3, codes=4, beam=5)
VAE = rq_vae.Settings(
    hidden=32, code_dimensions=8, epochs=30, batch_size=64, learning_rate=0.003, cures=True
)


def planted(items: int = 400, layers: int = 3, codes: int = 4, dimensions: int = 12):
    """Sums of one centroid a layer, each layer's a fifth of the scale before; and their codes."""
    rng = np.random.default_rng(2)
    directions = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0][: layers * codes]
    scale = 0.2 ** np.arange(layers)
    codebooks = directions.reshape(layers, codes, dimensions) * scale[:, None, None]
    parts = rng.integers(0, codes, (items, layers))
    vectors = codebooks[np.arange(layers), parts].sum(1)
    return codebooks.astype(np.float32), parts, vectors.astype(np.float32)


def errors_of(codes, vectors, codebooks):
    centroids = codebooks.reshape(-1, codebooks.shape[2])
    return ((centroids[codes].sum(-2) - vectors[:, None]) ** 2).sum(-1)


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([2, 4]), st.sampled_from([1, 9])
)
def test_a_beam_of_all_combinations_finds_them_all_best_first(seed, layers, codes, span):
    # Small whole numbers: errors are exact, and with a span of 1 many are equal.
    rng = np.random.default_rng(seed)
    codebooks = rng.integers(-span, span + 1, (layers, codes, 3)).astype(np.float32)
    vectors = rng.integers(-3 * span, 3 * span + 1, (5, 3)).astype(np.float32)
    numbers = [range(layer * codes, (layer + 1) * codes) for layer in range(layers)]
    every = list(itertools.product(*numbers))
    found = search(vectors, codebooks, len(every))
    for row in found:
        assert sorted(map(tuple, row)) == every
    expected = np.sort(errors_of(np.array([every] * 5), vectors, codebooks), axis=1)
    assert (errors_of(found, vectors, codebooks) == expected).all()


@pytest.mark.parametrize("beam", [1, 3, 5])
def test_the_beam_finds_what_faiss_finds(beam):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 16)).astype(np.float32)
    theirs = faiss.ResidualQuantizer(16, 4, 4)
    theirs.max_beam_size = beam
    theirs.train(vectors)
    codebooks = faiss.vector_to_array(theirs.codebooks).reshape(4, 16, 16)
    bits = np.unpackbits(theirs.compute_codes(vectors), axis=1, bitorder="little")
    expected = bits.reshape(500, 4, 4) @ [1, 2, 4, 8] + 16 * np.arange(4)
    found = search(vectors, codebooks, beam)
    assert found.shape == (500, beam, 4)
    assert (found[:, 0] == expected).all()
    error = errors_of(found, vectors, codebooks)
    assert (np.diff(error, axis=1) >= -1e-5).all()
    assert ResidualQuantiser(codebooks, beam).encode(vectors).tolist() == expected.tolist()


def test_a_wider_beam_is_no_worse_and_one_wider_than_all_codes_repeats_the_worst():
    rng = np.random.default_rng(1)
    codebooks = rng.normal(size=(3, 4, 6)).astype(np.float32)
    vectors = rng.normal(size=(200, 6)).astype(np.float32)
    best = [errors_of(search(vectors, codebooks, b), vectors, codebooks)[:, 0] for b in (1, 64)]
    assert (best[1] <= best[0] + 1e-5).all() and (best[1] < best[0] - 1e-3).any()
    found = search(vectors[:3], codebooks[:1], 6)
    assert (found[:, 4:] == found[:, 3:4]).all() and len(np.unique(found[0])) == 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_codes_are_recovered_up_to_their_numbers(seed):
    # Two codes a layer: with more, k-means may end in a local optimum. A beam of one: with more,
    # faiss fits a layer to what all beams leave, the worse ones too.
    _, parts, vectors = planted(codes=2)
    vectors += np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32) * 1e-3
    fitted = rq_kmeans.fit(vectors, rq_kmeans.Settings(layers=3, codes=2, beam=1), seed)
    codes = fitted.encode(vectors)
    assert fitted.width == 3 and fitted.rec_tokens == 6 and codes.dtype == np.uint16
    for layer in range(3):
        pairs = set(zip(parts[:, layer], codes[:, layer], strict=True))
        assert len(pairs) == 2
        assert {code for _, code in pairs} == {2 * layer, 2 * layer + 1}
    error = ((fitted.reconstruct(vectors) - vectors) ** 2).sum()
    assert error < 1e-3 * ((vectors - vectors.mean(0)) ** 2).sum()


def test_rq_kmeans_with_a_beam_keeps_most_of_the_vectors():
    vectors = planted()[2]
    fitted = rq_kmeans.fit(vectors, SHAPE, seed=1)
    error = ((fitted.reconstruct(vectors) - vectors) ** 2).sum()
    assert error < 0.25 * ((vectors - vectors.mean(0)) ** 2).sum()
    greedy = ResidualQuantiser(fitted.codebooks, beam=1)
    assert error <= ((greedy.reconstruct(vectors) - vectors) ** 2).sum() * (1 + 1e-6)


def test_decoded_codes_encode_to_themselves():
    codebooks, parts, vectors = planted()
    given_codes = parts + 4 * np.arange(3)
    fitted = ResidualQuantiser(codebooks, beam=1)
    assert np.allclose(fitted.decode(given_codes), vectors, atol=1e-6)
    assert (fitted.encode(fitted.decode(given_codes)) == given_codes).all()
    order = np.random.default_rng(0).permutation(len(vectors))
    assert (fitted.encode(vectors[order]) == given_codes[order]).all()


@pytest.fixture(scope="module")
def fitted_vae():
    return rq_vae.fit(planted()[2], VAE, SHAPE, seed=1)


def test_rq_vae_keeps_more_of_the_vectors_than_their_mean(fitted_vae):
    vectors = planted()[2]
    error = ((fitted_vae.reconstruct(vectors) - vectors) ** 2).sum()
    assert error < 0.3 * ((vectors - vectors.mean(0)) ** 2).sum()
    assert fitted_vae.width == 3 and fitted_vae.rec_tokens == 12


def test_rq_vae_encodes_layer_by_layer_and_further_candidates_are_others(fitted_vae):
    vectors = planted()[2]
    model = fitted_vae
    hidden = np.maximum(vectors @ model.in_weight.T + model.in_bias, 0)
    rest = hidden @ model.out_weight.T + model.out_bias
    expected = np.empty((len(vectors), 3), int)
    for layer, codebook in enumerate(model.codebooks):
        nearest = ((rest[:, None] - codebook) ** 2).sum(2).argmin(1)
        rest = rest - codebook[nearest]
        expected[:, layer] = nearest + 4 * layer
    found = model.candidates(vectors, 5)
    assert (found[:, 0] == expected).mean() > 0.99  # a float's last bits may decide a tie
    assert (found[:, 0] == model.encode(vectors)).all()
    assert all(len(np.unique(row, axis=0)) == 5 for row in found)


@pytest.mark.parametrize("cures", [True, False])
def test_the_same_seed_gives_the_same_bytes(tmp_path, cures):
    vectors = planted(150)[2]
    settings = dataclasses.replace(VAE, epochs=3, cures=cures)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        quantiser.write(rq_vae.fit(vectors, settings, SHAPE, seed), tmp_path / f"vae-{name}")
        quantiser.write(rq_kmeans.fit(vectors, SHAPE, seed), tmp_path / f"kmeans-{name}")
    for method in ("vae", "kmeans"):
        first, second, other = ((tmp_path / f"{method}-{n}").read_bytes() for n in "abc")
        assert first == second != other


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"codes": 12}, "3 layers of 12 codes; use a power of two"),
        ({"codes": 512}, "item_ids.rq.codes is 512 for 400 training items"),
        ({"layers": 16385}, "16385 layers of 4 codes; .* 65,536"),
    ],
)
def test_codebooks_that_cannot_be_are_named(change, says):
    shape, vectors = dataclasses.replace(SHAPE, **change), planted()[2]
    with pytest.raises(UserError, match=says):
        rq_kmeans.fit(vectors, shape, seed=1)
    with pytest.raises(UserError, match=says):
        rq_vae.fit(vectors, VAE, shape, seed=1)
    vectors[3, 0] = np.nan
    with pytest.raises(UserError, match="first row 3"):
        rq_kmeans.fit(vectors, SHAPE, seed=1)


# Ties.


def crowded(seed: int, items: int = 150):
    """A quantiser of 64 codes for 150 items, vectors, codes, item numbers and training items."""
    rng = np.random.default_rng(seed)
    codebooks = rng.normal(size=(3, 4, 4)).astype(np.float32) * [[[4.0]], [[2.0]], [[1.0]]]
    fitted = ResidualQuantiser(codebooks.astype(np.float32), beam=5)
    vectors = rng.normal(size=(items, 4)).astype(np.float32) * 4
    ids = rng.permutation(10 * items)[:items]
    return fitted, vectors, fitted.encode(vectors), ids, rng.random(items) < 0.7


@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 40, 150]))
def test_breaking_ties_uses_more_codes_and_moves_no_unique_training_item(seed, items):
    fitted, vectors, codes, ids, train = crowded(seed, items)
    broken = break_ties(fitted, vectors, codes, ids, train, seed=1)
    before, after = (set(map(tuple, c.tolist())) for c in (codes, broken))
    assert before <= after
    assert (n_collisions(broken[train]) > 0).sum() <= (n_collisions(codes[train]) > 0).sum()
    unique = np.flatnonzero(train)[n_collisions(codes[train]) == 0]
    assert (broken[unique] == codes[unique]).all()
    candidates = fitted.candidates(vectors, CANDIDATES)
    moved = (broken != codes).any(1)
    # One of every group stays, and whoever moves has its new codes from its candidates.
    assert moved[train].sum() <= train.sum() - len(set(map(tuple, codes[train].tolist())))
    assert (candidates[moved] == broken[moved, None]).all(2).any(1).all()
    # Who moved is alone among those of its part, for whom its codes were free.
    assert (n_collisions(broken[train])[moved[train]] == 0).all()
    # A held-out item leaves a code that only it had if a training item took the code.
    taken = set(map(tuple, broken[train].tolist()))
    for row in np.flatnonzero(~train & moved & (n_collisions(codes) == 0)):
        assert tuple(codes[row].tolist()) in taken


def test_collisions_fall_and_most_ties_are_broken_where_codes_are_free():
    for seed in range(10):
        for items, most in ((30, 0.5), (150, 1.0)):
            fitted, vectors, codes, ids, train = crowded(seed, items)
            broken = break_ties(fitted, vectors, codes, ids, train, seed=1)
            shared = [(n_collisions(c) > 0).mean() for c in (codes, broken)]
            assert shared[0] > 0.3 and shared[1] < most * shared[0]


def test_held_out_items_move_no_training_item():
    fitted, vectors, codes, ids, train = crowded(3)
    broken = break_ties(fitted, vectors, codes, ids, train, seed=1)
    changed = vectors.copy()
    changed[~train] = vectors[~train][::-1] + 1
    others = break_ties(fitted, changed, fitted.encode(changed), ids, train, seed=1)
    assert (others[train] == broken[train]).all() and (others != broken).any()
    alone = (a[train] for a in (vectors, codes, ids, train))
    assert (break_ties(fitted, *alone, seed=1) == broken[train]).all()


def test_neither_the_order_of_rows_nor_the_size_of_blocks_breaks_ties_otherwise(monkeypatch):
    fitted, vectors, codes, ids, train = crowded(4)
    broken = break_ties(fitted, vectors, codes, ids, train, seed=1)
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = (a[order] for a in (vectors, codes, ids, train))
    assert (break_ties(fitted, *shuffled, seed=1) == broken[order]).all()
    assert (break_ties(fitted, vectors, codes, ids, train, seed=2) != broken).any()
    monkeypatch.setattr("recscale.item_ids.ties.ROWS_AT_ONCE", 7)
    assert (break_ties(fitted, vectors, codes, ids, train, seed=1) == broken).all()
