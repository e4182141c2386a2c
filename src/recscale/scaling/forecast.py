"""What would a run give? Its held-out losses with intervals, and its cost (section 7.3).

Reads the joint laws that `recscale.scaling.joint_law --out` wrote for the runs of a rung, which
hold the points they were fitted to and the sizes of the ladder. The interval of the expected loss
is the profile of the sum of squares over all laws, so it holds whether or not the parameters
themselves are identified; that of one run adds the runs' own scatter. Outside the sizes, tokens and
mixture of those runs there is no forecast unless --beyond-range asks for one.

Command: `python -m recscale.scaling.forecast --fits joint_law.json --size size3 --tokens 50e9
--mixture full`.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

from recscale import files
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, FIT_STATUS
from recscale.scaling.compute import six_n_d
from recscale.scaling.frontier import ladder_of
from recscale.scaling.joint_fit import (
    CONFIDENCE,
    PARAMETERS,
    JointLaw,
    sum_of_squares_limit,
)
from recscale.scaling.joint_law import read_laws
from recscale.scaling.surface import Surface

PEAK = 2.25e15  # FLOP/s, dense bf16 of a B200
UTILISATION = 0.4
SAME = 1e-9  # relative difference of sizes and tokens that are the same number


@dataclass(frozen=True)
class Expected:
    """A forecast in nats per token.

    low, high: interval of the expected loss, None where the points do not bound it; run_low,
    run_high: of what a single run ends with.
    """

    domain: str
    loss: float
    low: float | None
    high: float | None
    run_low: float | None
    run_high: float | None
    status: str


def expected_loss(law: JointLaw, domain: str, n: float, d: float) -> Expected:
    """The forecast of one law at n parameters and d tokens.

    Raises:
        ValueError: nothing was fitted.
    """
    estimate = float(law.predict(n, d))
    points = len(law.loss)
    assert law.n0 and law.d0 and law.sum_of_squares is not None
    loss = np.array(law.loss)
    surface = Surface(np.log(np.array(law.n) / law.n0), np.log(np.array(law.d) / law.d0), loss)
    limit = sum_of_squares_limit(law.sum_of_squares, points)
    u, v = float(np.log(n / law.n0)), float(np.log(d / law.d0))

    def outside(value: float) -> float:
        return surface.profile_value(value, u, v) - limit

    noise = (law.sum_of_squares / (points - len(PARAMETERS))) ** 0.5 * estimate
    low, high = (_end(outside, estimate, noise, sign) for sign in (-1, 1))
    of_run = noise * student.ppf((1 + CONFIDENCE) / 2, points - len(PARAMETERS))
    run_low, run_high = (
        None if end is None else estimate + sign * float(np.hypot(end - estimate, of_run))
        for end, sign in ((low, -1), (high, 1))
    )
    return Expected(domain, estimate, low, high, run_low, run_high, str(law.status))


def _end(outside: Any, estimate: float, noise: float, sign: int) -> float | None:
    """Where the profile leaves the limit on one side; None if not within a factor of five."""
    inside, step = estimate, max(noise, 1e-6 * estimate)
    while True:
        other = estimate + sign * step
        if not estimate / 5 < other < estimate * 5:
            return None
        if outside(other) > 0:
            break
        inside, step = other, 2 * step
    if outside(inside) >= 0:
        return inside  # points without noise
    return float(brentq(outside, inside, other, rtol=1e-7))


def size_of(content: dict[str, Any], counting: str, size: str | None, n: float | None) -> float:
    """The number of parameters that is asked for, as the laws count them.

    Raises:
        UserError: neither or both of size and n are given, or the file does not know the size.
    """
    if (size is None) == (n is None):
        raise UserError("give either --size or --parameters", "such as --size size3")
    if n is not None:
        if not np.isfinite(n) or n <= 0:
            raise UserError(f"--parameters is {n:g}", "it is a positive number")
        return n
    known = content["sizes"]
    if size not in known or counting not in known[size]:
        raise UserError(
            f"--fits know no {counting} of {size}",
            f"known sizes: {', '.join(known) or 'none; pass --parameters'}",
        )
    return float(known[size][counting])


def out_of_range(law: JointLaw, n: float, d: float) -> str:
    """Which of N and D lies outside the law's points; empty if none does."""
    said = []
    for name, value, fitted in (("parameters", n, law.n), ("tokens", d, law.d)):
        if not min(fitted) * (1 - SAME) <= value <= max(fitted) * (1 + SAME):
            said.append(f"{value:.4g} {name} (fitted on {min(fitted):.4g} to {max(fitted):.4g})")
    return " and ".join(said)


def forecast(
    content: dict[str, Any],
    counting: str,
    n: float,
    tokens: float,
    mixture: str | None,
    beyond_range: bool = False,
) -> tuple[list[Expected], list[str]]:
    """Forecasts of all domains with a fitted law, and warnings.

    Args:
        content: what `read_laws` returns.
        counting: which N the laws and n are of.
        n, tokens: of the run.
        mixture: of the run; None where the laws name none.
        beyond_range: extrapolate instead of refusing.

    Raises:
        UserError: the size, the tokens or the mixture lie outside what the laws were fitted on, or
            no law was fitted.
    """
    if not np.isfinite(tokens) or tokens <= 0:
        raise UserError(f"--tokens is {tokens:g}", "it is a positive number")
    laws = {domain: law for (domain, of), law in content["laws"].items() if of == counting}
    if not laws:
        known = sorted({of for _, of in content["laws"]})
        raise UserError(f"--fits hold no law over {counting}", f"they hold {', '.join(known)}")
    fitted = {domain: law for domain, law in laws.items() if law.fitted}
    if not fitted:
        domain, law = next(iter(laws.items()))
        raise UserError(
            f"--fits hold no fitted law ({domain}: {law.status}, {law.reason})",
            "train runs of several lengths: the wsd runs of config/experiments.yaml",
        )
    warnings = []
    if mixture != content["mixture"]:
        warnings.append(f"the laws are of the mixture {content['mixture']}, not {mixture}")
    outside = out_of_range(next(iter(fitted.values())), n, tokens)
    if outside:
        warnings.append(f"outside the fitted range: {outside}")
    if warnings and not beyond_range:
        raise UserError("; ".join(warnings), "pass --beyond-range to extrapolate all the same")
    warnings += [
        f"{DOMAIN_NAMES.get(domain, domain)}: nothing fitted ({law.reason})"
        for domain, law in laws.items()
        if domain not in fitted
    ]
    found = [expected_loss(law, domain, n, tokens) for domain, law in fitted.items()]
    return found, warnings


def cost(
    content: dict[str, Any], counting: str, n: float, tokens: float, peak: float, used: float
) -> dict[str, dict[str, float]]:
    """FLOPs and GPU-hours, by exact FLOPs where the laws have a ladder of sizes, and by 6ND.

    Args:
        peak: FLOP/s of one GPU.
        used: the share of the peak that training reaches.

    Raises:
        UserError: the peak or the share is out of range.
    """
    if not peak > 0:
        raise UserError(f"--peak is {peak:g}", "it is FLOP/s of one GPU, such as 2.25e15")
    if not 0 < used <= 1:
        raise UserError(f"--utilisation is {used:g}", "it is a share of the peak, such as 0.4")
    ladder = ladder_of(content["sizes"], counting)
    found = {"6ND": six_n_d(n, tokens)}
    if ladder is not None:
        found = {"exact": float(ladder.flops(n)) * tokens, **found}
    return {
        name: {"flops": flops, "gpu_hours": flops / (peak * used * 3600)}
        for name, flops in found.items()
    }


def printed(found: list[Expected]) -> str:
    """The forecasts as a text table."""
    lines = [
        f"{'domain':16}{'loss':>8}{'95 % of its mean':>20}{'95 % of a run':>20}{'ppl':>9}  fit"
    ]
    for one in found:
        spans = (_span(one.low, one.high), _span(one.run_low, one.run_high))
        name = DOMAIN_NAMES.get(one.domain, one.domain)
        status = FIT_STATUS.get(one.status, one.status.replace("_", " "))
        numbers = f"{one.loss:8.4f}{spans[0]:>20}{spans[1]:>20}{np.exp(one.loss):9.3f}"
        lines.append(f"{name:16}{numbers}  {status}")
    return "\n".join(lines)


def _span(low: float | None, high: float | None) -> str:
    return (
        f"[{'open' if low is None else f'{low:.4f}'}, {'open' if high is None else f'{high:.4f}'}]"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fits", type=Path, required=True, help="from joint_law --out")
    parser.add_argument("--size", help="role of a size the laws were fitted on, such as size3")
    parser.add_argument("--parameters", type=float, help="any size, counted as --counting says")
    parser.add_argument("--tokens", type=float, required=True, help="such as 50e9")
    parser.add_argument("--mixture", help="of config/experiments.yaml")
    parser.add_argument("--counting", help="which N; default: the file's first")
    parser.add_argument(
        "--peak", type=float, default=PEAK, help="FLOP/s of a GPU, default %(default)g"
    )
    parser.add_argument(
        "--utilisation", type=float, default=UTILISATION, help="share of it, default %(default)g"
    )
    parser.add_argument("--beyond-range", action="store_true", help="extrapolate")
    parser.add_argument("--out", type=Path, help="JSON of what is printed")
    arguments = parser.parse_args()
    content = read_laws(arguments.fits)
    counting = arguments.counting or next((of for _, of in content["laws"]), "parameters")
    n = size_of(content, counting, arguments.size, arguments.parameters)
    found, warnings = forecast(
        content, counting, n, arguments.tokens, arguments.mixture, arguments.beyond_range
    )
    costs = cost(content, counting, n, arguments.tokens, arguments.peak, arguments.utilisation)
    print(
        f"N = {n:.6g} ({counting}), D = {arguments.tokens:.6g} tokens, {arguments.mixture or '-'}"
    )
    print(printed(found))
    for name, one in costs.items():
        print(
            f"{name}: {one['flops']:.4g} FLOPs / ({arguments.peak:.4g} FLOP/s x "
            f"{arguments.utilisation:g} used) = {one['gpu_hours']:.4g} GPU-hours"
        )
    for warning in warnings:
        print(f"note: {warning}")
    if arguments.out:
        asked = {
            "parameters": n,
            "counting": counting,
            "tokens": arguments.tokens,
            "mixture": arguments.mixture,
            "peak": arguments.peak,
            "utilisation": arguments.utilisation,
        }
        files.write_json(
            {
                "run": asked,
                "expected": [asdict(one) for one in found],
                "cost": costs,
                "notes": warnings,
            },
            arguments.out,
        )


if __name__ == "__main__":
    run_command(main)
