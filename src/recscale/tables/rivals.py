"""Rivals of the power law: which law has least AICc, and which foretells the rest (section 6.2).

A smooth falling curve is fitted well by many laws. Per run and domain stand the law with the least
AICc, how far the power law with a floor lies above it, and the error of each law that was fitted to
the first half of the tokens and asked for the second. The summary counts held-out sets; pooled CF
and UIH are means of others and have rows, but no vote. Curves that rise again, which no law here
describes, are counted on their own.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_tables
from recscale.contracts import ALL_HELD_OUT, LAWS, POOLED_DOMAINS
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, FIT_STATUS
from recscale.latex import DASH, fixed

LAW_NAMES = {
    "power_law": "power law with floor",
    "constant": "constant",
    "log_linear": "log-linear",
    "pure_power_law": "power law, no floor",
    "exponential": "exponential",
    "broken_power_law": "broken power law",
}
SHORT_NAMES = {
    "power_law": "power law",
    "constant": "constant",
    "log_linear": "log-linear",
    "pure_power_law": "no floor",
    "exponential": "exponential",
    "broken_power_law": "broken",
}
CLOSE = 2.0  # AICc above the least that still has substantial support (Burnham and Anderson, 2002)
CURVE = ["run", "domain"]


def build(rivals: pd.DataFrame) -> pd.DataFrame:
    """One row per run, domain and law.

    Args:
        rivals: rows under the contract `rivals`.

    Returns:
        The contract's columns; pooled (whether the domain is a mean of others); rises (whether the
        curve rises again); least_aicc and extrapolates_best (whether the law has the curve's least
        AICc and the least extrapolation error; false where the curve has none).

    Raises:
        UserError: a run, domain and law stands twice, or a curve lacks a law.
    """
    twice = rivals[rivals.duplicated([*CURVE, "law"])]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"--rivals hold {row['domain']} of run {row['run']} twice", "pass each file once"
        )
    laws = rivals.groupby(CURVE, sort=False)["law"].agg(set)
    lacking = laws[laws != set(LAWS)]
    if len(lacking):
        run, domain = lacking.index[0]
        raise UserError(
            f"--rivals lack {min(set(LAWS) - lacking.iloc[0])} of {domain} of run {run}",
            "make the file again with recscale.scaling.rivals",
        )
    error = rivals["extrapolation_rmse"]
    least = rivals.groupby(CURVE, sort=False)["extrapolation_rmse"].transform("min")
    table = rivals.assign(
        pooled=rivals["domain"].isin(POOLED_DOMAINS),
        rises=rivals["status"] == "not_monotone",
        least_aicc=rivals["delta_aicc"] == 0,
        extrapolates_best=error.notna() & (error == least),
    )
    places = {domain: i for i, domain in enumerate((*ALL_HELD_OUT, *POOLED_DOMAINS))}
    runs = {run: i for i, run in enumerate(dict.fromkeys(table["run"]))}
    return table.sort_values(
        CURVE,
        key=lambda c: c.map(runs if c.name == "run" else places),
        kind="stable",
        ignore_index=True,
    )


def summary(table: pd.DataFrame, rises: bool) -> pd.DataFrame:
    """What becomes of each law in the curves of held-out sets that rise again, or do not.

    Args:
        table: as `build` returns it.
        rises: which curves.

    Returns:
        Columns law; compared and extrapolated (curves with an AICc, with an extrapolation
        error), least_aicc, close (within `CLOSE` of the least), extrapolates_best (curves),
        error (median extrapolation error, nats per token), too_high (curves in which the law
        predicts more than was seen, on average).
    """
    rows = table[~table["pooled"] & (table["rises"] == rises)]
    rows = rows.assign(
        compared=rows["aicc"].notna(),
        extrapolated=rows["extrapolation_rmse"].notna(),
        close=rows["delta_aicc"] <= CLOSE,
        too_high=rows["extrapolation_bias"] > 0,
    )
    counts = ["compared", "extrapolated", "least_aicc", "close", "extrapolates_best", "too_high"]
    by_law = rows.groupby("law")
    found = by_law[counts].sum().assign(error=by_law["extrapolation_rmse"].median())
    found = found.reindex(pd.Index(LAWS, name="law")).fillna(dict.fromkeys(counts, 0))
    return found.astype(dict.fromkeys(counts, int)).reset_index()


def sentence(falls: pd.DataFrame) -> str:
    """How the power law with a floor does among its rivals in the curves that do not rise."""
    power = next(each_row(falls[falls["law"] == "power_law"]))
    return (
        f"Of {power.compared} curves that do not rise again, the power law with a floor has the "
        f"least AICc in {power.least_aicc} and is within {CLOSE:g} of it in {power.close}; of "
        f"{power.extrapolated}, it foretells the second half of the tokens best in "
        f"{power.extrapolates_best}."
    )


def _counts(table: pd.DataFrame, falls: pd.DataFrame, rises: pd.DataFrame) -> str:
    parameters = {row.law: str(row.parameters) for row in each_row(table)}
    header = [
        r" & & \multicolumn{5}{c}{do not rise again} & \multicolumn{2}{c}{rise again} \\",
        r"\cmidrule(lr){3-7} \cmidrule(lr){8-9}",
        latex.row(
            [
                *("Law", "Parameters", "least AICc", f"within {CLOSE:g}", "foretells best"),
                *("median error", "too high", "least AICc", "foretells best"),
            ]
        ),
    ]
    lines = []
    for one, other in zip(each_row(falls), each_row(rises), strict=True):
        cells = [LAW_NAMES[one.law], parameters[one.law]]
        cells += [str(count) for count in (one.least_aicc, one.close, one.extrapolates_best)]
        cells += [fixed(1000 * one.error, 1), str(one.too_high)]
        cells += [str(other.least_aicc), str(other.extrapolates_best)]
        lines.append(latex.row(cells))
    return latex.tabular("lrrrrrrrr", header, [lines])


def _of_run(table: pd.DataFrame) -> str:
    header = [
        r" & & & \multicolumn{6}{c}{error in the second half (mnat per token)} & \\",
        r"\cmidrule(lr){4-9}",
        latex.row(["Domain", "Least AICc", r"$\Delta$", *SHORT_NAMES.values(), "Fit"]),
    ]
    groups: dict[bool, list[str]] = {}
    for domain, rows in table.groupby("domain", sort=False):
        laws = {row.law: row for row in each_row(rows)}
        least = [law for law in LAWS if laws[law].least_aicc]
        cells = [DOMAIN_NAMES[str(domain)], SHORT_NAMES[least[0]] if least else DASH]
        cells.append(fixed(laws["power_law"].delta_aicc, 1))
        for law in SHORT_NAMES:
            error = fixed(1000 * laws[law].extrapolation_rmse, 1)
            cells.append(rf"\textbf{{{error}}}" if laws[law].extrapolates_best else error)
        status = laws["power_law"].status
        cells.append(FIT_STATUS.get(status, latex.escape(status)))
        groups.setdefault(laws["power_law"].pooled, []).append(latex.row(cells))
    return latex.tabular("llrrrrrrrl", header, list(groups.values()))


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment: the counts, and a float for each run."""
    tag, rung = f"{artefact.target}, {artefact.tag}", latex.escape(artefact.tag)
    falls, rises = summary(table, rises=False), summary(table, rises=True)
    caption = (
        f"Rivals of the power law ({rung}). {sentence(falls)} "
        f"{rises['compared'].max()} rise again. Counts are of held-out sets and runs. "
        "Each law is fitted to the first half of the tokens to foretell the second; the error is "
        "the median of root mean squared ones, in mnat per token, and too high counts curves that "
        "lie below the prediction on average."
    )
    parts = [latex.table(tag, artefact.target, caption, _counts(table, falls, rises), wide=True)]
    for run, rows in table.groupby("run", sort=False):
        name = str(run)
        caption = (
            f"Rivals of the power law, run {latex.escape(name)} ({rung}): the law with the least "
            r"AICc, by how much the power law with a floor exceeds it ($\Delta$), and the error of "
            "each law fitted to the first half of the tokens, the least in bold."
        )
        label = f"{artefact.target}-{name.replace('_', '-')}"
        parts.append(latex.table(tag, label, caption, _of_run(rows), wide=True))
    return "".join(parts)


def main() -> None:
    """Command line of the table of rivals."""
    parser = command_line(__doc__)
    parser.add_argument("--rivals", type=Path, nargs="+", required=True, help="one file per run")
    arguments = parser.parse_args()
    artefact = from_arguments("rival_laws", arguments)
    table = build(read_tables(arguments.rivals, "rivals"))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
