"""Does a held-out loss rise again before its run ends?

A run that repeats a domain too often overfits: its held-out loss falls, then rises (Section 7.2,
Figures 5 and 7). No power law describes such a curve, so it must be recognised before one is
fitted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[np.float64]

# Bounds of the false alarms that Bonferroni's correction gives; in simulation a flat curve with
# white noise is called rising at its end in 2 to 3 of 100 trials, on the way in fewer than 2.
FALSE_ALARMS = 0.2
ROUNDING = 1e-8  # a rise below this share of the loss is the computer's, not the curve's
BENT_ALPHAS = np.geomspace(0.02, 4.0, 15)
BENT_PARAMETERS = 5
COARSE = 14  # evaluations, of which neighbours are taken to have errors of their own


def noise(tokens: Array, loss: Array) -> float:
    """Standard deviation of the loss about a smooth curve (nats), the least of `noise_scales`."""
    return min(scale for scale, _ in noise_scales(tokens, loss))


def noise_scales(tokens: Array, loss: Array) -> list[tuple[float, float]]:
    """Standard deviations of the loss about three kinds of curves, with their degrees of freedom.

    The first curve is a polynomial in ln(tokens), of degree 4 from 12 points on, 3 from 8, else 2.
    It takes a turn within one evaluation for noise. The second does not: it is a power law with a
    bend upwards. The third is no curve but the cubic through the four neighbours of a point, which
    follows anything smooth, a fall after a rise as well.

    Args:
        tokens: tokens seen, increasing, shape `(n,)` with n of 6 or more.
        loss: held-out loss in nats per token, shape `(n,)`.
    """
    u = np.log(tokens)
    n, degree = len(loss), _degree(len(loss))
    design = np.polynomial.chebyshev.chebvander(2 * (u - u[0]) / (u[-1] - u[0]) - 1, degree)
    residuals = loss - design @ np.linalg.lstsq(design, loss, rcond=None)[0]
    found = [
        (float(residuals @ residuals) / (n - degree - 1), float(n - degree - 1)),
        (_bent(u, loss) / (n - BENT_PARAMETERS), float(n - BENT_PARAMETERS)),
        _from_neighbours(u, loss),
    ]
    floor = ROUNDING * float(np.max(loss))
    return [(max(float(np.sqrt(variance)), floor), freedom) for variance, freedom in found]


def rises_again(tokens: Array, loss: Array) -> bool:
    """Whether the loss ends higher than its minimum by more than noise explains.

    The rise is the mean of the last w losses minus the smallest mean of w neighbours, with w = 1,
    2, 4, ... up to an eighth of the points: wide windows see a slow rise, narrow ones a late one.
    It counts when it exceeds t * sqrt(2 / w) * noise, with Student's t at `FALSE_ALARMS` divided by
    the number of comparisons.

    Args:
        tokens: tokens seen, increasing, shape `(n,)` with n of 6 or more.
        loss: held-out loss in nats per token, shape `(n,)`.
    """
    n = len(loss)
    comparisons = sum(n - w for w in _widths(n))
    return _exceeds(tokens, loss, comparisons, lambda means: means[-1] - np.min(means))


def rises_on_the_way(tokens: Array, loss: Array) -> bool:
    """As `rises_again` for any later window: the loss may have fallen once more after its rise."""
    n = len(loss)
    comparisons = sum((n - w) * (n - w + 1) // 2 for w in _widths(n))
    return _exceeds(
        tokens, loss, comparisons, lambda means: np.max(means - np.minimum.accumulate(means))
    )


def rises(tokens: Array, loss: Array) -> bool:
    """Whether the loss rises anywhere by more than noise explains: no law that falls fits it."""
    return rises_again(tokens, loss) or rises_on_the_way(tokens, loss)


def _exceeds(tokens: Array, loss: Array, comparisons: int, rise: Callable[[Array], float]) -> bool:
    scales = noise_scales(tokens, loss)
    level = FALSE_ALARMS / (comparisons * len(scales))
    limit = min(scale * student.ppf(1 - level, freedom) for scale, freedom in scales)
    for w in _widths(len(loss)):
        means = np.convolve(loss, np.full(w, 1 / w), mode="valid")
        if rise(means) > limit * np.sqrt(2 / w):
            return True
    return False


def _bent(u: Array, loss: Array) -> float:
    """Least sum of squares of L_inf + A D^-alpha + c max(0, u - u_k)^q with c >= 0, q = 1 or 2.

    alpha and u_k, an evaluation or the middle between two, are searched on a grid. The other
    parameters are linear, and solved for all grid points at once.
    """
    knots = np.concatenate([u[1:-1], (u[1:] + u[:-1])[:-1] / 2])
    bends = np.maximum(0.0, u - knots[:, None])
    bends = _centred(np.concatenate([bends, bends**2]))
    powers = _centred(np.expm1(-np.outer(BENT_ALPHAS, u - u.mean())))
    above = loss - loss.mean()
    of_powers, of_bends, mixed = powers @ above, bends @ above, powers @ bends.T
    slope = of_bends - mixed * of_powers[:, None]
    gain = np.where(slope > 0, slope**2 / np.maximum(1 - mixed**2, 1e-9), 0.0)
    return max(0.0, float(np.min(above @ above - of_powers[:, None] ** 2 - gain)))


def _from_neighbours(u: Array, loss: Array) -> tuple[float, float]:
    """Variance about the cubic through four neighbours, and its degrees of freedom.

    Of many evaluations, neighbours are taken further apart: the errors of evaluations that follow
    each other closely are alike, and would pass for a small noise.
    """
    n = len(loss)
    apart = max(1, n // COARSE)
    places = np.arange(n - 4 * apart)[:, None] + apart * np.arange(5)
    steps = u[places]
    weights = np.zeros((len(places), n))
    for j in (0, 1, 3, 4):
        others = [k for k in (0, 1, 3, 4) if k != j]
        shares = (steps[:, [2]] - steps[:, others]) / (steps[:, [j]] - steps[:, others])
        weights[np.arange(len(places)), places[:, j]] = -np.prod(shares, axis=1)
    weights[np.arange(len(places)), places[:, 2]] = 1
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    # Satterthwaite's degrees of freedom of a mean of correlated squares.
    freedom = len(places) ** 2 / np.sum((weights @ weights.T) ** 2)
    return float(np.mean((weights @ loss) ** 2)), float(freedom)


def _centred(rows: Array) -> Array:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _widths(n: int) -> list[int]:
    return [w for w in (2**k for k in range(n.bit_length())) if w <= max(1, n // 8)]


def _degree(n: int) -> int:
    return 4 if n >= 12 else 3 if n >= 8 else 2
