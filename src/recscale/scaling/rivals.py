"""Simpler laws that a power law with a floor must beat before it is believed.

A smooth falling curve is fitted well by almost any law with three parameters, so the fit alone is
no evidence. The rivals here are a constant and the pure power law A D^-alpha.
"""

from __future__ import annotations

import numpy as np

from recscale.scaling.projection import Array, Curve


def constant(loss: Array) -> float:
    """Least sum of squares of L(D) = c."""
    return float(np.sum((loss - np.mean(loss)) ** 2))


def pure_power_law(tokens: Array, loss: Array) -> float:
    """Least sum of squares of L(D) = A D^-alpha, with A >= 0 and alpha > 0."""
    u = np.log(tokens)
    return Curve(u - u.mean(), loss).profile_l_inf(0.0)


def aicc(sum_of_squares: float, n: int, parameters: int) -> float:
    """Akaike's criterion with Hurvich and Tsai's (1989) correction for small samples.

    Args:
        sum_of_squares: least sum of squares of the law.
        n: number of points, more than `parameters` + 2.
        parameters: of the law; the noise's standard deviation is counted on top.
    """
    k = parameters + 1
    return float(n * np.log(sum_of_squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))
