"""Table 4 over seeds: how far alpha and L_inf move between trainings (section 6.2).

Table 4's intervals come from the points of one run, whose errors are taken for independent. Beside
them stand three that are not: over the fits of runs that differ in their seed alone, of one law for
all of these runs with errors that correlate within a run, and from blocks of one run's residuals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_fits,
    read_parameters,
    read_tables,
)
from recscale.contracts import HELD_OUT_DOMAINS, POOLED_DOMAINS, UNCERTAINTIES
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, PAPER_SIZES, parse_run, size_label
from recscale.latex import DASH, fixed
from recscale.tables.table4 import PARTS

PARAMETERS = {"alpha": (r"\alpha", 3), "l_inf": (r"L_\infty", 2)}  # symbol, decimals
PROFILE = "profile"
METHODS = (PROFILE, *UNCERTAINTIES)
INTERVAL = ("runs", "converged", "estimate", "low", "high")


def build(
    uncertainty: pd.DataFrame, fits: pd.DataFrame, rung: str, parameters: dict[str, int]
) -> pd.DataFrame:
    """One row per size, domain, parameter and method.

    Args:
        uncertainty: rows under the contract `uncertainty`, of the kind of runs of the fits.
        fits: Table 4's fits, one per size and domain.
        rung: of the workflow, for labels.
        parameters: number of parameters by size, for labels.

    Returns:
        Columns size, size_label, domain, parameter (alpha; l_inf in nats per token), method
        (profile: of Table 4; seeds, cluster, block_bootstrap), runs behind the interval, converged
        (of these runs), estimate, low, high (95 %; empty where open). Methods that need several
        runs have no rows where there is one.

    Raises:
        UserError: a fit, or its intervals within the run, are missing, or these are of runs of
            another kind.
    """
    found = {
        (row.size, row.kind, row.domain, row.parameter, row.method): row
        for row in each_row(uncertainty)
    }
    laws = {(fit.size, fit.domain): fit for fit in each_row(fits)}
    rows: list[dict[str, Any]] = []
    for size in PAPER_SIZES:
        for domain in (*HELD_OUT_DOMAINS, *POOLED_DOMAINS):
            if (size, domain) not in laws:
                raise UserError(
                    f"--fits lack {domain} at {size}",
                    "pass the fits of the full mixture at all four sizes",
                )
            fit = laws[size, domain]
            kind = parse_run(fit.run).kind
            for parameter in PARAMETERS:
                if (size, kind, domain, parameter, "block_bootstrap") not in found:
                    raise UserError(
                        f"--uncertainty lacks {parameter} of {domain} of run {fit.run}",
                        "pass the file of the same run for each of --fits",
                    )
                of_fit = {
                    **{"runs": 1, "converged": int(fit.status == "converged")},
                    "estimate": getattr(fit, parameter),
                    **{end: getattr(fit, f"{parameter}_{end}") for end in ("low", "high")},
                }
                for method in METHODS:
                    row = found.get((size, kind, domain, parameter, method))
                    if method != PROFILE and row is None:
                        continue
                    values = of_fit if row is None else {c: getattr(row, c) for c in INTERVAL}
                    rows.append(
                        {
                            **{"size": size, "size_label": size_label(size, rung, parameters)},
                            **{"domain": domain, "parameter": parameter, "method": method},
                            **values,
                        }
                    )
    return pd.DataFrame(rows)


def shown(row: Any, digits: int) -> str:
    """An interval; a dash where nothing gives one."""
    if row is None or pd.isna(row.estimate):
        return DASH
    return latex.interval(row.low, row.high, digits)


def _tabular(table: pd.DataFrame, domains: tuple[str, ...], parameter: str) -> str:
    symbol, digits = PARAMETERS[parameter]
    header = [
        rf" & & \multicolumn{{2}}{{c}}{{${symbol}$}} & \multicolumn{{4}}{{c}}{{95\,\%}} & \\",
        r"\cmidrule(lr){3-4} \cmidrule(lr){5-8}",
        latex.row(
            [
                *("Size", "Domain", "Table 4", "seeds"),
                *("profile", "seeds", "cluster", "blocks", "Converged"),
            ]
        ),
    ]
    groups = []
    for size in PAPER_SIZES:
        group: list[str] = []
        for domain in domains:
            here = table[(table["size"] == size) & (table["domain"] == domain)]
            of = {row.method: row for row in each_row(here[here["parameter"] == parameter])}
            seeds = of.get("seeds")
            counted = seeds or of[PROFILE]
            group.append(
                latex.row(
                    [
                        "" if group else latex.escape(of[PROFILE].size_label),
                        DOMAIN_NAMES[domain],
                        fixed(of[PROFILE].estimate, digits),
                        fixed(seeds.estimate, digits) if seeds else DASH,
                        *(shown(of.get(method), digits) for method in METHODS),
                        f"{counted.converged} of {counted.runs}",
                    ]
                )
            )
        groups.append(group)
    return latex.tabular("llrrllllr", header, groups)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment: for each parameter Table 4's four columns and the seven held-out sets."""
    tag, rung = f"{artefact.target}, {artefact.tag}", latex.escape(artefact.tag)
    reading = (
        r"Profile: from the points of one run, as in Table~\ref{tab:table4}. Seeds: Student's $t$ "
        "over the fits of runs that differ in their seed alone. Cluster: one law for these runs, "
        "errors correlated within a run. Blocks: bootstrap over blocks of one run's residuals. A "
        "dash in an interval: that end is open; in place of one: one run only, or a run without a "
        "law. Converged: runs whose own fit is identified; where none is, seeds agree on a value "
        "that their data do not determine."
    )
    parts: list[str] = []
    for parameter, (symbol, _) in PARAMETERS.items():
        unit = ", nats per token" if parameter == "l_inf" else ""
        for part, domains in PARTS.items():
            what = "Table 4's columns" if part == "paper" else "all seven held-out domains"
            caption = f"Intervals of ${symbol}${unit}, {what} ({rung})."
            caption += f" {reading}" if not parts else ""
            label = f"{artefact.target}-{parameter.replace('_', '-')}-{part.replace('_', '-')}"
            body = _tabular(table, domains, parameter)
            parts.append(latex.table(tag, label, caption, body, wide=True))
    return "".join(parts)


def main() -> None:
    """Command line of Table 4 over seeds."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--uncertainty", type=Path, nargs="+", required=True, help="one file per size"
    )
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="fits.csv files")
    parser.add_argument("--recipe", help="which fitting recipe, if the files hold several")
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[], help="for the numbers of parameters"
    )
    arguments = parser.parse_args()
    artefact = from_arguments("table4_seeds", arguments)
    table = build(
        read_tables(arguments.uncertainty, "uncertainty"),
        read_fits(arguments.fits, arguments.recipe),
        artefact.rung,
        read_parameters(arguments.manifests),
    )
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
