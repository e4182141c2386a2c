"""Compile the reproduction report: every number in it is read from the files named here.

The Typst sources and their inputs are copied into one temporary folder, which is all that the
compiler may read. So the report does not depend on where the inputs lie, and nothing that is not
declared can enter it. Fonts are those inside the typst wheel and the time stamp is fixed: equal
inputs give equal bytes.

The report has two editions. Given a ledger with the controls, it is led by that one, and has a part
that shows the controls and what they change.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import typst

from recscale import files
from recscale.errors import UserError, first_line, run_command
from recscale.labels import RUNGS
from recscale.paper.inputs import Sources, gather

TIME_STAMP = 1770422400  # 7 February 2026, the date of the paper's first version


def copy_sources(main: Path, root: Path) -> Path:
    """Copy the Typst files beside `main` and in its folder `sections` to `root`; where main is.

    Raises:
        UserError: `main` is missing.
    """
    if not main.is_file():
        raise UserError(f"{main} is missing", "restore it from the repository")
    for source in sorted([*main.parent.glob("*.typ"), *main.parent.glob("sections/*.typ")]):
        copy = root / source.relative_to(main.parent)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, copy)
    return root / main.name


def compile_report(main: Path, inputs: Path, out: Path) -> None:
    """Compile `main`, with its Typst files and `inputs` as its folder `run`, to `out`.

    Raises:
        UserError: `main` is missing or does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="recscale-paper-") as temporary:
        root = Path(temporary)
        copy = copy_sources(main, root)
        shutil.copytree(inputs, root / "run")
        try:
            pdf = typst.compile(
                copy,
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
    parser.add_argument("--commit", default="", help="of this repository, for captions")
    parser.add_argument("--artefacts", type=Path, required=True, help="with tables/ and figures/")
    parser.add_argument("--verdicts", type=Path, required=True, help="of recscale.claims.ledger")
    parser.add_argument(
        "--verdicts-controls", type=Path, help="the same with the controls, which the report shows"
    )
    parser.add_argument("--card", type=Path, required=True, help="counts of the data")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="four sizes")
    parser.add_argument("--published", type=Path, required=True, help="the paper's own tables")
    parser.add_argument("--settings", required=True, help="JSON: blocks of the config")
    parser.add_argument("--out", type=Path, required=True, help="the PDF")
    arguments = parser.parse_args()
    if arguments.rung not in RUNGS:
        raise UserError(
            f"--rung is {arguments.rung!r}", f"the rungs are {', '.join(RUNGS)}; mend the config"
        )
    with tempfile.TemporaryDirectory(prefix="recscale-inputs-") as temporary:
        inputs = Path(temporary) / "run"
        gather(
            Sources(
                artefacts=arguments.artefacts,
                verdicts=arguments.verdicts,
                verdicts_controls=arguments.verdicts_controls,
                card=arguments.card,
                runs=arguments.manifests,
                published=arguments.published,
                settings=json.loads(arguments.settings),
                rung=arguments.rung,
                name=arguments.name or arguments.rung,
                commit=arguments.commit,
            ),
            inputs,
        )
        compile_report(arguments.main, inputs, arguments.out)


if __name__ == "__main__":
    run_command(main)
