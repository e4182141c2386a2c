"""A small catalogue of items."""

from __future__ import annotations

import numpy as np
import pandas as pd


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
