"""The annealing-aware law: what was planted is found, and it contains the plain law."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recscale.errors import UserError
from recscale.pretraining.schedule import learning_rate
from recscale.scaling import annealing
from recscale.scaling.power_law import Status, fit_power_law

STEPS = np.geomspace(30, 732, 14).round().astype(int)
COSINE = np.array([learning_rate(step, 732, 20, 2e-3) for step in range(732)])


@settings(max_examples=20, deadline=None)
@given(alpha=st.floats(0.1, 2.0), c=st.sampled_from([0.0, 0.5, 5.0]))
def test_what_was_planted_is_found(alpha: float, c: float) -> None:
    s1, s2 = annealing.areas(COSINE, STEPS)
    x = s1 / np.exp(np.mean(np.log(s1)))
    found = annealing.fit(s1, 2.0 + 0.5 * x**-alpha - c * s2, s2)
    assert found.alpha == pytest.approx(alpha, rel=1e-3)
    assert found.l_inf == pytest.approx(2.0, rel=1e-3)
    assert found.c == pytest.approx(c, abs=2e-3)


def test_a_constant_rate_gives_the_plain_law(planted) -> None:
    s1, s2 = annealing.areas(np.full(732, 1e-3), STEPS)
    assert (s2 == 0).all()
    loss = planted(STEPS * 1e8, noise=0.002)
    found = annealing.fit(s1, loss, s2)
    plain = fit_power_law(STEPS * 1e8, loss)
    assert found.c == 0
    for name in ("alpha", "l_inf", "a"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.026, 0.4, 0.9])
@pytest.mark.parametrize("noise", [0.002, 0.02])
def test_the_plain_law_and_its_intervals_are_those_of_table_4(
    planted, alpha: float, noise: float
) -> None:
    tokens = np.geomspace(4e9, 163.84e9, 14)
    loss = planted(tokens, a=3.0, alpha=alpha, noise=noise, seed=3)
    found, plain = annealing.fit(tokens, loss), fit_power_law(tokens, loss)
    if plain.alpha is None:
        pytest.skip("the noise makes it rise")
    assert found.sum_of_squares == pytest.approx(plain.sum_of_squares, rel=1e-6)
    for name in ("alpha_low", "alpha_high", "l_inf_low", "l_inf_high"):
        end = getattr(plain, name)
        assert getattr(found, name) == pytest.approx(
            np.nan if end is None else end, 2e-3, nan_ok=True
        )


def test_a_floor_held_by_the_smallest_loss_is_not_identified() -> None:
    tokens = np.geomspace(4e9, 163.84e9, 14)
    loss = 2.0 + 0.5 * (tokens / tokens[0]) ** -2.0
    loss[-4] -= 0.004
    found, plain = annealing.fit(tokens, loss), fit_power_law(tokens, loss)
    assert plain.status is Status.AT_BOUND
    assert found.at_bound and not found.identified
    assert found.l_inf == pytest.approx(loss.min()) and found.l_inf == pytest.approx(plain.l_inf)
    smooth = annealing.fit(tokens, 2.0 + 0.5 * (tokens / tokens[0]) ** -2.0)
    assert smooth.identified and not smooth.at_bound


def test_areas_by_hand() -> None:
    rates = np.array([1.0, 2.0, 2.0, 1.0, 0.5])
    s1, s2 = annealing.areas(rates, np.array([2, 4, 5]), decay=0.5)
    np.testing.assert_allclose(s1, [3.0, 6.0, 6.5])
    np.testing.assert_allclose(s2, [0.0, 1.0, 2.0])  # falls 1, then 0.5 * 1 + 0.5


def test_rates_between_logged_steps() -> None:
    logged = np.append(np.arange(5, 732, 5), 732)
    training = pd.DataFrame({"step": logged, "learning_rate": COSINE[logged - 1]})
    rates = annealing.learning_rates(training, 732, "training.parquet")
    np.testing.assert_allclose(rates, COSINE, atol=1e-4 * COSINE.max())
    with pytest.raises(UserError, match=r"training.parquet ends at step 732"):
        annealing.learning_rates(training, 800, "training.parquet")
    with pytest.raises(UserError, match="training.parquet has no steps in order"):
        annealing.learning_rates(training.iloc[::-1], 700, "training.parquet")


def test_a_decay_of_one_is_refused() -> None:
    with pytest.raises(UserError, match="decay is 1"):
        annealing.areas(COSINE, STEPS, decay=1.0)
