"""What headline claims would say under every reasonable recipe (sections 6.2, 7.1 and 7.2).

A specification curve (Simonsohn, Simmons and Nelson 2020) estimates one quantity under all
combinations of choices that could be defended: burn-in, range of the curve, spacing of evaluations,
objective, an annealing-aware law, effective tokens, pooling. The quantities and their thresholds
are those of the ledger of claims, for one seed.

Intervals of several parameters are put together as Zou and Donner (2008) do for sums: squared
distances from the estimate to the quantity with one parameter at an end of its interval, added up.
They hold errors inside a run only, not those between seeds, which the ledger asks for; a
specification alone therefore decides nothing. Nor is it asked whether a reduced set is large enough
for its onset to be measurable. R* of effective tokens is that of Muennighoff et al.
2023 (15.4 repetitions).

Combinations that do not apply stay in the table, without an estimate and with the reason.

Command: `python -m recscale.scaling.specification --curves ... --training ... --out
specification.csv --settings JSON`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files, settings
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.scaling import specification_fits as fits
from recscale.scaling.annealing import DECAY
from recscale.scaling.checks import check_curves
from recscale.scaling.projection import Array
from recscale.scaling.specification_claims import QUANTITIES, Quantity
from recscale.scaling.specification_fits import Curves, LeftOut, Onset, Parameter, Recipe
from recscale.tables.run_curves import POOLS, read_curves

WORTH = 15.4  # R*, in repetitions (Muennighoff et al. 2023)
FAR = 1e3
AGREES, CONTRADICTS, OPEN = "agrees", "contradicts", "open"

log = logger("scaling.specification")


@dataclass(frozen=True)
class Settings:
    """Config values of the ledger's fits, and those of the laws here.

    Attributes:
        burn_in, pool: the ledger's recipe.
        decay: of the annealing area, a step.
        worth: R* of effective tokens, in repetitions.
    """

    burn_in: float
    pool: str
    decay: float = DECAY
    worth: float = WORTH

    def __post_init__(self) -> None:
        if not 0 <= self.burn_in < 1:
            raise UserError(f"burn_in is {self.burn_in}", "it is a share of D, from 0 to below 1")
        if self.pool not in POOLS:
            raise UserError(f"pool is {self.pool!r}", f"it is {' or '.join(POOLS)}")
        if self.worth <= 0:
            raise UserError(f"worth is {self.worth}", "it is a positive number of repetitions")


def recipes(chosen: Settings) -> Iterator[Recipe]:
    """Every combination, the ledger's recipe first."""
    burn_ins = dict.fromkeys((chosen.burn_in, *fits.BURN_INS))
    pools = dict.fromkeys((chosen.pool, *POOLS))
    for values in product(
        *(burn_ins, fits.RANGES, fits.SPACINGS, fits.OBJECTIVES, fits.LAWS, fits.TOKENS, pools)
    ):
        yield Recipe(*values)


def specify(
    curves: Curves, chosen: Settings, quantities: Sequence[Quantity] = QUANTITIES
) -> pd.DataFrame:
    """One row for each quantity and recipe.

    Returns:
        claim, quantity, the choices of `Recipe`, estimate, low, high, sign, threshold, upper,
        identified (the share of its fits that are), status (of the first fit that is not), verdict
        (agrees, contradicts or open), on_side (whether the estimate lies where the claim has it),
        default (the ledger's recipe) and left_out (why there is no estimate).

    Raises:
        UserError: a run is missing.
    """
    rows = []
    for quantity in quantities:
        of = quantity.curves if quantity.few is None else (*quantity.curves, quantity.few)
        for run, _ in of:
            if run not in curves.runs:
                raise UserError(f"--curves lack the run {run}", "pass the runs of all claims")
        seen: set[object] = set()
        for place, recipe in enumerate(recipes(chosen)):
            row = {"claim": quantity.claim, "quantity": quantity.name, **asdict(recipe)}
            limits = {"threshold": quantity.threshold, "upper": quantity.upper}
            row |= {"sign": quantity.sign, **limits, "default": place == 0}
            try:
                _applies(quantity, recipe, curves)
                key = tuple(curves.key(run, d, recipe) for run, d in quantity.curves)
                if key in seen:
                    raise LeftOut("same evaluations as another recipe")
                row |= _estimate(quantity, recipe, curves)
                seen.add(key)
            except LeftOut as reason:
                row["left_out"] = str(reason)
            rows.append(row)
    return pd.DataFrame(rows)


def _applies(quantity: Quantity, recipe: Recipe, curves: Curves) -> None:
    """Raise LeftOut where choices exclude each other or mean nothing for the quantity."""
    special = [recipe.objective != "squares", recipe.law != "plain", recipe.tokens != "seen"]
    if quantity.parameter == "onset":
        if any(special):
            raise LeftOut("the onset has no law")
    elif recipe.law == "annealing" and recipe.objective == "huber":
        raise LeftOut("the annealing-aware law is fitted by least squares")
    elif recipe.law == "annealing" and recipe.tokens == "effective":
        raise LeftOut("the annealing-aware law counts learning rates, not tokens")
    elif recipe.tokens == "effective" and not any(curves.repeated(*c) for c in quantity.curves):
        raise LeftOut("no token is repeated")


def _estimate(quantity: Quantity, recipe: Recipe, curves: Curves) -> dict[str, object]:
    if quantity.parameter == "onset":
        few = quantity.few is not None and curves.rises(*quantity.few, recipe)
        return _of_onset(quantity, curves.onset(*quantity.curves[0], recipe), few)
    found = [curves.parameter(run, d, recipe, quantity.parameter) for run, d in quantity.curves]
    if any(parameter.status == "rises" for parameter in found):
        raise LeftOut("a curve rises again")
    estimate, low, high = combine(found, quantity.value)
    if not np.isfinite(estimate):
        raise LeftOut("every L_inf is zero")
    identified = sum(parameter.status == "identified" for parameter in found) / len(found)
    worst = next((p.status for p in found if p.status != "identified"), "identified")
    above, below = low > quantity.threshold, high < quantity.threshold
    agrees, against = (above, below) if quantity.sign == "above" else (below, above)
    verdict = OPEN
    if (identified == 1 or not quantity.strict) and (agrees or against):
        verdict = AGREES if agrees else CONTRADICTS
    side = (estimate > quantity.threshold) == (quantity.sign == "above")
    row = {"estimate": estimate, "low": low, "high": high, "identified": identified}
    return {**row, "status": worst, "verdict": verdict, "on_side": side}


def combine(found: list[Parameter], value: Callable[[Array], float]) -> tuple[float, float, float]:
    """A function of independent parameters, with its interval; nan at an end that is open.

    An open end of a parameter opens the end to which it moves the value, or both where the value
    turns in between.
    """
    at = np.array([parameter.value for parameter in found])
    estimate = value(at)
    down = up = 0.0
    for place, parameter in enumerate(found):
        moved = []
        # Parameters are not negative; FAR stands for no bound above.
        for end, limit in ((parameter.low, 0.0), (parameter.high, FAR * max(1.0, at[place]))):
            there = at.copy()
            there[place] = limit if np.isnan(end) else end
            change = value(there) - estimate
            moved.append(np.sign(change) * np.inf if np.isnan(end) and change else change)
        if np.isinf(moved).any() and np.sign(moved[0]) == np.sign(moved[1]):
            moved = [-np.inf, np.inf]
        down += float(np.minimum(np.min(moved), 0)) ** 2
        up += float(np.maximum(np.max(moved), 0)) ** 2
    low, high = estimate - down**0.5, estimate + up**0.5
    return estimate, low if np.isfinite(low) else np.nan, high if np.isfinite(high) else np.nan


def _of_onset(quantity: Quantity, onset: Onset, few_rises: bool) -> dict[str, object]:
    """As the ledger decides: where the curve rises its range must meet the paper's.

    If a curve of few repeats rises as well, repeats need not be the cause.
    """
    meets = onset.low <= quantity.upper and onset.high >= quantity.threshold
    verdict = OPEN
    if onset.rises:
        verdict = CONTRADICTS if not meets else OPEN if few_rises else AGREES
    elif onset.last > quantity.upper:
        verdict = CONTRADICTS
    inside = quantity.threshold <= onset.repeats <= quantity.upper
    high = onset.high if np.isfinite(onset.high) else np.nan
    status = "identified" if onset.rises else "no_rise"
    row = {"estimate": onset.repeats, "low": onset.low, "high": high, "verdict": verdict}
    return {**row, "identified": float(onset.rises), "status": status, "on_side": inside}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one seed's runs")
    parser.add_argument("--training", type=Path, nargs="+", required=True, help="of the same runs")
    parser.add_argument("--out", type=Path, required=True, help="specification.csv")
    parser.add_argument("--settings", required=True, help="JSON: burn_in, pool; decay, worth")
    arguments = parser.parse_args()
    chosen = settings.parse(Settings, arguments.settings)
    for path in arguments.curves:
        check_curves(files.read_table(path, "curves"), str(path))
    columns = ["run", "step", "learning_rate"]
    logged = [files.read_table(path, "training", columns) for path in arguments.training]
    curves = read_curves(arguments.curves)
    training = pd.concat(logged, ignore_index=True)
    table = specify(Curves(curves, training, chosen.decay, chosen.worth), chosen)
    files.write_csv(table, arguments.out)
    verdicts, reasons = (table[c].value_counts().to_dict() for c in ("verdict", "left_out"))
    log.info("%s: %s; left out %s", arguments.out, verdicts, reasons)


if __name__ == "__main__":
    run_command(main)
