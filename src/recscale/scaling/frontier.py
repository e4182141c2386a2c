"""The compute frontier of a joint law: which size and tokens a budget buys best (section 7.3).

With C = 6ND the least loss of L = E + A (N/N0)^-alpha + B (D/D0)^-beta is in closed form, and the
best N grows as C^(beta / (alpha + beta)) (Hoffmann et al. 2022). With exact FLOPs it is searched
along the ladder of sizes, between which the FLOPs a token are interpolated in logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recscale.scaling.joint_fit import PARAMETERS, JointLaw, Status, loss_at
from recscale.scaling.surface import Array

SEARCHED = 801  # sizes that are looked at between the smallest and the largest of a search
BEYOND = 30.0  # factor over which a search goes beyond the ladder to either side


@dataclass(frozen=True)
class Ladder:
    """Parameters (as a law counts them) and FLOPs a token of the sizes, both increasing."""

    parameters: Array
    flops_per_token: Array

    def flops(self, n: Any) -> Array:
        """FLOPs a token at sizes in between; proportional to N beyond the ends."""
        n = np.asarray(n, dtype=float)
        inside = np.clip(n, self.parameters[0], self.parameters[-1])
        logs = np.interp(np.log(inside), np.log(self.parameters), np.log(self.flops_per_token))
        return np.exp(logs) * n / inside


def ladder_of(sizes: dict[str, dict[str, float]], counting: str) -> Ladder | None:
    """The ladder of the sizes in a file of joint laws; None where it has no exact FLOPs."""
    known = [s for s in sizes.values() if "flops_per_token" in s and counting in s]
    if not known:
        return None
    known = sorted(known, key=lambda s: s[counting])
    return Ladder(
        np.array([s[counting] for s in known]), np.array([s["flops_per_token"] for s in known])
    )


def is_identified(law: JointLaw) -> bool:
    """Whether a frontier may be read from a law."""
    return law.status is Status.CONVERGED


def optimal_size(parameters: Any, n0: float, d0: float, flops: Any) -> Array:
    """The best N of budgets C = 6ND; parameters in the order of `PARAMETERS`, or rows of them."""
    _, a, alpha, b, beta = np.asarray(parameters, dtype=float).T
    with np.errstate(divide="ignore", invalid="ignore"):
        # The derivative of the loss along N D = C / 6 is 0 here.
        ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
        budget = np.asarray(flops, dtype=float)[..., None] / (6 * n0 * d0)
        found = n0 * ratio * budget ** (beta / (alpha + beta))
    return found[..., 0] if np.ndim(parameters) == 1 else found


def exponent(parameters: Any) -> Array:
    """With what power of C the best N grows: beta / (alpha + beta)."""
    _, _, alpha, _, beta = np.asarray(parameters, dtype=float).T
    return beta / (alpha + beta)


def best_along(law: JointLaw, ladder: Ladder, flops: float) -> float:
    """The best N of a budget in exact FLOPs."""
    low, high = ladder.parameters[0] / BEYOND, ladder.parameters[-1] * BEYOND
    sizes = np.geomspace(low, high, SEARCHED)
    return float(sizes[np.argmin(law.predict(sizes, flops / ladder.flops(sizes)))])


def iso_flop(law: JointLaw, flops: float, sizes: Array, ladder: Ladder | None = None) -> Array:
    """Losses of a budget at given sizes, by exact FLOPs with a ladder and by 6ND without."""
    per_token = 6 * sizes if ladder is None else ladder.flops(sizes)
    return law.predict(sizes, flops / per_token)


def frontier(law: JointLaw, budgets: Array, ladder: Ladder | None = None) -> pd.DataFrame:
    """The best size and tokens of each budget, and the loss they give.

    Args:
        law: fitted.
        budgets: FLOPs, shape `(m,)`; exact ones with a ladder, C = 6ND without.
        ladder: the sizes' exact FLOPs.

    Returns:
        flops, n, d, loss (nats per token), each of n, d and loss with _low and _high (95 % of the
        bootstrap, for C = 6ND only), and inside: whether n and d lie in the range of the points.
    """
    of_law = [getattr(law, name) for name in PARAMETERS]
    assert law.n0 is not None and law.d0 is not None
    n0, d0 = law.n0, law.d0
    budgets = np.asarray(budgets, dtype=float)
    if ladder is None:
        n = optimal_size(of_law, n0, d0, budgets)
        d = budgets / (6 * n)
    else:
        n = np.array([best_along(law, ladder, float(c)) for c in budgets])
        d = budgets / ladder.flops(n)
    inside = (n >= min(law.n)) & (n <= max(law.n)) & (d >= min(law.d)) & (d <= max(law.d))
    table = pd.DataFrame({"flops": budgets, "n": n, "d": d, "loss": law.predict(n, d)})
    if ladder is None and law.replicates:
        draws = np.array(law.replicates)
        sizes = optimal_size(draws, n0, d0, budgets)
        tokens = budgets[:, None] / (6 * sizes)
        with np.errstate(over="ignore", invalid="ignore"):
            losses = loss_at(draws.T, n0, d0, sizes, tokens)
        for name, values in (("n", sizes), ("d", tokens), ("loss", losses)):
            table[f"{name}_low"], table[f"{name}_high"] = _percentiles(values)
    return table.assign(inside=inside)


def exponent_interval(law: JointLaw) -> tuple[float, float]:
    """95 % of the bootstrap of `exponent`; nan where there are no replicates."""
    if not law.replicates:
        return float("nan"), float("nan")
    low, high = np.percentile(exponent(np.array(law.replicates)), [2.5, 97.5])
    return float(low), float(high)


def _percentiles(values: Array) -> tuple[Array, Array]:
    """2.5 and 97.5 % of each row; infinite sizes, of replicates without A or B, count as such."""
    filled = np.where(np.isnan(values), np.inf, values)
    ordered = np.sort(filled, axis=1)
    last = ordered.shape[1] - 1
    return ordered[:, round(0.025 * last)], ordered[:, round(0.975 * last)]
