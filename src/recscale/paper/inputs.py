"""What the reproduction report reads, checked and gathered into one folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recscale import files
from recscale.artefact import read_columns, read_keys, read_runs
from recscale.errors import UserError
from recscale.paper.errata import errata

TABLES = (
    *("table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9"),
    *("item_id_methods", "ranking_strata", "generation", "next_item_recall", "privacy"),
)
FIGURES = (
    *("fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8"),
    *("fig9", "fig10", "fig11", "fig12", "fidelity"),
)
CONTROL_TABLES = ("ranking_controls", "pretraining_controls", "table4_seeds", "rival_laws")
CONTROL_FIGURES = (
    *("true_preference", "fig4_controls", "residuals", "fig8_frontier"),
    *("joint_law", "forecast_seen", "repetition", "specification"),
)
LEDGER = (
    *("id", "where", "claim", "published", "ours", "measured", "verdict", "reason"),
    *("reference", "rung"),
)
CARD = ("source", "events", "users", "sessions", "items", "training_items", "histories")
# What the section on the method says of the config, key by key.
METHOD = (
    *("data.train_until", "data.valid_until", "data.held_out_items"),
    *("item_ids.method", "item_ids.embedding", "item_ids.sae", "item_ids.rq"),
    *("curriculum.rules", "curriculum.walks", "curriculum.windows"),
    *("pretraining.batch_windows", "pretraining.weight_decay", "pretraining.warm_up_steps"),
    *("pretraining.cpt", "pretraining.evaluations", "scaling.burn_in"),
    *("ranking.examples", "ranking.learning_rates", "ranking.seeds"),
)


@dataclass(frozen=True)
class Sources:
    """Where the report's inputs lie, and what it is called.

    Attributes:
        artefacts: folder with tables/ and figures/ of the run.
        verdicts: ledger of the paper's own runs.
        verdicts_controls: ledger with the controls; None: an edition without them.
        card: counts of the data.
        runs: manifests of the four sizes on the full mixture.
        published: folder of the paper's own tables.
        settings: blocks of the config, with the keys `METHOD`.
        rung, name: of the run.
        commit: of the repository; empty where it is not known.
    """

    artefacts: Path
    verdicts: Path
    verdicts_controls: Path | None
    card: Path
    runs: Sequence[Path]
    published: Path
    settings: Mapping[str, Any]
    rung: str
    name: str
    commit: str = ""

    @property
    def tables(self) -> tuple[str, ...]:
        """Targets of the edition's tables."""
        return TABLES if self.verdicts_controls is None else (*TABLES, *CONTROL_TABLES)

    @property
    def figures(self) -> tuple[str, ...]:
        """Targets of the edition's figures; the first is the page of verdicts that leads it."""
        if self.verdicts_controls is None:
            return ("verdicts", *FIGURES)
        return ("verdicts_controls", *FIGURES, *CONTROL_FIGURES)


def gather(sources: Sources, folder: Path) -> None:
    """Copy what the report reads into `folder`, a new one.

    Raises:
        UserError: a file is missing, lacks a column or key, or was made on another rung; or the
            settings lack a key.
    """
    folder.mkdir(parents=True)
    for kind, targets in (("tables", sources.tables), ("figures", sources.figures)):
        for target in targets:
            _copy_artefact(sources, kind, target, folder)
    ledgers = {"claims": sources.verdicts, "claims_controls": sources.verdicts_controls}
    for target, ledger in ledgers.items():
        if ledger is not None:
            if set(read_columns(ledger, LEDGER)["rung"]) != {sources.rung}:
                raise UserError(
                    f"{ledger} is not of rung {sources.rung}", f"run the target {target} again"
                )
            shutil.copyfile(ledger, folder / f"{target}.csv")
    files.write_json(read_keys(sources.card, CARD), folder / "card.json")
    manifests = sorted(read_runs(sources.runs).values(), key=lambda run: str(run["size"]))
    files.write_json(manifests, folder / "runs.json")
    files.write_json(_method(sources.settings), folder / "method.json")
    entries = pd.DataFrame([asdict(entry) for entry in errata(sources.published)])
    entries.insert(0, "number", range(1, len(entries) + 1))
    files.write_csv(entries, folder / "errata.csv")
    this = {"rung": sources.rung, "name": sources.name, "commit": sources.commit}
    files.write_json(
        {**this, "controls": sources.verdicts_controls is not None}, folder / "rung.json"
    )


def _copy_artefact(sources: Sources, kind: str, target: str, folder: Path) -> None:
    path = sources.artefacts / kind / f"{target}.csv"
    found = read_columns(path, ("rung", "name"))
    made = set(zip(found["rung"], found["name"], strict=True))
    if made != {(sources.rung, sources.name)}:
        raise UserError(
            f"{path} was made for {', '.join('/'.join(map(str, m)) for m in sorted(made))}, "
            f"the report is for {sources.rung}/{sources.name}",
            f"run the target {target} again",
        )
    shutil.copyfile(path, folder / path.name)
    if kind == "figures":
        drawing = path.with_suffix(".pdf")
        if not drawing.is_file():
            raise UserError(f"{drawing} is missing", f"run the target {target}")
        shutil.copyfile(drawing, folder / drawing.name)


def _method(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The blocks of the config with the keys `METHOD` alone."""
    found: dict[str, dict[str, Any]] = {}
    for key in METHOD:
        block, name = key.split(".")
        try:
            found.setdefault(block, {})[name] = settings[block][name]
        except (KeyError, TypeError):
            raise UserError(f"--settings lack {key}", "pass these blocks of the config") from None
    return found
