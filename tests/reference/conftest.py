"""A small finished rung: tidy files, what was made of them, and their reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale import files
from recscale.reference.collect import collect
from recscale.reference.manifest import MADE, PICTURE, TIDY, Reference

MEASURED = (
    "pretraining/size1-full/curves.parquet",
    "ranking/own-real/tstr-STAMP-ranks.parquet",
    "item_ids/quality/sae.parquet",
    "data/card.json",
)
OF_THEM = ("tables/table4.csv", "claims/verdicts_controls.csv")
USERS = 1000


@dataclass(frozen=True)
class Rung:
    """Folders of results and artefacts."""

    results: Path
    artefacts: Path

    @property
    def tidy(self) -> list[Path]:
        return [self.results / path for path in MEASURED]

    @property
    def made(self) -> list[Path]:
        return [self.artefacts / OF_THEM[0], self.results / OF_THEM[1]]

    @property
    def picture(self) -> Path:
        return self.artefacts / "figures/verdicts_controls.svg"

    def rewrite(self, path: str, change) -> None:
        """Change one file; `change` takes a frame, or a JSON value, and gives the new one."""
        root = self.artefacts if path.startswith("tables") else self.results
        file = root / path
        if file.suffix == ".json":
            files.write_json(change(files.read_json(file)), file)
        elif file.suffix == ".csv":
            files.write_csv(change(pd.read_csv(file)), file)
        else:
            change(pd.read_parquet(file)).to_parquet(file, index=False)


def write_rung(folder: Path, name: str) -> Rung:
    """The same rung each time, under another name."""
    rung = Rung(folder / "results" / name, folder / "paper" / name)
    for file in [*rung.tidy, *rung.made, rung.picture]:
        file.parent.mkdir(parents=True, exist_ok=True)
    curves = pd.DataFrame(
        {
            "run": "size1-full",
            "domain": ["general", "general", "uih_ood", "uih_ood"],
            "step": [0, 10, 0, 10],
            "loss": [6.5, 5.25, 4.0, 2.0],
            "loss_per_item": [np.nan, np.nan, 40.0, 20.0],
        }
    )
    curves.to_parquet(rung.tidy[0], index=False)
    ranks = {"arm": "tstr", "model": "STAMP", "seed": 0, "user_id": range(USERS)}
    pd.DataFrame({**ranks, "rank": np.arange(USERS) + 1}).to_parquet(rung.tidy[1], index=False)
    quality = {"setting": ["sae"], "training": [0], "shared": [0.25], "purity": [[0.2, 0.9]]}
    pd.DataFrame(quality).to_parquet(rung.tidy[2], index=False)
    files.write_json({"events": 1000, "kept": {"users": [7, 8]}, "source": "a log"}, rung.tidy[3])
    tag = {"rung": "mini", "name": name}
    laws = {"size": ["size1", "size2"], "alpha": [0.5, 0.25], "status": "converged"}
    pd.DataFrame({**tag, **laws}).to_csv(rung.made[0], index=False)
    ledger = {"id": ["a", "b"], "verdict": ["reproduced", "inconclusive"], "rung": "mini"}
    pd.DataFrame(ledger).to_csv(rung.made[1], index=False)
    rung.picture.write_text(f"<svg>{name}</svg>")
    return rung


def collected(rung: Rung, folder: Path) -> Reference:
    groups = {TIDY: rung.tidy, MADE: rung.made, PICTURE: [rung.picture]}
    return collect(groups, (rung.results, rung.artefacts), "mini", "mini", folder)


@pytest.fixture
def rung(tmp_path) -> Rung:
    """A finished rung named mini."""
    return write_rung(tmp_path, "mini")


@pytest.fixture
def reference(rung, tmp_path) -> Reference:
    """Its reference."""
    return collected(rung, tmp_path / "reference")


@pytest.fixture
def fresh(tmp_path, reference) -> Rung:
    """The rung made anew, under another name."""
    return write_rung(tmp_path, "again")
