"""Claims about training loss (Figure 6)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recscale.claims.contrasts import Contrast, Side, judge
from recscale.claims.rules import Claim
from recscale.claims.runs import FULL, per_seed, repetitions
from recscale.claims.verdict import Evidence, Outcome, Verdict, decides, given, listed


@decides
def training_loss_monotone(claim: Claim, evidence: Evidence) -> Outcome:
    """The mean training loss of ten equal blocks never rises by more than noise, in any run."""
    training = given(evidence.training, "training")
    repetitions(training, FULL, "training loss")
    limits = claim.limits
    measured, risen, level, short = [], [], [], []
    for run, rows in training.groupby("run"):
        losses = _after_warm_up(rows, limits["warm_up"])
        if len(losses) < limits["rows"] * limits["blocks"]:
            short.append(str(run))
            continue
        means, rises = block_rises(losses, limits["blocks"])
        ends = f"{means[0]:.3f} to {means[-1]:.3f}"
        measured.append(f"{run} {ends}, largest rise {rises.max():.2g} SE")
        if rises.max() > limits["z"]:
            risen.append(str(run))
        if means[-1] >= means[0]:
            level.append(str(run))
    runs = training["run"].nunique()
    ours = f"a rise in {len(risen)} of {runs} runs"
    shown = listed(measured)
    if risen:
        reason = f"rises beyond {limits['z']} standard errors: {', '.join(risen)}"
        return Outcome(Verdict.CONTRADICTED, shown, reason, ours)
    if short or level:
        reasons = [f"fewer than {limits['rows']} rows a block: {', '.join(short)}"] if short else []
        if level:
            reasons.append(f"the last block is not below the first: {', '.join(level)}")
        return Outcome(Verdict.INCONCLUSIVE, shown, listed(reasons), ours)
    return Outcome(Verdict.REPRODUCED, shown, f"no rise in {runs} runs", ours)


# The runs of Figure 6b in the order that its caption prints, highest loss first; "~" says that a
# run is level with the next one.
_PRINTED = (
    ("size3-uih_0.5", ">"),
    ("size3-uih_1", "~"),
    ("size3-full", "~"),
    ("size3-uih_15", ">"),
    ("size3-uih_2", ">"),
    ("size3-uih_5", ""),
)


@decides
def reduced_uih_training_loss_order(claim: Claim, evidence: Evidence) -> Outcome:
    """The last training losses of Figure 6b stand in the printed order."""
    training = given(evidence.training, "training")
    runs = [run for run, _ in _PRINTED]
    share = claim.limits["last"]
    losses = per_seed(training, runs, "training loss", lambda run: _last(training, run, share))
    contrasts = []
    for place, (run, sign) in enumerate(_PRINTED[:-1]):
        side: Side = "above" if sign == ">" else "within"
        threshold = 0.0 if sign == ">" else claim.limits["margin"]
        name = f"{run} {sign} {runs[place + 1]}"
        contrasts.append(Contrast(name, losses[:, place] - losses[:, place + 1], side, threshold))
    means = dict(zip(runs, losses.mean(axis=0), strict=True))
    order = sorted(runs, key=lambda run: -means[run])
    ours = ", ".join(f"{_short(run)} {means[run]:.3f}" for run in order)
    return judge(contrasts, claim.limits["seeds"], ours=ours)


def _short(run: str) -> str:
    """The UIH ratio of a run on the reduced set, or full."""
    kind = run.split("-", 1)[1]
    return "full" if kind == "full" else f"{kind.removeprefix('uih_')} %"


def _last(training: pd.DataFrame, run: str, share: float) -> float:
    """The mean training loss over the last `share` of a run's tokens, nats per token."""
    rows = training[training["run"] == run]
    late = rows["tokens"] > (1 - share) * rows["tokens"].max()
    return float(rows.loc[late, "loss"].mean())


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
