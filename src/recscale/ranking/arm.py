"""The trainings of one model on one arm: the sweep of the learning rate, then every seed.

More threads run more trainings at once, each on one thread: within a training, the sums of some
gradients depend on how torch divides them among threads, and early stopping amplifies that.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import torch

from recscale.errors import UserError
from recscale.logs import logger
from recscale.ranking.comparison import Comparison
from recscale.ranking.examples import TrainingExamples
from recscale.ranking.rank_metrics import Ranks
from recscale.ranking.recbole_runner import Diverged, Trained, Training, train
from recscale.ranking.settings import Settings, validation_cutoff
from recscale.seeds import derive

log = logger(__name__)


@dataclass(frozen=True)
class Run:
    """One training to make; `seed` is its number, or None in the sweep of the learning rate."""

    learning_rate: float
    epochs: int
    seed: int | None

    @property
    def name(self) -> str:
        """What logs call it, and what its random numbers derive from."""
        return "sweep" if self.seed is None else f"seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """The validation recall of a training's best epoch and, outside the sweep, the test ranks."""

    recall: float
    ranks: Ranks | None


@dataclass(frozen=True)
class Arm:
    """One model, the examples of one arm, and what it shares with the other arm."""

    name: str
    model: str
    comparison: Comparison
    examples: TrainingExamples
    settings: Settings

    def choose_learning_rate(self) -> float:
        """The rate of the highest validation recall after a third of the epochs with one seed.

        A single rate needs no sweep.

        Raises:
            UserError: the loss became not a number at every rate.
        """
        rates = self.settings.learning_rates
        if len(rates) == 1:
            return rates[0]
        epochs = max(1, self.settings.epochs // 3)
        outcomes = self._train_all([Run(rate, epochs, None) for rate in rates])
        recalls = {r: o.recall for r, o in zip(rates, outcomes, strict=True) if o is not None}
        if not recalls:
            raise UserError(
                f"{self.model} diverges on {self.name} at every rate of ranking.learning_rates",
                "add a smaller one",
            )
        return max(recalls, key=lambda rate: recalls[rate])

    def train_seeds(self, learning_rate: float) -> list[Ranks]:
        """The test ranks of the trainings 0, 1, ..., one per seed.

        Raises:
            UserError: the loss of one became not a number.
        """
        settings = self.settings
        runs = [Run(learning_rate, settings.epochs, seed) for seed in range(settings.seeds)]
        ranks = [outcome.ranks for outcome in self._train_all(runs) if outcome is not None]
        found = [r for r in ranks if r is not None]
        if len(found) < len(runs):
            raise UserError(
                f"{self.model} diverges on {self.name} at learning rate {learning_rate:g}",
                "take it out of ranking.learning_rates",
            )
        return found

    def _train_all(self, runs: list[Run]) -> list[Outcome | None]:
        processes = min(self.settings.threads, len(runs))
        if processes == 1:
            return [self._train(run) for run in runs]
        # A fork saves each process the seconds of importing RecBole; it is safe on Linux because
        # this process has not used torch's own threads.
        method = "fork" if sys.platform == "linux" else "spawn"
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            return list(pool.map(self._train, runs))

    def trainings(self, learning_rate: float) -> list[Trained]:
        """The trained models of the seeds 0, 1, ..., in this process, one after the other.

        Raises:
            Diverged: the loss of one became not a number.
        """
        settings = self.settings
        runs = [Run(learning_rate, settings.epochs, seed) for seed in range(settings.seeds)]
        return [self._fit(run) for run in runs]

    def _train(self, run: Run) -> Outcome | None:
        """One training, None if it diverged."""
        try:
            trained = self._fit(run)
        except Diverged:
            log.warning("%s %s %s: the loss became not a number", self.model, self.name, run.name)
            return None
        ranks = None if run.seed is None else trained.ranks(self.comparison.test)
        return Outcome(trained.recall, ranks)

    def _fit(self, run: Run) -> Trained:
        """One training. Its seed does not depend on the arm."""
        torch.set_num_threads(1)
        n_items = len(self.comparison.vocabulary)
        training = Training(
            model=self.model,
            hidden=self.settings.hidden,
            history_length=self.settings.history_length,
            epochs=run.epochs,
            patience=self.settings.patience,
            batch_size=self.settings.batch_size,
            learning_rate=run.learning_rate,
            cutoff=validation_cutoff(n_items),
            seed=derive(self.settings.seed, "ranking", self.model, run.name),
        )
        label = f"{self.model} {self.name} {run.name}, learning rate {run.learning_rate:g}"
        trained = train(training, self.examples, self.comparison.validation.examples, n_items)
        log.info(
            "%s: best epoch %d of %d run, %s; validation recall@%d %.4f",
            label,
            trained.best_epoch,
            trained.epochs,
            "stopped early" if trained.stopped_early else f"ran to the limit of {run.epochs}",
            training.cutoff,
            trained.recall,
        )
        return trained
