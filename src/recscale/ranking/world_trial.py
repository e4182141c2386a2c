"""TSTR against TRTR where true preference is known: one bias of the log switched on at a time.

The paper says that walks on the item graph remove position, popularity and exposure bias (sections
3.2 and 4.3). In the simulated marketplace (`recscale.data.world`) the log has the bias of one dial
at a strength, the other dials at 0; it is read, mined and walked on by the pipeline's own code. The
arms are those of Figure 1, with the same number of examples, sweep of the learning rate and early
stopping; each model is then asked for what test users truly prefer (`true_preference`), beside what
the log says they did next. Three orders stand for comparison: the number of events in the training
period, a random order, and true preference itself, the best possible.

A trial repeats everything, from the world to the training, with as many seeds as
`ranking.seeds` says: intervals over trainings alone would take one world's chance for an effect. A
seed gives the same listings, users and draws whatever the dial, so that trials compare seed by
seed.

    python -m recscale.ranking.world_trial --dial position_bias --strength 0.5 --folder work \\
        --trial trial.parquet --settings '{"seed": 1, "world": {...}, ...}'
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import files, seeds
from recscale.errors import UserError, run_command
from recscale.ranking.comparison import ARMS
from recscale.ranking.compatibility import quiet_corner
from recscale.ranking.models import find_model
from recscale.ranking.settings import Settings as RankingSettings
from recscale.ranking.settings import measurable
from recscale.ranking.train import budgets
from recscale.ranking.true_preference import Scores, recalls, same_for_all
from recscale.ranking.world_log import DIALS, NO_DIAL, LogSettings, Simulated, dials, simulate
from recscale.settings import parse


@dataclass(frozen=True)
class Settings(LogSettings):
    """A trial's settings: how the log is made, and the arms.

    `ranking.seeds` counts worlds, each with one training per arm and model. All that is random
    derives from `seed`; the seeds of `walks` and `ranking` are not used.
    """

    seed: int
    models: tuple[str, ...]
    ranking: RankingSettings

    def check(self) -> None:
        """Raise UserError for a setting that is refused before a world is made."""
        self.ranking.check()
        if not self.models:
            raise UserError("models is empty", "name one, such as GRU4Rec")
        for model in self.models:
            find_model(model, self.ranking.hidden)


def trained_scores(
    simulated: Simulated, settings: RankingSettings, model: str, size: int
) -> Iterator[tuple[str, Scores]]:
    """Each arm's name and what its model scores. Stand in `quiet_corner` when calling it.

    Raises:
        UserError: a training diverges.
    """
    # RecBole takes seconds to import, so it comes after everything that can be refused.
    from recscale.ranking.arm import Arm
    from recscale.ranking.recbole_runner import Diverged

    for name in ARMS:
        examples = simulated.comparison.training_examples(name, size, settings.seed)
        arm = Arm(name, model, simulated.comparison, examples, settings)
        learning_rate = arm.choose_learning_rate()
        try:
            (trained,) = arm.trainings(learning_rate)
        except Diverged:
            raise UserError(
                f"{model} diverges on {name} at learning rate {learning_rate:g}",
                "take it out of ranking.learning_rates",
            ) from None
        yield name, trained.scores


def orders(
    simulated: Simulated, settings: RankingSettings, models: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], Scores]]:
    """Every order of the items, with its arm, model and number of training examples.

    Stand in `quiet_corner` when calling it.
    """
    items = len(simulated.comparison.vocabulary)
    untrained = {
        "popularity": same_for_all(simulated.events),
        "random": same_for_all(np.zeros(items)),
        "best": simulated.truth.scores,
    }
    for name, scores in untrained.items():
        yield {"arm": name, "model": name, "examples": 0}, scores
    size = budgets(simulated.comparison, "matched", settings)["tstr"]
    for model in models:
        for name, scores in trained_scores(simulated, settings, model, size):
            yield {"arm": name, "model": model, "examples": size}, scores


def trial(settings: Settings, dial: str, strength: float, folder: Path) -> pd.DataFrame:
    """All rows of one dial at one strength, contract `world_trials`.

    Args:
        settings: checked settings.
        dial: a name of `DIALS`, or `none`.
        strength: of the dial, 0 to 1.
        folder: for temporary files; removed at the end if nothing else is in it.

    Raises:
        UserError: the dial or its strength is wrong, or as `simulate` and `trained_scores`.
    """
    dials(dial, strength)  # before the folder is made
    found = []
    for number in range(settings.ranking.seeds):
        seed = seeds.derive(settings.seed, "world trial", number)
        ranking = dataclasses.replace(settings.ranking, seed=seed, seeds=1)
        with quiet_corner(folder) as corner:
            simulated = simulate(settings, ranking, dial, strength, corner)
            items = len(simulated.comparison.vocabulary)
            cutoffs = measurable(ranking.cutoffs, items)
            test = simulated.comparison.test
            labels = {"dial": dial, "strength": strength, "seed": number, "items": items}
            for order, scores in orders(simulated, ranking, settings.models):
                measured = recalls(scores, simulated.truth, test, cutoffs)
                columns: dict[str, Any] = {"n_test": len(test.users), **labels, **order}
                found.append(measured.assign(**columns))
    return pd.concat(found, ignore_index=True)


def main() -> None:
    """Command line: one dial and strength to a table of true and logged recall."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dial", required=True, help=f"{NO_DIAL}, {', '.join(DIALS)}")
    parser.add_argument("--strength", type=float, required=True, help="0 to 1; 0 for none")
    parser.add_argument("--folder", type=Path, required=True, help="for temporary files")
    parser.add_argument("--trial", type=Path, required=True, help="output: the table")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    settings.check()
    table = trial(settings, arguments.dial, arguments.strength, arguments.folder)
    files.write_table(table, arguments.trial, "world_trials")


if __name__ == "__main__":
    run_command(main)
