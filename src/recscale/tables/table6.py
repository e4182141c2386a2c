"""Table 6: UIH ratios on the reduced set, their repeats, losses and fitted laws (section 7.2).

The paper prints a law for every row. A curve that rises again follows none, so such a row says that
it rises and prints no exponent, and the paper's own is marked; beside each law stand the lowest and
the last loss, and how many repeats the lowest came at, with an interval that is open where no rise
was seen. The first row is the run on the full UIH set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recscale.artefact import (
    FIT_COLUMNS,
    command_line,
    each_row,
    from_arguments,
    read_columns,
)
from recscale.contracts import TRAINING_DOMAINS
from recscale.errors import UserError, run_command
from recscale.labels import parse_run
from recscale.scaling.onset import find_onset
from recscale.tables.run_curves import Turn, one_size, paper_columns, read_curves, turn
from recscale.tables.table5 import drawn, read_ledgers, require_ledger
from recscale.tables.table6_latex import NOT_FITTED, to_latex

PUBLISHED = (
    *("uih_percent", "uih_tokens_billion", "uih_repeats", "item_text_percent", "cf_percent"),
    *("domain", "l_inf", "alpha"),
)
FITTED = ("l_inf", "l_inf_low", "l_inf_high", "alpha", "alpha_low", "alpha_high")
TURN = (
    *("minimum", "final", "tokens", "repeats"),
    *("tokens_before", "tokens_after", "repeats_before", "repeats_after"),
)
ONSET = (
    *("onset_tokens", "onset_tokens_low", "onset_tokens_high"),
    *("onset_repeats", "onset_repeats_low", "onset_repeats_high", "onset_censored"),
)
# Section 7.2: "starting from UIH mixture ratio=2%" the paper's own UIH losses rise again.
PAPER_RISES_FROM = 2.0


def read_run_fits(paths: list[Path], recipe: str | None) -> dict[tuple[str, str], Any]:
    """Rows of fits.csv files by run and domain; `recipe` chooses among several.

    Raises:
        UserError: a file is broken, or holds several fits of a run and domain.
    """
    if not paths:
        return {}
    fits = pd.concat([read_columns(path, FIT_COLUMNS) for path in paths], ignore_index=True)
    if recipe is not None:
        fits = fits[fits["recipe"] == recipe]
    twice = fits[fits.duplicated(["run", "domain"])]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"--fits hold more than one fit of {row['domain']} of run {row['run']}",
            "pass each file once, and choose a recipe with --recipe",
        )
    return {(row.run, row.domain): row for row in each_row(fits)}


def in_order(runs: list[str]) -> list[str]:
    """The run on the full set, then the ratios, lowest first.

    Raises:
        UserError: a run is neither, or a ratio comes twice.
    """
    places: dict[float, str] = {}
    for run in runs:
        name = parse_run(run)
        place = -1.0 if name.kind == "full" else name.uih_percent
        if place is None:
            raise UserError(f"run {run} has no UIH ratio", "name it as size3-uih_2")
        if place in places:
            raise UserError(f"--curves hold {places[place]} and {run}", "pass one run per ratio")
        places[place] = run
    return [places[place] for place in sorted(places)]


def build(
    curves: pd.DataFrame,
    ledgers: dict[str, dict[str, Any]],
    fits: dict[tuple[str, str], Any],
    published: pd.DataFrame,
    burn_in: float,
    pool: str,
) -> pd.DataFrame:
    """One row per run and column of the paper (general, item_text, cf, uih).

    Args:
        curves: rows of the curves contract, one run per ratio.
        ledgers: what `read_ledgers` returns.
        fits: what `read_run_fits` returns; may be empty.
        published: the paper's Table 6.
        burn_in: share of the tokens left out when a rise is told from noise.
        pool: how CF and UIH pool their held-out sets.

    Returns:
        Columns run, uih_set (full or reduced); what the run drew (`table5.drawn`); domain; minimum
        and final (held-out loss, nats per token), tokens and repeats at the minimum (of the
        domain's own set), each also _before and _after (the evaluations beside it), rises; `ONSET`
        (of the evaluations after the burn-in; an open end is empty); `FITTED` (empty where the
        curve rises again or was not fitted) and status; the paper's `PUBLISHED` but domain, with
        published_ before the name; and published_rises, whether the paper says of its own run that
        the loss rises again.

    Raises:
        UserError: a manifest, or a row of the paper's table, is missing.
    """
    by_column = paper_columns(curves, pool)
    runs = in_order(list(dict.fromkeys(curves["run"])))
    require_ledger(runs, ledgers)
    ratios = list(dict.fromkeys(published["uih_percent"]))
    paper = {(float(row.uih_percent), row.domain): row for row in each_row(published)}
    rows: list[dict[str, Any]] = []
    for run in runs:
        # The paper's first row is the full set, whose ratio stands in no name of a run.
        ratio = parse_run(run).uih_percent
        percent = float(ratios[0]) if ratio is None else ratio
        for domain in TRAINING_DOMAINS:
            if (percent, domain) not in paper:
                raise UserError(
                    f"--published lacks {domain} at {percent:g} % UIH", "restore the file"
                )
            printed = paper[percent, domain]
            of_run = by_column[(by_column["run"] == run) & (by_column["domain"] == domain)]
            found = turn(of_run, burn_in)
            fit = fits.get((run, domain))
            rises = found.rises or (fit is not None and fit.status == "not_monotone")
            law = {c: float("nan") if fit is None or rises else getattr(fit, c) for c in FITTED}
            status = "not_monotone" if rises else NOT_FITTED if fit is None else str(fit.status)
            rows.append(
                {
                    "run": run,
                    "uih_set": "full" if ratio is None else "reduced",
                    **drawn(ledgers[run]),
                    "domain": domain,
                    **{name: getattr(found, name) for name in TURN},
                    "rises": rises,
                    **onset_of(of_run, burn_in, found),
                    **law,
                    "status": status,
                    **{f"published_{c}": getattr(printed, c) for c in PUBLISHED if c != "domain"},
                    "published_rises": bool(
                        domain == "uih" and ratio is not None and ratio >= PAPER_RISES_FROM
                    ),
                }
            )
    return pd.DataFrame(rows)


def onset_of(rows: pd.DataFrame, burn_in: float, found: Turn) -> dict[str, float | bool]:
    """`ONSET` of one curve over the evaluations that the fits use, or `found` if they are few."""
    rows = rows.sort_values("tokens")
    rows = rows[(rows["tokens"] > 0) & (rows["tokens"] >= burn_in * rows["tokens"].max())]
    tokens, repeats, loss = (rows[c].to_numpy(float) for c in ("tokens", "repeats", "loss"))
    onset = find_onset(tokens, loss)
    if onset is None:
        lowest = {"onset_tokens": found.tokens, "onset_repeats": found.repeats}
        return {**dict.fromkeys(ONSET, float("nan")), **lowest, "onset_censored": True}
    ends = [*onset.at(tokens), *onset.at(repeats)]
    known = [float("nan") if end is None else end for end in ends]
    return {**dict(zip(ONSET, known, strict=False)), "onset_censored": onset.censored}


def main() -> None:
    """Command line of Table 6."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one per ratio")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="of these runs")
    parser.add_argument("--fits", type=Path, nargs="*", default=[], help="fits.csv files")
    parser.add_argument("--recipe", help="which fitting recipe, if the files hold several")
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--burn-in", type=float, required=True, help="share of the run's tokens")
    parser.add_argument("--pool", default="token_weighted", help="or equal, as in the fits")
    arguments = parser.parse_args()
    artefact = from_arguments("table6", arguments)
    curves = read_curves(arguments.curves)
    size = one_size(curves)
    table = build(
        curves,
        read_ledgers(arguments.manifests),
        read_run_fits(arguments.fits, arguments.recipe),
        read_columns(arguments.published, PUBLISHED),
        arguments.burn_in,
        arguments.pool,
    )
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, size, artefact))


if __name__ == "__main__":
    run_command(main)
