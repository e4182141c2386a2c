"""Sentences assembled from pieces equal tokenised ones; packing loses nothing silently."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recscale import files
from recscale.curriculum import (
    packing,
    sentences,
    templates,
    token_pieces,
    token_shards,
    windows,
)
from recscale.curriculum.token_pieces import ItemCodes, Pieces, number_text, printed_digits
from recscale.errors import UserError
from recscale.item_ids.text import item_texts
from small_tokenizer import items_frame, small_tokenizer

WINDOWS = windows.Settings(
    seed=1, length=32, packing="cut", wordings=1, sentences=None, tokens=None
)
ITEMS = 40
CODES = ItemCodes(
    pd.DataFrame(
        {
            # Not in order, and numbers far from 0, as logs have them.
            "item_id": np.arange(ITEMS)[::-1] * 1000 + 7,
            "codes": [(np.arange(8) * 1021 + n * 37) % 8192 for n in range(ITEMS)],
        }
    )
)
NUMBERS = CODES.item_ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer")


@pytest.fixture(scope="module", params=[1, templates.WORDINGS])
def how(folder, request):
    """What makes sentences, with the paper's wording only or with all."""
    vocabulary = files.read_json(folder / "manifest.json")
    return sentences.Sentences(token_pieces.read_tokenizer(folder), vocabulary, 3, request.param)


def codes_of(number: int) -> np.ndarray:
    return CODES.codes[CODES.places(np.array([number]))[0]]


def same(found: Pieces, texts: list[str], how) -> bool:
    """Whether the documents are the texts, tokenised, each with its end of text."""
    expected = [[*how.tokenizer.encode(t, add_special_tokens=False).ids, 0] for t in texts]
    parts = np.split(found.tokens, found.offsets[1:-1])
    return [part.tolist() for part in parts] == expected


def in_order(rows: int):
    yield np.arange(rows)


rule = st.tuples(
    st.integers(0, ITEMS - 1),
    st.integers(0, ITEMS - 1),
    st.floats(1e-6, 1.0) | st.sampled_from([0.0125, 0.0005, 1 / 3, 0.9995, 1.0]),
    st.floats(0.0, 1e6) | st.sampled_from([1.005, 0.125, 652.45]),
)


@settings(max_examples=30, deadline=None)
@given(rules=st.lists(rule, min_size=1, max_size=12))
def test_assembled_rules_equal_tokenised_sentences(how, rules):
    table = pd.DataFrame(rules, columns=["item_a", "item_b", "confidence", "lift"])
    table["item_a"], table["item_b"] = NUMBERS[table["item_a"]], NUMBERS[table["item_b"]]
    (found,) = sentences.rule_documents(table, CODES, how, in_order(len(table)))
    wordings = how.wording(table["item_a"].to_numpy(), table["item_b"].to_numpy())
    texts = [
        templates.collaborative(codes_of(r.item_a), codes_of(r.item_b), r.confidence, r.lift, w)
        for r, w in zip(table.itertuples(), wordings, strict=True)
    ]
    assert same(found, texts, how)


@settings(max_examples=30, deadline=None)
@given(
    paths=st.lists(
        st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=9), min_size=1, max_size=9
    )
)
def test_assembled_walks_equal_tokenised_sentences(how, paths):
    items = [NUMBERS[path].tolist() for path in paths]
    table = pa.table({"walk": range(5, 5 + len(items)), "items": pa.array(items)})
    batches = iter([np.arange(len(items))[::-1]])
    (found,) = sentences.walk_documents(table, CODES, how, batches)
    wordings = how.wording(np.arange(5, 5 + len(items)))
    texts = [
        templates.history([codes_of(i) for i in path], w)
        for path, w in zip(items, wordings, strict=True)
    ]
    assert same(found, texts[::-1], how)


def test_assembled_items_equal_tokenised_sentences(how):
    table = items_frame(ITEMS).assign(item_id=NUMBERS, color="naïve café 12\n\n x", brand="it's")
    (found,) = sentences.item_documents(table, CODES, how, in_order(ITEMS))
    wordings = how.wording(NUMBERS)
    texts = [
        templates.item_text(codes_of(n), text, w)
        for n, text, w in zip(NUMBERS, item_texts(table), wordings, strict=True)
    ]
    assert same(found, texts, how)


def test_wordings_are_mixed_evenly_and_depend_on_the_row_alone(folder):
    vocabulary = files.read_json(folder / "manifest.json")
    bare = token_pieces.read_tokenizer(folder)
    many = sentences.Sentences(bare, vocabulary, 3, templates.WORDINGS)
    wording = many.wording(np.arange(5000))
    assert np.bincount(wording).min() > 800
    assert (many.wording(np.arange(100, 200)) == wording[100:200]).all()
    for group in (templates.ITEM_TEXT, templates.COLLABORATIVE, templates.HISTORY):
        assert len(set(group)) == len(group) == templates.WORDINGS
    with pytest.raises(UserError, match=r"curriculum.text.wordings is 6; use 1 to 5"):
        sentences.Sentences(bare, vocabulary, 3, 6)


@given(st.floats(0, 1e6) | st.integers(0, 10**6).map(lambda n: n / 2000), st.integers(1, 3))
def test_printed_digits_are_pythons(value, decimals):
    digits = printed_digits(np.array([value]), decimals)[0]
    assert number_text(int(digits), decimals) == f"{value:.{decimals}f}"


def test_a_held_out_row_with_the_codes_of_a_training_row_is_left_out():
    ids = pd.DataFrame({"item_id": range(5), "codes": [np.array([n % 3]) for n in range(5)]})
    codes = ItemCodes(ids)  # 0 and 3, and 1 and 4, share their codes
    items = pd.DataFrame({"item_id": range(5), "split": ["train"] * 2 + ["held_out"] * 3})
    kept = sentences.new_to_training(items, ["item_id"], codes, "held_out")
    assert kept["item_id"].tolist() == [2]
    assert len(sentences.new_to_training(items, ["item_id"], codes, "train")) == 2
    rules = pd.DataFrame(
        [(0, 1, "train"), (3, 4, "both_seen"), (1, 0, "both_seen"), (0, 2, "one_unseen")],
        columns=["item_a", "item_b", "split"],
    )
    pair = ["item_a", "item_b"]
    kept = sentences.new_to_training(rules, pair, codes, "both_seen")
    assert kept[pair].to_numpy().tolist() == [[1, 0]]
    assert len(sentences.new_to_training(rules, pair, codes, "one_unseen")) == 1


def test_items_without_codes_and_ragged_codes_are_named():
    with pytest.raises(UserError, match=r"item 3 has no semantic id \(2 items have none\)"):
        CODES.places(np.array([7, 3, 9]))
    ragged = pd.DataFrame({"item_id": [1, 2], "codes": [np.arange(3), np.arange(4)]})
    with pytest.raises(UserError, match="semantic ids have 3 to 4 codes"):
        ItemCodes(ragged)


documents = st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=30), max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    documents, st.integers(1, 7), st.sampled_from([None, 8, 40]), st.sampled_from(["cut", "whole"])
)
def test_packing_loses_only_the_rest_and_says_so(tmp_path_factory, bodies, at_once, tokens, kind):
    """Whatever the batches; 0 is the end of text, windows have 8 tokens."""
    path = tmp_path_factory.mktemp("packed") / "w.npy"
    whole = [[*body, 0] for body in bodies]
    batches = [Pieces.of(whole[n : n + at_once]) for n in range(0, len(whole), at_once)]
    counts = packing.pack(iter(batches), path, 8, 0, 51, kind, tokens)
    packed = np.load(path)
    assert packed.shape == (counts["windows"], 8)
    assert packed.dtype == np.uint16
    stream = packed.ravel().tolist()
    if kind == "cut":
        everything = [token for document in whole for token in document]
        assert stream == everything[: len(stream)]
        assert counts["padding"] == counts["truncations"] == 0
        if tokens is None:
            assert counts["tokens_left_out"] == len(everything) - len(stream) < 8
    else:
        cut = [document[:8] for document in whole]
        expected, row = [], []
        for document in cut:
            if len(row) + len(document) > 8:
                expected.append(row + [0] * (8 - len(row)))
                row = []
            row = row + document
        if row:
            expected.append(row + [0] * (8 - len(row)))
        assert packed.tolist() == expected[: len(packed)]
        if tokens is None:
            assert len(packed) == len(expected)
            assert counts["truncations"] == sum(len(d) > 8 for d in whole)
            assert counts["documents"] == sum(len(d) <= 8 for d in whole)
            assert counts["tokens_left_out"] == 0
    if tokens is not None:
        assert counts["tokens"] <= tokens
    assert counts["tokens"] == len(stream)


def test_more_than_two_bytes_of_vocabulary_take_four(tmp_path):
    batch = Pieces.of([[70_000, 1, 2, 0]])
    packing.pack(iter([batch]), tmp_path / "w.npy", 2, 0, 80_000, "cut", None)
    assert np.load(tmp_path / "w.npy").tolist() == [[70_000, 1], [2, 0]]
    with pytest.raises(UserError, match="curriculum.windows.packing is 'best'"):
        packing.pack(iter([batch]), tmp_path / "x.npy", 2, 0, 8, "best", None)


@pytest.fixture
def command(tmp_path, call, folder):
    """Run the command on a domain; returns the windows and the manifest."""
    ids = pd.DataFrame({"item_id": range(ITEMS), "n_collisions": 0})
    ids["codes"] = [np.arange(8, dtype=np.uint16) + 8 * n for n in range(ITEMS)]
    files.write_table(ids, tmp_path / "ids.parquet", "item_ids")

    def run(domain, part, *source, options=(), **change):
        told = json.dumps(dataclasses.asdict(dataclasses.replace(WINDOWS, **change)))
        out = tmp_path / f"{domain}.npy"
        arguments = ["--domain", domain, "--part", part, "--source", *source, *options]
        arguments += ["--item-ids", tmp_path / "ids.parquet", "--tokenizer", folder]
        arguments += ["--windows", out, "--manifest", out.with_suffix(".json")]
        call(windows.main, *arguments, "--settings", told)
        return files.read_array(out), files.read_json(out.with_suffix(".json"))

    return run


def test_held_out_items_reach_no_training_window(tmp_path, command, folder):
    items = items_frame(ITEMS)
    files.write_table(items, tmp_path / "items.parquet", "items")
    trained, described = command("item_text", "train", tmp_path / "items.parquet")
    first = files.read_json(folder / "manifest.json")["first_rec"]
    codes_seen = trained[trained >= first] - first
    assert {int(c) // 8 for c in codes_seen} <= set(items.loc[items["split"] == "train", "item_id"])
    assert described["tokenizer"] == files.read_json(folder / "manifest.json")["sha256"]
    held_out, _ = command("item_text", "held_out", tmp_path / "items.parquet", wordings=5)
    same_wording, _ = command("item_text", "held_out", tmp_path / "items.parquet")
    assert (held_out == same_wording).all()
    codes_held_out = held_out[held_out >= first] - first
    assert {int(c) // 8 for c in codes_held_out} <= set(range(0, ITEMS, 4))


def test_the_windows_of_walks_do_not_depend_on_shards_and_threads(tmp_path, command):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"walk": range(500), "path_confidence": 0.5})
    table["items"] = [rng.integers(0, ITEMS, rng.integers(5, 12)) for _ in range(500)]
    paths = [tmp_path / f"{n}.parquet" for n in range(4)]
    files.write_table(table, paths[0], "walks")
    for path, part in zip(paths[1:], (table[:10], table[10:300], table[300:]), strict=True):
        files.write_table(part, path, "walks")
    whole, described = command("uih", "train", paths[0], wordings=5)
    parts, same_described = command(
        "uih", "train", *paths[1:], options=["--threads", 2], wordings=5
    )
    assert (whole == parts).all()
    assert described == same_described
    few, described = command("uih", "train", paths[0], sentences=20)
    assert 19 <= described["documents"] <= 20
    capped, _ = command("uih", "train", paths[0], tokens=100)
    assert capped.shape == (3, 32)
    assert (few[:3] == capped).all()


def test_general_text_is_read_row_group_by_row_group(tmp_path, command):
    write_documents(tmp_path / "d.parquet", 300, 50)
    train, described = command("general", "train", tmp_path / "d.parquet")
    assert described["documents_available"] == 200
    assert described["documents"] + 1 >= 200
    base, _ = command("general", "base", tmp_path / "d.parquet")
    assert len(base) < len(train)


@pytest.fixture
def sharded(tmp_path, call, folder):
    """Tokenise the documents of a part in some shards; returns the files of tokens."""

    def run(part, shards):
        paths = [tmp_path / f"{part}-{shards}-{shard}.npy" for shard in range(shards)]
        for shard, path in enumerate(paths):
            options = ["--documents", tmp_path / "d.parquet", "--part", part]
            options += ["--tokenizer", folder, "--shard", shard, "--shards", shards]
            options += ["--tokens", path, "--offsets", path.with_suffix(".offsets.npy")]
            told = json.dumps({"seed": WINDOWS.seed})
            call(token_shards.main, *options, "--threads", 1, "--settings", told)
        return paths

    return run


def write_documents(path, rows, at_once):
    """General text in row groups of so many documents; every third is of the base model's."""
    texts = pd.DataFrame({"text": [f"text number {n}" for n in range(rows)], "part": "train"})
    texts.loc[::3, "part"] = "base"
    schema = pa.schema([pa.field("text", pa.string(), False), pa.field("part", pa.string(), False)])
    table = pa.Table.from_pandas(texts, schema=schema, preserve_index=False)
    files.write_record_batches(table.to_batches(at_once), path, "documents")


@pytest.mark.parametrize("part", ["train", "base"])
@pytest.mark.parametrize("shards", [1, 3, 8])
def test_windows_of_token_shards_are_those_of_the_text(tmp_path, command, sharded, part, shards):
    write_documents(
        tmp_path / "d.parquet", 301, 50
    )  # seven row groups, so one of 8 shards is empty
    whole, described = command("general", part, tmp_path / "d.parquet")
    paths = sharded(part, shards)
    parts, same_described = command(
        "general", part, tmp_path / "d.parquet", options=["--token-shards", *paths]
    )
    assert (whole == parts).all() and described == same_described


def test_broken_token_shards_are_named(tmp_path, command, sharded):
    write_documents(tmp_path / "d.parquet", 60, 20)
    first, second = sharded("train", 2)
    first.with_suffix(".offsets.npy").write_bytes(second.with_suffix(".offsets.npy").read_bytes())
    told = ["--token-shards", first, second]
    with pytest.raises(UserError, match=r"train-2-0.offsets.npy is of another shard"):
        command("general", "train", tmp_path / "d.parquet", options=told)
    first.write_bytes(b"no array")
    with pytest.raises(UserError, match=r"train-2-0.npy cannot be read"):
        command("general", "train", tmp_path / "d.parquet", options=told)


def test_a_domain_that_fills_no_window_is_named(tmp_path, command):
    table = pd.DataFrame({"text": ["short"], "part": ["train"]})
    files.write_table(table, tmp_path / "d.parquet", "documents")
    wrong = r"the domain general \(train\) fills no window of 32 tokens: 1 documents"
    with pytest.raises(UserError, match=wrong):
        command("general", "train", tmp_path / "d.parquet")
    assert not (tmp_path / "general.npy").exists()


def test_a_truncated_source_is_named(tmp_path, command):
    files.write_table(items_frame(ITEMS), tmp_path / "items.parquet", "items")
    whole = (tmp_path / "items.parquet").read_bytes()
    (tmp_path / "items.parquet").write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"items.parquet is truncated or not Parquet"):
        command("item_text", "train", tmp_path / "items.parquet")
