"""Claims about training loss (Figure 6)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale.claims.full_runs import SIZES, require
from recscale.claims.rules import Claim
from recscale.claims.verdict import Evidence, Outcome, Verdict, decides, given, listed


@decides
def training_loss_monotone(claim: Claim, evidence: Evidence) -> Outcome:
    """The mean training loss of ten equal blocks never rises by more than noise, in any run."""
    training = given(evidence.training, "training")
    require(training, [f"{size}-full" for size in SIZES], "training loss")
    limits = claim.limits
    measured, risen, short = [], [], []
    for run, rows in training.groupby("run"):
        losses = _after_warm_up(rows, limits["warm_up"])
        if len(losses) < limits["rows"] * limits["blocks"]:
            short.append(str(run))
            continue
        means, rises = block_rises(losses, limits["blocks"])
        ends = f"{means[0]:.3f} to {means[-1]:.3f}"
        measured.append(f"{run} {ends}, largest rise {rises.max():.2g} SE")
        if rises.max() > limits["z"] or means[-1] >= means[0]:
            risen.append(str(run))
    if risen:
        reason = f"rises beyond {limits['z']} standard errors: {', '.join(risen)}"
        return Outcome(Verdict.CONTRADICTED, listed(measured), reason)
    if short:
        reason = f"fewer than {limits['rows']} rows a block: {', '.join(short)}"
        return Outcome(Verdict.INCONCLUSIVE, listed(measured), reason)
    runs = training["run"].nunique()
    return Outcome(Verdict.REPRODUCED, listed(measured), f"no rise in {runs} runs")


def block_rises(
    losses: NDArray[np.float64], blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of equal blocks, and each rise to the next over its standard error.

    The noise is taken from successive differences inside a block (von Neumann, 1941), which a
    trend hardly inflates.

    Args:
        losses: training losses in the order of steps, shape `(n,)`.
        blocks: into how many blocks they are divided.

    Returns:
        Means, shape `(blocks,)`, in nats per token; rises, shape `(blocks - 1,)`, in standard
        errors.
    """
    parts = np.array_split(losses, blocks)
    means = np.array([part.mean() for part in parts])
    squares = np.concatenate([np.diff(part) ** 2 for part in parts])
    variance = squares.mean() / 2
    lengths = np.array([len(part) for part in parts])
    errors = np.sqrt(variance * (1 / lengths[1:] + 1 / lengths[:-1]))
    return means, np.diff(means) / errors


def _after_warm_up(rows: pd.DataFrame, warm_up: float) -> NDArray[np.float64]:
    losses = rows.sort_values("step")["loss"].to_numpy(float)
    return losses[int(np.ceil(warm_up * len(losses))) :]
