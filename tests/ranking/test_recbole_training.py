"""Trainings of RecBole's models: what they learn, what stops them, what makes them repeat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from recbole.model.sequential_recommender.stamp import STAMP

from recscale.errors import UserError
from recscale.files import read_arrow
from recscale.ranking.arm import Arm
from recscale.ranking.comparison import Comparison, compare
from recscale.ranking.measures import recall
from recscale.ranking.models import MODELS
from recscale.ranking.recbole_runner import Diverged, Trained, Training, train
from recscale.ranking.settings import Settings
from recscale.settings import build

# Importing RecBole's models switches it on, for every test after this file is collected.
torch.autograd.set_detect_anomaly(False)

QUICK = Training(
    model="GRU4Rec",
    hidden=16,
    history_length=6,
    epochs=2,
    patience=2,
    batch_size=32,
    learning_rate=0.01,
    cutoff=3,
    seed=1,
)


@pytest.fixture
def comparison(cycle) -> Comparison:
    tables = [read_arrow(cycle[name], name) for name in ("histories", "walks")]
    return compare(*tables, history_length=6)


def run(comparison: Comparison, **changes: object) -> Trained:
    return train(
        dataclasses.replace(QUICK, **changes),
        comparison.training_examples("tstr", 300, 1),
        comparison.validation.examples,
        len(comparison.vocabulary),
    )


def test_a_cycle_is_learned(comparison, corner):
    trained = run(comparison, epochs=25, patience=10, learning_rate=0.05, batch_size=64, cutoff=1)
    ranks = trained.ranks(comparison.test)
    assert recall(ranks.unmasked, 1) == 1
    assert trained.recall == 1


@pytest.mark.parametrize("model", MODELS)
def test_recall_from_ranks_is_recboles_own(comparison, corner, model):
    trained = run(comparison, model=model)
    rows = comparison.test
    ranks = trained.ranks(rows).unmasked
    assert 1 < ranks.mean() < 30  # neither all right nor all wrong, so that recall@3 can differ
    own = trained.recbole_recall(rows.examples, len(comparison.vocabulary))
    assert recall(ranks, 3) == pytest.approx(own, abs=1e-9)
    assert ranks.max() <= len(comparison.vocabulary)


def test_the_best_epoch_is_restored(comparison, corner):
    # A rate this high makes the validation recall jump about, so that the last epoch is not best.
    trained = run(comparison, epochs=12, patience=4, learning_rate=0.3)
    rows = comparison.validation
    assert recall(trained.ranks(rows).unmasked, 3) == pytest.approx(trained.recall, abs=1e-9)
    assert trained.best_epoch < trained.epochs
    assert trained.stopped_early == (trained.epochs - trained.best_epoch == 4)


def test_patience_stops_after_as_many_epochs_without_a_better_one(comparison, corner):
    trained = run(comparison, epochs=40, patience=1, learning_rate=0.3)
    assert trained.stopped_early
    assert trained.epochs == trained.best_epoch + 1 < 40
    limited = run(comparison, epochs=1, patience=1)
    assert not limited.stopped_early
    assert limited.epochs == limited.best_epoch == 1


def test_stamp_keeps_its_padding_row_at_zero(comparison, corner, monkeypatch):
    made = []
    original = STAMP.__init__
    monkeypatch.setattr(
        STAMP, "__init__", lambda self, *a: (original(self, *a), made.append(self))[0]
    )
    run(comparison, model="STAMP")
    weights = made[0].item_embedding.weight
    assert (weights[0] == 0).all()
    assert (weights[1:] != 0).any(dim=1).all()


def test_anomaly_detection_is_off(comparison, corner):
    run(comparison, epochs=1)
    assert not torch.is_anomaly_enabled()


def test_the_seed_decides(comparison, corner):
    first, again, other = (run(comparison, seed=s).ranks(comparison.test) for s in (1, 1, 2))
    assert (first.unmasked == again.unmasked).all()
    assert (first.unmasked != other.unmasked).any()


@pytest.mark.parametrize("model", ["GRU4Rec", "SASRec"])
def test_threads_change_nothing(comparison, corner, settings, model):
    found = []
    for threads in (1, 2):
        chosen = build(Settings, {**settings, "threads": threads}, "settings")
        examples = comparison.training_examples("trtr", 150, 7)
        arm = Arm("trtr", model, comparison, examples, chosen)
        found.append((arm.choose_learning_rate(), arm.train_seeds(0.01)))
    (rate, ranks), (rate_of_two, ranks_of_two) = found
    assert rate == rate_of_two
    assert len(ranks) == 2
    for one, two in zip(ranks, ranks_of_two, strict=True):
        np.testing.assert_array_equal(one.unmasked, two.unmasked)
        np.testing.assert_array_equal(one.masked, two.masked)


def test_a_diverging_training_is_told(comparison, corner, settings):
    with pytest.raises(Diverged):
        run(comparison, learning_rate=1e30)
    for rates, said in (([1e30], "at learning rate 1e"), ([1e29, 1e30], "at every rate")):
        chosen = build(Settings, {**settings, "learning_rates": rates}, "settings")
        arm = Arm(
            "trtr", "GRU4Rec", comparison, comparison.training_examples("trtr", 150, 7), chosen
        )
        with pytest.raises(UserError, match=said):
            arm.train_seeds(arm.choose_learning_rate())
