"""What the scaling stage writes beside its CSV of fits."""

from __future__ import annotations

import pyarrow as pa

from recscale.contracts.columns import FITTED_CURVE, TEXT
from recscale.contracts.names import ALL_HELD_OUT, LAWS, POOLED_DOMAINS, UNCERTAINTIES
from recscale.schema import Column, Contract

CONTRACTS: dict[str, Contract] = {
    "residuals": Contract(
        "an evaluation beside the law fitted to its curve",
        (
            *FITTED_CURVE,
            Column("tokens", pa.int64(), "tokens seen in all domains", minimum=1),
            Column("repeats", pa.float64(), "of the matching training domain", minimum=0),
            Column("loss", pa.float64(), "mean loss, nats/token", minimum=0),
            Column("used", pa.bool_(), "fitted; otherwise left out as burn-in"),
            Column("fitted", pa.float64(), "by least squares; none: no law", nullable=True),
            Column("residual", pa.float64(), "loss - fitted", nullable=True),
            Column("huber_fitted", pa.float64(), "by the Huber loss of ln L", nullable=True),
        ),
        unique=("run", "domain", "tokens"),
    ),
    "rivals": Contract(
        "a law fitted to one curve, to be compared with the others",
        (
            *FITTED_CURVE,
            Column("law", TEXT, "which", allowed=LAWS),
            Column("parameters", pa.int64(), "of the law, without the noise's", minimum=1),
            Column("status", TEXT, "of the fit of the power law with a floor"),
            Column("n_points", pa.int64(), "evaluations after the burn-in", minimum=0),
            Column("rmse", pa.float64(), "nats/token; none: too few points", nullable=True),
            Column("aicc", pa.float64(), "none: too few points", nullable=True),
            Column("delta_aicc", pa.float64(), "above the curve's least AICc", nullable=True),
            Column("n_first", pa.int64(), "evaluations in the first half of the tokens", minimum=0),
            Column("n_rest", pa.int64(), "evaluations after it", minimum=0),
            Column(
                "extrapolation_rmse",
                pa.float64(),
                "of the rest, predicted from the first half, nats/token",
                nullable=True,
            ),
            Column("extrapolation_bias", pa.float64(), "mean of predicted - seen", nullable=True),
        ),
        unique=("run", "domain", "law"),
    ),
    "uncertainty": Contract(
        "an interval of a fitted parameter over seeds, or inside one run",
        (
            Column("size", TEXT, "role of the model size: size1 .. size4"),
            Column("kind", TEXT, "of the runs: their names without size and seed"),
            Column("domain", TEXT, "held-out domain", allowed=(*ALL_HELD_OUT, *POOLED_DOMAINS)),
            Column("parameter", TEXT, "which", allowed=("alpha", "l_inf")),
            Column("method", TEXT, "where the interval is from", allowed=UNCERTAINTIES),
            Column("runs", pa.int64(), "runs behind it", minimum=1),
            Column("converged", pa.int64(), "of them, with an identified fit", minimum=0),
            Column("estimate", pa.float64(), "none: a run has no law", nullable=True),
            Column("low", pa.float64(), "95 %; none: open", nullable=True),
            Column("high", pa.float64(), "95 %; none: open", nullable=True),
        ),
        unique=("size", "kind", "domain", "parameter", "method"),
    ),
}
