"""Item text, embeddings and the sparse auto-encoder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recscale.errors import UserError
from recscale.item_ids import codes, embeddings, sae
from recscale.item_ids.text import item_texts

EMBEDDING = embeddings.Settings(
    seed=1, method="tfidf_svd", dimensions=8, model=None, pooling=None, batch_size=None
)
SAE = sae.Settings(seed=1, latents=24, active=3, epochs=30, batch_size=64, learning_rate=0.01)


def catalogue(items: int = 120) -> pd.DataFrame:
    words = ["oat", "rye", "corn", "rice", "bean", "pea", "plum", "fig", "kiwi", "lime"]
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "item_id": np.arange(items),
            "title": [" ".join(rng.choice(words, 3)) for _ in range(items)],
            "brand": rng.choice(["national", "private"], items),
            "c0": rng.choice(["grocery", "produce"], items),
            "c1": rng.choice(words, items),
            "c2": None,
            "size": [f"{n} oz" for n in rng.integers(1, 9, items)],
            "color": None,
            "split": np.where(np.arange(items) % 5 == 0, "held_out", "train"),
        }
    )


def test_an_items_text_is_the_papers():
    row = {"item_id": 0, "title": "[redacted] purse", "brand": "[redacted]", "c0": "Women"}
    row |= {"c1": "Women's handbags", "c2": "Shoulder Bags", "size": None, "color": "black"}
    frame = pd.DataFrame([row, row | {"brand": None, "c2": None, "size": "S (4-6)", "color": None}])
    assert item_texts(frame) == [
        "[redacted] purse, by [redacted] in Women > Women's handbags > Shoulder Bags. Color: black",
        "[redacted] purse, in Women > Women's handbags. Size: S (4-6)",
    ]


def test_embeddings_are_unit_vectors():
    vectors = embeddings.embed(catalogue(), EMBEDDING)
    assert vectors.shape == (120, 8)
    assert np.allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=2e-3)


def test_the_text_of_a_held_out_item_changes_no_other_vector():
    items = catalogue()
    changed = items.copy()
    held_out = np.flatnonzero(items["split"] == "held_out")
    changed.loc[held_out[0], ["title", "c1"]] = ["zebra quagga okapi", "zoo"]
    first, second = embeddings.embed(items, EMBEDDING), embeddings.embed(changed, EMBEDDING)
    others = np.arange(len(items)) != held_out[0]
    assert (first[others] == second[others]).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dimensions": 4000}, "item_ids.embedding.dimensions is 4000"),
        ({"dimensions": None}, "item_ids.embedding.dimensions is null"),
        ({"method": "word2vec"}, "item_ids.embedding.method is 'word2vec'"),
        ({"method": "hugging_face"}, "item_ids.embedding names no model"),
        (
            {"method": "hugging_face", "model": "/nowhere/model", "pooling": "mean"},
            "/nowhere/model cannot be loaded",
        ),
    ],
)
def test_a_wrong_embedding_setting_is_named(change, named, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=named):
        embeddings.embed(catalogue(), dataclasses.replace(EMBEDDING, **change))


def test_an_item_without_text_is_named():
    items = catalogue()
    items.loc[7, ["title", "brand", "c0", "c1", "size"]] = ["", None, None, None, None]
    with pytest.raises(UserError, match="1 items have no text, first item_id 7"):
        embeddings.embed(items, EMBEDDING)


def test_a_hugging_face_encoder_gives_unit_vectors(tmp_path):
    """A tiny Qwen3 body from random weights, through the path a downloaded encoder takes."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    vocabulary = {
        token: n for n, token in enumerate(["<|endoftext|>", *sorted(ByteLevel.alphabet())])
    }
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], pad_token="<|endoftext|>")
    tokenizer.save_pretrained(tmp_path)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    config = Qwen3Config(vocab_size=257, intermediate_size=32, num_key_value_heads=1, **shape)
    Qwen3Model(config).save_pretrained(tmp_path)
    settings = dataclasses.replace(
        EMBEDDING, method="hugging_face", model=str(tmp_path), batch_size=7, dimensions=12
    )
    for pooling in ("last_token", "mean"):
        chosen = dataclasses.replace(settings, pooling=pooling)
        vectors = embeddings.embed(catalogue(20), chosen).astype(float)
        assert vectors.shape == (20, 12)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
        # Padding of a batch must not change an item's vector.
        single = embeddings.embed(catalogue(20), dataclasses.replace(chosen, batch_size=1))
        assert np.allclose(vectors, single.astype(float), atol=5e-3)


def planted(items: int = 600, atoms: int = 24, dimensions: int = 32, active: int = 3):
    """Vectors that are sums of `active` of `atoms` unit directions, with the parts known."""
    rng = np.random.default_rng(5)
    dictionary = rng.normal(size=(atoms, dimensions))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    parts = np.stack([rng.choice(atoms, active, replace=False) for _ in range(items)])
    weights = np.sort(rng.uniform(0.3, 1.5, (items, active)))[:, ::-1]
    return (weights[..., None] * dictionary[parts]).sum(1).astype(np.float32), parts


def test_the_auto_encoder_explains_a_sparse_dictionary_better_than_as_many_components():
    import torch
    from sklearn.decomposition import PCA

    vectors, _ = planted()
    model = sae.train(vectors, SAE)
    with torch.no_grad():
        decoded = model(torch.from_numpy(vectors))[0].numpy()
    pca = PCA(SAE.active).fit(vectors)
    projected = pca.inverse_transform(pca.transform(vectors))
    assert ((decoded - vectors) ** 2).sum() < 0.5 * ((projected - vectors) ** 2).sum()


def test_codes_are_ordered_by_activation_and_do_not_depend_on_the_other_rows():
    import torch

    vectors, _ = planted()
    model = sae.train(vectors, SAE)
    found = sae.encode(model, vectors)
    assert found.shape == (len(vectors), SAE.active)
    with torch.no_grad():
        strength = model.activations(torch.from_numpy(vectors)).gather(1, torch.from_numpy(found))
    assert (strength[:, :-1] >= strength[:, 1:]).all()
    order = np.random.default_rng(0).permutation(len(vectors))
    assert (sae.encode(model, vectors[order]) == found[order]).all()
    assert (sae.encode(model, vectors[:1]) == found[:1]).all()


def test_the_same_seed_gives_the_same_codes():
    vectors, _ = planted(200)
    settings = dataclasses.replace(SAE, epochs=3)
    first, second = (sae.encode(sae.train(vectors, settings), vectors) for _ in range(2))
    assert (first == second).all()


def test_more_latents_than_training_items_is_an_error():
    vectors, _ = planted(20)
    with pytest.raises(UserError, match="item_ids.sae.latents is 24 for 20 training items"):
        sae.train(vectors, SAE)


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 2))
)
def test_collisions_equal_a_count_by_hand(found):
    expected = [sum((other == row).all() for other in found) - 1 for row in found]
    assert codes.n_collisions(found).tolist() == expected
    assert codes.collision_rate(found) == np.mean([e > 0 for e in expected])
