"""Embeddings of items and of passages: streamed, resumed, and the same whatever the batches are."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recscale import files
from recscale.contracts import CONTRACTS
from recscale.errors import UserError
from recscale.item_ids import embeddings, join_embeddings, text_embeddings
from recscale.item_ids.encoders import TfidfSvd, unit_rows
from recscale.item_ids.resumable_array import ResumableArray

from .catalogue import catalogue

SETTINGS = embeddings.Settings(
    seed=1, method="tfidf_svd", dimensions=8, model=None, pooling=None, batch_size=2
)  # a block is 32 items


class Kill(Exception):
    """What stops a run in the middle."""


def write_items(frame: pd.DataFrame, folder):
    """Write an items table, a null title included, which its contract would refuse."""
    schema = CONTRACTS["items"].arrow_schema()
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    pq.write_table(
        pa.Table.from_pandas(frame, nullable, preserve_index=False), folder / "items.parquet"
    )
    return folder / "items.parquet"


def embed(frame: pd.DataFrame, folder, settings=SETTINGS):
    """The vectors of a catalogue, and the card."""
    folder.mkdir(exist_ok=True)
    card = folder / "embeddings.json"
    embeddings.embed(write_items(frame, folder), folder / "embeddings.npy", card, settings)
    return np.load(folder / "embeddings.npy"), files.read_json(card)


def with_unknown_words(held_out: list[int]) -> pd.DataFrame:
    """A catalogue with held-out items of which only a title is known, of words of its own.

    With a brand or a category, "by" and "in" would be words that training items have too.
    """
    frame = catalogue()
    for row in held_out:
        frame.loc[row, "title"] = f"okapi quagga-{row}"
        frame.loc[row, ["brand", "c0", "c1", "size"]] = None
    return frame


def count_encoded(monkeypatch, stop_after: int | None = None) -> list[list[str]]:
    """Record the texts of each call of the encoder; raise once there were `stop_after` calls."""
    calls: list[list[str]] = []
    encode = TfidfSvd.encode

    def counted(self, texts):
        if stop_after is not None and len(calls) == stop_after:
            raise Kill
        calls.append(texts)
        return encode(self, texts)

    monkeypatch.setattr(TfidfSvd, "encode", counted)
    return calls


def killed(monkeypatch, folder, stop_after: int, settings=SETTINGS):
    """A folder in which a run was stopped after so many blocks."""
    with monkeypatch.context() as patched, pytest.raises(Kill):
        count_encoded(patched, stop_after)
        embed(catalogue(), folder, settings)
    assert not (folder / "embeddings.npy").exists()


def test_rows_are_unit_vectors_in_the_order_of_the_table(tmp_path):
    items = catalogue()
    vectors, card = embed(items, tmp_path / "a")
    assert vectors.shape == (120, 8) and vectors.dtype == np.float16
    assert np.allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=2e-3)
    assert card.pop("fitted_sha256") and card.pop("words_and_pairs") > 8
    assert card == {
        "items": 120,
        "dimensions": 8,
        "method": "tfidf_svd",
        "items_without_known_words": 0,
        "fitted_items": 96,
    }
    # Held-out items in another order: the same fit, and each vector goes with its item.
    order = np.arange(120)
    order[::5] = order[::5][::-1]
    assert (embed(items.iloc[order], tmp_path / "b")[0] == vectors[order]).all()


def test_the_text_of_a_held_out_item_changes_no_other_vector(tmp_path):
    items = catalogue()
    changed = items.copy()
    held_out = np.flatnonzero(items["split"] == "held_out")
    changed.loc[held_out[0], ["title", "c1"]] = ["zebra quagga okapi", "zoo"]
    first, second = embed(items, tmp_path / "a")[0], embed(changed, tmp_path / "b")[0]
    others = np.arange(len(items)) != held_out[0]
    assert (first[others] == second[others]).all()
    assert (first[~others] != second[~others]).any()


def test_batches_and_reruns_give_the_same_bytes(tmp_path, monkeypatch):
    items = catalogue(113)  # the last block of some is a single item
    whole = None
    for batch_size in (None, 2, 1, 7, 2):
        chosen = dataclasses.replace(SETTINGS, batch_size=batch_size)
        monkeypatch.setattr(embeddings, "ROWS_AT_ONCE", batch_size or 65_536)
        embed(items, tmp_path, chosen)
        found = (tmp_path / "embeddings.npy").read_bytes()
        assert whole is None or found == whole
        whole = found
    np.save(tmp_path / "again.npy", np.load(tmp_path / "embeddings.npy"))
    assert (tmp_path / "again.npy").read_bytes() == whole


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_joined_shards_have_the_bytes_of_one_job(tmp_path, call, shards):
    items = catalogue(113)  # four blocks: some of 7 shards are empty
    embed(items, tmp_path)
    whole = [(tmp_path / f"embeddings.{kind}").read_bytes() for kind in ("npy", "json")]
    parts = [tmp_path / f"{shard}.npy" for shard in range(shards)]
    cards = [part.with_suffix(".json") for part in parts]
    for shard, (part, card) in enumerate(zip(parts, cards, strict=True)):
        embeddings.embed(tmp_path / "items.parquet", part, card, SETTINGS, shard, shards)
    joined = tmp_path / "joined.npy"
    told = ["--embeddings", joined, "--card", joined.with_suffix(".json")]
    call(join_embeddings.main, "--shards", *parts, "--cards", *cards, *told)
    assert [joined.read_bytes(), joined.with_suffix(".json").read_bytes()] == whole
    # Shards that do not belong together are named.
    np.save(parts[-1], np.zeros((5, 8), dtype=np.float16))
    with pytest.raises(UserError, match=rf"{shards - 1}.npy has the shape \(5, 8\), its card says"):
        call(join_embeddings.main, "--shards", *parts, "--cards", *cards, *told)
    other = {**files.read_json(cards[0]), "dimensions": 9}
    files.write_json(other, cards[-1])
    with pytest.raises(UserError, match=r"json has dimensions 9, .* has 8"):
        call(join_embeddings.main, "--shards", *parts, "--cards", *cards, *told)
    with pytest.raises(UserError, match=r"1 --shards and"):
        call(join_embeddings.main, "--shards", parts[0], "--cards", *cards, *told)


def test_no_more_than_a_block_of_texts_is_read_at_once(tmp_path, monkeypatch):
    calls = count_encoded(monkeypatch)
    embed(catalogue(), tmp_path)
    assert [len(texts) for texts in calls] == [32, 32, 32, 24]


def test_a_killed_run_goes_on_after_its_last_block(tmp_path, monkeypatch, call):
    embed(catalogue(), tmp_path / "undisturbed")
    folder = tmp_path / "killed"
    killed(monkeypatch, folder, stop_after=2)
    with (folder / ".embeddings.npy.partial").open("ab") as file:
        file.write(b"half a block")  # its bytes were on the way when the run stopped
    calls = count_encoded(monkeypatch)
    call(
        embeddings.main,
        *("--items", folder / "items.parquet", "--embeddings", folder / "embeddings.npy"),
        *("--card", folder / "embeddings.json"),
        *("--settings", json.dumps(dataclasses.asdict(SETTINGS))),
    )
    assert [len(texts) for texts in calls] == [32, 24]
    expected = (tmp_path / "undisturbed" / "embeddings.npy").read_bytes()
    assert (folder / "embeddings.npy").read_bytes() == expected
    assert files.read_json(folder / "embeddings.json")["items"] == 120
    assert {p.name for p in folder.iterdir()} == {
        "items.parquet",
        "embeddings.npy",
        "embeddings.json",
    }


def test_the_count_in_the_card_survives_a_stop(tmp_path, monkeypatch):
    frame = with_unknown_words([0, 100])
    with monkeypatch.context() as patched, pytest.raises(Kill):
        count_encoded(patched, 2)
        embed(frame, tmp_path)
    assert embed(frame, tmp_path)[1]["items_without_known_words"] == 2


@pytest.mark.parametrize("change", ["settings", "items", "fit", "code"])
def test_blocks_of_another_run_are_discarded(tmp_path, monkeypatch, caplog, change):
    monkeypatch.setattr(logging.getLogger("recscale"), "propagate", True)
    killed(monkeypatch, tmp_path, stop_after=2)
    frame, settings = catalogue(), SETTINGS
    if change == "settings":
        settings = dataclasses.replace(settings, batch_size=4)
    elif change == "items":
        frame.loc[119, "title"] = "oat oat oat"
    elif change == "fit":
        monkeypatch.setattr(embeddings, "FIT_ITEMS", 50)
    else:
        sha256 = files.sha256
        monkeypatch.setattr(files, "sha256", lambda p: sha256(p) + "!" * (p.suffix == ".py"))
    calls = count_encoded(monkeypatch)
    embed(frame, tmp_path, settings)
    assert sum(map(len, calls)) == 120
    assert "discarding 64 rows" in caplog.text


def test_an_array_is_started_anew_if_its_journal_or_rows_are_broken(tmp_path):
    path = tmp_path / "a.npy"
    rows = np.arange(12, dtype=np.float16).reshape(4, 3)

    def begin() -> ResumableArray:
        return ResumableArray(path, 3, np.float16, {"seed": 1})

    for damage in ("", "journal", "no journal", "rows", "no rows"):
        with begin() as array:
            array.append(rows, inputs=5)
        if damage == "journal":
            array.journal.write_text('{"made_from": ')
        elif damage == "no journal":
            array.journal.unlink()
        elif damage == "rows":
            array.partial.write_bytes(array.partial.read_bytes()[:-1])
        elif damage == "no rows":
            array.partial.unlink()
        with begin() as array:
            assert (array.rows, array.inputs) == ((0, 0) if damage else (4, 5))
            array.append(rows[: 4 - array.rows] if damage else rows, inputs=4)
            array.finish()
        expected = rows if damage else np.concatenate([rows, rows])
        assert (np.load(path) == expected).all()
        assert list(tmp_path.iterdir()) == [path]


def test_fitting_items_are_bounded_and_do_not_depend_on_the_order_of_items(tmp_path, monkeypatch):
    items = catalogue()
    path = write_items(items, tmp_path)
    training = items["split"] == "train"
    everything = list(embeddings.fitting_texts(path, seed=1))
    assert everything == embeddings.text.item_texts(items[training])
    monkeypatch.setattr(embeddings, "FIT_ITEMS", 30)
    for rows in (65_536, 7):
        monkeypatch.setattr(embeddings, "ROWS_AT_ONCE", rows)
        few = list(embeddings.fitting_texts(path, seed=1))
        assert len(few) == 30 and set(few) <= set(everything)
        other_seed = list(embeddings.fitting_texts(path, seed=2))
        assert len(other_seed) == 30 and other_seed != few
    reversed_items = write_items(items[::-1], tmp_path)
    assert sorted(embeddings.fitting_texts(reversed_items, seed=1)) == sorted(few)


def test_a_text_of_unknown_words_gets_the_mean_direction_and_is_counted(tmp_path):
    frame = with_unknown_words([5, 100])
    vectors, card = embed(frame, tmp_path)
    assert card["items_without_known_words"] == 2
    assert (vectors[5] == vectors[100]).all()
    mean = vectors[frame["split"] == "train"].astype(float).mean(0)
    assert np.allclose(vectors[5], mean / np.linalg.norm(mean), atol=2e-3)


def test_a_projection_that_is_all_rounding_has_no_direction():
    rows = np.array([[3.0, 4.0], [1e-9, 0.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
    found = unit_rows(rows, least=1e-6)
    assert found[:3].tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0], [0, 0]]
    assert np.isnan(found[3:]).any(axis=1).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dimensions": 4000}, "item_ids.embedding.dimensions is 4000"),
        ({"dimensions": None}, "item_ids.embedding.dimensions is null"),
        ({"dimensions": 0}, "item_ids.embedding.dimensions is 0"),
        ({"batch_size": 0}, "item_ids.embedding.batch_size is 0"),
        ({"method": "word2vec"}, "item_ids.embedding.method is 'word2vec'"),
        ({"method": "hugging_face"}, "item_ids.embedding names no model"),
        (
            {"method": "hugging_face", "model": "/nowhere/model", "pooling": "mean"},
            "/nowhere/model cannot be loaded",
        ),
    ],
)
def test_a_wrong_embedding_setting_is_named(change, named, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=named):
        embed(catalogue(), tmp_path, dataclasses.replace(SETTINGS, **change))
    assert {p.name for p in tmp_path.iterdir()} == {"items.parquet"}


def test_items_without_text_are_counted_and_named_before_any_encoding(tmp_path, monkeypatch):
    calls = count_encoded(monkeypatch)
    items = catalogue()
    items["item_id"] += 1000
    columns = ["title", "brand", "c0", "c1", "size"]
    items.loc[7, columns] = ["  ", None, None, None, None]
    items.loc[9, columns] = [None, None, "", None, "\t"]
    items.loc[11, "title"] = None  # its attributes are text enough
    with pytest.raises(UserError, match="2 items have no text, first item_id 1007"):
        embed(items, tmp_path)
    assert not calls
    vectors, _ = embed(items.drop([7, 9]), tmp_path)
    assert len(vectors) == 118
    assert all("None" not in text and "nan" not in text for texts in calls for text in texts)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: f[:0], "holds no items"),
        (lambda f: f.assign(split="held_out"), "holds no training items"),
        (lambda f: f[:2], "the training texts give no words to fit"),
        (lambda f: f.drop(columns="brand"), r"lacks the column\(s\) brand"),
    ],
)
def test_a_catalogue_that_cannot_be_embedded_is_one_line(change, named, tmp_path):
    change(catalogue()).to_parquet(tmp_path / "items.parquet", index=False)
    with pytest.raises(UserError, match=named):
        outputs = tmp_path / "embeddings.npy", tmp_path / "embeddings.json"
        embeddings.embed(tmp_path / "items.parquet", *outputs, SETTINGS)


def test_a_truncated_table_is_one_line(tmp_path):
    path = write_items(catalogue(), tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="items.parquet is truncated"):
        embeddings.embed(path, tmp_path / "embeddings.npy", tmp_path / "embeddings.json", SETTINGS)


def test_a_vector_that_is_not_finite_names_its_item(tmp_path, monkeypatch):
    def broken(self, texts):
        vectors = np.ones((len(texts), 8), dtype=np.float32)
        vectors[[3, 4], 2] = np.nan
        return vectors

    items = catalogue()
    items["item_id"] += 1000
    monkeypatch.setattr(TfidfSvd, "encode", broken)
    with pytest.raises(UserError, match="the vector of item_id 1003 is zero or not finite"):
        embed(items, tmp_path)
    assert not (tmp_path / "embeddings.npy").exists()


@pytest.fixture(scope="module")
def tiny_qwen(tmp_path_factory):
    """A tiny Qwen3 body from random weights, through the path a downloaded encoder takes."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

    folder = tmp_path_factory.mktemp("tiny_qwen")
    torch.manual_seed(0)
    vocabulary = {
        token: n for n, token in enumerate(["<|endoftext|>", *sorted(ByteLevel.alphabet())])
    }
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], pad_token="<|endoftext|>")
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    config = Qwen3Config(vocab_size=257, intermediate_size=32, num_key_value_heads=1, **shape)
    Qwen3Model(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["last_token", "mean"])
def test_a_hugging_face_encoder_gives_unit_vectors(tmp_path, tiny_qwen, pooling):
    import torch
    from transformers import AutoModel, AutoTokenizer

    settings = embeddings.Settings(1, "hugging_face", 12, str(tiny_qwen), pooling, batch_size=7)
    vectors, card = embed(catalogue(20), tmp_path / "a", settings)
    assert vectors.shape == (20, 12) and card["pooling"] == pooling
    assert np.allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=2e-3)
    # One text at a time: padding, and the order inside a block, must not change a vector.
    tokenizer, model = (c.from_pretrained(tiny_qwen) for c in (AutoTokenizer, AutoModel))
    for text, vector in zip(embeddings.text.item_texts(catalogue(20)), vectors, strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = (hidden[-1] if pooling == "last_token" else hidden.mean(0))[:12].numpy()
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=5e-3)
    assert embed(catalogue(20), tmp_path / "b", settings)[0].tobytes() == vectors.tobytes()
    all_columns = dataclasses.replace(settings, dimensions=None)
    assert embed(catalogue(20), tmp_path / "c", all_columns)[0].shape == (20, 16)
    with pytest.raises(UserError, match="dimensions is 17, but .* gives 16"):
        embed(catalogue(20), tmp_path / "d", dataclasses.replace(settings, dimensions=17))


def test_weights_in_another_format_than_safetensors_are_refused(tmp_path, tiny_qwen):
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_qwen, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    settings = embeddings.Settings(1, "hugging_face", 12, str(folder), "mean", None)
    with pytest.raises(UserError, match="pickled cannot be loaded"):
        embed(catalogue(20), tmp_path / "a", settings)
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match="pickled cannot be loaded"):
        embed(catalogue(20), tmp_path / "a", settings)


PASSAGES = text_embeddings.Settings(**dataclasses.asdict(SETTINGS), passages=40)


def documents(folder, extra: str = "held out words only"):
    """General text of the items' words and of others, and a held-out document."""
    rng = np.random.default_rng(3)
    words = [*catalogue()["title"].str.split().explode().unique(), "the", "of", "and"]
    texts = [" ".join(rng.choice(words, 12 * n + n % 5)) for n in range(1, 12)]
    texts += ["strange words without any kin here " * 4, "too short", extra]
    frame = pd.DataFrame({"text": texts, "part": ["base", "train"] * 6 + ["train", "held_out"]})
    files.write_table(frame, folder / "documents.parquet", "documents")
    return folder / "documents.parquet"


def embed_passages(folder, settings=PASSAGES, **options):
    folder.mkdir(exist_ok=True)
    items = write_items(catalogue(), folder)
    text_embeddings.embed(items, documents(folder, **options), folder / "text.npy", settings)
    return np.load(folder / "text.npy")


def test_passages_are_twelve_words_and_the_rest_is_left_out():
    words = [str(n) for n in range(30)]
    found = list(text_embeddings.passages_of(" ".join(words) + "\n"))
    assert found == [" ".join(words[:12]), " ".join(words[12:24])]
    assert not list(text_embeddings.passages_of("too short"))


def test_passages_are_chosen_by_hash_whatever_the_batches_are(tmp_path, monkeypatch):
    path = documents(tmp_path)
    everything = text_embeddings.choose(path, 1000, seed=1)
    assert len(everything) == sum(range(1, 12)) + 2
    few = text_embeddings.choose(path, 10, seed=1)
    positions = [everything.index(passage) for passage in few]
    assert len(few) == 10 and positions == sorted(positions)
    assert few != text_embeddings.choose(path, 10, seed=2)
    monkeypatch.setattr(text_embeddings, "DOCUMENTS_AT_ONCE", 1)
    assert text_embeddings.choose(path, 10, seed=1) == few
    assert set(text_embeddings.choose(path, 5, seed=1)) <= set(few)


def test_passages_use_the_items_encoder_and_no_held_out_text(tmp_path):
    everything = dataclasses.replace(PASSAGES, passages=1000)
    vectors = embed_passages(tmp_path / "a", everything)
    assert vectors.dtype == np.float16
    assert len(vectors) == sum(range(1, 12))  # two more have no word of the items
    assert np.allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=2e-3)
    first = text_embeddings.choose(tmp_path / "a" / "documents.parquet", 1000, seed=1)[0]
    encoder = embeddings.make_encoder(SETTINGS, tmp_path / "a" / "items.parquet")
    assert (vectors[0] == encoder.encode([first])[0].astype(np.float16)).all()
    other = embed_passages(tmp_path / "b", everything, extra="plum fig kiwi " * 8)
    assert (other == vectors).all()


def test_a_killed_run_over_passages_goes_on(tmp_path, monkeypatch, call):
    settings = dataclasses.replace(PASSAGES, passages=1000)
    whole = embed_passages(tmp_path / "whole", settings)
    folder = tmp_path / "killed"
    with monkeypatch.context() as patched, pytest.raises(Kill):
        count_encoded(patched, 1)
        embed_passages(folder, settings)
    calls = count_encoded(monkeypatch)
    call(
        text_embeddings.main,
        *("--items", folder / "items.parquet", "--documents", folder / "documents.parquet"),
        *("--embeddings", folder / "text.npy"),
        *("--settings", json.dumps(dataclasses.asdict(settings))),
    )
    assert [len(texts) for texts in calls] == [32, 4]
    np.save(tmp_path / "expected.npy", whole)
    assert (folder / "text.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_general_text_without_a_usable_passage_is_one_line(tmp_path):
    items, path = write_items(catalogue(), tmp_path), tmp_path / "documents.parquet"
    for text, message in (
        ("too short", "holds no passage of 12 words"),
        ("strange " * 12, "no passage of .* has a word of the training items"),
    ):
        frame = pd.DataFrame({"text": [text], "part": ["train"]})
        files.write_table(frame, path, "documents")
        with pytest.raises(UserError, match=message):
            text_embeddings.embed(items, path, tmp_path / "text.npy", PASSAGES)
    with pytest.raises(UserError, match="passages is 0"):
        none = dataclasses.replace(PASSAGES, passages=0)
        text_embeddings.embed(items, path, tmp_path / "text.npy", none)
