"""Figure 2: held-out perplexity against training tokens, seven domains, four sizes (section 6.2).

Points are measured, dashed lines the fitted laws over the range they were fitted on. The shaded
part is the burn-in, left out of the fits. A logarithmic axis has no place for step 0: its values
are in the CSV and in the table of the LaTeX fragment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_columns,
    read_fits,
    read_parameters,
    read_tables,
    require_finite,
)
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import by_size, domain_grid, label_outer, legend
from recscale.labels import (
    DOMAIN_NAMES,
    FIT_STATUS,
    PAPER_SIZES,
    size_label,
    training_domain,
)
from recscale.latex import DASH, fixed

PUBLISHED = ("model", "domain", "l_inf", "alpha")
FITTED: dict[str, Any] = {"linestyle": (0, (3, 1.5)), "linewidth": 0.9}


def law(fit: Any, tokens: np.ndarray) -> np.ndarray:
    """The fitted loss in nats at `tokens`: L_inf + A (D / D0)^-alpha."""
    return fit.l_inf + fit.a * (tokens / fit.d0) ** -fit.alpha


def plotted(curves: pd.DataFrame, fits: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row per size, domain and evaluation.

    Returns:
        Columns run, size, seed, domain, step, tokens, domain_tokens, loss (nats/token), perplexity,
        fitted_perplexity (empty outside the fitted range), alpha, status, published_alpha (of the
        paper's column that the domain belongs to).

    Raises:
        UserError: a loss is no number, a size has several runs, or a domain or fit is missing.
    """
    of_paper = curves["domain"].isin(HELD_OUT_DOMAINS)
    rows = curves[(curves["token_class"] == "all") & of_paper].copy()
    if rows.empty:
        raise UserError("--curves hold no rows of token class 'all'", "run the evaluation again")
    require_finite(rows, "loss", ("run", "domain", "step"))
    runs = rows.groupby("size")["run"].nunique()
    if (runs > 1).any():
        raise UserError(
            f"--curves hold several runs of {runs.idxmax()}", "pass the curve of one run per size"
        )
    found = {(fit.size, fit.domain): fit for fit in each_row(fits)}
    paper = {(row.model, row.domain): row.alpha for row in each_row(published)}
    parts = []
    for (size, domain), part in rows.groupby(["size", "domain"], sort=True):
        key, column = (size, domain), (PAPER_SIZES.get(str(size)), training_domain(str(domain)))
        if key not in found:
            raise UserError(f"--fits lack {domain} at {size}", "pass the fits of these runs")
        if column not in paper:
            raise UserError(f"--published lacks {column[1]} at {column[0]}", "restore the file")
        fit = found[key]
        part = part.sort_values("tokens")
        inside = part["tokens"].between(fit.first_tokens, fit.last_tokens)
        fitted = pd.Series(np.nan, index=part.index)
        fitted[inside] = np.exp(law(fit, part.loc[inside, "tokens"].to_numpy(dtype=float)))
        parts.append(
            part.assign(
                perplexity=np.exp(part["loss"]),
                fitted_perplexity=fitted,
                alpha=fit.alpha,
                status=fit.status,
                published_alpha=paper[column],
            )
        )
    missing = set(HELD_OUT_DOMAINS) - set(rows["domain"])
    if missing:
        raise UserError(f"--curves lack the domain(s) {', '.join(sorted(missing))}", "evaluate all")
    kept = ["run", "size", "seed", "domain", "step", "tokens", "domain_tokens", "loss"]
    kept += ["perplexity", "fitted_perplexity", "alpha", "status", "published_alpha"]
    return pd.concat(parts, ignore_index=True)[kept]


def draw(
    table: pd.DataFrame,
    fits: pd.DataFrame,
    artefact: Artefact,
    burn_in: float,
    parameters: dict[str, int],
) -> None:
    """Draw seven panels and a legend to PDF and SVG; `burn_in` is a share of the run's tokens."""
    style.theme()
    figure, panels, spare = domain_grid()
    shown = table[table["tokens"] > 0]
    left = shown["tokens"].min() / 1.15
    until = burn_in * shown["tokens"].max()
    for domain, axes in panels.items():
        rows = shown[shown["domain"] == domain]
        _panel(axes, rows, fits[fits["domain"] == domain])
        axes.set_xlim(left, shown["tokens"].max() * 1.2)
        if until > left:
            axes.axvspan(left, until, color="0.9", linewidth=0, zorder=0)
    label_outer(panels, "Training tokens", "Perplexity")
    sizes = {size: size for size in PAPER_SIZES if size in set(shown["size"])}
    series = by_size(sizes, artefact.rung, parameters)
    handles: list[Any] = [
        Line2D([], [], color=s.colour, marker=s.marker, linestyle="none", label=s.label)
        for s in series.values()
    ]
    handles.append(Line2D([], [], color="0.3", label="fitted law", **FITTED))
    handles.append(Patch(color="0.9", label="burn-in, not fitted"))
    legend(spare[0], handles)
    style.save(figure, artefact)


def _panel(axes: Axes, rows: pd.DataFrame, fits: pd.DataFrame) -> None:
    style.token_axis(axes)
    sns.scatterplot(
        data=rows,
        x="tokens",
        y="perplexity",
        hue="size",
        style="size",
        palette=style.SIZE_COLOURS,
        markers=style.SIZE_MARKERS,
        s=11,
        linewidth=0.2,
        legend=False,
        ax=axes,
    )
    for fit in each_row(fits):
        tokens = np.geomspace(fit.first_tokens, fit.last_tokens, 60)
        perplexity = np.exp(law(fit, tokens))
        if np.isfinite(perplexity).all():
            sns.lineplot(
                x=tokens,
                y=perplexity,
                color=style.SIZE_COLOURS[fit.size],
                estimator=None,
                ax=axes,
                **FITTED,
            )
    axes.set(xlabel="", ylabel="")
    style.readable_log_axis(axes)


def to_latex(table: pd.DataFrame, artefact: Artefact, parameters: dict[str, int]) -> str:
    """The figure, and a table of first and last perplexity and alpha beside the paper's."""
    caption = (
        f"Held-out perplexity against training tokens ({latex.escape(artefact.tag)}). Points: "
        "measured; dashed: $L_\\infty + A D^{-\\alpha}$ over the range it was fitted on; shaded: "
        "burn-in, left out of the fits. Step 0 has no place on a logarithmic axis and stands in "
        f"Table~\\ref{{tab:{artefact.target}-values}}."
    )
    groups = []
    for domain in HELD_OUT_DOMAINS:
        group: list[str] = []
        for size, rows in table[table["domain"] == domain].groupby("size", sort=True):
            first, last = rows.iloc[0], rows.iloc[-1]
            start = f"{first['perplexity']:.2f}" if first["step"] == 0 else DASH
            group.append(
                latex.row(
                    [
                        DOMAIN_NAMES[domain] if not group else "",
                        latex.escape(size_label(str(size), artefact.rung, parameters)),
                        start,
                        f"{last['perplexity']:.3f}",
                        fixed(last["alpha"], 3),
                        FIT_STATUS.get(last["status"], latex.escape(str(last["status"]))),
                        f"{last['published_alpha']:.3f}",
                    ]
                )
            )
        groups.append(group)
    header = ["Domain", "Size", "Step 0", "Last", r"$\alpha$", "Fit", r"Paper's $\alpha$"]
    body = latex.tabular("llrrrlr", [latex.row(header)], groups)
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    values = (
        "Perplexity before and after training, and the fitted exponent. The paper prints one "
        "exponent for the CF sets and one for the UIH sets."
    )
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of Figure 2."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True)
    parser.add_argument("--fits", type=Path, nargs="+", required=True)
    parser.add_argument("--published", type=Path, required=True, help="Table 4 of the paper")
    parser.add_argument("--recipe", help="which fitting recipe, if the files hold several")
    parser.add_argument("--burn-in", type=float, required=True, help="share of the run's tokens")
    parser.add_argument(
        "--manifests", type=Path, nargs="*", default=[], help="for the numbers of parameters"
    )
    arguments = parser.parse_args()
    artefact = from_arguments("fig2", arguments)
    fits = read_fits(arguments.fits, arguments.recipe)
    published = read_columns(arguments.published, PUBLISHED)
    parameters = read_parameters(arguments.manifests)
    table = plotted(read_tables(arguments.curves, "curves"), fits, published)
    draw(table, fits, artefact, arguments.burn_in, parameters)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact, parameters))


if __name__ == "__main__":
    run_command(main)
