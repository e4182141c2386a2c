"""A model trained on the walks of a world of 200 items: does it foretell walks it has not seen?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator

from recscale.files import write_table
from recscale.pretraining.base import BaseSettings
from recscale.pretraining.data import Vocabulary
from recscale.pretraining.evaluation import HeldOut, ItemCodes, held_out_losses
from recscale.pretraining.loss import ready
from recscale.pretraining.model import ModelSettings, new_model
from recscale.pretraining.sampler import MixtureSampler
from recscale.pretraining.trainer import train
from recscale.settings import build

from ..walk_graphs import random_graph, walk
from .tiny_curriculum import TINY, settings

ITEMS, CODES, RECS, LENGTH = 200, 2, 32, 64
END, OPEN, CLOSE, COMMA, FIRST = 0, 1, 2, 3, 4
VOCABULARY = Vocabulary(
    vocabulary=FIRST + RECS,
    base_vocabulary=1,
    rec_open=OPEN,
    rec_close=CLOSE,
    first_rec=FIRST,
    rec_count=RECS,
    end_of_text=END,
    number_ids=(),
    sha256="",
)


def windows(codes: np.ndarray, paths: list[np.ndarray]) -> np.ndarray:
    """Walks as items between commas, packed and cut."""
    ids: list[int] = []
    for path in paths:
        for item in path:
            ids += [OPEN, *(FIRST + codes[item]).tolist(), CLOSE, COMMA]
        ids[-1] = END
    return np.array(ids[: len(ids) // LENGTH * LENGTH], dtype=np.uint16).reshape(-1, LENGTH)


def test_a_small_world_is_learned_beyond_popularity(
    tmp_path: Path, accelerator: Accelerator
) -> None:
    rng = np.random.default_rng(1)
    numbers = rng.permutation(RECS * RECS)[:ITEMS]
    codes = np.stack([numbers // RECS, numbers % RECS], axis=1)
    table = pd.DataFrame({"item_id": range(ITEMS), "codes": codes.tolist(), "n_collisions": 0})
    write_table(table, tmp_path / "item_ids.parquet", "item_ids")
    graph = random_graph(ITEMS, seed=3)
    found = {
        stream: walk(graph, stream, walks=count)
        for stream, count in (("train", 4000), ("held_out", 200))
    }
    paths = {
        stream: np.split(graph.item_ids[walks.nodes], np.cumsum(walks.lengths)[:-1])
        for stream, walks in found.items()
    }
    values = settings(
        tokens=1_000_000, learning_rate=0.006, batch_windows=16, warm_up_steps=20, log_every=50
    )
    chosen = build(
        BaseSettings, values | {"model": TINY | {"hidden": 32, "feed_forward": 64}}, "settings"
    )
    sampler = MixtureSampler(
        {"uih": (1.0, windows(codes, paths["train"]))}, 16, 0, VOCABULARY.vocabulary
    )
    model = new_model(ModelSettings(**chosen.model.__dict__), VOCABULARY.vocabulary, LENGTH, END)
    loss = ready(accelerator, model, END)
    train(accelerator, loss, sampler, chosen, "world")
    held_out = HeldOut(
        "uih_ood",
        windows(codes, paths["held_out"]),
        VOCABULARY,
        ItemCodes(tmp_path / "item_ids.parquet"),
    )
    ours = held_out_losses(accelerator, loss, held_out).loss_per_item
    # Popularity, in nats an item: what a model without context could reach at best.
    counts = np.bincount(np.concatenate(paths["train"]), minlength=ITEMS) + 1
    popularity = -np.log(counts / counts.sum())[np.concatenate(paths["held_out"])].mean()
    assert ours < popularity - 1.0
    assert popularity < np.log(ITEMS)
