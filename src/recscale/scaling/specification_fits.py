"""One curve fitted by every recipe of a specification curve.

A recipe chooses which evaluations count, how they are weighed, and what the law knows. Fits of the
same evaluations are made once.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd

from recscale.errors import UserError
from recscale.scaling import annealing
from recscale.scaling.huber import Objective, from_starts
from recscale.scaling.monotone import rises
from recscale.scaling.onset import MIN_POINTS as POINTS_OF_AN_ONSET
from recscale.scaling.power_law import MIN_POINTS
from recscale.scaling.projection import Array
from recscale.scaling.repetition import effective_tokens
from recscale.tables.run_curves import POOLS, paper_columns

BURN_INS = (0.05, 0.1, 0.2, 0.3)
RANGES = ("whole", "no_last_fifth", "second_half")
SPACINGS = ("all", "equal")
OBJECTIVES = ("squares", "huber")
LAWS = ("plain", "annealing")
TOKENS = ("seen", "effective")
LAST_FIFTH = 0.8  # of the run's tokens; later the learning rate is below a tenth of its peak
SAME_STEP = 0.9  # of the widest step in ln D: as far apart evaluations are kept


@dataclass(frozen=True)
class Recipe:
    """One combination of choices: see `BURN_INS` to `TOKENS`, and `POOLS`.

    The second half is that of ln D from the first evaluation to the last. Equal spacing keeps
    evaluations about as far apart in ln D as the widest step.
    """

    burn_in: float
    range: str = "whole"
    spacing: str = "all"
    objective: str = "squares"
    law: str = "plain"
    tokens: str = "seen"
    pool: str = "token_weighted"


@dataclass(frozen=True)
class Parameter:
    """A fitted parameter of one curve with its interval; an end that is nan is open or unknown.

    `status` is identified, not_identified, few_points (the fit has none or few degrees of freedom),
    no_interval (the objective gives none) or rises (no law falls with it; the value is nan).
    """

    value: float
    low: float
    high: float
    status: str


@dataclass(frozen=True)
class Onset:
    """Repeats at the lowest loss, and at the ends of its interval; inf where it is open above."""

    repeats: float
    low: float
    high: float
    last: float
    rises: bool


class LeftOut(Exception):
    """A recipe does not apply; the message is the reason."""


class Curves:
    """The curves of runs by pool, run and domain, and the fits that were made of them.

    Args:
        curves: rows of the curves contract, of several runs.
        training: rows of the training contract of the same runs.
        decay: of the annealing area, a step.
        worth: R* of the effective tokens, in repetitions.

    Raises:
        UserError: a run has no training.
    """

    def __init__(
        self, curves: pd.DataFrame, training: pd.DataFrame, decay: float, worth: float
    ) -> None:
        self.worth = worth
        self.runs = set(curves["run"])
        self.areas: dict[str, pd.DataFrame] = {}
        self.made: dict[tuple[object, ...], dict[str, Parameter]] = {}
        self.kept: dict[tuple[object, ...], pd.DataFrame] = {}
        for name, of_run in curves.groupby("run"):
            run = str(name)
            logged = training[training["run"] == run]
            if logged.empty:
                raise UserError(f"--training lack the run {run}", "pass the file of every run")
            at = of_run[["step", "tokens"]].drop_duplicates().query("step > 0")
            steps = at["step"].to_numpy(int)
            rates = annealing.learning_rates(logged, int(steps.max()), f"training of run {run}")
            s1, s2 = annealing.areas(rates, steps, decay)
            self.areas[run] = at.assign(s1=s1, s2=s2).drop(columns="step")
        self.rows: dict[tuple[str, str, str], pd.DataFrame] = {}
        for pool in POOLS:
            pooled = paper_columns(curves, pool)
            for keys, rows in pooled[pooled["tokens"] > 0].groupby(["run", "domain"]):
                run, domain = map(str, keys)
                joined = rows.merge(self.areas[run], on="tokens").sort_values("tokens")
                self.rows[pool, run, domain] = joined.reset_index(drop=True)

    def chosen(self, run: str, domain: str, recipe: Recipe) -> pd.DataFrame:
        """The evaluations that a recipe keeps."""
        key = (run, domain, recipe.burn_in, recipe.range, recipe.spacing, recipe.pool)
        if key not in self.kept:
            self.kept[key] = self._choose(self.rows[recipe.pool, run, domain], recipe)
        return self.kept[key]

    def _choose(self, rows: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
        tokens = rows["tokens"].to_numpy(float)
        kept = tokens >= recipe.burn_in * tokens[-1]
        if recipe.range == "no_last_fifth":
            kept &= tokens <= LAST_FIFTH * tokens[-1]
        if recipe.range == "second_half":
            kept &= tokens >= np.sqrt(tokens[0] * tokens[-1])
        rows = rows[kept]
        if recipe.spacing == "all":
            return rows
        return rows.iloc[_equal_steps(rows["tokens"].to_numpy(float))]

    def key(self, run: str, domain: str, recipe: Recipe) -> tuple[object, ...]:
        """What tells two fits apart: the losses, and the choices beyond which of them count."""
        rows = self.chosen(run, domain, recipe)
        _, _, _, *others = astuple(recipe)[:-1]
        # Sets of equal size pool alike either way, but for the last digits.
        loss = rows["loss"].to_numpy().round(9)
        return (run, domain, *others, rows["tokens"].to_numpy().tobytes(), loss.tobytes())

    def repeated(self, run: str, domain: str) -> bool:
        """Whether a run sees tokens of a domain more than once."""
        return bool(self.rows[POOLS[0], run, domain]["repeats"].max() > 1)

    def parameter(self, run: str, domain: str, recipe: Recipe, name: str) -> Parameter:
        """`alpha` or `l_inf` of one curve.

        Raises:
            LeftOut: fewer evaluations than parameters, and one, remain.
        """
        key = self.key(run, domain, recipe)
        if key not in self.made:
            self.made[key] = self._fit(run, domain, recipe)
        return self.made[key][name]

    def _fit(self, run: str, domain: str, recipe: Recipe) -> dict[str, Parameter]:
        rows = self.chosen(run, domain, recipe)
        tokens, loss = rows["tokens"].to_numpy(float), rows["loss"].to_numpy(float)
        parameters = 4 if recipe.law == "annealing" else 3
        if len(loss) < parameters + 1:
            raise LeftOut("too few evaluations remain")
        enough = len(loss) >= MIN_POINTS + parameters - 3
        if enough and rises(tokens, loss):
            nothing = Parameter(np.nan, np.nan, np.nan, "rises")
            return {"alpha": nothing, "l_inf": nothing}
        x = tokens
        if recipe.law == "annealing":
            x = rows["s1"].to_numpy(float)
        elif recipe.tokens == "effective":
            seen = rows["domain_tokens"].to_numpy(float)
            x = effective_tokens(seen, seen / rows["repeats"].to_numpy(float), self.worth)
        law = annealing.fit(x, loss, rows["s2"].to_numpy() if recipe.law == "annealing" else None)
        if recipe.objective == "huber":
            u = np.log(x) - np.mean(np.log(x))
            starts = [(share * law.l_inf, law.a, law.alpha) for share in (1.0, 0.5)]
            robust = from_starts(starts, u, loss, Objective.HUBER)
            return {
                "alpha": Parameter(robust.alpha, np.nan, np.nan, "no_interval"),
                "l_inf": Parameter(robust.l_inf, np.nan, np.nan, "no_interval"),
            }
        status = "identified" if law.identified else "not_identified"
        if not enough:
            status = "few_points"
        return {
            "alpha": Parameter(law.alpha, law.alpha_low, law.alpha_high, status),
            "l_inf": Parameter(law.l_inf, law.l_inf_low, law.l_inf_high, status),
        }

    def onset(self, run: str, domain: str, recipe: Recipe) -> Onset:
        """Where one curve turns, between the evaluations beside its lowest loss.

        Raises:
            LeftOut: too few evaluations to tell a rise from noise.
        """
        rows = self.chosen(run, domain, recipe)
        tokens, loss, repeats = (rows[c].to_numpy(float) for c in ("tokens", "loss", "repeats"))
        if len(loss) < POINTS_OF_AN_ONSET:
            raise LeftOut("too few evaluations remain")
        place = int(np.argmin(loss))
        high = repeats[place + 1] if place + 1 < len(repeats) else np.inf
        return Onset(
            float(repeats[place]),
            float(repeats[max(place - 1, 0)]),
            float(high),
            float(repeats[-1]),
            bool(rises(tokens, loss)),
        )

    def rises(self, run: str, domain: str, recipe: Recipe) -> bool:
        """Whether a curve rises again; too few evaluations show no rise."""
        try:
            return self.onset(run, domain, recipe).rises
        except LeftOut:
            return False


def _equal_steps(tokens: Array) -> list[int]:
    """Places of evaluations about as far apart as the widest step in ln D, the last included."""
    u = np.log(tokens)
    if len(u) < 2:
        return list(range(len(u)))
    step = SAME_STEP * float(np.diff(u).max())
    kept = [len(u) - 1]
    for place in range(len(u) - 2, -1, -1):
        if u[kept[-1]] - u[place] >= step:
            kept.append(place)
    return kept[::-1]
