"""Does a held-out loss rise again before its run ends?

A run that repeats a domain too often overfits: its held-out loss falls, then rises (Section 7.2,
Figures 5 and 7). No power law describes such a curve, so it must be recognised before one is
fitted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

FALSE_ALARMS = 0.05
ROUNDING = 1e-9  # a rise below this share of the loss is the computer's, not the curve's


def noise(tokens: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    """Standard deviation of the loss about a smooth curve (nats).

    The smooth curve is a polynomial in ln(tokens), which follows a rise as well as a fall: of
    degree 4 from 12 points on, 3 from 8, else 2.
    """
    degree = _degree(len(loss))
    u = np.log(tokens)
    u = 2 * (u - u[0]) / (u[-1] - u[0]) - 1
    design = np.polynomial.chebyshev.chebvander(u, degree)
    residuals = loss - design @ np.linalg.lstsq(design, loss, rcond=None)[0]
    return float(np.sqrt(residuals @ residuals / (len(loss) - degree - 1)))


def rises_again(tokens: NDArray[np.float64], loss: NDArray[np.float64]) -> bool:
    """Whether the loss ends higher than its minimum by more than noise explains.

    The rise is the mean of the last w losses minus the smallest mean of w neighbours, with w = 1,
    2, 4, ... up to an eighth of the points: wide windows see a slow rise, narrow ones a late one.
    It counts when it exceeds t * sqrt(2 / w) * noise, with Student's t at `FALSE_ALARMS` divided by
    the number of comparisons, so that a flat curve with white noise is called rising less than once
    in twenty (once in a hundred in simulation: the comparisons are not independent).

    Args:
        tokens: tokens seen, increasing, shape `(n,)` with n of 6 or more.
        loss: held-out loss in nats per token, shape `(n,)`.
    """
    n = len(loss)
    widths = [w for w in (2**k for k in range(n.bit_length())) if w <= max(1, n // 8)]
    comparisons = sum(n - w for w in widths)
    critical = student.ppf(1 - FALSE_ALARMS / comparisons, n - _degree(n) - 1)
    scale = max(noise(tokens, loss), ROUNDING * float(np.max(loss)))
    for w in widths:
        means = np.convolve(loss, np.full(w, 1 / w), mode="valid")
        if means[-1] - np.min(means) > critical * np.sqrt(2 / w) * scale:
            return True
    return False


def _degree(n: int) -> int:
    return 4 if n >= 12 else 3 if n >= 8 else 2
