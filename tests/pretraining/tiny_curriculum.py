"""A tiny curriculum in the form the curriculum stage writes: a tokenizer, windows, item ids."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recscale.contracts import ALL_HELD_OUT, TRAINING_DOMAINS
from recscale.files import sha256, write_array, write_json, write_table

WORDS = [f"w{i}" for i in range(29)]
NUMBERS = [str(i) for i in range(10)]
CODES = 3
REC_COUNT = 20
LENGTH = 24
TINY = {
    "hidden": 16,
    "layers": 1,
    "heads": 2,
    "key_value_heads": 1,
    "head_dimension": 8,
    "feed_forward": 24,
    "checkpoint": None,
}


@dataclass(frozen=True)
class Curriculum:
    """Paths of the inputs of the two commands, and the meaning of the ids."""

    root: Path
    tokenizer: Path
    train: Path
    held_out: Path
    item_ids: Path
    codes: np.ndarray
    collisions: np.ndarray
    manifest: dict[str, Any]


def write_windows(path: Path, windows: np.ndarray, manifest: dict[str, Any]) -> None:
    """Write windows and their manifest as the curriculum stage does."""
    write_array(windows.astype(np.uint16), path)
    values = {
        "domain": path.stem,
        "length": windows.shape[1],
        "windows": len(windows),
        "tokens": int(windows.size),
        "documents": 1,
        "vocabulary": manifest["vocabulary"],
        "tokenizer": manifest["sha256"],
    }
    write_json(values, path.with_suffix(".json"))


def write_tokenizer(folder: Path) -> dict[str, Any]:
    """Write a word-level tokenizer with REC tokens; returns its manifest."""
    words = ["<|endoftext|>", *NUMBERS, *WORDS]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens(
        [AddedToken(t) for t in ["<RECTOKEN>", "</RECTOKEN>"]]
        + [AddedToken(f"REC{i}") for i in range(REC_COUNT)]
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    wrapped.save_pretrained(folder)
    base = len(words)
    manifest = {
        "vocabulary": base + 2 + REC_COUNT,
        "base_vocabulary": base,
        "rec_open": base,
        "rec_close": base + 1,
        "first_rec": base + 2,
        "rec_count": REC_COUNT,
        "end_of_text": 0,
        "number_ids": list(range(1, 11)),
        "sha256": sha256(folder / "tokenizer.json"),
    }
    write_json(manifest, folder / "manifest.json")
    return manifest


def write_curriculum(root: Path) -> Curriculum:
    """Write windows of regular text, in which a word or an item foretells the next."""
    rng = np.random.default_rng(5)
    manifest = write_tokenizer(root / "tokenizer")
    codes = np.stack([rng.permutation(REC_COUNT)[:CODES] for _ in range(12)])
    codes[3] = codes[7]
    collisions = np.zeros(12, dtype=np.int64)
    collisions[[3, 7]] = 1
    frame = pd.DataFrame(
        {"item_id": range(12), "codes": [c.tolist() for c in codes], "n_collisions": collisions}
    )
    write_table(frame, root / "item_ids.parquet", "item_ids")

    def word_document() -> list[int]:
        start = int(rng.integers(29))
        return [11 + (start + 2 * i) % 29 for i in range(int(rng.integers(5, 12)))] + [0]

    def item_document() -> list[int]:
        start, found = int(rng.integers(12)), [11, 12]
        for i in range(int(rng.integers(2, 4))):
            recs = [manifest["first_rec"] + int(c) for c in codes[(start + i) % 12]]
            found += [manifest["rec_open"], *recs, manifest["rec_close"], 1 + int(rng.integers(10))]
        return [*found, 0]

    def pack(document: Any, windows: int) -> np.ndarray:
        ids: list[int] = []
        while len(ids) < windows * LENGTH:
            ids += document()
        return np.array(ids[: windows * LENGTH]).reshape(windows, LENGTH)

    text_domains = ("base", "general")
    for domain in ("base", *TRAINING_DOMAINS, "uih_real"):
        document = word_document if domain in text_domains else item_document
        write_windows(root / f"train/{domain}.npy", pack(document, 40), manifest)
    for domain in ALL_HELD_OUT:
        document = word_document if domain in text_domains else item_document
        write_windows(root / f"held_out/{domain}.npy", pack(document, 5), manifest)
    return Curriculum(
        root,
        root / "tokenizer",
        root / "train",
        root / "held_out",
        root / "item_ids.parquet",
        codes,
        collisions,
        manifest,
    )


def settings(**changes: Any) -> dict[str, Any]:
    """Settings of a tiny base model, with changes."""
    values: dict[str, Any] = {
        "seed": 3,
        "model": TINY,
        "tokens": 40 * 4 * LENGTH,
        "learning_rate": 0.01,
        "batch_windows": 4,
        "warm_up_steps": 4,
        "weight_decay": 0.1,
        "gradient_clip": 1.0,
        "precision": "fp32",
        "log_every": 10,
        "largest_rise": 5.0,
        "device": "cpu",
        "threads": 1,
        "windows_at_once": None,
        "sharding": "none",
        "compile_layers": False,
        "checkpoint_every": 10,
    }
    return values | changes


def cpt_settings(**changes: Any) -> dict[str, Any]:
    """Settings of a tiny run, with changes."""
    values = settings(
        size="size1",
        mixture={"general": 0.5, "item_text": 0.09, "cf": 0.3, "uih": 0.11},
        uih="full",
        order="mixed",
        run_seed=0,
        evaluations=5,
        branches=[],
    )
    return values | changes


def arguments_of(options: dict[str, Any]) -> list[str]:
    """The command line of some options."""
    argv = []
    for name, value in options.items():
        text = json.dumps(value) if name == "settings" else str(value)
        argv += [f"--{name.replace('_', '-')}", text]
    return argv


def run_module(monkeypatch: pytest.MonkeyPatch, module: Any, options: dict[str, Any]) -> None:
    """Call a command's `main` in this process with the given options."""
    monkeypatch.setattr("sys.argv", [module.__name__, *arguments_of(options)])
    module.main()


def base_options(curriculum: Curriculum, **changes: Any) -> dict[str, Any]:
    """Options of a tiny base model, with changes."""
    root = curriculum.root
    values = {
        "size": "size1",
        "windows": curriculum.train / "base.npy",
        "held_out": curriculum.held_out / "general.npy",
        "tokenizer": curriculum.tokenizer,
        "checkpoints": root / "base/checkpoints",
        "folder": root / "base/size1",
        "manifest": root / "base/size1.json",
        "training": root / "base/size1.parquet",
        "settings": settings(),
    }
    return values | changes


def cpt_options(curriculum: Curriculum, name: str, **changes: Any) -> dict[str, Any]:
    """Options of a tiny run of that base, with changes."""
    out = curriculum.root / "cpt" / name
    values = {
        "run_name": name,
        "base": curriculum.root / "base/size1.json",
        "windows": curriculum.train,
        "held_out": curriculum.held_out,
        "item_ids": curriculum.item_ids,
        "tokenizer": curriculum.tokenizer,
        "checkpoints": out / "checkpoints",
        "folder": out / "model",
        "curves": out / "curves.parquet",
        "training": out / "training.parquet",
        "manifest": out / "manifest.json",
        "settings": cpt_settings(),
    }
    return values | changes
