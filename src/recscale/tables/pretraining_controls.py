"""Contrasts between runs that tell apart what the paper confounds (sections 3.3, 7.1, B.2).

Two runs of one seed see the same windows of the domains they share, so their losses are compared
seed by seed: the mean difference stands with a two-sided paired t interval over seeds. Runs of
other seeds are named after the paper's run, as size3-full-seed1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments
from recscale.claims.intervals import CONFIDENCE, corrected, over_seeds
from recscale.contracts import ALL_HELD_OUT
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, KIND_NAMES, parse_run
from recscale.latex import DASH, fixed
from recscale.tables.contrasts import CONTRASTS, EQUAL_UIH, FINAL, MEASURES, Contrast
from recscale.tables.run_curves import read_curves, with_id_losses

SEEDS = 3  # fewer do not carry a claim about a difference (paper/claims.yaml)
SLOPE = "slope"  # in place of a size: the change of a difference from one size to the next


def compared(curves: pd.DataFrame) -> pd.DataFrame:
    """The evaluations that contrasts read, with size, kind and seed of their run.

    Raises:
        UserError: two runs are of one size, kind and seed.
    """
    rows = with_id_losses(curves)
    names = {run: parse_run(run) for run in dict.fromkeys(rows["run"])}
    rows["kind"] = rows["run"].map({run: name.kind for run, name in names.items()})
    twice = rows[rows.duplicated(["size", "kind", "seed", "domain", "step"])]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"--curves hold several runs of {row['size']}, {row['kind']} and seed {row['seed']}",
            "the runs that differ in -seed1, -seed2 must differ in their seed as well",
        )
    return rows


def at_tokens(rows: pd.DataFrame, tokens: float, measure: str) -> float:
    """A loss at so many tokens of its domain, linear in ln tokens between evaluations.

    It is nan before the first evaluation that has seen the domain.
    """
    seen = rows[rows["domain_tokens"] > 0].sort_values("step")
    x = np.log(seen["domain_tokens"].to_numpy(float))
    return float(np.interp(np.log(tokens), x, seen[measure].to_numpy(float), left=np.nan))


def losses(rows: pd.DataFrame, contrast: Contrast, size: str, measure: str) -> pd.DataFrame:
    """The losses of the seeds that both kinds of runs have.

    Args:
        rows: what `compared` returns, of one domain.

    Returns:
        A row per seed, in order, with columns first and second; seeds without the measure are left
        out.
    """
    found: dict[int, tuple[float, float]] = {}
    of_size = rows[rows["size"] == size]
    sides = [
        {int(str(seed)): of_seed for seed, of_seed in of_size[kinds].groupby("seed")}
        for kinds in (of_size["kind"] == kind for kind in (contrast.first, contrast.second))
    ]
    for seed in sorted(set(sides[0]) & set(sides[1])):
        pair = [side[seed].sort_values("step") for side in sides]
        if contrast.at == FINAL:
            values = [float(side[measure].iloc[-1]) for side in pair]
        else:
            reached = min(float(side["domain_tokens"].max()) for side in pair)
            if reached <= 0:
                continue
            values = [at_tokens(side, reached, measure) for side in pair]
        if np.isfinite(values).all():
            found[seed] = (values[0], values[1])
    return pd.DataFrame.from_dict(found, orient="index", columns=["first", "second"])


def slopes(differences: Sequence[pd.Series]) -> NDArray[np.float64]:
    """Least-squares slope of a difference on the place of the size, for seeds with all sizes.

    Args:
        differences: by size, smallest first; each by seed.
    """
    table = pd.concat(differences, axis=1).dropna()
    places = np.arange(table.shape[1]) - (table.shape[1] - 1) / 2
    return table.to_numpy(float) @ places / float(places @ places)


def _interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    if len(values) < 2:
        return float("nan"), float("nan")
    found = over_seeds(values, confidence)
    return found.low, found.high


def reading(
    low: float, high: float, strict: tuple[float, float], claimed: str | None, seeds: int
) -> str:
    """What a difference says.

    The 95 % interval decides for the side that the paper claims, the corrected one for the other,
    and for both where it claims none.

    Returns:
        above, below, undecided, too few seeds or not run.
    """
    if seeds == 0:
        return "not run"
    if seeds < SEEDS:
        return "too few seeds"
    if (low if claimed == "above" else strict[0]) > 0:
        return "above"
    if (high if claimed == "below" else strict[1]) < 0:
        return "below"
    return "undecided"


def build(curves: pd.DataFrame, contrasts: Sequence[Contrast] = CONTRASTS) -> pd.DataFrame:
    """One row per contrast, measure, domain and size, and one for the slope over several sizes.

    Comparisons of one contrast and measure that together could decide are corrected for their
    number (Bonferroni): the domains times the sizes, and the domains for the slopes.

    Returns:
        Columns contrast, first, second, at, measure, domain, size (or slope), seeds, first_loss and
        second_loss (means over these seeds), difference (first minus second; a slope's is in nats a
        size), low and high (95 % paired t interval over seeds), corrected_low and corrected_high,
        comparisons, claimed and reading. Losses are in nats per token, or per item. Domains without
        items have no rows of the last two measures.

    Raises:
        UserError: no contrast has both of its runs, or two runs are of one size, kind and seed.
    """
    rows = compared(curves)
    table: list[dict[str, Any]] = []
    for contrast in contrasts:
        for measure in contrast.measures:
            table += _rows(rows, contrast, measure)
    if not any(row["seeds"] for row in table):
        raise UserError(
            "--curves hold both runs of no contrast",
            "pass the runs of figures.pretraining_controls",
        )
    return pd.DataFrame(table)


def _rows(rows: pd.DataFrame, contrast: Contrast, measure: str) -> list[dict[str, Any]]:
    domains = [d for d in contrast.domains if rows.loc[rows["domain"] == d, measure].notna().any()]
    found: list[tuple[str, str, NDArray[np.float64], float, float]] = []
    for domain in domains:
        of_domain = rows[rows["domain"] == domain]
        by_size = {size: losses(of_domain, contrast, size, measure) for size in contrast.sizes}
        for size, pairs in by_size.items():
            difference = (pairs["first"] - pairs["second"]).to_numpy(float)
            found.append((domain, size, difference, pairs["first"].mean(), pairs["second"].mean()))
        if len(by_size) > 1:
            change = slopes([pairs["first"] - pairs["second"] for pairs in by_size.values()])
            found.append((domain, SLOPE, change, float("nan"), float("nan")))
    result = []
    for domain, size, difference, first, second in found:
        comparisons = sum((other[1] == SLOPE) == (size == SLOPE) for other in found)
        low, high = _interval(difference, CONFIDENCE)
        strict = _interval(difference, corrected(comparisons))
        result.append(
            {
                "contrast": contrast.name,
                **{"first": contrast.first, "second": contrast.second, "at": contrast.at},
                **{"measure": measure, "domain": domain, "size": size},
                "seeds": len(difference),
                **{"first_loss": first, "second_loss": second},
                "difference": difference.mean() if len(difference) else float("nan"),
                **{"low": low, "high": high},
                **{"corrected_low": strict[0], "corrected_high": strict[1]},
                **{"comparisons": comparisons, "claimed": contrast.claimed},
                "reading": reading(low, high, strict, contrast.claimed, len(difference)),
            }
        )
    return result


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment: a float for each contrast and size."""
    parts = table.groupby(["contrast", "size"], sort=False)
    return "".join(_float(rows, number, artefact) for number, (_, rows) in enumerate(parts, 1))


def _float(rows: pd.DataFrame, number: int, artefact: Artefact) -> str:
    groups: dict[str, list[str]] = {}
    for row in each_row(rows):
        group = groups.setdefault(row.domain, [])
        cells = [
            *(DOMAIN_NAMES[row.domain] if not group else "", MEASURES[row.measure], str(row.seeds)),
            *(fixed(value, 3) for value in (row.first_loss, row.second_loss, row.difference)),
            latex.interval(row.low, row.high, 3) if row.seeds > 1 else DASH,
            row.reading,
        ]
        group.append(latex.row(cells))
    one = rows.iloc[0]
    kinds = [latex.escape(KIND_NAMES.get(one[side], one[side])) for side in ("first", "second")]
    where = "at equal UIH tokens" if one["at"] == EQUAL_UIH else "at the end"
    caption = (
        f"Control: {latex.escape(one['contrast'])}, {one['size']} ({latex.escape(artefact.tag)}). "
        f"Held-out loss of `{kinds[0]}' minus that of `{kinds[1]}' {where}, nats per token or per "
        "item, with a 95\\,\\% paired t interval over seeds. Above, below: it excludes 0, "
        "corrected for the number of comparisons on a side that the paper does not claim."
    )
    if one["size"] == SLOPE:
        caption += " Slope: the change of the difference from one size to the next."
    if one["at"] == EQUAL_UIH:
        caption += " The runs are there at different shares of their learning-rate schedule."
    names = ["Domain", "Measure", "Seeds", "First", "Second", "Difference", "95\\,\\%", "Reading"]
    body = latex.tabular("llrrrrll", [latex.row(names)], list(groups.values()))
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, f"{artefact.target}-{number}", caption, body, wide=True)


def main() -> None:
    """Command line of the table of controls."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="of all seeds")
    arguments = parser.parse_args()
    artefact = from_arguments("pretraining_controls", arguments)
    table = build(read_curves(arguments.curves, domains=ALL_HELD_OUT))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
