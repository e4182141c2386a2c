"""Figure 12: two methods of semantic ids, one size, the same mixture (Appendix B.2).

The paper compares losses per token. But a token of one method is no token of the other: an item may
take eight tokens of 8,192 in one and six of 256 in the other. So the losses also stand per item:
the sum over the id tokens of an item, plus the logarithm of how many items share its codes.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import Series, draw_lines, halves, label_outer, legend, panels_in
from recscale.labels import DOMAIN_NAMES, size_label
from recscale.latex import fixed
from recscale.tables.item_id_methods import NAMES
from recscale.tables.run_curves import one_size, read_curves, with_id_losses

LOOKS = (("#084a8c", "o", "-"), ("#e4572e", "s", (0, (4, 1.5))))
KEPT = [
    *("run", "ids", "size", "seed", "domain", "step", "tokens", "loss", "loss_id"),
    "loss_per_item",
]


def series_of(runs: list[str], methods: list[str]) -> dict[str, Series]:
    """How the two runs are drawn; `methods` are those of their semantic ids, in the same order.

    Where the configured method is the other run's as well, the runs are told apart by name.

    Raises:
        UserError: there are not two runs, or a method is unknown.
    """
    if len(runs) != 2:
        raise UserError(f"--curves hold {len(runs)} run(s)", "pass two files, of one run each")
    for method in methods:
        if method not in NAMES:
            raise UserError(f"--ids names {method!r}", f"known methods: {', '.join(NAMES)}")
    same = methods[0] == methods[1]
    return {
        run: Series(NAMES[method] + (f", {run}" if same else ""), *look)
        for run, method, look in zip(runs, methods, LOOKS, strict=True)
    }


def plotted(curves: pd.DataFrame, series: dict[str, Series]) -> pd.DataFrame:
    """One row per run, domain and evaluation.

    Returns:
        The columns `KEPT`: loss over all tokens and over id tokens, nats per token, and
        loss_per_item in nats per item; the last two are empty where a domain has no items.
    """
    rows = with_id_losses(curves)
    return rows.assign(ids=rows["run"].map({run: one.label for run, one in series.items()}))[KEPT]


def draw(table: pd.DataFrame, series: dict[str, Series], artefact: Artefact) -> None:
    """Draw seven panels per token, below them those of domains with items per item."""
    style.theme()
    with_items = [
        domain
        for domain in HELD_OUT_DOMAINS
        if table.loc[table["domain"] == domain, "loss_per_item"].notna().any()
    ]
    if not with_items:
        raise UserError("--curves hold no loss per item", "run the evaluation again")
    figure, above, below = halves(6.2)
    upper, (aside, *_) = panels_in(above, HELD_OUT_DOMAINS, columns=4)
    lower, _ = panels_in(below, with_items, columns=3)
    for domain, axes in upper.items():
        _panel(axes, table[table["domain"] == domain], "loss", series)
    for domain, axes in lower.items():
        _panel(axes, table[table["domain"] == domain], "loss_per_item", series)
    label_outer(upper, "Training tokens", "Nats per token")
    label_outer(lower, "Training tokens", "Nats per item")
    legend(aside, [one.handle() for one in series.values()])
    style.save(figure, artefact)


def _panel(axes: Axes, rows: pd.DataFrame, y: str, series: dict[str, Series]) -> None:
    style.token_axis(axes)
    draw_lines(axes, rows.dropna(subset=[y]), "tokens", y, series)
    style.readable_log_axis(axes)


def to_latex(table: pd.DataFrame, series: dict[str, Series], size: str, artefact: Artefact) -> str:
    """The figure, and a table of the last losses."""
    names = [latex.escape(one.label) for one in series.values()]
    caption = (
        f"Held-out loss with {names[0]} and {names[1]} ids on the full mixture, "
        f"{latex.escape(size_label(size, artefact.rung))} ({latex.escape(artefact.tag)}): above "
        "per token, as in the paper; below per item, with the logarithm of how many items share "
        "its codes. Only losses per item compare: a token of one method is no token of the other."
    )
    last = {(r.domain, r.run): r for r in each_row(table.groupby(["domain", "run"]).tail(1))}
    lines = []
    for domain in HELD_OUT_DOMAINS:
        cells = [DOMAIN_NAMES[domain]]
        for measure, digits in (("loss", 3), ("loss_id", 3), ("loss_per_item", 2)):
            cells += [fixed(getattr(last[domain, run], measure), digits) for run in series]
        lines.append(latex.row(cells))
    header = [
        r" & \multicolumn{2}{c}{All tokens} & \multicolumn{2}{c}{Id tokens} "
        r"& \multicolumn{2}{c}{Per item} \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-5} \cmidrule(lr){6-7}",
        latex.row(["Domain", *names * 3]),
    ]
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    values = "Last held-out losses in nats per token and in nats per item."
    body = latex.tabular("lrrrrrr", header, [lines])
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of Figure 12."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs=2, required=True)
    parser.add_argument("--ids", nargs=2, required=True, help="method of each run's semantic ids")
    arguments = parser.parse_args()
    artefact = from_arguments("fig12", arguments)
    curves = read_curves(arguments.curves)
    size = one_size(curves)
    series = series_of(list(dict.fromkeys(curves["run"])), arguments.ids)
    table = plotted(curves, series)
    draw(table, series, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, series, size, artefact))


if __name__ == "__main__":
    run_command(main)
