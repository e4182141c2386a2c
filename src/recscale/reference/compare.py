"""The golden test: a fresh rung against the committed reference, cell by cell.

Command: `python -m recscale.reference.compare --reference results/reference/mini --results
results/mini --artefacts paper/mini --out golden.csv`. Files that only one of the two has are
counted and left out. What was made of the tidy files is judged only where these are equal byte for
byte; otherwise it is shown: how far a fit moves with its points is the fit's uncertainty, and
verdicts have rules of their own.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files
from recscale.artefact import each_row
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.reference.cells import COLUMNS, differences
from recscale.reference.manifest import MADE, TIDY, Reference, add_flag, read_reference, verify
from recscale.reference.tolerances import kind_of

WORST = 10

log = logger("reference.compare")


@dataclass(frozen=True)
class Comparison:
    """What comparing with a reference gave.

    Args:
        columns: the worst cell of each column that differs, worst first: file, the columns of
            `cells.differences`, and judged: whether the difference counts.
        equal: files that are equal byte for byte, or in every cell.
        absent: files of the reference that are not here.
    """

    columns: pd.DataFrame
    equal: int
    absent: list[str]

    @property
    def beyond(self) -> pd.DataFrame:
        """The columns that differ by more than they may."""
        return self.columns[self.columns["judged"] & (self.columns["times"] > 1)]


def compare(reference: Reference, results: Path, artefacts: Path) -> Comparison:
    """Compare every file of a reference with the one here.

    Args:
        reference: to compare with; its hashes are verified.
        results: folder of fresh results, for tidy files and verdicts.
        artefacts: folder of fresh artefacts, for what tables and figures show.

    Raises:
        UserError: as `manifest.verify`; or no file of the reference is here.
    """
    verify(reference)
    found, equal, absent, same_tidy = [], 0, [], True
    for kind in (TIDY, MADE):
        for path in reference.of_kind(kind):
            # A ledger lies among the results, tables and figures lie among the artefacts.
            here = next((r / path for r in (results, artefacts) if (r / path).is_file()), None)
            if here is None:
                absent.append(path)
                continue
            same_bytes = files.sha256(here) == reference.entries[path].sha256
            same_tidy &= same_bytes or kind == MADE
            if same_bytes:
                equal += 1
                continue
            cells = differences(reference.folder / path, here, kind_of(path, kind))
            equal += cells.empty
            judged = kind == TIDY or same_tidy
            found.append(cells.assign(file=path, judged=judged))
    if not equal and not found:
        raise UserError(f"{results} has no file of {reference.folder}", "run the target all first")
    columns = ["file", *COLUMNS, "judged"]
    frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    order = frame.assign(shown=~frame["judged"].astype(bool)).sort_values(
        ["shown", "times", "file"], ascending=[True, False, True], kind="stable"
    )
    frame = order[columns].reset_index(drop=True)
    return Comparison(frame.astype({"judged": bool, "times": float}), equal, absent)


def report(comparison: Comparison, reference: Reference) -> str:
    """What was compared, and the worst cells, as text."""
    judged = comparison.columns[comparison.columns["judged"]]
    shown = comparison.columns[~comparison.columns["judged"]]
    compared = sum(len(reference.of_kind(kind)) for kind in (TIDY, MADE))
    lines = [
        f"{reference.folder}: {comparison.equal} of {compared} files are equal, "
        f"{comparison.columns['file'].nunique()} differ, {len(comparison.absent)} are not here",
        f"{len(judged)} columns of judged files differ, {len(comparison.beyond)} beyond tolerance",
    ]
    if len(shown):
        lines.append(
            f"{len(shown)} columns of {shown['file'].nunique()} artefacts differ with their tidy "
            "files and are not judged"
        )
    for row in each_row(comparison.columns.head(WORST)):
        times = "beyond any" if np.isinf(row.times) else f"{row.times:.3g} times the"
        lines.append(
            f"  {row.file} [{row.row}] {row.column}: {row.reference} in the reference, "
            f"{row.here} here: {times} tolerance{'' if row.judged else ' (not judged)'}"
        )
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_flag(parser)
    parser.add_argument("--results", type=Path, required=True, help="folder of fresh results")
    parser.add_argument("--artefacts", type=Path, required=True, help="folder of fresh artefacts")
    parser.add_argument("--out", type=Path, required=True, help="every column that differs")
    arguments = parser.parse_args()
    reference = read_reference(arguments.reference)
    comparison = compare(reference, arguments.results, arguments.artefacts)
    files.write_csv(comparison.columns, arguments.out)
    print(report(comparison, reference), flush=True)
    beyond = comparison.beyond
    if len(beyond):
        worst = beyond.iloc[0]
        raise UserError(
            f"{len(beyond)} columns differ from {reference.folder} beyond tolerance, the worst "
            f"{worst['column']} of {worst['file']}",
            f"see {arguments.out}; where a change of results is meant, collect the reference anew",
        )


if __name__ == "__main__":
    run_command(main)
