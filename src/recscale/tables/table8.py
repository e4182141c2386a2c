"""Table 8: the sweep of walk configurations (appendix A).

Rows follow the paper's order. A configuration of the paper that the sweep lacks stays as a row
without our numbers; one the paper lacks comes last.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_columns
from recscale.errors import UserError, run_command
from recscale.latex import DASH, count, fixed

CHOSEN = "1st_order_a015_thresh1e-09"  # the configuration the paper selects
# The rule that picks a winner: the lowest Gini among configurations whose lift and items are near
# the most. The paper states no rule; on its own numbers this one picks what it chose.
NEAR_LIFT, NEAR_ITEMS = 0.95, 0.90
MEASURES = ("length", "items", "gini", "tokens", "token_gini", "geometric_lift")
SWEEP = ("config", "order", "p", "q", "alpha", "threshold", "walks", *MEASURES)
PUBLISHED = (
    *("config", "alpha", "threshold", "length", "items_thousand", "gini"),
    *("tokens", "token_gini", "geometric_lift"),
)


def winner(configs: pd.Series, gini: pd.Series, lift: pd.Series, items: pd.Series) -> str | None:
    """The configuration that the rule picks; None if nothing was measured."""
    near = (lift >= NEAR_LIFT * lift.max()) & (items >= NEAR_ITEMS * items.max()) & gini.notna()
    return str(configs[gini[near].idxmin()]) if near.any() else None


def build(sweep: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row per configuration.

    Returns:
        Columns config, alpha, threshold (empty: none), order, p, q, walks, chosen, then for each
        measure ours and the paper's (`published_...`). Length: mean items a walk; items: distinct
        items visited; tokens: distinct REC numbers; gini and token_gini of their visits;
        geometric_lift: geometric mean of the lifts along the walks. picked and published_picked:
        what the rule picks of our numbers and of the paper's.

    Raises:
        UserError: a configuration occurs twice, or the two tables share none.
    """
    for frame, flag in ((sweep, "--sweep"), (published, "--published")):
        twice = frame.loc[frame["config"].duplicated(), "config"]
        if len(twice):
            raise UserError(f"{flag} holds {twice.iloc[0]!r} twice", "build it again")
    if not set(sweep["config"]) & set(published["config"]):
        raise UserError(
            "--sweep holds no configuration of the paper's Table 8",
            f"its names are like {CHOSEN}; mend the sweep's names",
        )
    paper = published.rename(columns={"items_thousand": "items"})
    paper["items"] = paper["items"] * 1000
    paper = paper.rename(columns={column: f"published_{column}" for column in MEASURES})
    order = list(published["config"])
    order += [config for config in sweep["config"] if config not in set(order)]
    ours = sweep.set_index("config").reindex(order)
    theirs = paper.set_index("config").reindex(order)
    table = pd.DataFrame({"config": order}).set_index("config")
    for column in ("alpha", "threshold"):
        measured = ours.index.isin(sweep["config"])
        table[column] = ours[column].where(measured, theirs[column])
    for column in ("order", "p", "q", "walks"):
        table[column] = ours[column]
    table["chosen"] = table.index == CHOSEN
    for column in MEASURES:
        table[column] = ours[column]
        table[f"published_{column}"] = theirs[f"published_{column}"]
    table = table.reset_index()
    for name, of in (("picked", ""), ("published_picked", "published_")):
        measures = (table[f"{of}{column}"] for column in ("gini", "geometric_lift", "items"))
        table[name] = table["config"] == winner(table["config"], *measures)
    return table


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment; the chosen configuration is set in bold."""
    header = [
        r" & & & \multicolumn{2}{c}{Length} & \multicolumn{2}{c}{Items $\uparrow$} "
        r"& \multicolumn{2}{c}{Gini $\downarrow$} & \multicolumn{2}{c}{Tokens $\uparrow$} "
        r"& \multicolumn{2}{c}{Token Gini $\downarrow$} & \multicolumn{2}{c}{Geom.\ lift "
        r"$\uparrow$} \\",
        "".join(rf"\cmidrule(lr){{{i}-{i + 1}}}" for i in range(4, 16, 2)),
        latex.row(["Config", r"$\alpha$", "Threshold", *["ours", "paper"] * 6]),
    ]
    lines = []
    for row in each_row(table):
        cells = [
            latex.escape(row.config),
            fixed(row.alpha, 2),
            "none" if pd.isna(row.threshold) else f"{row.threshold:.0e}",
        ]
        for ours, theirs, show in (
            (row.length, row.published_length, lambda v: fixed(v, 1)),
            (row.items, row.published_items, count),
            (row.gini, row.published_gini, lambda v: fixed(v, 3)),
            (row.tokens, row.published_tokens, count),
            (row.token_gini, row.published_token_gini, lambda v: fixed(v, 3)),
            (row.geometric_lift, row.published_geometric_lift, lambda v: fixed(v, 2)),
        ):
            cells += [show(ours), show(theirs)]
        if row.chosen:
            cells = [rf"\textbf{{{cell}}}" for cell in cells]
        lines.append(latex.row(cells))
    walks = table["walks"].dropna()
    fewest = f"{int(walks.min()):,}" if len(walks) else DASH
    picked, theirs = (
        ", ".join(table.loc[table[c], "config"]) or "none" for c in ("picked", "published_picked")
    )
    caption = (
        f"Sweep of walk configurations ({latex.escape(artefact.tag)}), at least {fewest} walks "
        "each. Bold: the configuration the paper selects. The paper's graph has other items than "
        "ours, so that items, tokens and lift compare in order only. The lowest Gini among those "
        f"with at least {100 * NEAR_LIFT:.0f} percent of the highest lift and "
        f"{100 * NEAR_ITEMS:.0f} percent of the most items is {latex.escape(picked)} by our "
        f"numbers and {latex.escape(theirs)} by the paper's. "
        "A dash: not run."
    )
    body = latex.tabular("lrr" + "rr" * 6, header, [lines])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of Table 8."""
    parser = command_line(__doc__)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--published", type=Path, required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("table8", arguments)
    sweep = read_columns(arguments.sweep, SWEEP)
    table = build(sweep, read_columns(arguments.published, PUBLISHED))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
