"""Supplementary figure: what the fitted laws of Table 4 leave of the loss (section 6.2).

Loss minus fitted law at every evaluation, a row of panels for each held-out domain and a column for
each size. If the law held and errors were independent, the filled points would scatter about zero,
and the Durbin-Watson statistic would be about 2; a bow and a statistic well below 2 are structure
that one run of a cosine schedule leaves. Hollow points were left out of the fit as burn-in; beyond
the panel's edge they are arrows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_columns,
    read_parameters,
    read_tables,
)
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.labels import DOMAIN_NAMES, FIT_STATUS, PAPER_SIZES, size_label
from recscale.latex import fixed

FITTED = ("run", "size", "domain", "status", "n_points", "rmse", "durbin_watson")
MILLI = 1000.0  # residuals are drawn in mnat per token
ROOM = 1.4  # of a panel, times the largest residual of its row's fits
EDGE = 0.85  # where a point beyond the panel is marked, as a share of the panel's half
UP, DOWN = r"$\uparrow$", r"$\downarrow$"
HOLLOW: dict[str, Any] = {"facecolor": "white", "linewidth": 0.6, "s": 11}
BEYOND: dict[str, Any] = {"linewidth": 0, "s": 26}


def plotted(residuals: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """One row per size, domain and evaluation after step 0.

    Args:
        residuals: rows under the contract `residuals`, of one run per size.
        fits: columns `FITTED` of these runs.

    Returns:
        run, size, seed, domain, tokens, loss, fitted, residual (loss - fitted, nats per token;
        empty where nothing was fitted), used (false: burn-in), and of the fit status, n_points,
        rmse (nats per token) and durbin_watson.

    Raises:
        UserError: a size has several runs, or a domain or a fit is missing.
    """
    rows = residuals[residuals["domain"].isin(HELD_OUT_DOMAINS)]
    runs = rows.groupby("size")["run"].nunique()
    if (runs > 1).any():
        raise UserError(
            f"--residuals hold several runs of {runs.idxmax()}", "pass the file of one run per size"
        )
    twice = fits[fits.duplicated(["run", "domain"])]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"--fits hold more than one fit of {row['domain']} of run {row['run']}",
            "pass each file once",
        )
    known = set(zip(fits["run"], fits["domain"], strict=True))
    for run, of_run in rows.groupby("run", sort=False):
        for domain in HELD_OUT_DOMAINS:
            if domain not in set(of_run["domain"]):
                raise UserError(f"--residuals lack {domain} of run {run}", "evaluate all domains")
            if (run, domain) not in known:
                raise UserError(f"--fits lack {domain} of run {run}", "pass the fits of these runs")
    kept = ["run", "size", "seed", "domain", "tokens", "loss", "fitted", "residual", "used"]
    joined = rows[kept].merge(fits[list(FITTED)].drop(columns="size"), on=["run", "domain"])
    places = {domain: place for place, domain in enumerate(HELD_OUT_DOMAINS)}
    return joined.sort_values(
        ["size", "domain", "tokens"],
        key=lambda column: column.map(places) if column.name == "domain" else column,
        ignore_index=True,
    )


def draw(table: pd.DataFrame, artefact: Artefact, parameters: dict[str, int]) -> None:
    """Draw the panels to PDF and SVG."""
    style.theme()
    sizes = [size for size in PAPER_SIZES if size in set(table["size"])]
    figure, grid = plt.subplots(
        *(len(HELD_OUT_DOMAINS), len(sizes)),
        figsize=(style.DOUBLE_COLUMN, 8.0),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for line, domain in zip(grid, HELD_OUT_DOMAINS, strict=True):
        of_domain = table[table["domain"] == domain]
        used = MILLI * of_domain.loc[of_domain["used"], "residual"].abs().max()
        half = ROOM * used if used > 0 else 1.0
        for axes, size in zip(line, sizes, strict=True):
            _panel(axes, of_domain[of_domain["size"] == size], size, half)
        line[0].set_ylabel(DOMAIN_NAMES[domain])
    for axes, size in zip(grid[0], sizes, strict=True):
        label = size_label(size, artefact.rung, parameters).replace(", ", ",\n")
        axes.annotate(
            *(label, (0.5, 1)),
            **{"xycoords": "axes fraction", "xytext": (0, 14), "textcoords": "offset points"},
            **{"ha": "center", "va": "bottom", "fontsize": 7.5},
        )
    low, high = table["tokens"].min(), table["tokens"].max()
    grid[0][0].set_xlim(low / 1.4, high * 1.4)
    for axes in grid[-1]:
        axes.set_xlabel("Training tokens")
    figure.supylabel("Loss minus fitted law (mnat per token)", fontsize=7)
    figure.legend(handles=_handles(), loc="outside lower center", ncols=4)
    style.save(figure, artefact)


def _panel(axes: Axes, rows: pd.DataFrame, size: str, half: float) -> None:
    style.token_axis(axes)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
    axes.set_ylim(-half, half)
    fit = next(each_row(rows))
    fitted = rows.dropna(subset=["residual"])
    if fitted.empty:
        said = FIT_STATUS.get(fit.status, str(fit.status))
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="bottom", fontsize=6.5)
        axes.set_title("no law", fontsize=6, pad=2)
        return
    rmse, watson = fixed(MILLI * fit.rmse, 1), fixed(fit.durbin_watson, 2)
    axes.set_title(f"rmse {rmse}, DW {watson}", fontsize=6, pad=2)
    fitted = fitted.assign(mnat=MILLI * fitted["residual"])
    used = fitted[fitted["used"]]
    colour, marker = style.SIZE_COLOURS[size], style.SIZE_MARKERS[size]
    common: dict[str, Any] = {"x": "tokens", "y": "mnat", "legend": False, "ax": axes}
    sns.lineplot(data=used, color=colour, linewidth=0.7, estimator=None, **common)
    sns.scatterplot(data=used, color=colour, marker=marker, s=13, linewidth=0.2, **common)
    burn_in = fitted[~fitted["used"]]
    above, below = (burn_in["mnat"] * sign > EDGE * half for sign in (1, -1))
    inside = burn_in[~above & ~below]
    sns.scatterplot(data=inside, marker=marker, edgecolor=colour, **HOLLOW, **common)
    for mark, points, at in ((UP, above, EDGE), (DOWN, below, -EDGE)):
        beyond = burn_in[points].assign(mnat=at * half)
        sns.scatterplot(data=beyond, marker=mark, color=colour, **BEYOND, **common)
    axes.set(xlabel="", ylabel="")


def _handles() -> list[Line2D]:
    dot: dict[str, Any] = {"color": "0.3", "markeredgewidth": 0.6, "linewidth": 0.7}
    hollow: dict[str, Any] = {**dot, "linestyle": "none", "markerfacecolor": "white"}
    arrow: dict[str, Any] = {**dot, "linestyle": "none", "markeredgewidth": 0, "markersize": 5}
    return [
        Line2D([], [], marker="o", label="fitted", **dot),
        Line2D([], [], marker="o", label="burn-in, not fitted", **hollow),
        Line2D([], [], marker=UP, label="burn-in, beyond the panel", **arrow),
    ]


def to_latex(table: pd.DataFrame, artefact: Artefact, parameters: dict[str, int]) -> str:
    """The figure, and a table of its root mean squared residuals and Durbin-Watson statistics."""
    caption = (
        f"What the laws of Table~\\ref{{tab:table4}} leave ({latex.escape(artefact.tag)}): loss "
        "minus fitted law in mnat per token, a column for each size. Filled: fitted; hollow: left "
        "out as burn-in, an arrow where it lies beyond the panel. rmse, of the fitted points, in "
        "mnat per token. DW: Durbin--Watson statistic, about 2 for independent errors, below for "
        "errors that follow each other."
    )
    groups = []
    for domain in HELD_OUT_DOMAINS:
        group: list[str] = []
        of_domain = table[table["domain"] == domain].drop_duplicates("size")
        for row in each_row(of_domain):
            cells = [
                "" if group else DOMAIN_NAMES[domain],
                latex.escape(size_label(row.size, artefact.rung, parameters)),
                *(str(row.n_points), fixed(MILLI * row.rmse, 1), fixed(row.durbin_watson, 2)),
                FIT_STATUS.get(row.status, latex.escape(str(row.status))),
            ]
            group.append(latex.row(cells))
        groups.append(group)
    header = ["Domain", "Size", "Points", "rmse (mnat)", "Durbin--Watson", "Fit"]
    body = latex.tabular("llrrrl", [latex.row(header)], groups)
    values = "Residuals of the fitted laws: evaluations fitted, root mean squared residual, status."
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of the figure of residuals."""
    parser = command_line(__doc__)
    parser.add_argument("--residuals", type=Path, nargs="+", required=True, help="one per size")
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="of the same runs")
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[], help="for the numbers of parameters"
    )
    arguments = parser.parse_args()
    artefact = from_arguments("residuals", arguments)
    parameters = read_parameters(arguments.manifests)
    fits = pd.concat([read_columns(path, FITTED) for path in arguments.fits], ignore_index=True)
    table = plotted(read_tables(arguments.residuals, "residuals"), fits)
    draw(table, artefact, parameters)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact, parameters))


if __name__ == "__main__":
    run_command(main)
