"""The held-out losses: against transformers' own, by token class and by item."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator

from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.files import write_table
from recscale.pretraining.data import Vocabulary, read_vocabulary
from recscale.pretraining.evaluation import HeldOut, ItemCodes, held_out_losses, read_held_out
from recscale.pretraining.loss import NextTokenLoss
from recscale.pretraining.model import ModelSettings, new_model

from .tiny_curriculum import TINY, Curriculum

WORD, NUMBER, OPEN, CLOSE, REC = 1, 2, 3, 4, 5
VOCABULARY = Vocabulary(15, 3, OPEN, CLOSE, REC, 10, 0, (NUMBER,), "")


def item_ids(folder: Path, codes: list[list[int]], collisions: list[int]) -> Path:
    path = folder / "item_ids.parquet"
    frame = pd.DataFrame({"item_id": range(len(codes)), "codes": codes, "n_collisions": collisions})
    write_table(frame, path, "item_ids")
    return path


def test_the_loss_is_transformers_own(
    shared_curriculum: Curriculum, accelerator: Accelerator
) -> None:
    vocabulary = read_vocabulary(shared_curriculum.tokenizer)
    torch.manual_seed(1)
    model = new_model(ModelSettings(**TINY), 64, 24, 0)
    for domain in read_held_out(
        shared_curriculum.held_out, HELD_OUT_DOMAINS, vocabulary, shared_curriculum.item_ids
    ):
        found = held_out_losses(accelerator, NextTokenLoss(model), domain)
        ids = torch.from_numpy(domain.windows.astype(np.int64))
        with torch.no_grad():
            expected = model(input_ids=ids, labels=ids).loss.item()
        assert found.mean("all") == pytest.approx(expected, rel=1e-5)
        # The classes partition the targets: every token but the first of each window.
        assert found.tokens["all"] == domain.windows[:, 1:].size
        parts = ("id", "number", "template")
        assert sum(found.tokens[c] for c in parts) == found.tokens["all"]
        assert sum(found.total[c] for c in parts) == pytest.approx(found.total["all"])
        first = vocabulary.first_rec
        recs = (domain.windows[:, 1:] >= first) & (domain.windows[:, 1:] < first + 20)
        assert found.tokens["id"] == recs.sum()


def test_the_loss_of_a_uniform_model(
    shared_curriculum: Curriculum, accelerator: Accelerator
) -> None:
    vocabulary = read_vocabulary(shared_curriculum.tokenizer)
    model = new_model(ModelSettings(**TINY), vocabulary.vocabulary, 24, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    (domain,) = read_held_out(
        shared_curriculum.held_out, ["uih_ood"], vocabulary, shared_curriculum.item_ids
    )
    found = held_out_losses(accelerator, NextTokenLoss(model), domain)
    for token_class in ("all", "id", "number", "template"):
        assert math.exp(found.mean(token_class)) == pytest.approx(vocabulary.vocabulary)
    assert found.items == len(domain.items) > 0
    expected = 3 * math.log(vocabulary.vocabulary) + domain.log_sharers.mean()
    assert found.loss_per_item == pytest.approx(expected)


def test_items_of_hand_made_windows(tmp_path: Path) -> None:
    codes = ItemCodes(item_ids(tmp_path, [[0, 1], [7, 3], [7, 3]], [0, 1, 1]))
    windows = np.array(
        [
            [OPEN, REC + 0, REC + 1, CLOSE, WORD, OPEN, REC + 7],  # the second is cut off
            [REC + 3, CLOSE, NUMBER, OPEN, REC + 7, REC + 3, CLOSE],  # the first is cut off
            [OPEN, REC + 0, CLOSE, WORD, OPEN, REC + 0, REC + 1],  # too few codes, no close
        ],
        dtype=np.uint16,
    )
    domain = HeldOut("cf_both_seen", windows, VOCABULARY, codes)
    assert domain.items.tolist() == [[0, 1], [1, 4]]
    # The loss of the target at position p of window w is 100 w + p.
    losses = 100.0 * np.arange(3)[:, None] + np.arange(1, 7)
    total = domain.sums(slice(0, 3), losses)
    first, second = 1 + 2, 104 + 105
    assert total[6] == pytest.approx(first + second + math.log(2))
    assert total[7] == 2
    ids = first + 6 + second + 201 + 205 + 206
    assert total[:6].tolist() == [ids, 102, losses.sum() - ids - 102, 8, 1, 9]
    parts = [domain.sums(slice(i, i + 1), losses[i : i + 1]) for i in range(3)]
    assert np.allclose(sum(parts), total)


def test_padding_is_of_no_kind() -> None:
    end = VOCABULARY.end_of_text
    windows = np.array([[WORD, NUMBER, end, end, end], [end, WORD, end, NUMBER, end]])
    found = HeldOut("general", windows, VOCABULARY).sums(slice(0, 2), np.ones((2, 4)))
    assert found[:6].tolist() == [0, 2, 4, 0, 2, 4]


def test_an_item_the_ids_lack_is_refused(tmp_path: Path) -> None:
    codes = ItemCodes(item_ids(tmp_path, [[0, 1]], [0]))
    windows = np.array([[OPEN, REC + 1, REC + 0, CLOSE, WORD]])
    with pytest.raises(UserError, match=r"the codes \[1, 0\], which .*item_ids.parquet"):
        HeldOut("cf_both_seen", windows, VOCABULARY, codes)


def test_items_need_one_number_of_codes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"items with \[1, 2\] codes"):
        ItemCodes(item_ids(tmp_path, [[0, 1], [2]], [0, 0]))


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(UserError, match="uih_ood hold the id 15, the vocabulary has 15"):
        HeldOut("uih_ood", np.array([[1, 15]]), VOCABULARY)
