"""The points of held-out curves that the law of repetition is fitted to (section 7.2, Table 6).

Either what runs of one length ended with, without runs that rise again, or whole curves after the
burn-in, up to where they rise.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recscale.scaling.surface import Array
from recscale.tables.run_curves import FEWEST_POINTS, turn

KINDS = ("ends", "curves")
NOISE_DEGREE = 3


def points_of(
    rows: pd.DataFrame, burn_in: float, kind: str
) -> tuple[pd.DataFrame, dict[str, float], float]:
    """The points that the law is fitted to.

    Args:
        rows: run, tokens, domain_tokens, repeats and loss of one domain; runs that see none of its
            tokens are left out.
        burn_in: share of a run's tokens before which its points do not count.
        kind: one of `KINDS`.

    Returns:
        run, seen (tokens of the domain), unique, loss (nats per token); for each run that rises
        again, the repeats at its lowest loss; and the noise of the curves, a share of the loss.
    """
    parts, cut, noises = [], {}, []
    for run, of_run in rows.groupby("run", sort=False):
        of_run = of_run.sort_values("tokens")
        late = of_run["tokens"] >= max(burn_in * of_run["tokens"].max(), 1)
        kept = of_run[late & (of_run["domain_tokens"] > 0)]
        if kept.empty:
            continue
        if len(kept) >= FEWEST_POINTS:
            noises.append(curve_noise(kept["tokens"].to_numpy(float), kept["loss"].to_numpy(float)))
        found = turn(of_run, burn_in)
        if found.rises:
            cut[str(run)] = found.repeats
            kept = kept[kept["tokens"] <= found.tokens]
        if kind == "ends":
            kept = kept.iloc[:0] if found.rises else kept.tail(1)
        parts.append(
            pd.DataFrame(
                {
                    "run": run,
                    "seen": kept["domain_tokens"].astype(float),
                    "unique": kept["domain_tokens"] / kept["repeats"],
                    "loss": kept["loss"],
                }
            )
        )
    columns = ["run", "seen", "unique", "loss"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    spread = float(np.sqrt(np.mean(np.square(noises)))) if noises else float("nan")
    return table, cut, spread


def curve_noise(tokens: Array, loss: Array) -> float:
    """Standard deviation about a cubic in ln(tokens), which follows a rise; share of the loss."""
    u = np.log(tokens / tokens[0])
    residuals = loss - np.polyval(np.polyfit(u, loss, NOISE_DEGREE), u)
    return float(np.sqrt(residuals @ residuals / (len(loss) - NOISE_DEGREE - 1)) / np.mean(loss))
