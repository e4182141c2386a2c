"""Sentences, general text, tokenizer and packed windows."""

from __future__ import annotations

import dataclasses

import pytest

from recscale import files
from recscale.curriculum import general_text, templates, token_pieces, tokenizer
from recscale.errors import UserError
from small_tokenizer import small_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer")


@pytest.fixture(scope="module")
def loaded(folder):
    return tokenizer.load(str(folder))


CODES = [2981, 2337, 5067, 1796, 2985, 6054, 988, 5454]


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


def test_text_has_the_same_tokens_however_many_rec_tokens_there_are(tmp_path):
    """So models of other semantic ids can start from one base model."""
    text = ["the item of the user 12.5 " * 5, "naïve café\n    return x"]
    vocabularies, manifests, encoded = [], [], []
    for rec_tokens in (24, 8192):
        settings = tokenizer.Settings(source="train", vocabulary=280, rec_tokens=rec_tokens)
        described = tokenizer.build(settings, text, tmp_path / str(rec_tokens))
        words = tokenizer.load(str(tmp_path / str(rec_tokens))).get_vocab()
        vocabularies.append({w: n for w, n in words.items() if n < described["base_vocabulary"]})
        bare = token_pieces.read_tokenizer(tmp_path / str(rec_tokens))
        encoded.append([bare.encode(t).ids for t in (*text, "the RECORD of REC in 1.25")])
        manifests.append(described)
    assert vocabularies[0] == vocabularies[1]
    assert len(vocabularies[0]) == manifests[0]["base_vocabulary"] == 280
    assert encoded[0] == encoded[1]
    for key in ("base_vocabulary", "end_of_text", "number_ids", "rec_open", "first_rec"):
        assert manifests[0][key] == manifests[1][key]
    assert [m["vocabulary"] - m["rec_count"] for m in manifests] == [282, 282]


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
    bare = token_pieces.read_tokenizer(folder)
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
    seed=1,
    source="packages",
    packages=("numba",),
    folder=None,
    subsets=None,
    base_share=0.5,
    held_out_share=0.1,
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
