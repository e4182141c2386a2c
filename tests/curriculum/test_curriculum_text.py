"""Sentences, general text, tokenizer and packed windows."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from recscale import files
from recscale.curriculum import general_text, templates, tokenizer, windows
from recscale.errors import UserError

CODES = [2981, 2337, 5067, 1796, 2985, 6054, 988, 5454]
WINDOWS = windows.Settings(seed=1, length=32, sentences=None, tokens=None)


def items_frame(items: int = 40) -> pd.DataFrame:
    columns = dict.fromkeys(["brand", "c1", "c2", "size", "color"])
    return pd.DataFrame(
        {
            "item_id": range(items),
            "title": [f"thing {'abcdefghij'[n % 10]} kind {n // 10}" for n in range(items)],
            "c0": "grocery",
            **columns,
            "split": ["held_out" if n % 4 == 0 else "train" for n in range(items)],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer trained on a few documents."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    documents = pd.DataFrame(
        {
            "text": [
                "def f(x):\n    return x + 1\n" * 3,
                "the item of the user " * 5,
                "SECRET" * 50,
            ],
            "part": ["base", "train", "held_out"],
        }
    )
    settings = tokenizer.Settings(source="train", vocabulary=320, rec_tokens=8192)
    tokenizer.build(settings, tokenizer.training_text(documents, items_frame()), path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return tokenizer.load(str(folder))


def test_the_sentences_are_the_papers_to_the_letter():
    item = "<RECTOKEN> REC2981 REC2337 REC5067 REC1796 REC2985 REC6054 REC988 REC5454 </RECTOKEN>"
    assert templates.item(CODES) == item
    text = "[redacted] lotus yoga seed bead bracelet, by Handmade in Women > Jewelry > Necklaces"
    assert templates.item_text(CODES, text) == f"This item {item} is described as {text}."
    assert templates.collaborative(CODES, CODES, 0.049, 652.45) == (
        f"When a user interacts with item {item}, there is a 4.9% probability they will also "
        f"interact with item {item} (confidence: 0.049, lift: 652.45)"
    )
    assert templates.history([CODES, CODES]) == (
        f"A user interacted with the following sequence of items: {item}, {item}"
    )


def test_an_item_costs_its_codes_and_two(loaded):
    for codes in (CODES, CODES[:3]):
        ids = loaded(templates.item(codes), add_special_tokens=False)["input_ids"]
        assert len(ids) == len(codes) + 2


def test_rec_tokens_are_consecutive_and_the_manifest_says_where(folder, loaded):
    manifest = files.read_json(folder / "manifest.json")
    assert manifest["base_vocabulary"] == 320
    assert manifest["vocabulary"] == 320 + 2 + 8192
    for code in (0, 1, 8191):
        assert loaded.convert_tokens_to_ids(f"REC{code}") == manifest["first_rec"] + code
    assert [loaded.convert_ids_to_tokens(n) for n in manifest["number_ids"]] == list("0123456789")
    assert manifest["sha256"] == files.sha256(folder / "tokenizer.json")


def test_decoding_gives_the_sentence_back(loaded):
    for sentence in (
        templates.item_text(CODES, "oat drink. Size: 11 oz"),
        templates.collaborative(CODES, CODES[::-1], 0.5, 3.25),
        templates.history([CODES] * 3),
        "def f(x):\n    return REC\n",
    ):
        ids = loaded(sentence, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(loaded, ids) == sentence


def test_a_held_out_document_teaches_the_tokenizer_nothing(loaded):
    assert not any("SECR" in token for token in loaded.get_vocab())


def test_it_is_a_qwen2_tokenizer_and_windows_read_it_alike(folder, loaded):
    assert type(loaded).__name__ == "Qwen2Tokenizer"
    bare = windows.read_tokenizer(folder)
    for text in (templates.history([CODES] * 2), "naïve café 123\n\n  x", "don't"):
        same = loaded(text, add_special_tokens=False)["input_ids"]
        assert bare.encode(text, add_special_tokens=False).ids == same


@pytest.mark.parametrize(
    ("change", "named"),
    [({"vocabulary": 100}, "vocabulary is 100"), ({"vocabulary": None}, "vocabulary is null")],
)
def test_a_wrong_tokenizer_setting_is_named(tmp_path, change, named):
    settings = tokenizer.Settings(source="train", vocabulary=300, rec_tokens=8)
    with pytest.raises(UserError, match=named):
        tokenizer.build(dataclasses.replace(settings, **change), ["text"], tmp_path / "t")


def test_a_checkpoints_tokenizer_gets_the_rec_tokens(tmp_path, folder):
    settings = tokenizer.Settings(source=str(folder), vocabulary=None, rec_tokens=8192)
    described = tokenizer.build(settings, [], tmp_path / "t")
    assert described["vocabulary"] == 320 + 2 + 8192
    with pytest.raises(UserError, match="the tokenizer /nowhere cannot be loaded"):
        tokenizer.load("/nowhere")


def test_packing_loses_only_the_rest_and_says_so(folder):
    bare = windows.read_tokenizer(folder)
    sentences = [templates.item_text(CODES, f"thing {n}") for n in range(50)]
    packed, counts = windows.pack(sentences, bare, 0, WINDOWS)
    assert packed.shape == (counts["windows"], 32)
    assert packed.dtype == np.uint16
    lengths = [len(bare.encode(s, add_special_tokens=False).ids) + 1 for s in sentences]
    assert counts["tokens"] + counts["tokens_left_out"] == sum(lengths)
    # Cut at the end of text, the windows give the shuffled sentences back.
    documents = np.split(packed.ravel(), np.flatnonzero(packed.ravel() == 0) + 1)[:-1]
    whole = [[*bare.encode(s, add_special_tokens=False).ids, 0] for s in sentences]
    assert len(documents) == counts["documents"]
    assert all(list(d) in whole for d in documents)


def test_limits_of_sentences_and_tokens(folder):
    bare = windows.read_tokenizer(folder)
    sentences = [templates.item_text(CODES, f"thing {n}") for n in range(50)]
    few, counts = windows.pack(sentences, bare, 0, dataclasses.replace(WINDOWS, sentences=5))
    assert 4 <= counts["documents"] <= 5
    capped, _ = windows.pack(sentences, bare, 0, dataclasses.replace(WINDOWS, tokens=100))
    assert capped.shape == (3, 32)
    assert (few[0] == capped[0]).all()


def command(tmp_path, monkeypatch, folder, domain, part, source, **change):
    settings = dataclasses.asdict(dataclasses.replace(WINDOWS, **change))
    out = tmp_path / f"{domain}.npy"
    arguments = ["--domain", domain, "--part", part, "--source", str(source)]
    arguments += ["--item-ids", str(tmp_path / "ids.parquet"), "--tokenizer", str(folder)]
    arguments += ["--windows", str(out), "--manifest", str(out.with_suffix(".json"))]
    monkeypatch.setattr("sys.argv", ["w", *arguments, "--settings", json.dumps(settings)])
    windows.main()
    return files.read_array(out), files.read_json(out.with_suffix(".json"))


def test_held_out_items_reach_no_training_window(tmp_path, monkeypatch, folder):
    items = items_frame()
    table = pd.DataFrame({"item_id": items["item_id"], "n_collisions": 0})
    table["codes"] = [np.arange(8, dtype=np.uint16) + 8 * n for n in range(len(items))]
    files.write_table(table, tmp_path / "ids.parquet", "item_ids")
    files.write_table(items, tmp_path / "items.parquet", "items")
    source = tmp_path / "items.parquet"
    trained, described = command(tmp_path, monkeypatch, folder, "item_text", "train", source)
    first = files.read_json(folder / "manifest.json")["first_rec"]
    codes_seen = trained[trained >= first] - first
    assert {int(c) // 8 for c in codes_seen} <= set(items.loc[items["split"] == "train", "item_id"])
    assert described["domain"] == "item_text"
    assert described["tokenizer"] == files.read_json(folder / "manifest.json")["sha256"]
    held_out, _ = command(tmp_path, monkeypatch, folder, "item_text", "held_out", source)
    codes_held_out = held_out[held_out >= first] - first
    assert {int(c) // 8 for c in codes_held_out} <= set(range(0, 40, 4))


def test_a_held_out_row_with_the_codes_of_a_training_row_is_left_out():
    ids = pd.DataFrame({"item_id": range(5), "codes": [np.array([n % 3]) for n in range(5)]})
    codes = windows.Codes(ids)  # 0 and 3, and 1 and 4, share their codes
    items = pd.DataFrame({"item_id": range(5), "split": ["train"] * 2 + ["held_out"] * 3})
    assert windows.new_to_training(items, ["item_id"], codes, "held_out")["item_id"].tolist() == [2]
    assert len(windows.new_to_training(items, ["item_id"], codes, "train")) == 2
    rules = pd.DataFrame(
        [(0, 1, "train"), (3, 4, "both_seen"), (1, 0, "both_seen"), (0, 2, "one_unseen")],
        columns=["item_a", "item_b", "split"],
    )
    kept = windows.new_to_training(rules, ["item_a", "item_b"], codes, "both_seen")
    assert kept[["item_a", "item_b"]].to_numpy().tolist() == [[1, 0]]
    assert len(windows.new_to_training(rules, ["item_a", "item_b"], codes, "one_unseen")) == 1


def test_a_domain_that_fills_no_window_is_named(tmp_path, monkeypatch, folder):
    files.write_table(
        pd.DataFrame({"text": ["short"], "part": ["train"]}), tmp_path / "d.parquet", "documents"
    )
    with pytest.raises(UserError, match=r"the domain general \(train\) fills no window of 32"):
        command(tmp_path, monkeypatch, folder, "general", "train", tmp_path / "d.parquet")


def test_an_item_without_codes_is_named():
    ids = pd.DataFrame({"item_id": [1], "codes": [np.arange(3)]})
    with pytest.raises(UserError, match="item 2 has no semantic id"):
        windows.Codes(ids)[2]


SOURCE = '''"""A module.

{prose}
"""

def documented():
    """Too short to be prose."""
    return 1


def undocumented(a, b):
    total = 0
    for x in (a, b):
        total += x
    total *= 2
    return total
'''


def test_documents_are_docstrings_and_undocumented_functions():
    prose = "word " * 60
    found = list(general_text.documents(SOURCE.format(prose=prose)))
    assert len(found) == 2
    assert found[0].startswith("A module.")
    assert found[1].startswith("def undocumented") and found[1].endswith("return total")


GENERAL = general_text.Settings(
    seed=1, source="packages", packages=("numba",), folder=None, base_share=0.5, held_out_share=0.1
)


def test_a_function_inside_one_that_is_given_is_not_given_again():
    inner = "    def inner():\n" + "        x = 1\n" * 8
    source = "def outer():\n" + inner + "    return inner\n"
    assert list(general_text.documents(source)) == [source.rstrip("\n")]


def test_the_three_parts_of_general_text_are_disjoint():
    texts = [(f"file {n}", f"document {n} " * 10) for n in range(2000)]
    table = general_text.split([*texts, *[("copy", text) for _, text in texts[:100]]], GENERAL)
    assert len(table) == 2000
    assert not table["text"].duplicated().any()
    shares = table["part"].value_counts(normalize=True)
    assert abs(shares["base"] - 0.5) < 0.05
    assert abs(shares["held_out"] - 0.1) < 0.03
    # A document's part depends on its origin and the seed alone.
    again = general_text.split(texts[1000:], GENERAL)
    assert again["part"].tolist() == table["part"].tolist()[1000:]
    one_file = general_text.split([("one", text) for _, text in texts], GENERAL)
    assert one_file["part"].nunique() == 1


def test_packages_give_text_and_a_manifest_with_licences():
    texts, manifest = general_text.from_packages(("huggingface_hub",))
    assert manifest[0]["licence"] == "Apache-2.0"
    assert len(manifest[0]["sha256"]) == 64
    assert manifest[0]["documents"] == len(texts) > 100
    with pytest.raises(UserError, match="curriculum.general.packages names 'leftpad'"):
        general_text.from_packages(("leftpad",))


def test_shards_of_text_are_read_and_missing_ones_named(tmp_path):
    with pytest.raises(UserError, match="holds no Parquet shard"):
        general_text.from_parquet(tmp_path)
    pd.DataFrame({"text": ["a", None, "b"]}).to_parquet(tmp_path / "0.parquet")
    texts, manifest = general_text.from_parquet(tmp_path)
    assert texts == [("a", "a"), ("b", "b")]
    assert manifest[0]["documents"] == 3
    pd.DataFrame({"blob_id": ["x"]}).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(UserError, match="1.parquet has no column text"):
        general_text.from_parquet(tmp_path)
