"""Supplementary figure: the joint law of size and tokens, and its optimal sizes (section 7.3).

Above, what runs of several lengths ended with, and the law through them. Below, the same law along
lines of equal compute, whose lowest points are the compute-optimal sizes: they are marked only
where the law is identified and they lie in its range. Unmarked lines describe these runs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from recscale import latex
from recscale.artefact import Artefact, command_line, from_arguments
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import by_size, halves, label_outer, legend, panels_in
from recscale.labels import DOMAIN_NAMES, FIT_STATUS, short_number
from recscale.latex import DASH, fixed, interval
from recscale.scaling.frontier import (
    Ladder,
    best_along,
    exponent,
    exponent_interval,
    is_identified,
    iso_flop,
    ladder_of,
)
from recscale.scaling.joint_fit import PARAMETERS, JointLaw
from recscale.scaling.joint_law import read_laws
from recscale.scaling.points import COUNTINGS

COUNTING = COUNTINGS[0]
BUDGETS = 4
LINES: tuple[Any, ...] = ((0, (1, 1)), (0, (4, 1.2, 1, 1.2)), (0, (4, 1.5)), "-")
COUNTED = {"non_embedding_parameters": "outside embedding", "parameters": "all"}
SHOWN = (*HELD_OUT_DOMAINS, "cf", "uih")

Laws = dict[tuple[str, str], JointLaw]


def parameters_table(laws: Laws) -> pd.DataFrame:
    """One row per domain and way to count parameters.

    Returns:
        Columns domain, counting, status, reason, points; e, a, alpha, b, beta with n0 and d0; e,
        alpha and beta with _low and _high (profile, empty where open), all five with _boot_low and
        _boot_high and as huber_; rmse (relative), disagreement (nats, of the two solvers),
        exponent (with which power of compute the best N grows) with _low and _high.
    """
    rows = []
    for (domain, counting), law in laws.items():
        row: dict[str, Any] = {"domain": domain, "counting": counting, "status": str(law.status)}
        row |= {"reason": law.reason, "points": len(law.n), "rmse": law.rmse}
        row |= {name: getattr(law, name) for name in (*PARAMETERS, "n0", "d0", "disagreement")}
        if law.fitted:
            assert law.low is not None and law.high is not None and law.huber is not None
            for name in law.low:
                row |= {f"{name}_low": law.low[name], f"{name}_high": law.high[name]}
            for name, (low, high) in (law.bootstrap or {}).items():
                row |= {f"{name}_boot_low": low, f"{name}_boot_high": high}
            row |= {f"huber_{name}": value for name, value in law.huber.items()}
            row["exponent"] = float(exponent([getattr(law, name) for name in PARAMETERS]))
            row["exponent_low"], row["exponent_high"] = exponent_interval(law)
        rows.append(row)
    return pd.DataFrame(rows)


def draw(
    laws: dict[str, JointLaw],
    sizes: dict[str, dict[str, float]],
    ladder: Ladder,
    artefact: Artefact,
) -> None:
    """Draw the laws of the seven domains over tokens and over sizes to PDF and SVG."""
    style.theme()
    figure, upper, lower = halves(6.4)
    over_tokens, spare_above = panels_in(upper, HELD_OUT_DOMAINS, 4)
    over_sizes, spare_below = panels_in(lower, HELD_OUT_DOMAINS, 4)
    numbers = {size: int(known["parameters"]) for size, known in sizes.items()}
    series = by_size({size: size for size in sizes}, artefact.rung, numbers)
    budgets = _budgets(laws, ladder)
    for domain, axes in over_tokens.items():
        axes.set_xscale("log")
        if domain in laws:
            _over_tokens(axes, laws[domain], sizes, series)
            _plain_ticks(axes, laws[domain].d, 3)
        style.readable_log_axis(axes)
    for domain, axes in over_sizes.items():
        axes.set_xscale("log")
        if domain in laws:
            _over_sizes(axes, laws[domain], ladder, budgets)
        _plain_ticks(axes, ladder.parameters, 2)
        style.readable_log_axis(axes)
    label_outer(over_tokens, "Training tokens", "Loss (nats per token)")
    label_outer(over_sizes, "Parameters $N$", "Loss (nats per token)")
    handles = [one.handle() for one in series.values()]
    legend(spare_above[0], handles, "End of a run, and the law")
    legend(spare_below[0], _budget_handles(budgets), "Equal compute (exact FLOPs)")
    style.save(figure, artefact)


def _plain_ticks(axes: Axes, values: Any, digits: int) -> None:
    """Ticks at the runs' own lengths or sizes."""
    axes.set_xticks(sorted(set(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value, digits)))


def _budgets(laws: dict[str, JointLaw], ladder: Ladder) -> np.ndarray:
    law = next(iter(laws.values()))
    costs = np.array(law.d) * ladder.flops(np.array(law.n))
    return np.geomspace(costs.min(), costs.max(), BUDGETS + 2)[1:-1]


def _over_tokens(
    axes: Axes, law: JointLaw, sizes: dict[str, dict[str, float]], series: dict[str, Any]
) -> None:
    tokens = np.geomspace(min(law.d), max(law.d), 60)
    n, d, loss = (np.array(values) for values in (law.n, law.d, law.loss))
    for size, look in series.items():
        of_size = n == sizes[size][COUNTING]
        axes.plot(d[of_size], loss[of_size], look.marker, color=look.colour)
        if law.fitted:
            axes.plot(
                tokens,
                law.predict(sizes[size][COUNTING], tokens),
                color=look.colour,
                linestyle=look.line,
                linewidth=0.9,
            )


def _over_sizes(axes: Axes, law: JointLaw, ladder: Ladder, budgets: np.ndarray) -> None:
    if not law.fitted:
        return
    sizes = np.geomspace(ladder.parameters[0], ladder.parameters[-1], 80)
    for flops, line, grey in zip(budgets, LINES, _greys(), strict=True):
        losses = iso_flop(law, float(flops), sizes, ladder)
        axes.plot(sizes, losses, color=grey, linestyle=line, linewidth=0.9)
        best = best_along(law, ladder, float(flops))
        within = ladder.parameters[0] < best < ladder.parameters[-1]
        if is_identified(law) and within:
            loss = iso_flop(law, float(flops), np.array([best]), ladder)
            axes.plot([best], loss, "*", color=grey, markersize=6)


def _greys() -> list[str]:
    return [matplotlib.colors.to_hex((level,) * 3) for level in (0.65, 0.5, 0.3, 0.0)]


def _budget_handles(budgets: np.ndarray) -> list[Line2D]:
    handles = []
    for flops, line, grey in zip(budgets, LINES, _greys(), strict=True):
        digits, power = f"{flops:.1e}".split("e")
        label = rf"${digits} \cdot 10^{{{int(power)}}}$"
        handles.append(Line2D([], [], color=grey, linestyle=line, label=label))
    handles.append(
        Line2D([], [], color="0.3", marker="*", linestyle="none", label="optimal size", ms=6)
    )
    return handles


def sentence(table: pd.DataFrame) -> str:
    """In how many domains the law, and with it a frontier, is identified."""
    rows = table[(table["counting"] == COUNTING) & table["domain"].isin(HELD_OUT_DOMAINS)]
    found = [DOMAIN_NAMES[d] for d in rows.loc[rows["status"] == "converged", "domain"]]
    if not found:
        return "The law is identified in none of the seven domains, so no optimum is marked."
    return f"The law is identified for {', '.join(found)}."


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The figure, and tables of the parameters and of why laws are not identified."""
    caption = (
        "The joint law $L(N, D) = E + A (N/N_0)^{-\\alpha} + B (D/D_0)^{-\\beta}$ of runs of "
        f"several lengths ({latex.escape(artefact.tag)}). Above: what each run ended with, and the "
        "law; below: the law along lines of equal compute over $N$ outside the embedding, with the "
        f"optimal size where it is identified. {sentence(table)}"
    )
    groups = []
    for domain in SHOWN:
        group: list[str] = []
        for row in table[table["domain"] == domain].to_dict("records"):
            cells = ["" if group else DOMAIN_NAMES[domain], COUNTED[row["counting"]]]
            for name, digits in (("e", 3), ("alpha", 2), ("beta", 2)):
                cells.append(_with_interval(row, name, digits))
            cells += [fixed(row["a"], 3), fixed(row["b"], 3)]
            cells.append(_with_interval(row, "exponent", 2))
            cells.append(DASH if row["rmse"] is None else fixed(100 * row["rmse"], 2))
            status = row["status"]
            cells.append(FIT_STATUS.get(status, status.replace("_", " ")))
            group.append(latex.row(cells))
        if group:
            groups.append(group)
    names = ["Domain", "$N$", "$E$", r"$\alpha$", r"$\beta$", "$A$", "$B$"]
    names += [r"$\beta/(\alpha+\beta)$", r"rms (\%)", "Fit"]
    values = (
        "Parameters of the joint laws, $A$ and $B$ at the geometric means $N_0$ and $D_0$ of the "
        "runs, with 95\\,\\% profile intervals; a dash is an end that the runs do not bound. The "
        "optimal size grows as compute to the power $\\beta/(\\alpha+\\beta)$, with an interval of "
        "the bootstrap. $E$ depends on the tokenizer and does not compare across rungs."
    )
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("llrrrrrrrl", [latex.row(names)], groups)
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def _with_interval(row: Mapping[Any, Any], name: str, digits: int) -> str:
    value, low, high = (
        float("nan") if row.get(key) is None else float(row[key])
        for key in (name, f"{name}_low", f"{name}_high")
    )
    return DASH if np.isnan(value) else f"{fixed(value, digits)} {interval(low, high, digits)}"


def main() -> None:
    """Command line of the figure."""
    parser = command_line(__doc__)
    parser.add_argument("--laws", type=Path, required=True, help="from scaling.joint_law --out")
    arguments = parser.parse_args()
    artefact = from_arguments("joint_law", arguments)
    content = read_laws(arguments.laws)
    laws: Laws = content["laws"]
    ladder = ladder_of(content["sizes"], COUNTING)
    shown = {d: laws[d, COUNTING] for d in HELD_OUT_DOMAINS if (d, COUNTING) in laws}
    if ladder is None or not shown:
        raise UserError(
            f"{arguments.laws} has no laws over {COUNTING} with exact FLOPs",
            "fit them to the points of recscale.scaling.collect",
        )
    table = parameters_table({key: law for key, law in laws.items() if key[0] in SHOWN})
    draw(shown, content["sizes"], ladder, artefact)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
