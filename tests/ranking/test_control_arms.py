"""Control arms and baselines: what they train on, and that planted structure beats its control."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recscale import files
from recscale.curriculum import graph, rewired, walks
from recscale.curriculum.walk_settings import Settings as WalkSettings
from recscale.errors import UserError
from recscale.ranking import baselines
from recscale.ranking.arms import examples_of
from recscale.ranking.comparison import compare
from recscale.ranking.examples import Examples
from recscale.ranking.measures import recall
from recscale.ranking.rank_metrics import rank_in_blocks

N_ITEMS = 30
WALKS = WalkSettings(3, "numba", 1, 1.0, 1.0, 0.15, None, "stop", 5, 12, 900)


def cycle_rules() -> pd.DataFrame:
    """Item i leads to i + 1, mostly, and to i + 2."""
    rows = [
        (100 + i, 100 + (i + step) % N_ITEMS, confidence)
        for i in range(N_ITEMS)
        for step, confidence in ((1, 0.9), (2, 0.1))
    ]
    table = pd.DataFrame(rows, columns=["item_a", "item_b", "confidence"])
    return table.assign(support=5, users=5, lift=2.0, split="train")


def write_walks(made: graph.ItemGraph, path: Path) -> None:
    found = walks.together(walks.generate(made, WALKS, "ranking", 1))
    files.write_record_batches([walks.walk_batch(made, found, 0)], path, "walks")


def test_walks_on_the_rewired_graph_lose_to_walks_on_the_planted_one(
    cycle, settings, command, tmp_path
):
    planted = graph.build(cycle_rules())
    write_walks(planted, cycle["walks"])
    write_walks(rewired.rewire(planted, 1), tmp_path / "rewired.parquet")
    given = {**settings, "examples": 2000, "epochs": 12, "patience": 4, "learning_rates": [0.02]}
    found = {}
    for arm in ("tstr", "tstr_rewired"):
        options = {"arm": arm, "model": "GRU4Rec", **cycle, "settings": json.dumps(given)}
        options |= {"rewired-walks": tmp_path / "rewired.parquet", "work-folder": "work"}
        options |= {"ranking": f"{arm}.parquet", "ranks": f"{arm}-ranks.parquet"}
        done = command(*(str(part) for k, v in options.items() for part in (f"--{k}", v)))
        assert done.returncode == 0, done.stderr
        table = files.read_table(tmp_path / f"{arm}.parquet", "ranking")
        found[arm] = table.loc[table["k"] == 1, "recall"].to_numpy()
    assert found["tstr"].min() > 0.8
    assert found["tstr_rewired"].max() < 0.5 * found["tstr"].min()


def test_each_arm_trains_on_its_own_data(histories_table, walks_table):
    histories = histories_table(*[(u, [1, 2, 3, 4, 5], 1, 2) for u in range(4)])
    comparison = compare(histories, walks_table([5, 4, 3, 2, 1], [1, 3, 5]), 5)
    other = walks_table([2, 1], [4, 1, 5, 99])

    def examples(arm: str, size: int) -> Examples:
        found = examples_of(arm, comparison, lambda _: size, histories, other, seed=1)
        return found.take(np.arange(len(found)))

    assert set(examples("trtr", 6).targets) <= {2, 3, 4, 5}
    assert sorted(examples("tstr_rewired", 3).targets) == [1, 1, 5]
    assert len(examples("both", 4)) == 8
    # One item a session: nothing can move.
    shuffled, real = examples("trtr_shuffled", 16), examples("trtr", 16)
    assert (shuffled.histories == real.histories).all()
    with pytest.raises(UserError, match="the tstr_rewired arm has 3 training examples of 4"):
        examples("tstr_rewired", 4)


def test_baselines_against_counts_by_hand(histories_table, walks_table):
    random = np.random.default_rng(2)
    lists = [random.integers(1, 12, random.integers(3, 7)).tolist() for _ in range(60)]
    histories = histories_table(*[(u, s[:-2], s[-2], s[-1]) for u, s in enumerate(lists)])
    comparison = compare(histories, walks_table(*lists), 6)
    n_items = len(comparison.vocabulary)
    drawn = comparison.training_examples("tstr", 100, 1)
    examples = drawn.take(np.arange(len(drawn)))
    seen = np.zeros((len(drawn), n_items + 1))
    for row, (history, target) in enumerate(zip(examples.histories, examples.targets, strict=True)):
        seen[row, [*history, target]] = 1
    seen = seen[:, 1:]
    norms = np.sqrt(seen.sum(0))
    cosine = seen.T @ seen / np.maximum(np.outer(norms, norms), 1e-9)
    np.fill_diagonal(cosine, 0)
    popular = np.bincount(examples.targets, minlength=n_items + 1)[1:]
    test = comparison.test
    for name in ("Popularity", "ItemKNN"):
        ranks = baselines.ranks(name, drawn, test, n_items).unmasked
        for row in range(len(test.users)):
            shown = test.examples.histories[row]
            shown = shown[shown > 0] - 1
            score = popular if name == "Popularity" else cosine[shown].sum(0)
            target = score[test.examples.targets[row] - 1]
            assert abs(ranks[row] - (score >= target - 1e-5).sum()) <= (name == "ItemKNN")
    with pytest.raises(UserError, match="--model is 'Best'"):
        baselines.ranks("Best", drawn, test, n_items)


def test_a_random_model_reaches_k_of_n(histories_table, walks_table):
    items = list(range(1, 201))
    rows = [(u, [items[u % 200], items[(u + 7) % 200]], 1, 1 + u % 200) for u in range(4000)]
    comparison = compare(histories_table(*rows), walks_table(items), 3)
    generator = torch.Generator().manual_seed(1)
    ranks = rank_in_blocks(
        lambda _, block: torch.rand(len(block), 200, generator=generator), comparison.test, 512
    )
    spread = 2.6 * np.sqrt(0.1 * 0.9 / 4000)
    assert recall(ranks.unmasked, 20) == pytest.approx(0.1, abs=spread)


def peak_gb(code: str) -> float:
    """Highest memory of a Python process that runs `code`, in GB."""
    report = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def test_a_million_items_are_ranked_in_two_gigabytes():
    code = """
import numpy as np, torch
from recscale.ranking.examples import Examples, RealRows
from recscale.ranking.rank_metrics import rank_in_blocks, rows_at_once
from recscale.ranking.sequences import Sequences
n, users = 1_000_000, 40
history = np.ones((users, 2), np.int64)
examples = Examples(history, np.full(users, 2), np.arange(1, users + 1))
bought = Sequences.from_lengths(history.ravel(), np.full(users, 2))
rows = RealRows(np.arange(users), examples, bought)
score = -torch.arange(n, dtype=torch.float32)
found = rank_in_blocks(lambda _, block: score.expand(len(block), -1).clone(), rows, rows_at_once(n))
assert found.unmasked.tolist() == list(range(1, users + 1))
"""
    assert peak_gb(code) < 2


def test_memory_is_flat_in_the_number_of_walks(tmp_path):
    peaks = {}
    for rows in (100_000, 10_000_000):
        code = f"""
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
from recscale.contracts import CONTRACTS
from recscale.ranking.comparison import compare
folder = Path({str(tmp_path)!r}) / "{rows}"
folder.mkdir()
schema = CONTRACTS["walks"].arrow_schema()
with pq.ParquetWriter(folder / "walks.parquet", schema) as writer:
    for first in range(0, {rows}, 50_000):
        random = np.random.default_rng(first)
        items = pa.array(random.integers(0, 2000, 250_000))
        lists = pa.ListArray.from_arrays(pa.array(np.arange(50_001, dtype=np.int32) * 5), items)
        lists = lists.cast(schema.field("items").type)
        columns = [pa.array(np.arange(first, first + 50_000)), lists, pa.array(np.ones(50_000))]
        writer.write_batch(pa.record_batch(columns, schema=schema))
names = ("items", "sessions", "valid_item", "test_item")
rows = [(list(range(2000)), [0] * 2000, 1, 2)]
columns = {{"user_id": [1], **{{n: [r[i] for r in rows] for i, n in enumerate(names)}}}}
histories = pa.table(columns, schema=CONTRACTS["histories"].arrow_schema())
found = compare(histories, [folder / "walks.parquet"], 4, folder=folder / "work")
drawn = found.training_examples("tstr", 50_000, 1)
for start in range(0, 50_000, 256):
    drawn.take(np.arange(start, min(start + 256, 50_000)))
"""
        peaks[rows] = peak_gb(code)
    assert peaks[10_000_000] < peaks[100_000] + 0.4, peaks
