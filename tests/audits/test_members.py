"""Members and users kept out: areas and likelihoods where the answer is known, and the halving."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recscale.audits import members
from recscale.audits.histories import Items, read_histories
from recscale.audits.membership import Round, Successors, areas, likelihood, mean_area
from recscale.audits.sample import Sample

from . import audited_log
from .item_sequences import sequences


@hypothesis_settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([-1, 0, 1]), st.integers(0, 3)), min_size=4
    )
)
def test_the_area_counts_pairs_with_ties_as_halves(rows):
    scores, sides, weights = (np.array(column) for column in zip(*rows, strict=True))
    inside, outside = sides == 1, sides == 0
    if not (weights[inside].sum() and weights[outside].sum()):
        return
    total = 0.0
    for a, wa in zip(scores[inside], weights[inside], strict=True):
        for b, wb in zip(scores[outside], weights[outside], strict=True):
            total += wa * wb * ((a > b) + 0.5 * (a == b))
    expected = total / (weights[inside].sum() * weights[outside].sum())
    found = areas(Round(scores.astype(float), sides), weights[:, None].astype(float))
    assert found[0] == pytest.approx(expected)


def test_scores_that_are_no_number_are_left_out():
    found = Round(np.array([3.0, np.nan, 1.0]), np.array([1, 0, 0]))
    assert areas(found, np.ones((3, 1)))[0] == 1.0


def test_sequences_that_know_no_user_tell_nothing_and_copies_tell_all():
    random = np.random.default_rng(6)
    users, items = 300, 60
    # Everybody has favourites of their own, so that likelihoods can tell people apart.
    rows = [random.choice(random.integers(0, items, 6), 30).tolist() for _ in range(users)]
    histories = sequences(rows)
    inside = random.random(users) < 0.5
    noise = sequences([random.integers(0, items, 8).tolist() for _ in range(2000)])
    copies = histories.take(np.flatnonzero(inside))
    found = {}
    for name, model in (("noise", noise), ("copies", copies)):
        scores = likelihood(histories, Successors.of(model, items))
        area, drawn = mean_area([Round(scores, inside.astype(int))], 200, random)
        found[name] = area, np.quantile(drawn, [0.025, 0.975])
    assert found["noise"][1][0] < 0.5 < found["noise"][1][1]
    assert found["copies"][1][0] > 0.9


def test_probabilities_of_what_follows_sum_to_one():
    model = Successors.of(sequences([[0, 1, 2], [1, 1, 3], [0, 0]]), 5)
    everything = np.arange(5)
    for first in range(5):
        total = np.exp(model.log_probability(np.full(5, first), everything)).sum()
        assert total == pytest.approx(1)
    lone = likelihood(sequences([[2], [0, 1]]), model)
    assert np.isnan(lone[0])
    assert lone[1] == pytest.approx(model.log_probability(np.array([0]), np.array([1]))[0])


def test_halves_are_each_members_in_turn():
    users = np.arange(1000)
    first, second, third = (members.halve(users, number, 1) for number in range(3))
    assert (first ^ second).all()
    assert 400 < first.sum() < 600
    assert (first != third).any()


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    return folder, audited_log.write(folder, audited_log.grouped_walks())


def test_those_who_calibrate_are_half_of_the_kept_out_and_not_scored(audited):
    folder, paths = audited
    items = Items.read(paths["items"])
    histories = read_histories(paths["events"], audited_log.UNTIL, items)
    sample = Sample(histories, items, paths["items"], folder)
    inside = members.halve(histories.users, 0, 1)
    found = members.scored(sample, inside, histories.items, 0, 1)
    sides = found["membership_auc"].sides
    np.testing.assert_array_equal(sides == 1, inside)
    assert 0.3 < (sides == -1).sum() / (~inside).sum() < 0.7
    # Their own histories calibrate them: what is left tells less of them than of others.
    calibrated = found["membership_auc"].scores
    assert calibrated[sides == -1].mean() < calibrated[sides == 0].mean()
    assert (found["membership_auc_plain"].scores != calibrated).all()
