"""Learning rates, and the steps at which held-out losses are taken (section 6.1).

The paper's schedule is a linear warm-up and a cosine to zero. A point inside a cosine is not the
end of a shorter run, so laws over several horizons need a schedule with end points that share a
trunk: warm-up, a constant rate, and a decay (WSD; Haegele et al. 2024, arXiv 2405.18392).
"""

from __future__ import annotations

import math

import numpy as np

SCHEDULES = ("cosine", "wsd")
DECAY_SHARE = 0.2  # of a WSD run's steps
REPEATS_WATCHED = (10.0, 30.0)
REPEAT_RATIO = 1.15


def decay_start(steps: int) -> int:
    """The first step of a WSD run's decay."""
    return steps - max(1, round(DECAY_SHARE * steps))


def learning_rate(
    step: int, steps: int, warm_up: int, peak: float, schedule: str = "cosine"
) -> float:
    """The learning rate of step `step` (from 0) of `steps`.

    Both schedules rise linearly to `peak`. The cosine then falls to zero; WSD stays there until
    `decay_start` and falls to zero by one minus a square root.
    """
    if step < warm_up:
        return peak * (step + 1) / warm_up
    if schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))
    first = decay_start(steps)
    return peak * (1 - math.sqrt(max(0, step - first) / (steps - first)))


def evaluation_steps(steps: int, warm_up: int, evaluations: int) -> list[int]:
    """Steps after which held-out losses are taken, spaced evenly in their logarithm.

    The first is not before the end of the warm-up nor before 1/60 of the run, the last is the end.
    A run too short for so many distinct steps is evaluated at every one.
    """
    first = min(steps, max(1, warm_up, math.ceil(steps / 60)))
    evaluations = min(evaluations, steps - first + 1)
    wanted = np.geomspace(steps, first, evaluations)  # from the end, which is always taken
    chosen = [steps]
    for number, point in enumerate(wanted[1:], start=2):
        still_to_come = evaluations - number
        chosen.append(max(min(round(point), chosen[-1] - 1), first + still_to_come))
    return chosen[::-1]


def repeat_steps(steps: int, repeats: float) -> list[int]:
    """Steps at which a set that a run sees `repeats` times is measured besides.

    The paper puts the onset of overfitting at 16 to 20 repeats (section 7.2): there, from 10 to 30
    repeats, points lie a factor `REPEAT_RATIO` apart.
    """
    first, last = REPEATS_WATCHED
    count = int(math.log(last / first) / math.log(REPEAT_RATIO)) + 1
    wanted = first * REPEAT_RATIO ** np.arange(count)
    found = {round(steps * at / repeats) for at in wanted if at <= repeats}
    return sorted(step for step in found if step > 0)
