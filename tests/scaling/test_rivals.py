"""The rivals of the power law."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from recscale.contracts import LAWS
from recscale.errors import UserError
from recscale.files import read_table, write_table
from recscale.scaling import rivals
from recscale.scaling.fit import DomainCurve


def test_a_constant_is_fitted_by_its_mean():
    assert rivals.constant(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)


def test_the_pure_power_law_fits_itself_and_not_a_curve_with_a_floor(tokens):
    assert rivals.pure_power_law(tokens, tokens**-0.3) < 1e-15
    with_floor = 0.66 + (tokens / 4e9) ** -0.6
    best = min(
        np.sum((with_floor - (x := tokens**-alpha) * (x @ with_floor) / (x @ x)) ** 2)
        for alpha in np.linspace(0.001, 1, 4000)
    )
    assert rivals.pure_power_law(tokens, with_floor) == pytest.approx(best, rel=1e-4)


def test_aicc_by_hand():
    # n ln(S / n) + 2k + 2k(k+1)/(n-k-1) with n = 10, k = 3 (two parameters and the noise), S = 10
    # e.
    assert rivals.aicc(10 * np.e, 10, 2) == pytest.approx(10 + 6 + 24 / 6)


@pytest.mark.parametrize(
    ("law", "loss"),
    [
        ("power_law", lambda x: 0.6 + 0.3 * x**-0.5),
        ("constant", lambda x: np.full(len(x), 0.7)),
        ("log_linear", lambda x: 1 - 0.1 * np.log(x)),
        ("pure_power_law", lambda x: 0.9 * x**-0.3),
        ("exponential", lambda x: 0.6 + 0.3 * np.exp(-0.7 * x)),
        (
            "broken_power_law",
            lambda x: 0.9 * x**-0.4 * (1 + (x / 1.5) ** (1 / rivals.BEND)) ** (rivals.BEND * 0.3),
        ),
    ],
)
def test_each_law_fits_itself_and_foretells_itself(tokens, law, loss):
    x = tokens / np.exp(np.mean(np.log(tokens)))
    found = rivals.fit_law(law, x, loss(x))
    assert found.sum_of_squares < 1e-12
    assert found.sum_of_squares == pytest.approx(
        np.sum((found.predict(x) - loss(x)) ** 2), abs=1e-15
    )
    first = x <= x[-1] / 2
    ahead = rivals.fit_law(law, x[first], loss(x[first])).predict(x)
    assert ahead == pytest.approx(loss(x), abs=1e-3)


def test_the_law_behind_a_curve_has_the_least_aicc(tokens):
    # The others differ from it by much more than the noise.
    x = tokens / np.exp(np.mean(np.log(tokens)))
    noise = 1e-4 * np.random.default_rng(0).normal(size=14)
    for law, loss in (
        ("power_law", 0.6 + 0.3 * x**-0.5),
        ("log_linear", 1 - 0.1 * np.log(x)),
        ("exponential", 0.6 + 0.3 * np.exp(-0.7 * x)),
    ):
        table = rivals.compare(as_curve(tokens, loss + noise))
        assert table.set_index("law")["delta_aicc"].idxmin() == law


def as_curve(tokens: np.ndarray, loss: np.ndarray) -> DomainCurve:
    """A curve of which all evaluations come after the burn-in."""
    keys = {"run": "size1-full", "size": "size1", "seed": 0, "domain": "uih"}
    return DomainCurve(keys, tokens, tokens / 1e9, loss, np.ones(len(tokens), dtype=bool))


def test_the_first_half_of_the_tokens_foretells_the_rest(tokens):
    loss = 0.6 + 0.3 * (tokens / 1e10) ** -0.5
    table = rivals.compare(as_curve(tokens, loss)).set_index("law")
    assert table["n_first"].unique() == [(tokens <= tokens[-1] / 2).sum()]
    assert (table["n_first"] + table["n_rest"] == 14).all()
    assert table.loc["power_law", "extrapolation_rmse"] < 1e-6
    # A straight line in ln D goes on falling, a constant stays above.
    assert table.loc["log_linear", "extrapolation_bias"] < -0.005
    assert table.loc["constant", "extrapolation_bias"] > 0.02
    assert table.loc["power_law", "parameters"] == 3


def test_a_short_or_an_empty_curve_has_laws_without_numbers(tokens):
    loss = 0.6 + 0.3 * (tokens / 1e10) ** -0.5
    short = rivals.compare(as_curve(tokens[:5], loss[:5])).set_index("law")
    assert np.isfinite(short.loc["pure_power_law", "aicc"])
    assert np.isnan(short.loc["power_law", "aicc"])
    empty = rivals.compare(as_curve(tokens[:0], loss[:0]))
    assert (empty["status"] == "too_few_points").all() and empty["rmse"].isna().all()


def test_a_rising_curve_says_so_in_every_row(tokens):
    loss = 0.6 + 0.3 * (tokens / 1e10) ** -0.5 + 0.2 * np.maximum(0, np.log(tokens / 2e10))
    assert set(rivals.compare(as_curve(tokens, loss))["status"]) == {"not_monotone"}


def test_the_command_writes_a_row_for_each_law_and_curve(curves, tmp_path, monkeypatch):
    write_table(curves, tmp_path / "curves.parquet", "curves")
    settings = json.dumps({"burn_in": 0.06, "pool": "token_weighted"})
    paths = ["--curves", f"{tmp_path}/curves.parquet", "--out", f"{tmp_path}/rivals.parquet"]
    monkeypatch.setattr(sys, "argv", ["rivals", *paths, "--settings", settings])
    rivals.main()
    table = read_table(tmp_path / "rivals.parquet", "rivals")
    assert len(table) == 9 * len(LAWS)
    best = table[table["delta_aicc"] == 0].set_index("domain")["law"]
    assert (best == "power_law").sum() >= 7
    with pytest.raises(UserError, match="nowhere.parquet is missing"):
        monkeypatch.setattr(
            sys,
            "argv",
            ["rivals", "--curves", "nowhere.parquet", *paths[2:], "--settings", settings],
        )
        rivals.main()
