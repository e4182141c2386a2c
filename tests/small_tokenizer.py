"""A small trained tokenizer with REC tokens, and items, for the tests of text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recscale.curriculum import tokenizer


def items_frame(items: int = 40) -> pd.DataFrame:
    """Items with short titles, every fourth of them held out."""
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


def small_tokenizer(folder: Path) -> Path:
    """Train a tokenizer on a few documents into the folder."""
    texts = ["def f(x):\n    return x + 1\n" * 3, "the item of the user " * 5, "SECRET" * 50]
    documents = pd.DataFrame({"text": texts, "part": ["base", "train", "held_out"]})
    settings = tokenizer.Settings(source="train", vocabulary=320, rec_tokens=8192)
    tokenizer.build(settings, tokenizer.training_text(documents, items_frame()), folder)
    return folder
