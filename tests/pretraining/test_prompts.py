"""Prompts are what training windows hold, token by token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from recscale.contracts import CONTRACTS
from recscale.curriculum import templates
from recscale.curriculum.sentences import Sentences, walk_documents
from recscale.curriculum.token_pieces import ItemCodes
from recscale.errors import UserError
from recscale.files import read_json, write_json
from recscale.item_ids.codes import item_id_table
from recscale.item_ids.trie import Trie
from recscale.pretraining.prompts import Prompts, codes_of, read_run
from small_tokenizer import small_tokenizer

WIDTH, LENGTH = 4, 64


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer") / "sae")


@pytest.fixture(scope="module")
def item_ids() -> pd.DataFrame:
    codes = np.random.default_rng(1).integers(0, 8192, (40, WIDTH))
    return item_id_table(np.random.default_rng(2).permutation(40) + 5, codes)


@pytest.fixture(scope="module")
def prompts(tokenizer, item_ids) -> Prompts:
    codes = np.stack(item_ids["codes"].tolist())
    return Prompts(tokenizer, Trie.build(codes, item_ids["item_id"].to_numpy()), LENGTH)


def test_a_prompt_is_the_beginning_of_a_training_document(prompts, tokenizer, item_ids) -> None:
    walks = [[5, 9, 9, 40], [44, 7], [30, 31, 32, 33, 34]]
    columns = {"walk": [0, 1, 2], "items": walks, "path_confidence": [1.0] * 3}
    table = pa.table(columns, schema=CONTRACTS["walks"].arrow_schema())
    how = Sentences(
        Tokenizer.from_file(str(tokenizer / "tokenizer.json")),
        read_json(tokenizer / "manifest.json"),
        0,
        1,
    )
    (pieces,) = walk_documents(table, ItemCodes(item_ids), how, iter([np.arange(3)]))
    for row, walk in enumerate(walks):
        document = pieces.tokens[pieces.offsets[row] : pieces.offsets[row + 1]].tolist()
        (prompt,) = prompts.write(np.array([walk[:-1]])).tolist()
        # Of the document, the codes of the last item, its closing delimiter and the end remain.
        assert prompt == document[: -(WIDTH + 2)]
        assert prompt[-1] == prompts.vocabulary.rec_open


def test_a_prompt_is_the_tokenised_sentence(prompts, item_ids) -> None:
    codes = dict(zip(item_ids["item_id"], item_ids["codes"], strict=True))
    sentence = templates.history([codes[item] for item in (8, 20, 44)])
    whole = prompts.tokenizer.encode(sentence, add_special_tokens=False).ids
    (prompt,) = prompts.write(np.array([[8, 20]])).tolist()
    assert prompt == whole[: -(WIDTH + 1)]


def test_long_histories_show_their_last_items_and_leave_room_for_an_answer(prompts) -> None:
    most = prompts.most_items
    histories = [np.arange(5, 5 + n) for n in (1, most, most + 4, 1, 2)]
    seen = []
    for rows, batch in prompts.batches(histories, at_once=2):
        assert len(rows) <= 2
        seen += rows.tolist()
        for row, prompt in zip(rows, batch, strict=True):
            shown = histories[row][-most:]
            assert prompt.tolist() == prompts.write(shown[None])[0].tolist()
            assert len(prompt) + prompts.answer <= LENGTH
    assert sorted(seen) == [0, 1, 2, 3, 4]
    one_more = prompts.write(np.arange(5, 6 + most)[None])
    assert one_more.shape[1] + prompts.answer > LENGTH


def test_answers_among_all_tokens_are_codes_only_if_they_close(prompts) -> None:
    rec, close = prompts.vocabulary.first_rec, prompts.vocabulary.rec_close
    whole = [rec + 3, rec, rec + 8191, rec + 5, close]
    answers = [whole, [*whole[:-1], rec], [rec, close, 0, 0, 0], [5, rec, rec, rec, close]]
    codes = codes_of(np.array(answers), prompts.vocabulary)
    assert codes.tolist() == [[3, 0, 8191, 5], *[[-1] * WIDTH] * 3]


def test_tokens_are_printed_as_the_paper_prints_them(prompts) -> None:
    vocabulary = prompts.vocabulary
    word = prompts.tokenizer.encode(" item", add_special_tokens=False).ids
    tokens = [vocabulary.rec_open, vocabulary.first_rec + 12, *word, vocabulary.rec_close]
    text = prompts.text(np.array(tokens)).replace(" ", "")
    assert text == "<RECTOKEN>REC12item</RECTOKEN>"


def test_bad_input_is_named(tokenizer, prompts, tmp_path) -> None:
    with pytest.raises(UserError, match="a window of 30 tokens has no place for an item"):
        Prompts(tokenizer, prompts.trie, 30)
    large = Trie.build(np.array([[8192]]), np.array([0]))
    with pytest.raises(UserError, match="has 8192 REC tokens, the item ids use REC8192"):
        Prompts(tokenizer, large, LENGTH)
    with pytest.raises(UserError, match="item 99 has no semantic id"):
        prompts.write(np.array([[5, 99]]))
    write_json({"size": "size1"}, tmp_path / "base.json")
    with pytest.raises(UserError, match=r"base\.json lacks the key 'run'"):
        read_run(tmp_path / "base.json")
