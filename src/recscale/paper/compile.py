"""Compile the reproduction report: every number in it is read from the files named here.

The Typst sources and their inputs are copied into one temporary folder, which is all that the
compiler may read. So the report does not depend on where the inputs lie, and nothing that is not
declared can enter it. Fonts are those inside the typst wheel and the time stamp is fixed: equal
inputs give equal bytes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import typst

from recscale import files
from recscale.artefact import read_columns, read_keys, read_runs
from recscale.errors import UserError, first_line, run_command
from recscale.labels import RUNGS

TABLES = (
    *("table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9"),
    *("item_id_methods", "ranking_strata", "generation", "next_item_recall"),
)
FIGURES = (
    *("fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8"),
    *("fig9", "fig10", "fig11", "fig12"),
)
VERDICTS = ("id", "where", "claim", "published", "measured", "verdict", "reason", "rung")
CARD = ("source", "events", "users", "sessions", "items", "training_items", "histories")
TIME_STAMP = 1770422400  # 7 February 2026, the date of the paper's first version


def place(artefacts: Path, target: str) -> Path:
    """Where the files of an artefact are, without their suffix."""
    return artefacts / ("tables" if target in TABLES else "figures") / target


def gather(
    folder: Path,
    artefacts: Path,
    verdicts: Path,
    card: Path,
    runs: list[Path],
    rung: str,
    name: str,
) -> None:
    """Copy what the report reads into `folder`.

    Raises:
        UserError: a file is missing, lacks a column or key, or was made on another rung.
    """
    folder.mkdir(parents=True)
    for target in (*TABLES, *FIGURES):
        path = place(artefacts, target).with_suffix(".csv")
        found = read_columns(path, ("rung", "name"))
        made = set(zip(found["rung"], found["name"], strict=True))
        if made != {(rung, name)}:
            raise UserError(
                f"{path} was made for {', '.join('/'.join(map(str, m)) for m in sorted(made))}, "
                f"the report is for {rung}/{name}",
                f"run the target {target} again",
            )
        shutil.copyfile(path, folder / path.name)
    for target in FIGURES:
        path = place(artefacts, target).with_suffix(".pdf")
        if not path.is_file():
            raise UserError(f"{path} is missing", f"run the target {target}")
        shutil.copyfile(path, folder / path.name)
    if set(read_columns(verdicts, VERDICTS)["rung"]) != {rung}:
        raise UserError(f"{verdicts} is not of rung {rung}", "run the target claims again")
    shutil.copyfile(verdicts, folder / "verdicts.csv")
    files.write_json(read_keys(card, CARD), folder / "card.json")
    manifests = sorted(read_runs(runs).values(), key=lambda run: str(run["size"]))
    files.write_json(manifests, folder / "runs.json")
    files.write_json({"rung": rung, "name": name}, folder / "rung.json")


def compile_report(main: Path, inputs: Path, out: Path) -> None:
    """Compile `main`, with the Typst files beside it and `inputs` as its folder `run`, to `out`.

    Raises:
        UserError: `main` is missing or does not compile.
    """
    if not main.is_file():
        raise UserError(f"{main} is missing", "restore it from the repository")
    with tempfile.TemporaryDirectory(prefix="recscale-paper-") as temporary:
        root = Path(temporary)
        for source in sorted(main.parent.glob("*.typ")):
            shutil.copyfile(source, root / source.name)
        shutil.copytree(inputs, root / "run")
        try:
            pdf = typst.compile(
                root / main.name,
                root=root,
                font_paths=[],
                ignore_system_fonts=True,
                format="pdf",
                timestamp=TIME_STAMP,
            )
        except typst.TypstError as error:
            reason = first_line(error)
            raise UserError(
                f"{main} does not compile ({reason})", "mend it, or the table it reads"
            ) from None
    with files.atomic(out) as unfinished:
        unfinished.write_bytes(pdf)


def main() -> None:
    """Command line of the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--main", type=Path, required=True, help="paper/main.typ")
    parser.add_argument("--rung", required=True)
    parser.add_argument("--name", help="name of the run in the config; default: the rung")
    parser.add_argument("--artefacts", type=Path, required=True, help="with tables/ and figures/")
    parser.add_argument("--verdicts", type=Path, required=True, help="verdicts.csv")
    parser.add_argument("--card", type=Path, required=True, help="counts of the data")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="four sizes")
    parser.add_argument("--out", type=Path, required=True, help="the PDF")
    arguments = parser.parse_args()
    if arguments.rung not in RUNGS:
        raise UserError(
            f"--rung is {arguments.rung!r}", f"the rungs are {', '.join(RUNGS)}; mend the config"
        )
    with tempfile.TemporaryDirectory(prefix="recscale-inputs-") as temporary:
        inputs = Path(temporary) / "run"
        gather(
            inputs,
            arguments.artefacts,
            arguments.verdicts,
            arguments.card,
            arguments.manifests,
            arguments.rung,
            arguments.name or arguments.rung,
        )
        compile_report(arguments.main, inputs, arguments.out)


if __name__ == "__main__":
    run_command(main)
