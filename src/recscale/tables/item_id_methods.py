"""The methods of semantic ids side by side (Appendix B.1, which compares two numbers in its text).

RQ-kmeans and RQ-VAE have the same layers and codes, as in the paper; the auto-encoders have codes
of another kind, so that collisions compare, but use of the codes does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_tables
from recscale.errors import UserError, run_command
from recscale.tables.trainings import mean_interval

PUBLISHED = {"rq_kmeans": 5.33, "rq_vae": 50.54}  # percent, Appendix B.1, 6 x 256
NAMES = {
    "sae": "SAE",
    "sae_general": "SAE of general text",
    "rq_kmeans": "RQ-kmeans",
    "rq_vae": "RQ-VAE",
}
MEASURES = (
    *("shared", "surplus", "shared_ties_broken", "held_out_like_training", "code_use"),
    *("code_perplexity", "unexplained_variance", "neighbour_overlap"),
)
DEPTHS = (1, 2, 4)  # of which purity is shown; all are in the CSV


def build(quality: pd.DataFrame) -> pd.DataFrame:
    """One row per method; RQ-VAE with and without the cures for collapse.

    Returns:
        Columns setting, method, cures, width, rec_tokens, items, distinct_texts, trainings, then
        for each of `MEASURES` its mean over trainings with _low and _high (95 % t interval, empty
        with one training), purity_d and grouped_d for each depth d, means as well, and
        published_shared_percent where the paper has a number.

    Raises:
        UserError: a method is missing, or RQ-kmeans has not the layers and codes of RQ-VAE.
    """
    missing = [method for method in NAMES if method not in set(quality["method"])]
    if missing:
        raise UserError(f"--quality lacks {', '.join(missing)}", "pass the files of all settings")
    vae = quality[quality["method"] == "rq_vae"].iloc[0]
    same = (quality["width"] == vae["width"]) & (quality["rec_tokens"] == vae["rec_tokens"])
    chosen = quality[(quality["method"] != "rq_kmeans") | same]
    if "rq_kmeans" not in set(chosen["method"]):
        raise UserError(
            f"no setting of rq_kmeans has the {vae['width']} layers and {vae['rec_tokens']} codes "
            "of item_ids.rq",
            "add them to item_ids.comparison.rq_settings",
        )
    rows = []
    for method in NAMES:
        of_method = chosen[chosen["method"] == method]
        for setting in dict.fromkeys(of_method["setting"]):
            found = of_method[of_method["setting"] == setting]
            first = found.iloc[0]
            row: dict[str, Any] = {"setting": setting, "method": method, "cures": first["cures"]}
            for column in ("width", "rec_tokens", "items", "distinct_texts"):
                row[column] = int(first[column])
            row["trainings"] = len(found)
            for measure in MEASURES:
                row[measure], row[f"{measure}_low"], row[f"{measure}_high"] = mean_interval(
                    found[measure]
                )
            for name in ("purity", "grouped"):
                depths = pd.DataFrame(found[name].tolist()).mean()
                row |= {f"{name}_{depth}": value for depth, value in enumerate(depths, start=1)}
            row["published_shared_percent"] = PUBLISHED.get(method)
            rows.append(row)
    return pd.DataFrame(rows)


def label(method: str, cures: bool | None) -> str:
    """What a row is called."""
    if method != "rq_vae":
        return NAMES[method]
    return f"{NAMES[method]}, {'with' if cures else 'without'} cures"


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment."""
    header = [
        latex.row(
            [
                *("Method", "Codes", "Shared", "Ties broken", "Held-out as training", "Perplexity"),
                *("Unexplained", "Neighbours", *(f"Purity {depth}" for depth in DEPTHS), "Paper"),
            ]
        )
    ]
    lines = []
    for row in each_row(table):
        cells = [label(row.method, row.cures), f"{row.width} of {row.rec_tokens:,}"]
        spread = f" {latex.interval(100 * row.shared_low, 100 * row.shared_high, 1)}"
        cells.append(f"{100 * row.shared:.1f}" + (spread if row.trainings > 1 else ""))
        for measure in MEASURES[2:4]:
            cells.append(latex.fixed(100 * getattr(row, measure), 1))
        for measure in ("code_perplexity", "unexplained_variance", "neighbour_overlap"):
            cells.append(latex.fixed(100 * getattr(row, measure), 0))
        cells += [latex.fixed(100 * getattr(row, f"purity_{depth}"), 0) for depth in DEPTHS]
        cells.append(latex.fixed(row.published_shared_percent, 2))
        lines.append(latex.row(cells))
    first = next(each_row(table))
    caption = (
        f"Methods of semantic ids ({latex.escape(artefact.tag)}; {first.items:,} items, "
        f"{first.trainings} trainings each; all in percent). Shared: items whose codes another "
        "item has, before and after breaking ties. Held-out as training: held-out items with a "
        "training item's codes. Perplexity: of the codes' use, of its most. Unexplained: variance "
        "of held-out items' vectors. Neighbours: of the ten nearest by cosine, those among the ten "
        "nearest by codes. Purity d: of the other items with the same first d codes, those in the "
        "same leaf category. Cures: start from k-means, new starts for unused codes, rotated "
        "gradients. Paper: collisions at 6 x 256 (Appendix B.1)."
    )
    body = latex.tabular("ll" + "r" * (len(DEPTHS) + 7), header, [lines])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, body, wide=True)


def main() -> None:
    """Command line of the comparison."""
    parser = command_line(__doc__)
    parser.add_argument("--quality", type=Path, nargs="+", required=True, help="a file a setting")
    arguments = parser.parse_args()
    artefact = from_arguments("item_id_methods", arguments)
    table = build(read_tables(arguments.quality, "item_id_quality"))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
