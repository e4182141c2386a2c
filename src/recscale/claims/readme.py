"""The verdicts of the reference results, written into the README between two markers.

python -m recscale.claims.readme --reference results/reference/mini --readme README.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from recscale import files
from recscale.artefact import each_row, read_columns
from recscale.claims.verdict import Verdict
from recscale.errors import UserError, run_command
from recscale.logs import logger

BEGIN, END = "<!-- verdicts:begin -->", "<!-- verdicts:end -->"
# With the controls where they were run, as they decide more.
LEDGERS = ("claims/verdicts_controls.csv", "claims/verdicts.csv")
READ = ("where", "claim", "published", "ours", "verdict", "artefact", "rung")
MARKS = {
    str(verdict): mark for verdict, mark in zip(Verdict, ("●", "✕", "◇", "□", "·"), strict=True)
}

log = logger("claims.readme")


def ledger_of(reference: Path) -> Path:
    """The ledger of a folder of results.

    Raises:
        UserError: it has none.
    """
    for name in LEDGERS:
        if (reference / name).is_file():
            return reference / name
    raise UserError(f"{reference} has no {' or '.join(LEDGERS)}", "run the target claims first")


def table_of(ledger: pd.DataFrame) -> str:
    """The verdicts as Markdown: how many fell how, and a row per claim, those that held first."""
    counts = ledger["verdict"].value_counts()
    tally = ", ".join(f"{MARKS[v]} {counts[v]} {v}" for v in MARKS if v in counts)
    rungs = ", ".join(f"`{rung}`" for rung in dict.fromkeys(ledger["rung"]))
    lines = [
        f"{len(ledger)} claims at rung {rungs}: {tally}.",
        "",
        "| | claim | where | paper | here | target |",
        "|---|---|---|---|---|---|",
    ]
    place = ledger["verdict"].map({verdict: i for i, verdict in enumerate(MARKS)})
    for row in each_row(ledger.loc[place.sort_values(kind="stable").index]):
        cells = [
            f"{MARKS[row.verdict]} {row.verdict}",
            *map(_escape, (row.claim, row.where, row.published, row.ours or "–")),
            f"`{row.artefact}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str, table: str, where: str = "the README") -> str:
    """`text` with `table` between its markers, in place of what stands there.

    Raises:
        UserError: a marker is missing or comes twice, or the end comes first.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"{where} has not one {BEGIN} before one {END}", "put the two lines in")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def rewritten(readme: Path, reference: Path) -> str:
    """What the command writes to the README."""
    path = ledger_of(reference)
    ledger = read_columns(path, READ, dtype=str, keep_default_na=False)
    unknown = sorted(set(ledger["verdict"]) - set(MARKS))
    if unknown:
        raise UserError(f"{path} has the verdict {unknown[0]!r}", "run the target claims again")
    if not readme.is_file():
        raise UserError(f"{readme} is missing", "restore it from version control")
    return with_table(readme.read_text(encoding="utf-8"), table_of(ledger), str(readme))


def _escape(text: str) -> str:
    for special in ("\\", "|", "*", "_", "<", ">", "~"):
        text = text.replace(special, f"\\{special}")
    return text


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, required=True, help="a folder of results")
    parser.add_argument("--readme", type=Path, required=True, help="with the two markers")
    arguments = parser.parse_args()
    files.write_text(rewritten(arguments.readme, arguments.reference), arguments.readme)
    log.info("%s: verdicts of %s", arguments.readme, ledger_of(arguments.reference))


if __name__ == "__main__":
    run_command(main)
