"""Table 9: collisions of RQ-kmeans at five settings of layers and codes (Appendix B).

The paper's settings belong to 64.1M items. On a smaller catalogue they would all be near zero, so
each rung has settings of its own in the same order, with as many items for each possible code as
the paper's first settings.
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
    read_tables,
)
from recscale.errors import UserError, run_command
from recscale.item_ids.quality import uniform_rate, uniform_surplus
from recscale.labels import short_number
from recscale.latex import DASH
from recscale.tables.trainings import mean_interval

PUBLISHED = ("layers", "codes_per_layer", "collision_percent")
PUBLISHED_ITEMS = 64.1e6
RATES = ("shared", "surplus", "shared_ties_broken", "surplus_ties_broken")


def build(quality: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row per setting, in the paper's order.

    Returns:
        Columns layers, codes_per_layer, code_space, items, items_per_code, trainings, then for each
        of `RATES` in percent its mean over trainings with _low and _high (95 % t interval, empty
        with one training), shared_uniform and surplus_uniform of codes drawn at random, and the
        paper's layers, codes, items per code, rate, and rates of codes drawn at random as
        published_...

    Raises:
        UserError: there are more or fewer settings of RQ-kmeans than the paper has.
    """
    ours = quality[quality["method"] == "rq_kmeans"]
    names = list(dict.fromkeys(ours["setting"]))
    if len(names) != len(published):
        raise UserError(
            f"--quality has {len(names)} settings of rq_kmeans, the paper {len(published)}",
            "give five settings in item_ids.comparison.rq_settings",
        )
    rows = []
    for name, paper in zip(names, each_row(published), strict=True):
        found = ours[ours["setting"] == name]
        layers = int(found["width"].iloc[0])
        codes = int(found["rec_tokens"].iloc[0]) // layers
        items = int(found["items"].iloc[0])
        row: dict[str, Any] = {
            "layers": layers,
            "codes_per_layer": codes,
            "code_space": float(codes) ** layers,
            "items": items,
            "items_per_code": items / float(codes) ** layers,
            "trainings": len(found),
        }
        for rate in RATES:
            row[rate], row[f"{rate}_low"], row[f"{rate}_high"] = (
                100 * value for value in mean_interval(found[rate])
            )
        row["shared_uniform"] = 100 * uniform_rate(items, row["code_space"])
        row["surplus_uniform"] = 100 * uniform_surplus(items, row["code_space"])
        row["published_layers"] = int(paper.layers)
        row["published_codes_per_layer"] = int(paper.codes_per_layer)
        space = float(paper.codes_per_layer) ** int(paper.layers)
        row["published_items_per_code"] = PUBLISHED_ITEMS / space
        row["published_shared_uniform"] = 100 * uniform_rate(PUBLISHED_ITEMS, space)
        row["published_surplus_uniform"] = 100 * uniform_surplus(PUBLISHED_ITEMS, space)
        row["published_collision_percent"] = float(paper.collision_percent)
        rows.append(row)
    return pd.DataFrame(rows)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment."""
    header = [
        r" & & \multicolumn{4}{c}{Collisions (\%), ours} & \multicolumn{3}{c}{Paper} \\",
        r"\cmidrule(lr){3-6}\cmidrule(lr){7-9}",
        latex.row(
            [
                *("Layers x codes", "Items per code", "shared", "surplus", "ties broken"),
                *("uniform", "Layers x codes", "Items per code", r"\%"),
            ]
        ),
    ]
    lines = []
    for row in each_row(table):
        spread = latex.interval(row.shared_low, row.shared_high, 1)
        lines.append(
            latex.row(
                [
                    f"{row.layers} x {row.codes_per_layer}",
                    _few(row.items_per_code),
                    f"{row.shared:.1f}" + (f" {spread}" if row.trainings > 1 else ""),
                    f"{row.surplus:.1f}",
                    f"{row.shared_ties_broken:.1f}",
                    f"{row.shared_uniform:.1f}",
                    f"{row.published_layers} x {row.published_codes_per_layer}",
                    _few(row.published_items_per_code),
                    f"{row.published_collision_percent:.1f}",
                ]
            )
        )
    first = next(each_row(table))
    caption = (
        f"RQ-kmeans at five settings ({latex.escape(artefact.tag)}; {first.items:,} items, "
        f"{first.trainings} trainings; in brackets 95 percent intervals over them). Shared: "
        "items whose codes another item has. Surplus: one minus distinct codes over items. Ties "
        "broken: shared, when items with equal codes take the next of five that are free. Uniform: "
        f"shared, if codes were drawn at random. The paper: {short_number(PUBLISHED_ITEMS)} items. "
        "It does not say which of these it prints; codes drawn at random would share "
        f"{first.published_shared_uniform:.1f} percent at its first setting and leave a surplus of "
        f"{first.published_surplus_uniform:.1f}, so that what it prints cannot be shared codes "
        "before ties are broken."
    )
    body = latex.tabular("lr" + "r" * 4 + "lrr", header, [lines])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def _few(value: float) -> str:
    """A ratio that may be very small."""
    return DASH if pd.isna(value) else f"{value:.2g}" if value >= 0.01 else f"{value:.0e}"


def main() -> None:
    """Command line of Table 9."""
    parser = command_line(__doc__)
    parser.add_argument("--quality", type=Path, nargs="+", required=True, help="a file a setting")
    parser.add_argument("--published", type=Path, required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("table9", arguments)
    quality = read_tables(arguments.quality, "item_id_quality")
    table = build(quality, read_columns(arguments.published, PUBLISHED))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
