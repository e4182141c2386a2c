"""Small audits and controls for the tests of the report: commands, and what they read."""

import json
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import joint_inputs
import tidy_inputs
from recscale import files
from recscale.contracts import HELD_OUT_DOMAINS, LAWS, POOLED_DOMAINS
from recscale.figures import (
    fidelity,
    fig4,
    fig8,
    forecast_seen,
    joint_law,
    repetition,
    residuals,
    specification,
    true_preference,
    verdicts,
)
from recscale.scaling import fit
from recscale.scaling import repetition as repetition_laws
from recscale.scaling.joint_law import fit_points
from recscale.tables import (
    pretraining_controls,
    privacy,
    ranking_arms,
    rivals,
    table1,
    table4_seeds,
)
from tidy_inputs import SIZES

Command = tuple[Callable[[], None], list[object]]
AUDIT = ["audit", "measure", "group", "value", "low", "high", "n"]
COUNTING = "non_embedding_parameters"


def run(main: Callable[[], None], *arguments: object) -> None:
    """Run a command."""
    before = sys.argv
    try:
        sys.argv = ["command", *map(str, arguments)]
        main()
    finally:
        sys.argv = before


def audit(name: str, rows: list[tuple[object, ...]], folder: Path) -> Path:
    """Write an audit's table."""
    path = folder / f"{name}.csv"
    files.write_csv(pd.DataFrame([(name, *row) for row in rows], columns=AUDIT), path)
    return path


def audits(folder: Path) -> dict[str, Command]:
    """Commands of Table 1, fidelity and privacy."""
    nan = np.nan
    bias = [
        *[("gini", "real log", 0.5, 0.4, 0.6, 9), ("gini", "walks", 0.8, 0.7, 0.9, 9)],
        ("unshared_pairs", "real log", 0.5, 0.4, 0.6, 9),
        ("unshared_pairs", "walks", 0.1, 0.05, 0.2, 9),
        ("bias_of_log", "world:noise=1", 0.2, 0.1, 0.3, 3),
        ("bias_of_walks", "world:noise=1", 0.02, 0.01, 0.03, 3),
        ("bias_kept", "world:noise=1", 0.1, 0.05, 0.2, 3),
    ]
    distances: list[tuple[object, ...]] = [("half_users", "real log", 60, nan, nan, 120)]
    for name in (*fidelity.DISTANCES, "transitions_seen"):
        for group, value in (("walks", 0.5), ("real-against-real", 0.2)):
            distances.append((name, group, value, value - 0.1, value + 0.1, 120))
    distances.append(("transitions_seen", "shuffled walks", 0.4, 0.3, 0.5, 120))
    for name in ("popularity_js", "length_js"):
        distances.append((f"{name}_ratio", "walks", 2.5, 2.0, 3.0, 120))
    for name in ("popularity", "length", "category", "category_pairs"):
        distances += [(f"{name}_p", "walks", 0.002, nan, nan, 120)]
        distances += [(f"{name}_p", "real-against-real", 0.6, nan, nan, 120)]
    curves = [
        (name, group, x, 0.5)
        for name in ("popularity", "popularity_by_real", "length")
        for group in ("real log", "walks")
        for x in (1, 2, 4)
    ]
    files.write_csv(
        pd.DataFrame(curves, columns=list(fidelity.CURVES)), folder / "distributions.csv"
    )
    secrets: list[tuple[object, ...]] = [
        ("fewest_users", "training rules", 5, nan, nan, 90),
        ("kept_out_users", "real log", 120, nan, nan, 240),
        ("copied_3_difference", "walks", 0.02, -0.01, 0.05, 240),
    ]
    for number, group in enumerate(("walks", "rewired walks", "real stretches"), start=1):
        secrets.append(("copied_3", group, 0.1 * number, 0.08 * number, 0.12 * number, 400))
        secrets.append(("membership_auc", group, 0.3 * number, 0.2, 0.95, 240))
    for name, value in (("rules", 900.0), ("items", 80.0), ("next_item", 0.7), ("recall", 0.2)):
        secrets.append((f"anonymity_{name}", "5 users", value, nan, nan, 77))
    return {
        "table1": (table1.main, ["--bias", audit("bias", bias, folder)]),
        "fidelity": (
            fidelity.main,
            [
                *("--fidelity", audit("fidelity", distances, folder)),
                *("--distributions", folder / "distributions.csv"),
            ],
        ),
        "privacy": (privacy.main, ["--privacy", audit("privacy", secrets, folder)]),
    }


def ledgers(folder: Path) -> dict[str, Command]:
    """Both ledgers, of which the one with the controls decides one claim more, and their pages."""
    table = pd.read_csv(tidy_inputs.verdicts(folder), dtype=str)
    table = table.assign(ours=[f"{i} of 99" for i in range(len(table))], reference="")
    open_ = table.index[table["verdict"] == "inconclusive"]
    table.loc[open_[0], "reference"] = "contradicted with controls"
    files.write_csv(table, folder / "verdicts.csv")
    table.loc[open_[1], "verdict"] = "contradicted"
    files.write_csv(table.assign(reference=""), folder / "verdicts_controls.csv")
    return {
        target: (verdicts.main, ["--target", target, "--verdicts", folder / f"{target}.csv"])
        for target in ("verdicts", "verdicts_controls")
    }


def arms(folder: Path) -> list[Path]:
    """Ranks of the arms that could refute Figure 1, of one model."""
    table = files.read_table(tidy_inputs.ranks(folder, "SASRec", seeds=2), "ranks")
    others = [
        table[table["arm"] == like].assign(arm=arm)
        for arm, like in (("trtr_shuffled", "trtr"), ("tstr_rewired", "tstr"), ("both", "tstr"))
    ]
    stopped = table.assign(validation="walks")
    path = folder / "arms.parquet"
    files.write_table(pd.concat([table, *others, stopped], ignore_index=True), path, "ranks")
    return [path]


def trials(folder: Path) -> list[Path]:
    """Trials of one bias, in which walks lose less than real histories do."""
    paths = []
    for dial, strength in (("none", 0.0), ("position_bias", 1.0)):
        rows = []
        for seed, k in product(range(3), (10, 100)):
            lost = {"trtr": 0.3 * strength, "popularity": 0.4, "random": 0.5, "best": -0.5}
            for arm in ("tstr", *lost):
                trained = arm in ("tstr", "trtr")
                labels = {"dial": dial, "strength": strength, "arm": arm, "seed": seed, "k": k}
                recall = 0.5 - lost.get(arm, 0.0) + 0.01 * seed * trained
                counts = {"n_test": 700, "items": 500, "examples": 4000 * trained}
                measured = {"model": "GRU4Rec" if trained else arm, "true_recall": recall}
                rows.append({**labels, **measured, **counts, "logged_recall": 0.2})
        paths.append(folder / f"{dial}.parquet")
        files.write_table(pd.DataFrame(rows), paths[-1], "world_trials")
    return paths


def seeds_of(folder: Path, size: str) -> Path:
    """Intervals of the laws of a size over three seeds."""
    domains = (*HELD_OUT_DOMAINS, *POOLED_DOMAINS)
    methods = (("seeds", 3), ("cluster", 3), ("block_bootstrap", 1))
    rows = [
        {
            **{"size": size, "kind": "full", "domain": domain, "parameter": parameter},
            **{"method": method, "runs": count, "converged": count - 1},
            **{"estimate": 1.0, "low": 0.9, "high": None if domain == "general" else 1.1},
        }
        for domain, parameter, (method, count) in product(domains, ("alpha", "l_inf"), methods)
    ]
    path = folder / size / "uncertainty.parquet"
    files.write_table(pd.DataFrame(rows).astype({"high": float}), path, "uncertainty")
    return path


def rivals_of(folder: Path) -> Path:
    """Rivals of two curves, one of which rises again; the power law is the best of both."""
    rows = []
    for domain, status in (("general", "converged"), ("uih_ood", "not_monotone")):
        for place, law in enumerate(LAWS):
            labels = {"run": "size1-full", "size": "size1", "seed": 0, "domain": domain}
            fitted = {"law": law, "parameters": 1 + place, "status": status, "rmse": 0.01}
            points = {"n_points": 10, "n_first": 6, "n_rest": 4, "aicc": 3.0 * place - 50}
            errors = {"extrapolation_rmse": 0.01 * (place + 1), "extrapolation_bias": 0.001}
            rows.append({**labels, **fitted, **points, "delta_aicc": 3.0 * place, **errors})
    path = folder / "rivals.parquet"
    files.write_table(pd.DataFrame(rows), path, "rivals")
    return path


def recipes_of(folder: Path) -> Path:
    """Four recipes for one claim, one of which does not apply."""
    told = {"claim": "alpha_hierarchy", "quantity": "alpha_uih_minus_cf", "burn_in": 0.06}
    usual = dict.fromkeys(("range", "spacing", "objective", "law", "tokens", "pool"), "usual")
    rows = []
    for place, law in enumerate(("plain", "annealing", "huber", "none")):
        known = law != "none"
        value = {"estimate": 0.1 * place, "low": 0.1 * place - 0.05, "high": 0.1 * place + 0.05}
        said = {"identified": 1.0, "status": "converged", "verdict": ("open", "agrees")[place > 0]}
        found = {**value, **said, "on_side": place > 0} if known else {"left_out": "too few"}
        threshold = {"sign": "above", "threshold": 0.0, "upper": None}
        rows.append({**told, **usual, **threshold, "law": law, "default": place == 0, **found})
    columns = [name for name in specification.NEEDED if name not in ("upper", "left_out")]
    path = folder / "specification.csv"
    table = pd.DataFrame(rows, columns=[*columns, "upper", "left_out"])
    files.write_csv(table, path)
    return path


def laws(folder: Path) -> dict[str, Command]:
    """Commands of residuals, joint laws, forecasts and repetition."""
    chosen = json.dumps({"burn_in": tidy_inputs.BURN_IN, "pool": "token_weighted"})
    fitted, left = folder / "fitted.csv", folder / "residuals.parquet"
    outputs = ["--out", fitted, "--residuals", left]
    run(fit.main, "--curves", folder / "size3" / "curves.parquet", *outputs, "--settings", chosen)
    points = pd.concat(
        [joint_inputs.points(0.003, i, domain) for i, domain in enumerate(HELD_OUT_DOMAINS)]
    )
    files.write_csv(points, folder / "points.csv")
    files.write_json(fit_points(points, (COUNTING,), 20, 0), folder / "laws.json")
    kinds = ["full", "uih", "cf_uih", "item_uih", "uih_fresh", *tidy_inputs.RATIOS]
    curves = tidy_inputs.run_files(folder, kinds, "curves.parquet")
    worth = folder / "worth.json"
    run(repetition_laws.main, "--curves", *curves, "--out", worth, "--settings", chosen)
    return {
        "residuals": (residuals.main, ["--residuals", left, "--fits", fitted]),
        "joint_law": (joint_law.main, ["--laws", folder / "laws.json"]),
        "forecast_seen": (forecast_seen.main, ["--points", folder / "points.csv"]),
        "repetition": (repetition.main, ["--laws", worth]),
        "specification": (specification.main, ["--specifications", recipes_of(folder)]),
    }


def controls(folder: Path, fig8_arguments: Sequence[object]) -> dict[str, Command]:
    """Commands of the controls, after `tidy_inputs.runs_of_figures`."""
    kinds = ("full", "uih", "cf_uih", "uih_matched", "uih_fresh", "cf")
    contrasted = [tidy_inputs.curves(folder, size, "real", i) for size in SIZES for i in range(3)]
    contrasted += tidy_inputs.run_files(folder, kinds, "curves.parquet")
    return {
        "ranking_controls": (
            ranking_arms.main,
            [
                *("--target", "ranking_controls", "--ranks", *arms(folder / "arms")),
                *("--cutoffs", 10, 100, "--seed", 1, "--replicates", 50),
            ],
        ),
        "true_preference": (true_preference.main, ["--trials", *trials(folder)]),
        "pretraining_controls": (pretraining_controls.main, ["--curves", *contrasted]),
        "fig4_controls": (
            fig4.main,
            tidy_inputs.figure_arguments("fig4_controls", folder, Path())[:-4],
        ),
        "table4_seeds": (
            table4_seeds.main,
            [
                *("--uncertainty", *(seeds_of(folder, size) for size in SIZES)),
                *("--fits", *(folder / size / "fits.csv" for size in SIZES)),
            ],
        ),
        "rival_laws": (rivals.main, ["--rivals", rivals_of(folder)]),
        **laws(folder),
        "fig8_frontier": (
            fig8.main,
            ["--target", "fig8_frontier", "--laws", folder / "laws.json", *fig8_arguments],
        ),
    }
