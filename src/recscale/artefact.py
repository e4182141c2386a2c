"""What every table and figure shares: its command line, its rung, and how it reads tidy files.

An artefact reads finished tables only. Whatever it cannot use (a missing column, an empty file, a
loss that is no number) ends in one line that names the file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import files
from recscale.errors import UserError
from recscale.labels import RUNGS

FIT_COLUMNS = (
    *("run", "size", "seed", "domain", "recipe", "l_inf", "a", "alpha", "d0"),
    *("l_inf_low", "l_inf_high", "alpha_low", "alpha_high", "status", "n_points"),
    *("first_tokens", "last_tokens", "rmse"),
)


@dataclass(frozen=True)
class Artefact:
    """A table or figure of the paper, on one rung.

    Args:
        target: its name in the workflow, such as `table4`.
        rung: smoke, mini, h200 or b200.
        name: what the config calls this run; the rung's name unless it says otherwise.
        prefix: path of the outputs without their ending.
    """

    target: str
    rung: str
    name: str
    prefix: Path

    @property
    def tag(self) -> str:
        """Which rung, for captions: `rung mini`, or `rung mini, run my_log`."""
        return f"rung {self.rung}" + ("" if self.name == self.rung else f", run {self.name}")

    def path(self, ending: str) -> Path:
        """The output with this ending."""
        return self.prefix.with_name(f"{self.prefix.name}.{ending}")

    def write_csv(self, frame: pd.DataFrame) -> None:
        """Write the numbers in full precision, each row with its rung and name in front."""
        tagged = frame.copy()
        tagged.insert(0, "rung", self.rung)
        tagged.insert(1, "name", self.name)
        files.write_csv(tagged, self.path("csv"))

    def write_tex(self, text: str) -> None:
        """Write the LaTeX fragment."""
        files.write_text(text, self.path("tex"))


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags of every artefact: --rung, --name, --out-prefix."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rung", required=True, help="printed on the artefact")
    parser.add_argument("--name", help="name of the run in the config; default: the rung")
    parser.add_argument("--out-prefix", type=Path, required=True, help="outputs without ending")
    return parser


def from_arguments(target: str, arguments: argparse.Namespace) -> Artefact:
    """The artefact a parsed command line asks for.

    Raises:
        UserError: the rung does not exist.
    """
    if arguments.rung not in RUNGS:
        raise UserError(
            f"--rung is {arguments.rung!r}", f"the rungs are {', '.join(RUNGS)}; mend the config"
        )
    name = arguments.name or arguments.rung
    return Artefact(target, arguments.rung, name, arguments.out_prefix)


def read_columns(path: Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """Read a CSV that must hold these columns and at least one row; other columns are kept.

    Raises:
        UserError: the file is missing, is no CSV, is empty or lacks a column.
    """
    frame = files.read_csv(path, **options)
    _require(frame, columns, path)
    return frame


def read_keys(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a JSON object that must hold these keys.

    Raises:
        UserError: the file is missing, is no JSON object or lacks a key.
    """
    value = files.read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object", "build it again from its target")
    missing = [key for key in keys if key not in value]
    if missing:
        raise UserError(
            f"{path} lacks the key(s) {', '.join(missing)}", "build it again from its target"
        )
    return value


def read_tables(paths: Sequence[Path], contract: str) -> pd.DataFrame:
    """Read Parquet files of one contract into one frame, in the order given.

    Raises:
        UserError: a file is missing, truncated, empty or lacks a column.
    """
    frames = []
    for path in paths:
        frame = files.read_table(path, contract)
        _require(frame, (), path)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def read_fits(paths: Sequence[Path], recipe: str | None) -> pd.DataFrame:
    """Read fitted laws, one row per run and domain.

    Args:
        paths: fits.csv files.
        recipe: which fitting recipe to keep; None if the files hold only one.

    Raises:
        UserError: as `read_columns`; or no row has the recipe, or a size and domain occur twice.
    """
    fits = pd.concat([read_columns(path, FIT_COLUMNS) for path in paths], ignore_index=True)
    where = ", ".join(map(str, paths))
    known = sorted(fits["recipe"].unique())
    if recipe is None and len(known) > 1:
        raise UserError(
            f"{where} hold several recipes ({', '.join(known)})", "choose one with --recipe"
        )
    if recipe is not None:
        fits = fits[fits["recipe"] == recipe].reset_index(drop=True)
        if fits.empty:
            raise UserError(f"{where} lack the recipe {recipe!r}", f"known: {', '.join(known)}")
    twice = fits.loc[fits.duplicated(["size", "domain"])]
    if len(twice):
        size, domain = twice.iloc[0]["size"], twice.iloc[0]["domain"]
        raise UserError(
            f"{where} hold more than one fit of {domain} at {size}",
            "pass the fits of one run per size",
        )
    return fits


def each_row(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a frame as named tuples, their columns as attributes."""
    yield from frame.itertuples(index=False)


def read_runs(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Manifests of pre-training runs, by the run's name; each has run, size and parameters.

    Raises:
        UserError: as `read_keys`; or two manifests are of one run.
    """
    runs: dict[str, dict[str, Any]] = {}
    for path in paths:
        manifest = read_keys(path, ("run", "size", "parameters"))
        if manifest["run"] in runs:
            raise UserError(f"{path} is of run {manifest['run']}, which came before", "drop one")
        runs[manifest["run"]] = manifest
    return runs


def read_parameters(paths: Sequence[Path]) -> dict[str, int]:
    """The number of parameters of each model size, from manifests of runs."""
    return {run["size"]: run["parameters"] for run in read_runs(paths).values()}


def require_finite(frame: pd.DataFrame, column: str, keys: Sequence[str]) -> None:
    """Refuse a frame whose `column` has a value that is no finite number; `keys` name the row."""
    bad = frame.loc[~np.isfinite(frame[column].to_numpy(dtype=float))]
    if len(bad):
        row = ", ".join(f"{key} {bad.iloc[0][key]}" for key in keys)
        raise UserError(
            f"{column} is not a finite number at {row}", "look at the log of that run's training"
        )


def _require(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise UserError(
            f"{path} lacks the column(s) {', '.join(missing)}", "build it again from its target"
        )
    if frame.empty:
        raise UserError(f"{path} has no rows", "look at the log of the target that wrote it")
