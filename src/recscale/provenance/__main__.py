"""What is behind a cell of a table or figure, and what has changed since it was made.

Command: `python -m recscale.provenance --name mini --cell table4 size=size3 domain=cf_both_seen
alpha` prints the cell's value and, job by job, all that it was made of, back to the raw data:
configs, code and seeds, with their hashes. A cell is TARGET KEY=VALUE ... COLUMN, in the words of
the target's tidy CSV; a target is a rule, or a file of the results. `--verify` hashes every file
again and names those that changed. Both read what `snakemake --profile mini provenance` collects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recscale.errors import UserError, run_command
from recscale.provenance.cell import find_cell
from recscale.provenance.chain import chain, describe
from recscale.provenance.manifest import MANIFEST, UNKNOWN, Provenance, read_provenance
from recscale.provenance.verify import differences


def answer(
    provenance: Provenance, words: list[str], every_run: bool = False, commands: bool = False
) -> str:
    """The cell that `words` name, and the chain behind it, as text.

    Args:
        provenance: the manifest.
        words: as `cell.find_cell`.
        every_run: follow all runs that the artefact reads, not just those that the row names.
        commands: show the command line of each job.
    """
    cell = find_cell(provenance, words)
    runs = frozenset() if every_run else cell.runs(provenance.runs)
    steps = chain(provenance, cell.path, runs)
    lines = [
        f"{' '.join(words[:1] + [w for w in words[1:] if '=' in w])}: "
        f"{cell.column} = {cell.value or '(empty)'}",
        f"{cell.path}   sha256 {provenance.files[cell.path].sha256}",
        f"collected at commit {provenance.commit or 'unknown: no git checkout'}",
    ]
    if runs and steps[0].left_out:
        lines.append(
            f"the row names {', '.join(sorted(runs))}: {len(steps[0].left_out)} files of other "
            "runs, for other rows, are not followed (--every-run follows them)"
        )
    known = provenance
    for step in steps:
        if step.provenance is not known:
            known = step.provenance
            lines += ["", f"as recorded for the reference at commit {known.commit or 'unknown'}:"]
        lines += ["", *describe(step, commands)]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m recscale.provenance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", default="mini", help="of the run in the config; default: mini")
    parser.add_argument(
        "--manifest", type=Path, help=f"its manifest; default: results/NAME/{MANIFEST}"
    )
    parser.add_argument("--cell", nargs="+", metavar="WORD", help="TARGET KEY=VALUE ... COLUMN")
    parser.add_argument("--every-run", action="store_true", help="also runs of other rows")
    parser.add_argument("--commands", action="store_true", help="show each job's command line")
    parser.add_argument("--verify", action="store_true", help="hash every file again")
    parser.add_argument("--threads", type=int, default=2, help="files hashed at once")
    arguments = parser.parse_args()
    if not arguments.cell and not arguments.verify:
        parser.error("give --cell, --verify, or both")
    manifest = arguments.manifest or Path("results") / arguments.name / MANIFEST
    provenance = read_provenance(manifest)
    if arguments.cell:
        print(answer(provenance, arguments.cell, arguments.every_run, arguments.commands))
    if arguments.verify:
        changed = list(differences(provenance, arguments.threads))
        print("\n".join([*changed, *(f"no record: {p}" for p in provenance.of_kind(UNKNOWN))]))
        if changed:
            raise UserError(
                f"{len(changed)} files are not as {manifest} has them",
                "build the targets again, then collect it again: the target provenance",
            )
        print(f"{manifest}: all {len(provenance.files)} files are as they were")


if __name__ == "__main__":
    run_command(main)
