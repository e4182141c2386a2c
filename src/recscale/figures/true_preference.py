"""Supplementary figure: what a bias of the log costs models trained on walks and on real histories.

The paper explains Figure 1 by biases that walks remove (sections 3.2 and 4.3). In simulated
marketplaces with one bias at a strength, `recscale.ranking.world_trial` measures both arms on true
preference. If the explanation holds, TSTR minus TRTR grows with the strength.

A bias changes which items the arms have in common, and fewer items are easier to rank. So recall is
adjusted for chance, (recall - random) / (best - random) as Hubert and Arabie (1985) adjust the Rand
index: 0 is a random order of the same items, 1 the order by true preference. Differences and their
change from no bias are taken seed by seed, since a seed has the same listings and users throughout;
intervals are Student's t over seeds, each with a world and trainings of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_tables
from recscale.claims.intervals import Interval, over_seeds
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.latex import fixed, interval

ARMS = ("tstr", "trtr")
ORDERS = ("popularity", "random", "best")
REFERENCE = "none"
DIALS = {
    "position_bias": "position bias",
    "popularity_bias": "popularity bias",
    "exposure_bias": "exposure bias",
    "noise": "noise",
}
SHOWN_CUTOFF = 10
NOTHING = Interval(np.nan, np.nan, np.nan)
GREYS: dict[str, dict[str, Any]] = {
    "popularity": {"color": style.GREY, "linewidth": 0.8, "linestyle": "-"},
    "random": {"color": style.GREY, "linewidth": 0.8, "linestyle": ":"},
}
GREY_NAMES = {"popularity": "most popular first", "random": "random order"}


def _interval(values: pd.Series) -> Interval:
    """The t interval; without ends for a single seed."""
    if len(values) < 2:
        return Interval(float(values.mean()), np.nan, np.nan)
    return over_seeds(values.to_numpy())


def _reading(change: Interval) -> str:
    if np.isnan(change.low):
        return "one seed"
    return "grows" if change.above(0) else "shrinks" if change.below(0) else "unclear"


def _per_seed(rows: pd.DataFrame, column: str, where: str) -> pd.DataFrame:
    """A column of one world and cutoff: a row per seed, in order, and a column per arm."""
    if rows.duplicated(["seed", "arm"]).any():
        raise UserError(f"--trials hold rows of {where} twice", "pass each file once")
    table = rows.pivot(index="seed", columns="arm", values=column).reindex(columns=[*ARMS, *ORDERS])
    missing = [str(arm) for arm in table.columns[table.isna().any()]]
    if missing or table.empty:
        raise UserError(
            f"--trials lack {', '.join(missing) or 'all rows'} of {where}", "run that trial again"
        )
    return table


def measure(trials: pd.DataFrame) -> pd.DataFrame:
    """Both arms at every strength of every dial, and how their difference changes with it.

    Args:
        trials: contract `world_trials`, the dial `none` among them.

    Returns:
        One row per dial, model, cutoff and strength, 0 (the trial of `none`) first: columns dial,
        model, k, strength, seeds, n_test and items (means over seeds), examples; tstr, trtr,
        difference (TSTR - TRTR) and change (of the difference, from strength 0), each also with
        _low and _high, and popularity, all of adjusted recall; reading (grows, shrinks, unclear,
        one seed; empty at strength 0); true recall itself of tstr, trtr, popularity, random, best,
        with _recall, and recall of the log's next item, with _logged.

    Raises:
        UserError: the reference, a dial, an arm or a seed is missing, or rows are there twice.
    """
    reference = trials[trials["dial"] == REFERENCE]
    if reference.empty:
        raise UserError("--trials hold no trial of the dial none", "pass that of strength 0 too")
    dials = [dial for dial in DIALS if (trials["dial"] == dial).any()]
    if not dials:
        raise UserError("--trials hold no dial but none", f"known dials: {', '.join(DIALS)}")
    rows: list[dict[str, Any]] = []
    for dial in dials:
        together = pd.concat([reference, trials[trials["dial"] == dial]])
        for model in sorted(together.loc[together["arm"].isin(ARMS), "model"].unique()):
            of_model = together[together["model"].isin([model, *ORDERS])]
            for k, of_k in of_model.groupby("k"):
                rows += _strengths(of_k, {"dial": dial, "model": model, "k": k})
    return pd.DataFrame(rows)


def _strengths(trials: pd.DataFrame, labels: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one dial, model and cutoff."""
    rows: list[dict[str, Any]] = []
    unbiased = pd.Series(dtype=float)
    for strength, found in trials.groupby("strength"):
        where = f"{labels['model']}, {labels['dial']} at {strength:g}, recall@{labels['k']}"
        recall = _per_seed(found, "true_recall", where)
        above_chance = recall.sub(recall["random"], axis=0)
        adjusted = above_chance.div(above_chance["best"], axis=0)
        difference = adjusted["tstr"] - adjusted["trtr"]
        if not rows:
            unbiased = difference
        if not difference.index.equals(unbiased.index):
            raise UserError(
                f"{where} has other seeds than the trial of the dial none",
                "run all trials with the same ranking.seeds",
            )
        trained = found[found["arm"].isin(ARMS)]
        row: dict[str, Any] = {**labels, "strength": strength, "seeds": len(recall)}
        row |= {name: trained[name].mean() for name in ("n_test", "items", "examples")}
        for arm in ARMS:
            row |= _columns(arm, _interval(adjusted[arm]))
        row["popularity"] = adjusted["popularity"].mean()
        row |= _columns("difference", _interval(difference))
        change = _interval(difference - unbiased) if rows else NOTHING
        row |= _columns("change", change) | {"reading": _reading(change) if rows else ""}
        row |= {f"{arm}_recall": recall[arm].mean() for arm in recall}
        logged = _per_seed(found, "logged_recall", where)
        row |= {f"{arm}_logged": logged[arm].mean() for arm in logged}
        rows.append(row)
    return rows


def _columns(name: str, found: Interval) -> dict[str, float]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}


def shown_cutoff(table: pd.DataFrame) -> int:
    """The K that is drawn: 10, or the middle one where 10 was not measured."""
    cutoffs = sorted(table["k"].unique())
    return SHOWN_CUTOFF if SHOWN_CUTOFF in cutoffs else int(cutoffs[len(cutoffs) // 2])


def draw(table: pd.DataFrame, artefact: Artefact) -> None:
    """Draw `measure`'s table at one cutoff to PDF and SVG: a row per model, a panel per dial."""
    style.theme()
    k = shown_cutoff(table)
    shown = table[table["k"] == k]
    dials, models = (list(dict.fromkeys(shown[name])) for name in ("dial", "model"))
    width = style.DOUBLE_COLUMN * min(1.0, 0.25 * max(2, len(dials)))
    figure, grid = plt.subplots(
        *(len(models), len(dials)),
        figsize=(width, 0.45 + 1.55 * len(models)),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for line, model in zip(grid, models, strict=True):
        for axes, dial in zip(line, dials, strict=True):
            _panel(axes, shown[(shown["dial"] == dial) & (shown["model"] == model)])
        line[0].set_ylabel(f"Adjusted true recall@{k}" + (f"\n{model}" if len(models) > 1 else ""))
    for axes, dial in zip(grid[0], dials, strict=True):
        axes.set_title(DIALS[dial])
    for axes in grid[-1]:
        axes.set_xlabel("strength")
    handles = [
        Line2D(
            *([], []),
            color=style.ARM_COLOURS[arm],
            marker=style.ARM_MARKERS[arm],
            linestyle=style.ARM_LINES[arm],
            label=style.ARM_NAMES[arm],
        )
        for arm in ARMS
    ]
    handles += [Line2D([], [], label=GREY_NAMES[name], **line) for name, line in GREYS.items()]
    columns = len(handles) if len(dials) > 2 else 2
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)
    style.save(figure, artefact)


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    strengths = rows["strength"].to_numpy()
    axes.axhline(0, zorder=1, **GREYS["random"])
    axes.plot(strengths, rows["popularity"], zorder=1, **GREYS["popularity"])
    for arm, aside in zip(ARMS, (-0.02, 0.02), strict=True):
        values = rows[arm].to_numpy()
        ends = np.abs(rows[[f"{arm}_low", f"{arm}_high"]].to_numpy().T - values)
        colour = style.ARM_COLOURS[arm]
        # Only the points stand apart: lines moved sideways would seem to lie above one another.
        axes.plot(strengths, values, color=colour, linestyle=style.ARM_LINES[arm], zorder=2)
        axes.errorbar(
            strengths + aside,
            values,
            yerr=np.nan_to_num(ends),  # a single seed has no bar
            color=colour,
            marker=style.ARM_MARKERS[arm],
            linestyle="none",
            capsize=1.5,
            elinewidth=0.8,
            zorder=3,
        )
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlim(-0.08, 1.08)


def sentence(table: pd.DataFrame) -> str:
    """Whether TSTR minus TRTR grows with each dial: from no bias to its largest strength."""
    shown = table[(table["k"] == shown_cutoff(table)) & (table["strength"] > 0)]
    last = shown.loc[shown.groupby(["model", "dial"], sort=False)["strength"].idxmax()]
    parts = []
    for model, rows in last.groupby("model", sort=False):
        said = (
            f"{DIALS[row.dial]} {row.change:+.3f} {interval(row.change_low, row.change_high, 3)}, "
            f"{row.reading}"
            for row in each_row(rows)
        )
        parts.append(f"{model}: {'; '.join(said)}.")
    return (
        "If walks remove a bias that real histories keep, TSTR minus TRTR grows with it. "
        "Its change from no bias to the largest strength, each with an interval of its own: "
        f"{' '.join(parts)}"
    )


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure and, below it, a table of all its values."""
    first, items, k = table.iloc[0], table["items"], shown_cutoff(table)
    caption = (
        f"True recall@{k} of models trained on synthetic walks (TSTR) and on real histories (TRTR) "
        f"in simulated marketplaces whose log has one bias ({latex.escape(artefact.tag)}; "
        f"{first['seeds']} seeds, each a world of its own; {items.min():,.0f} to "
        f"{items.max():,.0f} items, {first['examples']:,.0f} examples in either arm). Adjusted for "
        f"chance: 0 is a random order, 1 the best possible. Bars: 95\\,\\% t intervals over seeds. "
        f"{latex.escape(sentence(table))}"
    )
    groups: dict[tuple[str, str], list[str]] = {}
    for row in each_row(table):
        cells = [latex.escape(row.model), DIALS[row.dial], f"{row.strength:g}", f"{row.k}"]
        for name in (*ARMS, "difference", "change"):
            value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
            ends = "" if np.isnan(low) else f" {interval(low, high, 3)}"
            cells.append(fixed(value, 3) + ends)
        cells += [fixed(getattr(row, f"{name}_recall"), 3) for name in (*ARMS, *ORDERS[1:])]
        groups.setdefault((row.model, row.dial), []).append(latex.row(cells))
    names = ["Model", "Dial", "Strength", "K", "TSTR", "TRTR", "TSTR - TRTR", "Change"]
    header = [latex.row([*names, "TSTR", "TRTR", "Random", "Best"])]
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("llrrrrrrrrrr", header, list(groups.values()))
    values = (
        f"The values of Figure~\\ref{{fig:{label}}}, adjusted for chance, and on the right true "
        "recall itself."
    )
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def main() -> None:
    """Command line of the figure."""
    parser = command_line(__doc__)
    parser.add_argument("--trials", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("true_preference", arguments)
    table = measure(read_tables(arguments.trials, "world_trials"))
    draw(table, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
