"""The sparse auto-encoder: what it explains, and which latents become codes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from recscale.errors import UserError
from recscale.item_ids import quantiser, sae

SETTINGS = sae.Settings(latents=24, active=3, epochs=30, batch_size=64, learning_rate=0.01)


def planted(items: int = 600, atoms: int = 24, dimensions: int = 32, active: int = 3):
    """Vectors that are sums of `active` of `atoms` unit directions."""
    rng = np.random.default_rng(5)
    dictionary = rng.normal(size=(atoms, dimensions))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    parts = np.stack([rng.choice(atoms, active, replace=False) for _ in range(items)])
    weights = rng.uniform(0.3, 1.5, (items, active))
    return (weights[..., None] * dictionary[parts]).sum(1).astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    return planted()


@pytest.fixture(scope="module")
def fitted(vectors):
    return sae.fit(vectors, SETTINGS, seed=1)


def test_a_sparse_dictionary_is_explained_better_than_by_as_many_components(vectors, fitted):
    error = ((fitted.reconstruct(vectors) - vectors) ** 2).sum()
    pca = PCA(SETTINGS.active).fit(vectors)
    projected = pca.inverse_transform(pca.transform(vectors))
    assert error < 0.5 * ((projected - vectors) ** 2).sum()
    unseen = planted(700)[600:]
    error = ((fitted.reconstruct(unseen) - unseen) ** 2).sum()
    assert error < 0.5 * ((pca.inverse_transform(pca.transform(unseen)) - unseen) ** 2).sum()


def test_codes_are_ordered_by_activation(vectors, fitted):
    codes = fitted.encode(vectors)
    assert codes.shape == (len(vectors), 3) and codes.dtype == np.uint16
    assert fitted.width == 3 and fitted.rec_tokens == 24
    activations = (vectors - fitted.bias) @ fitted.encoder.T + fitted.threshold
    chosen = np.take_along_axis(activations, codes.astype(int), axis=1)
    assert (chosen[:, :-1] >= chosen[:, 1:]).all()
    others = activations.copy()
    np.put_along_axis(others, codes.astype(int), -np.inf, axis=1)
    assert (chosen[:, -1] >= others.max(1)).all()
    assert np.allclose(fitted.strongest(vectors, 3)[1], chosen, atol=1e-5)


def test_an_items_codes_do_not_depend_on_the_other_rows(vectors, fitted, monkeypatch):
    codes = fitted.encode(vectors)
    order = np.random.default_rng(0).permutation(len(vectors))
    assert (fitted.encode(vectors[order]) == codes[order]).all()
    for row in range(0, len(vectors), 50):
        assert (fitted.encode(vectors[row : row + 1]) == codes[row]).all()
    monkeypatch.setattr(quantiser, "ROWS_AT_ONCE", 37)
    assert (fitted.encode(vectors) == codes).all()


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([5, 64, 65, 200]),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_the_strongest_are_those_of_a_sort_ties_by_the_smaller_number(seed, latents, count, span):
    # Small whole numbers: sums are exact, and many activations are equal.
    rng = np.random.default_rng(seed)
    encoder, threshold, vectors = (
        rng.integers(-span, span + 1, shape).astype(np.float32)
        for shape in ((latents, 3), (latents,), (4, 3))
    )
    model = sae.SparseQuantiser(encoder, encoder, threshold, np.zeros(3, np.float32), count)
    activations = vectors @ encoder.T + threshold
    expected = np.argsort(-activations, axis=1, kind="stable")[:, :count]
    found, values = model.strongest(vectors, count)
    assert (found == expected).all()
    assert (values == np.take_along_axis(activations, expected, axis=1)).all()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(vectors, tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=3)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        quantiser.write(sae.fit(vectors[:200], settings, seed), tmp_path / name)
    first, second, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second != other


def test_further_candidates_differ_from_the_codes_in_the_last_one_only(vectors, fitted):
    found = fitted.candidates(vectors, 5)
    assert found.shape == (len(vectors), 5, 3)
    assert (found[:, 0] == fitted.encode(vectors)).all()
    assert (found[:, :, :-1] == found[:, :1, :-1]).all()
    order, _ = fitted.strongest(vectors, 7)
    assert (found[:, :, -1] == order[:, 2:]).all()
    many = fitted.candidates(vectors[:4], 30)  # more than there are latents
    assert many.shape == (4, 30, 3) and (many[:, 22:] == many[:, 21:22]).all()


@pytest.mark.parametrize(("items", "active"), [(20, 3), (600, 25)])
def test_more_latents_than_items_or_more_codes_than_latents_is_an_error(vectors, items, active):
    with pytest.raises(UserError, match=f"sae.latents is 24 for {items} training items and"):
        sae.fit(vectors[:items], dataclasses.replace(SETTINGS, active=active), seed=1)


def test_a_vector_that_is_not_finite_is_named(vectors):
    broken = vectors.copy()
    broken[[7, 9], 3] = np.nan, np.inf
    with pytest.raises(UserError, match="2 embeddings of training items .* first row 7"):
        sae.fit(broken, SETTINGS, seed=1)
