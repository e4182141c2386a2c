"""Table 4: fitted asymptotic loss L_inf and exponent alpha for four sizes (section 6.2).

The paper prints point values of four columns. Beside them stand ours with their intervals and the
status of each fit: a value the data do not determine is marked, not printed as if it were known.
A second part holds all seven held-out domains.
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
    read_columns,
    read_fits,
    read_parameters,
)
from recscale.contracts import HELD_OUT_DOMAINS, TRAINING_DOMAINS
from recscale.errors import UserError, run_command
from recscale.labels import (
    DOMAIN_NAMES,
    FIT_STATUS,
    PAPER_SIZES,
    size_label,
)
from recscale.latex import fixed, interval

PUBLISHED = ("model", "domain", "l_inf", "alpha")
KEPT = (
    *("run", "seed", "recipe", "status", "l_inf", "l_inf_low", "l_inf_high"),
    *("alpha", "alpha_low", "alpha_high", "n_points", "first_tokens", "last_tokens", "rmse"),
)
PARTS = {"paper": TRAINING_DOMAINS, "held_out": HELD_OUT_DOMAINS}


def build(
    fits: pd.DataFrame, published: pd.DataFrame, rung: str, parameters: dict[str, int]
) -> pd.DataFrame:
    """One row per part, size and domain.

    Returns:
        Columns part (paper: its four columns; held_out: all seven sets), size, size_label, domain,
        the fit's own columns, and published_l_inf, published_alpha (part `paper` only).

    Raises:
        UserError: a fit of a size and domain is missing, or the paper's row for it.
    """
    found = {(fit.size, fit.domain): fit for fit in each_row(fits)}
    paper = {(row.model, row.domain): row for row in each_row(published)}
    rows: list[dict[str, Any]] = []
    for part, domains in PARTS.items():
        for size in PAPER_SIZES:
            for domain in domains:
                if (size, domain) not in found:
                    raise UserError(
                        f"--fits lacks {domain} at {size}",
                        "pass the fits of the full mixture at all four sizes",
                    )
                fit = found[size, domain]
                row = {
                    "part": part,
                    "size": size,
                    "size_label": size_label(size, rung, parameters),
                    "domain": domain,
                    **{column: getattr(fit, column) for column in KEPT},
                }
                if part == "paper":
                    if (PAPER_SIZES[size], domain) not in paper:
                        raise UserError(
                            f"--published lacks {domain} at {PAPER_SIZES[size]}",
                            "restore the file",
                        )
                    printed = paper[PAPER_SIZES[size], domain]
                    row["published_l_inf"] = float(printed.l_inf)
                    row["published_alpha"] = float(printed.alpha)
                rows.append(row)
    return pd.DataFrame(rows)


def _tabular(table: pd.DataFrame, part: str) -> str:
    published = part == "paper"
    l_inf, alpha = r"$L_\infty \downarrow$", r"$\alpha \uparrow$"
    header = ["Size", "Domain", l_inf, r"95\,\%"]
    header += ([f"paper {l_inf}"] if published else []) + [alpha, r"95\,\%"]
    header += ([f"paper {alpha}"] if published else []) + ["Fit"]
    groups = []
    for _, rows in table[table["part"] == part].groupby("size", sort=False):
        group: list[str] = []
        for row in each_row(rows):
            cells = [
                latex.escape(row.size_label) if not group else "",
                DOMAIN_NAMES[row.domain],
                fixed(row.l_inf, 2),
                interval(row.l_inf_low, row.l_inf_high, 2),
                *([fixed(row.published_l_inf, 2)] if published else []),
                fixed(row.alpha, 3),
                interval(row.alpha_low, row.alpha_high, 3),
                *([fixed(row.published_alpha, 3)] if published else []),
                FIT_STATUS.get(row.status, latex.escape(str(row.status))),
            ]
            group.append(latex.row(cells))
        groups.append(group)
    columns = "llrlrrlrl" if published else "llrlrll"
    return latex.tabular(columns, [latex.row(header)], groups)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment: two floats, the paper's four columns and all seven held-out domains."""
    tag = f"{artefact.target}, {artefact.tag}"
    rung = latex.escape(artefact.tag)
    reading = (
        r"Losses in nats per token. A dash in an interval: the data do not bound that end. "
        r"\emph{Not identified}: the point value is one of many that fit as well. "
    )
    if artefact.rung != "b200":
        reading += r"$L_\infty$ depends on the tokenizer and the data; compare orders, not levels."
    first = (
        rf"Fitted law $L(D) = L_\infty + A D^{{-\alpha}}$ beside the paper's ({rung}). " + reading
    )
    second = f"The same fits for all seven held-out domains ({rung})."
    return latex.table(
        tag, artefact.target, first, _tabular(table, "paper"), wide=True
    ) + latex.table(
        tag, f"{artefact.target}-held-out", second, _tabular(table, "held_out"), wide=True
    )


def main() -> None:
    """Command line of Table 4."""
    parser = command_line(__doc__)
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="fits.csv files")
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--recipe", help="which fitting recipe, if the files hold several")
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[], help="for the numbers of parameters"
    )
    arguments = parser.parse_args()
    artefact = from_arguments("table4", arguments)
    fits = read_fits(arguments.fits, arguments.recipe)
    published = read_columns(arguments.published, PUBLISHED)
    parameters = read_parameters(arguments.manifests)
    table = build(fits, published, artefact.rung, parameters)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
