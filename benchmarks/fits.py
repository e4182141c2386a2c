"""How long a scaling-law fit takes, and how often its intervals hold the truth.

python benchmarks/fits.py [--simulations 1000] fits planted curves over the paper's range of tokens
(4 to 163.84 billion). Times are CPU seconds of one thread beside scipy's curve_fit, which gives a
point and no interval. Prints tables and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
from scipy.optimize import curve_fit  # noqa: E402

from recscale import seeds  # noqa: E402
from recscale.scaling.onset import find_onset  # noqa: E402
from recscale.scaling.power_law import PowerLaw, Status, fit_power_law  # noqa: E402
from recscale.scaling.two_solvers import fit_curve  # noqa: E402
from recscale.scaling.uncertainty import Interval, block_bootstrap, clustered, over_runs  # noqa: E402

FIRST, LAST = 4e9, 163.84e9
L_INF, A, ALPHA = 0.66, 0.8, 0.564  # UIH at 4B in Table 4; A at 10^9 tokens is ours
NOISE = 0.002
TRUTH = {"alpha": ALPHA, "l_inf": L_INF}
GENERAL = {"l_inf": 0.82, "a": 1.5, "alpha": 0.026}  # Table 4, 4B; ends at a perplexity of 8.6
CURVES = 30


def law(tokens: np.ndarray, l_inf: float = L_INF, a: float = A, alpha: float = ALPHA) -> np.ndarray:
    """Planted losses without noise."""
    return l_inf + a * (tokens / 1e9) ** -alpha


def autocorrelated(generator: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """AR(1) errors of standard deviation 1, shape `(n,)`."""
    errors = generator.normal(size=n)
    for i in range(1, n):
        errors[i] = rho * errors[i - 1] + np.sqrt(1 - rho**2) * errors[i]
    return errors


def profile(found: PowerLaw) -> dict[str, Interval]:
    """The profile-likelihood intervals of one fit."""
    return {
        name: Interval(
            getattr(found, name), getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
        )
        for name in TRUTH
    }


def times() -> dict[str, float]:
    """CPU milliseconds a curve of three ways to fit, and how far the solvers differ."""
    tokens = np.geomspace(FIRST, LAST, 14)
    curves = [
        law(tokens) + NOISE * seeds.generator(0, "times", i).normal(size=14) for i in range(CURVES)
    ]
    centre = np.exp(np.mean(np.log(tokens)))

    def plain(loss: np.ndarray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return curve_fit(
                lambda d, l_inf, a, alpha: l_inf + a * d**-alpha,
                tokens / centre,
                loss,
                p0=[0.5, 0.2, 0.5],
            )[0][2]

    ways = {
        "curve_fit": plain,
        "with_profiles": lambda loss: fit_power_law(tokens, loss),
        "with_both_solvers": lambda loss: fit_curve(tokens, loss),
    }
    spent = {}
    for name, way in ways.items():
        way(curves[0])
        before = time.process_time()
        for loss in curves:
            way(loss)
        spent[name] = 1e3 * (time.process_time() - before) / CURVES
    fits = [fit_curve(tokens, loss) for loss in curves]
    spent["largest_difference_nats"] = max(fit.solver_difference or 0.0 for fit in fits)
    spent["largest_difference_huber"] = max(fit.huber_difference or 0.0 for fit in fits)
    return spent


def white(simulations: int, n: int) -> dict[str, float]:
    """How often the profile intervals hold the truth under white noise."""
    tokens = np.geomspace(FIRST, LAST, n)
    held = []
    for i in range(simulations):
        errors = NOISE * seeds.generator(1, "white", n, i).normal(size=n)
        intervals = profile(fit_power_law(tokens, law(tokens) + errors))
        held.append([intervals[name].covers(truth) for name, truth in TRUTH.items()])
    alpha, l_inf = np.mean(held, axis=0)
    return {"alpha": alpha, "l_inf": l_inf, "both": np.mean(np.all(held, axis=1))}


def ar1(simulations: int, runs: int, rho: float = 0.8) -> dict[str, dict[str, float]]:
    """How often intervals of several kinds hold the truth under autocorrelated noise."""
    n = 14
    tokens = np.geomspace(FIRST, LAST, n)
    held: dict[str, list[list[bool]]] = {}
    for i in range(simulations):
        generator = seeds.generator(2, "ar1", runs, i)
        curves = [
            (tokens, law(tokens) + NOISE * autocorrelated(generator, n, rho)) for _ in range(runs)
        ]
        laws = [fit_power_law(*curve) for curve in curves]
        found = {"seeds": over_runs(laws), "cluster": clustered(curves, laws)}
        found["profile, one run"] = profile(laws[0])
        found["block bootstrap, one run"] = block_bootstrap(*curves[0], generator, 299)
        for name, intervals in found.items():
            covered = [intervals[parameter].covers(truth) for parameter, truth in TRUTH.items()]
            held.setdefault(name, []).append(covered)
    return {
        name: dict(zip(TRUTH, np.mean(rows, axis=0), strict=True)) for name, rows in held.items()
    }


def unidentified(simulations: int, tokens: np.ndarray, noise: float) -> float:
    """How often General's small alpha is reported as not identified."""
    statuses = [
        fit_power_law(
            tokens,
            law(tokens, **GENERAL)
            + noise * seeds.generator(3, "general", str(noise), i).normal(size=len(tokens)),
        ).status
        for i in range(simulations)
    ]
    return float(np.mean([status is Status.NOT_IDENTIFIED for status in statuses]))


def rising(simulations: int, height: float) -> dict[str, float]:
    """Curves that end `height` standard deviations of the noise above their minimum.

    The number of evaluations (10 to 40), the onset and the shape of the rise are drawn.

    Returns:
        How many get an alpha, how many onsets lie in their interval, and its mean length in
        evaluations.
    """
    fine = np.geomspace(FIRST, LAST, 20_000)
    with_alpha, held, lengths = [], [], []
    for i in range(simulations):
        generator = seeds.generator(4, "rising", str(height), i)
        n = int(generator.choice([10, 14, 20, 40]))
        tokens = np.geomspace(FIRST, LAST, n)
        # The rise begins before the last two evaluations: one point alone is no rise.
        start = np.exp(generator.uniform(np.log(FIRST), np.log(tokens[-3])))
        power = int(generator.integers(1, 3))

        def rise(at: np.ndarray, start: float = start, power: int = power) -> np.ndarray:
            return np.maximum(0.0, np.log(at / start)) ** power

        low, high = 0.0, 1e4
        for _ in range(60):
            scale = (low + high) / 2
            whole = law(fine) + scale * rise(fine)
            low, high = (low, scale) if whole[-1] - whole.min() > height * NOISE else (scale, high)
        onset = fine[np.argmin(law(fine) + high * rise(fine))]
        loss = law(tokens) + high * rise(tokens) + NOISE * generator.normal(size=n)
        with_alpha.append(fit_power_law(tokens, loss).alpha is not None)
        found = find_onset(tokens, loss)
        assert found is not None
        _, first, last = found.at(tokens)
        held.append(Interval(onset, first, last).covers(onset))
        lengths.append((n if found.high is None else found.high) - (found.low or 0))
    return {
        "alpha": float(np.mean(with_alpha)),
        "onset": float(np.mean(held)),
        "evaluations": float(np.mean(lengths)),
    }


def main() -> None:
    """Print the tables and the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    count = parser.parse_args().simulations
    spent = times()
    plain = spent["curve_fit"]
    print(f"{'way':<22}{'ms a curve':>12}{'/curve_fit':>12}")
    for name in ("curve_fit", "with_profiles", "with_both_solvers"):
        print(f"{name:<22}{spent[name]:>12.2f}{spent[name] / plain:>12.1f}")
    print(f"30 curves with profiles and both solvers: {30e-3 * spent['with_both_solvers']:.2f} s")

    print(f"\n{'interval':<28}{'noise':>8}{'alpha':>8}{'L_inf':>8}")
    at_14, at_40 = white(count, 14), white(count, 40)
    for n, found in ((14, at_14), (40, at_40)):
        print(
            f"{f'profile, {n} points':<28}{'white':>8}{found['alpha']:>8.3f}{found['l_inf']:>8.3f}"
        )
    five, three = ar1(count, 5), ar1(count, 3)
    for runs, table in ((5, five), (3, three)):
        for name, found in table.items():
            shown = name if "one run" in name else f"{name}, {runs} runs"
            if runs == 5 or shown != name:
                print(f"{shown:<28}{'AR(1)':>8}{found['alpha']:>8.3f}{found['l_inf']:>8.3f}")

    print(f"\n{'General, alpha 0.026':<28}{'noise':>8}{'not identified':>16}")
    rates = []
    for shape, tokens in (
        ("40 linear points", np.linspace(FIRST, LAST, 40)),
        ("14 log-spaced points", np.geomspace(FIRST, LAST, 14)),
    ):
        for noise in (5e-4, 2e-3):
            rates.append(unidentified(count, tokens, noise))
            print(f"{shape:<28}{noise:>8g}{rates[-1]:>16.3f}")

    print(f"\n{'rise / noise':<14}{'gets an alpha':>14}{'onset held':>12}{'evaluations':>13}")
    rises = {height: rising(count, height) for height in (10.0, 20.0, 50.0)}
    for height, found in rises.items():
        print(
            f"{height:<14g}{found['alpha']:>14.3f}{found['onset']:>12.3f}"
            f"{found['evaluations']:>13.1f}"
        )
    both = [at_14["alpha"], at_14["l_inf"]]
    summary = {
        "simulations": count,
        "ms_a_fit": round(spent["with_profiles"], 2),
        "ms_with_both_solvers": round(spent["with_both_solvers"], 2),
        "fit_vs_curve_fit": round(spent["with_profiles"] / plain, 1),
        "both_vs_curve_fit": round(spent["with_both_solvers"] / plain, 1),
        "seconds_30_curves": round(30e-3 * spent["with_both_solvers"], 2),
        "largest_difference_nats": float(f"{spent['largest_difference_nats']:.1e}"),
        "largest_difference_huber": float(f"{spent['largest_difference_huber']:.1e}"),
        "coverage_white": round(float(max(both, key=lambda share: abs(share - 0.95))), 3),
        "coverage_white_alpha": round(float(at_14["alpha"]), 3),
        "coverage_white_l_inf": round(float(at_14["l_inf"]), 3),
        "coverage_ar1": round(float(min(five["seeds"].values())), 3),
        "coverage_ar1_cluster": round(float(min(five["cluster"].values())), 3),
        "coverage_ar1_one_run": round(float(min(five["profile, one run"].values())), 3),
        "unidentified_rate": round(min(rates), 3),
        "rising_with_alpha": round(rises[20.0]["alpha"], 3),
        "rising_with_alpha_10_sd": round(rises[10.0]["alpha"], 3),
        "onset_coverage": round(min(found["onset"] for found in rises.values()), 3),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
