"""A request of a few jobs, with the sizes of a real rung."""

from __future__ import annotations

from pathlib import Path

import yaml

from recscale.budget.request import Request
from recscale.settings import build

ROOT = Path(__file__).parents[2]
BLOCKS = ("data", "item_ids", "curriculum", "pretraining", "ranking")
DEFAULTS = {
    "item_ids": "configured",
    "uih": "full",
    "order": "mixed",
    "schedule": "cosine",
    "horizon": 1.0,
    "trunk": None,
    "seed": 0,
    "control": False,
}


def node(rule: str, needs: list[str], jobs: int = 1, **wildcards: str) -> dict:
    return {"rule": rule, "wildcards": wildcards, "jobs": jobs, "needs": needs}


def small_values(rung: str = "b200") -> dict:
    """JSON values of a request: two runs, what they read, and what reads them."""
    config = yaml.safe_load((ROOT / f"config/{rung}.yaml").read_text())
    runs = {
        "size1-full": {"size": "size1", "mixture": "full"},
        "size3-full": {"size": "size3", "mixture": "full"},
        "size1-wsd": {"size": "size1", "mixture": "full", "schedule": "wsd"},
        "size1-wsd_0.5": {
            "size": "size1",
            "mixture": "full",
            "schedule": "wsd",
            "horizon": 0.5,
            "trunk": "size1-wsd",
        },
    }
    windows = "training_windows sae uih"
    return {
        "name": rung,
        "rung": rung,
        "config": {block: config[block] for block in BLOCKS},
        "runs": {name: {**DEFAULTS, **run} for name, run in runs.items()},
        "nodes": {
            "data": node("data", []),
            "walks train": node("walks", ["data"], jobs=4, stream="train"),
            windows: node("training_windows", ["walks train"], ids="sae", domain="uih"),
            "cpt size1-full": node("cpt", [windows], run="size1-full"),
            "cpt size3-full": node("cpt", [windows], run="size3-full"),
            "fig2": node("fig2", ["cpt size1-full", "cpt size3-full"]),
            "fig9": node("fig9", ["cpt size3-full"]),
            "table1": node("table1", ["data"]),
        },
        "artefacts": ["fig2", "fig9", "table1"],
        "targets": {
            "all": ["fig2", "fig9", "table1"],
            "all_controls": ["fig2", "fig9", "table1"],
        },
        "resources": {"cpt": {"gpus": 8, "threads": 8, "minutes": 8640.0}},
        "hardware": yaml.safe_load((ROOT / "config/hardware.yaml").read_text()),
    }


def small_request(rung: str = "b200") -> Request:
    return build(Request, small_values(rung), "request")
