"""The commands that ask a final model: their tables, what they are drawn from, what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from recscale.errors import UserError
from recscale.files import read_table, write_json, write_table
from recscale.item_ids.trie import Trie
from recscale.pretraining import case_studies, generation, next_items
from recscale.pretraining.data import read_vocabulary
from recscale.pretraining.model import ModelSettings, new_model, save_model
from recscale.pretraining.prompts import Prompts, read_run

from .tiny_curriculum import TINY, Curriculum, run_module, write_curriculum

LENGTH, WALKS = 48, 30
ASKING: dict[str, Any] = {
    "seed": 5,
    "histories": 12,
    "beams": 4,
    "batch_prompts": 5,
    "length": LENGTH,
    "precision": "fp32",
    "device": "cpu",
    "threads": 1,
}
RANKING: dict[str, Any] = {"min_item_count": 1, "history_length": 20, "users": None}


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Curriculum:
    """A curriculum of twelve items with a model of random weights, walks and real histories."""
    curriculum = write_curriculum(tmp_path_factory.mktemp("asked"))
    root, random = curriculum.root, np.random.default_rng(0)
    torch.manual_seed(1)
    vocabulary = read_vocabulary(curriculum.tokenizer)
    model = new_model(ModelSettings(**TINY), vocabulary.vocabulary, LENGTH, 0)
    hashes = save_model(model, curriculum.tokenizer, 0, root / "model")
    write_json(
        {
            "run": "size1-full",
            "size": "size1",
            "seed": 0,
            "folder": str(root / "model"),
            "files": hashes,
        },
        root / "manifest.json",
    )
    items = pd.DataFrame({"item_id": range(12), "title": [f"thing ${i}$ & co" for i in range(12)]})
    items = items.assign(brand=None, c0="a", c1=["x", "y"] * 6, c2=None, size=None, color=None)
    items["split"] = ["train"] * 9 + ["held_out"] * 3
    write_table(items, root / "items.parquet", "items")
    for name in ("full_graph", "ood", "train", "ranking"):
        walks = [random.integers(0, 12, n).tolist() for n in random.integers(1, 9, WALKS)]
        frame = pd.DataFrame({"walk": range(WALKS), "items": walks, "path_confidence": 0.5})
        write_table(frame, root / f"walks/{name}.parquet", "walks")
    real = [random.integers(0, 12, n).tolist() for n in random.integers(1, 30, 20)]
    histories = pd.DataFrame({"user_id": np.arange(20) * 3, "items": real, "sessions": real})
    histories["valid_item"] = random.integers(0, 12, 20)
    histories["test_item"] = random.integers(0, 12, 20)
    write_table(histories, root / "histories.parquet", "histories")
    return curriculum


def options(asked: Curriculum, **more: Any) -> dict[str, Any]:
    return {
        "manifest": asked.root / "manifest.json",
        "tokenizer": asked.tokenizer,
        "item_ids": asked.item_ids,
        **more,
    }


def generation_options(asked: Curriculum, out: Path, **changes: Any) -> dict[str, Any]:
    folder = asked.root / "walks"
    return options(
        asked,
        items=asked.root / "items.parquet",
        uih_full_graph=folder / "full_graph.parquet",
        uih_ood=folder / "ood.parquet",
        train=folder / "train.parquet",
        generation=out,
        settings=ASKING | changes,
    )


def test_generation_has_a_row_for_every_search_and_history(asked, tmp_path, monkeypatch) -> None:
    out = tmp_path / "generation.parquet"
    run_module(monkeypatch, generation, generation_options(asked, out))
    table = read_table(out, "generation")
    assert len(table) == 3 * 12 * 2 * 3  # sets, histories, widths, and who answers how
    assert (table.loc[table["search"] == "constrained", "invalid"] == 0).all()
    assert table.loc[table["search"] == "unconstrained", "invalid"].mean() > 0.5  # random weights
    beam = table[(table["search"] == "constrained") & (table["beams"] == 4)]
    assert (beam["distinct_items"] == 4).all()
    is_random = table["histories"] == "random"
    assert table["target"].isna().equals(is_random)
    assert table["exact"].isna().equals(is_random)
    first = table[table["source"] == "model"].groupby(["search", "beams", "histories"])
    lengths = {name: rows["history_items"].tolist() for (_, _, name), rows in first}
    assert lengths["random"] == lengths["uih_full_graph"] != lengths["uih_ood"]
    # Item 3 and item 7 share their codes: neither is hit for certain.
    shared = table[table["target"].isin([3, 7]) & (table["exact"] == 1)]
    assert len(shared) and (shared["exact_item"] == 0.5).all()
    again = tmp_path / "again.parquet"
    run_module(monkeypatch, generation, generation_options(asked, again, batch_prompts=64))
    assert read_table(again, "generation")["first_item"].equals(table["first_item"])


def test_popular_ids_are_those_of_the_training_walks(asked) -> None:
    trie = Trie.read(asked.item_ids)
    path = asked.root / "walks/train.parquet"
    visited = read_table(path, "walks")["items"].explode().astype(int)
    counts = pd.Series(trie.find(asked.codes[visited])).value_counts()
    found = generation.popular_leaves([path], trie, 3)
    assert counts[found].tolist() == counts.iloc[:3].tolist()


def test_walks_are_sampled_by_their_number(asked, tmp_path) -> None:
    path = asked.root / "walks/ood.parquet"
    walks = read_table(path, "walks")
    chosen = generation.sample_walks([path], 6, "uih_ood", seed=1)
    assert len(chosen) == 6 and all(len(walk) > 1 for walk in chosen)
    write_table(walks[:15], tmp_path / "a.parquet", "walks")
    write_table(walks[15:], tmp_path / "b.parquet", "walks")
    shards = [tmp_path / "b.parquet", tmp_path / "a.parquet"]
    sharded = generation.sample_walks(shards, 6, "uih_ood", seed=1)
    assert [w.tolist() for w in sharded] == [w.tolist() for w in chosen]
    other = generation.sample_walks([path], 6, "uih_ood", seed=2)
    assert [w.tolist() for w in other] != [w.tolist() for w in chosen]
    short = walks[walks["items"].map(len) == 1]
    write_table(short, tmp_path / "short.parquet", "walks")
    with pytest.raises(UserError, match=r"short\.parquet has no walk of two items"):
        generation.sample_walks([tmp_path / "short.parquet"], 6, "uih_ood", seed=1)


def test_a_changed_model_is_refused(asked, tmp_path) -> None:
    run, folder = read_run(asked.root / "manifest.json")
    assert run["run"] == "size1-full" and folder == asked.root / "model"
    other = {"run": "x", "size": "size1", "seed": 0, "folder": str(folder)}
    write_json(other | {"files": {"model.safetensors": "0" * 64}}, tmp_path / "m.json")
    with pytest.raises(UserError, match=r"model\.safetensors is missing, truncated or not"):
        read_run(tmp_path / "m.json")


def test_case_studies_show_prompts_answers_and_truth(asked, tmp_path, monkeypatch) -> None:
    out = tmp_path / "cases.parquet"
    walks = asked.root / "walks/full_graph.parquet"
    given = options(asked, items=asked.root / "items.parquet", walks=walks, cases=out)
    run_module(monkeypatch, case_studies, {**given, "settings": ASKING})
    table = read_table(out, "case_studies")
    counts = table.groupby(["figure", "role"]).size()
    most = Prompts(asked.tokenizer, Trie.read(asked.item_ids), LENGTH).most_items
    for figure, responses in case_studies.RESPONSES.items():
        assert counts[figure, "constrained"] == min(responses, 1 if figure == "fig9" else 4)
        assert ("truth" in counts[figure]) == (figure != "fig11")
    assert counts["fig10", "prompt"] == min(most, 7)
    real = table[table["role"] != "unconstrained"]
    assert real["text"].notna().all() and (real["items"] >= 1).all()
    is_prompt = table["role"] == "prompt"
    assert table.loc[is_prompt, "codes"].str.match(r"<RECTOKEN>( REC\d+){3} </RECTOKEN>$").all()
    answers = table[table["role"] == "constrained"]
    assert answers["codes"].str.fullmatch(r"REC\d+ REC\d+ REC\d+").all()
    assert answers.groupby("figure")["log_probability"].is_monotonic_decreasing.all()
    invalid = table[(table["role"] == "unconstrained") & table["text"].isna()]
    assert len(invalid) and (invalid["items"] == 0).all()
    for line in table[table["text"].notna()].itertuples():
        item = int(line.text.split("$")[1])  # its title is `thing $7$ & co`
        assert [int(n) for n in re.findall(r"REC(\d+)", line.codes)] == asked.codes[item].tolist()
        assert line.items == 1 + asked.collisions[item]


def brute_force_ranks(asked: Curriculum, users: pd.DataFrame) -> list[int]:
    """Rank of each user's next item from the scores of all items; ties count against the model."""
    trie = Trie.read(asked.item_ids)
    prompts = Prompts(asked.tokenizer, trie, LENGTH)
    model = AutoModelForCausalLM.from_pretrained(asked.root / "model").eval()
    tokens = torch.from_numpy(asked.codes + asked.manifest["first_rec"])
    found = []
    for user in users.itertuples():
        items = np.array([*user.items, user.valid_item])[-prompts.most_items :]
        prompt = torch.from_numpy(prompts.write(items[None])).expand(12, -1)
        with torch.no_grad():
            logits = model(input_ids=torch.cat([prompt, tokens], 1)).logits.log_softmax(-1)
        after = logits[:, prompt.shape[1] - 1 : -1]
        scores = after.gather(2, tokens[..., None])[..., 0].sum(1)
        found.append(int((scores >= scores[user.test_item] - 1e-5).sum()))
    return found


def test_ranks_of_next_items_are_those_of_scoring_every_item(asked, tmp_path, monkeypatch) -> None:
    out = tmp_path / "next_items.parquet"
    given = options(
        asked,
        histories=asked.root / "histories.parquet",
        walks=asked.root / "walks/ranking.parquet",
        next_items=out,
    )
    how = {k: v for k, v in ASKING.items() if k != "histories"} | RANKING
    run_module(monkeypatch, next_items, {**given, "settings": how | {"beams": 12, "cutoffs": [10]}})
    table = read_table(out, "next_items")
    users = read_table(asked.root / "histories.parquet", "histories")
    assert table["user_id"].tolist() == users["user_id"].tolist()
    assert table["test_item"].tolist() == users["test_item"].tolist()
    assert (table["items"] == 12).all()
    assert table["rank"].tolist() == brute_force_ranks(asked, users)
    some = how | {"beams": 3, "cutoffs": [3], "users": 7}
    run_module(monkeypatch, next_items, {**given, "settings": some})
    fewer = read_table(out, "next_items").set_index("user_id")
    assert len(fewer) == 7
    missed = fewer["log_probability"].isna()
    assert missed.any() and (fewer.loc[missed, "rank"] == 12).all()
    with pytest.raises(UserError, match="cutoffs reach 10, the beam of users has 3 places"):
        run_module(monkeypatch, next_items, {**given, "settings": some | {"cutoffs": [1, 10]}})


def test_items_with_equal_codes_rank_before_the_target() -> None:
    trie = Trie.build(np.array([[1], [1], [1], [2], [3]]), np.arange(5))
    leaves = np.array([[1, 0], [0, 2], [2, 1], [0, 0]])
    scores = np.array([[-1.0, -2.0], [-1.0, -1.0], [-1.0, -2.0], [-1.0, -np.inf]])
    rank, score = next_items.ranks(leaves, scores, np.array([0, 2, 0, 0]), trie)
    # After one other item and with two of its codes; a tie; not found; a place without a leaf.
    assert rank.tolist() == [4, 4, 5, 3]
    np.testing.assert_array_equal(score, [-2.0, -1.0, np.nan, -1.0])
