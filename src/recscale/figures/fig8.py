"""Figure 8: held-out perplexity against training compute, seven domains, four sizes (section 7.3).

The paper reads compute-optimal scaling from four runs of one length. Points inside a run do not say
what a run of that length ends with, so these curves alone identify no frontier; the grey step line
is only the lowest perplexity that any of the runs had reached with so much compute. A frontier is
drawn where joint laws are given and identified: they rest on end points of runs of several lengths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullLocator

from recscale import latex, settings
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_keys
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.figures import style
from recscale.figures.curve_panels import by_size, domain_grid, draw_lines, label_outer, legend
from recscale.labels import DOMAIN_NAMES, short_number, size_label
from recscale.scaling import compute
from recscale.scaling.frontier import frontier, is_identified, ladder_of
from recscale.scaling.joint_fit import JointLaw
from recscale.scaling.joint_law import read_laws
from recscale.tables.run_curves import over_all_tokens, read_curves

KEYS = ("run", "size", "parameters", "non_embedding_parameters")
COUNTING = "non_embedding_parameters"
REACHED: dict[str, Any] = {
    "color": "0.7",
    "linewidth": 2.6,
    "zorder": 1.2,
    "solid_capstyle": "butt",
}
OPTIMAL: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (5, 1.5))}
NOT_IDENTIFIED = (
    "Runs of one length identify no compute frontier: a point inside a run is not the end of a "
    "shorter one."
)


def read_sizes(
    paths: list[Path], costs: compute.Settings, vocabulary: int
) -> dict[str, dict[str, float]]:
    """Parameters and exact FLOPs a token of each run, from manifests.

    Raises:
        UserError: a manifest is broken, comes twice, or does not fit the shapes.
    """
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        manifest = read_keys(path, KEYS)
        if manifest["run"] in found:
            raise UserError(f"{path} is of run {manifest['run']}, which came before", "drop one")
        found[manifest["run"]] = {
            "parameters": manifest["parameters"],
            COUNTING: manifest[COUNTING],
            "flops_per_token": compute.flops_of_run(manifest, costs, vocabulary),
        }
    return found


def plotted(rows: pd.DataFrame, sizes: dict[str, dict[str, float]]) -> pd.DataFrame:
    """One row per run, domain and evaluation.

    Args:
        rows: what `over_all_tokens` returns, one run of each size.
        sizes: what `read_sizes` returns.

    Returns:
        Columns run, size, seed, domain, step, tokens, parameters, non_embedding_parameters,
        tokens_per_parameter (all parameters), flops (exact), flops_6nd (N outside the embedding),
        flops_6nd_all (N all parameters), loss (nats per token), perplexity, lowest: whether no run
        reached this perplexity with less compute.

    Raises:
        UserError: a run has no manifest, or two are of one size.
    """
    runs = rows.groupby("size")["run"].nunique()
    if (runs > 1).any():
        raise UserError(f"--curves hold several runs of {runs.idxmax()}", "pass one run per size")
    missing = sorted(set(rows["run"]) - set(sizes))
    if missing:
        raise UserError(f"--manifests lack run {missing[0]}", "pass the manifest of each curve")
    table = rows[["run", "size", "seed", "domain", "step", "tokens", "loss", "perplexity"]].copy()
    for column in ("parameters", COUNTING, "flops_per_token"):
        table[column] = table["run"].map(lambda run, c=column: sizes[run][c])
    table["tokens_per_parameter"] = table["tokens"] / table["parameters"]
    table["flops"] = table.pop("flops_per_token") * table["tokens"]
    table["flops_6nd"] = compute.six_n_d(table[COUNTING], table["tokens"])
    table["flops_6nd_all"] = compute.six_n_d(table["parameters"], table["tokens"])
    # Step 0 is the base model, whose own training is not counted here.
    order = table[table["tokens"] > 0].sort_values(["domain", "flops", "loss"])
    lowest = order["loss"].eq(order.groupby("domain")["loss"].cummin())
    table["lowest"] = lowest.reindex(table.index, fill_value=False)
    return table


def frontiers(table: pd.DataFrame, content: dict[str, Any] | None) -> dict[str, pd.DataFrame]:
    """The frontier in exact FLOPs of each domain whose joint law is identified.

    It spans the range of the law's own points, and no more.

    Raises:
        UserError: the file of laws has no exact FLOPs of its sizes.
    """
    if content is None:
        return {}
    ladder = ladder_of(content["sizes"], COUNTING)
    if ladder is None:
        raise UserError("--laws have no FLOPs of their sizes", "make them from scaling.collect")
    found = {}
    for domain in HELD_OUT_DOMAINS:
        law: JointLaw | None = content["laws"].get((domain, COUNTING))
        if law is None or not is_identified(law):
            continue
        costs = np.array(law.d) * ladder.flops(np.array(law.n))
        optimal = frontier(law, np.geomspace(costs.min(), costs.max(), 60), ladder)
        optimal = optimal[optimal["inside"]]
        if len(optimal):
            found[domain] = optimal.assign(perplexity=np.exp(optimal["loss"]))
    return found


def flops_axis(axes: Axes) -> None:
    """A logarithmic x axis of FLOPs, with powers of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(LogFormatterMathtext())


def draw(
    table: pd.DataFrame,
    optimal: dict[str, pd.DataFrame],
    parameters: dict[str, int],
    artefact: Artefact,
) -> None:
    """Draw seven panels and a legend to PDF and SVG."""
    style.theme()
    figure, panels, spare = domain_grid()
    drawn = table[table["tokens"] > 0]
    sizes = {str(row.run): str(row.size) for row in each_row(drawn[["run", "size"]])}
    series = by_size(sizes, artefact.rung, parameters)
    for domain, axes in panels.items():
        rows = drawn[drawn["domain"] == domain]
        flops_axis(axes)
        reached = rows[rows["lowest"]].sort_values("flops")
        end = rows["flops"].max()
        axes.step(
            [*reached["flops"], end],
            [*reached["perplexity"], reached["perplexity"].iloc[-1]],
            where="post",
            **REACHED,
        )
        draw_lines(axes, rows, "flops", "perplexity", series)
        if domain in optimal:
            axes.plot(optimal[domain]["flops"], optimal[domain]["perplexity"], **OPTIMAL)
        style.readable_log_axis(axes)
    label_outer(panels, "Training FLOPs", "Perplexity")
    handles = [one.handle() for one in series.values()]
    handles.append(Line2D([], [], label="lowest reached", color="0.7", linewidth=2.6))
    if optimal:
        handles.append(Line2D([], [], label="frontier of\nthe joint law", **OPTIMAL))
    legend(spare[0], handles)
    style.save(figure, artefact)


def sentence(optimal: dict[str, pd.DataFrame], given: bool) -> str:
    """What can be said of a frontier."""
    if not given:
        return NOT_IDENTIFIED
    if not optimal:
        return "The joint law of runs of several lengths identifies no frontier in any domain."
    names = ", ".join(DOMAIN_NAMES[domain] for domain in optimal)
    return (
        f"Dashed: the frontier of the joint law of runs of several lengths, identified for {names}."
    )


def to_latex(table: pd.DataFrame, said: str, parameters: dict[str, int], artefact: Artefact) -> str:
    """The figure, and a table of what each run cost and ended with."""
    caption = (
        f"Held-out perplexity against training compute ({latex.escape(artefact.tag)}), in exact "
        "FLOPs with head and causal attention. Grey: the lowest perplexity any run had reached "
        f"with so much compute. {said}"
    )
    last = table.sort_values("step").groupby(["run", "domain"], sort=False).tail(1)
    lines = []
    for _, rows in sorted(last.groupby("run"), key=lambda item: item[1]["parameters"].iloc[0]):
        run = rows.iloc[0]
        perplexity = rows.set_index("domain")["perplexity"]
        cells = [
            latex.escape(size_label(str(run["size"]), artefact.rung, parameters)),
            short_number(run["tokens"]),
            f"{run['tokens_per_parameter']:.3g}",
            _power(run["flops"]),
            _power(run["flops_6nd"]),
            _power(run["flops_6nd_all"]),
            *(f"{perplexity[domain]:.3f}" for domain in HELD_OUT_DOMAINS),
        ]
        lines.append(latex.row(cells))
    names = [DOMAIN_NAMES[domain] for domain in HELD_OUT_DOMAINS]
    header = [
        r" & & & \multicolumn{3}{c}{FLOPs} & \multicolumn{7}{c}{Last perplexity} \\",
        r"\cmidrule(lr){4-6} \cmidrule(lr){7-13}",
        latex.row(["Size", "Tokens", "$D/N$", "exact", "$6ND$", "$6ND$, all", *names]),
    ]
    values = (
        "What each run cost and ended with. $D/N$: training tokens per parameter, all counted. "
        "$6ND$ leaves attention out; $N$ is outside the embedding, or all parameters."
    )
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    body = latex.tabular("l" + "r" * 12, header, [lines])
    return latex.figure(tag, label, caption, artefact.path("pdf").name, wide=True) + latex.table(
        tag, f"{label}-values", values, body, wide=True
    )


def _power(value: float) -> str:
    digits, power = f"{value:.2e}".split("e")
    return rf"${digits} \cdot 10^{{{int(power)}}}$"


def main() -> None:
    """Command line of Figure 8."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one run per size")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="of these runs")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its manifest.json")
    parser.add_argument("--laws", type=Path, help="from recscale.scaling.joint_law --out")
    parser.add_argument("--settings", required=True, help="JSON: sizes, length")
    parser.add_argument("--target", default="fig8", help="or fig8_frontier, with --laws")
    arguments = parser.parse_args()
    artefact = from_arguments(arguments.target, arguments)
    costs = settings.parse(compute.Settings, arguments.settings)
    sizes = read_sizes(arguments.manifests, costs, compute.read_vocabulary(arguments.tokenizer))
    table = plotted(over_all_tokens(read_curves(arguments.curves)), sizes)
    content = read_laws(arguments.laws) if arguments.laws else None
    optimal = frontiers(table, content)
    parameters = {str(row.size): int(row.parameters) for row in each_row(table)}
    draw(table, optimal, parameters, artefact)
    said = sentence(optimal, content is not None)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, said, parameters, artefact))


if __name__ == "__main__":
    run_command(main)
