"""Specification curves: the ledger's recipe among them, what is left out, what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from recscale import files
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.pretraining.schedule import evaluation_steps, learning_rate
from recscale.scaling import fit, specification, specification_fits
from recscale.scaling.power_law import fit_power_law
from recscale.scaling.specification import QUANTITIES, Settings, combine, recipes
from recscale.scaling.specification_fits import Curves, Parameter, _equal_steps

STEPS, WARM_UP = 732, 20
CHOSEN = Settings(burn_in=0.06, pool="token_weighted")
RUNS = sorted({run for quantity in QUANTITIES for run, _ in quantity.curves} | {"size3-uih_0.5"})
ALPHAS = {"uih": 0.9, "cf": 0.6, "item": 0.4, "general": 0.2}


def planted(run: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A run whose alphas fall in the paper's order and whose small UIH set overfits."""
    at = np.array([0, *evaluation_steps(STEPS, WARM_UP, 14)])
    random = np.random.default_rng(sum(map(ord, run)))
    tables = []
    for domain in HELD_OUT_DOMAINS:
        alpha = ALPHAS[domain.split("_")[0]]
        loss = 1.5 + 2.0 * (np.maximum(at, 5) / 100) ** -alpha
        reduced = "uih_" in run and not run.endswith("_0.5")
        repeats = at / STEPS * (100 if reduced else 4)
        if reduced and domain.startswith("uih"):
            loss = loss + 4.0 * np.maximum(np.log(np.maximum(repeats, 1) / 16), 0)
        tables.append(
            pd.DataFrame(
                {
                    **{"run": run, "size": run.split("-")[0], "seed": 0, "domain": domain},
                    **{"step": at, "tokens": at * 2048, "domain_tokens": at * 256},
                    **{"repeats": repeats, "token_class": "all"},
                    "loss": loss * (1 + 0.0005 * random.normal(size=len(at))),
                    **{"n_tokens": 1000 + 500 * domain.endswith("graph"), "loss_per_item": np.nan},
                }
            )
        )
    logged = np.arange(1, STEPS + 1)
    rates = [learning_rate(step - 1, STEPS, WARM_UP, 2e-3) for step in logged]
    training = pd.DataFrame({"run": run, "step": logged, "learning_rate": rates})
    return pd.concat(tables, ignore_index=True), training


@pytest.fixture(scope="module", autouse=True)
def fewer_choices() -> Iterator[None]:
    """Fewer recipes, of every kind that behaves differently."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specification_fits, "BURN_INS", (0.06, 0.3))
        patch.setattr(specification_fits, "RANGES", ("whole", "no_last_fifth"))
        yield


@pytest.fixture(scope="module")
def inputs() -> tuple[pd.DataFrame, pd.DataFrame]:
    pairs = [planted(run) for run in RUNS]
    curves, training = (pd.concat(tables, ignore_index=True) for tables in zip(*pairs, strict=True))
    return curves, training


@pytest.fixture(scope="module")
def table(inputs) -> pd.DataFrame:
    return specification.specify(Curves(*inputs, decay=0.999, worth=15.4), CHOSEN)


def test_every_quantity_has_every_combination_once(table) -> None:
    choices = ["burn_in", "range", "spacing", "objective", "law", "tokens", "pool"]
    assert not table.duplicated(["quantity", *choices]).any()
    assert set(table.groupby("quantity").size()) == {len(list(recipes(CHOSEN)))}
    assert (table["estimate"].isna() == table["left_out"].notna()).all()
    assert (table.groupby("quantity")["default"].sum() == 1).all()


def test_the_default_is_the_ledgers_fit(inputs, table) -> None:
    curves, _ = inputs
    fitted = {
        (curve.keys["run"], curve.keys["domain"]): fit_power_law(curve.late_tokens, curve.late_loss)
        for curve in fit.curves_of_runs(curves, fit.Settings(CHOSEN.burn_in, CHOSEN.pool), "curves")
        if curve.keys["domain"] in ("general", "item_text", "cf", "uih")
    }
    default = table[table["default"]].set_index("quantity")
    compared = [quantity for quantity in QUANTITIES if quantity.parameter != "onset"]
    for quantity in compared:
        values = [getattr(fitted[curve], quantity.parameter) for curve in quantity.curves]
        assert default.loc[quantity.name, "estimate"] == pytest.approx(
            quantity.value(np.array(values, dtype=float)), rel=1e-4, abs=1e-6
        )


def test_what_was_planted_is_agreed_with(table) -> None:
    of = table[(table["quantity"] == "alpha_uih_minus_cf") & table["default"]].iloc[0]
    assert of["estimate"] == pytest.approx(0.3, abs=0.05)
    assert of["low"] < of["estimate"] < of["high"]
    assert of["verdict"] == "agrees" and of["on_side"]
    onset = table[(table["quantity"] == "onset_5") & table["default"]].iloc[0]
    assert 8 < onset["estimate"] < 40 and onset["verdict"] == "agrees"


def test_a_rise_with_few_repeats_leaves_the_onset_open(inputs) -> None:
    curves, training = inputs
    few = (curves["run"] == "size3-uih_0.5") & curves["domain"].str.startswith("uih")
    late = np.maximum(np.log(np.maximum(curves["repeats"], 0.1) / 2), 0)
    risen = Curves(curves.assign(loss=curves["loss"] + few * 4 * late), training, 0.999, 15.4)
    (onset,) = [quantity for quantity in QUANTITIES if quantity.name == "onset_5"]
    default = specification.specify(risen, CHOSEN, [onset]).iloc[0]
    assert 8 < default["estimate"] < 40 and default["verdict"] == "open"


def test_reasons_for_leaving_out(table) -> None:
    kept, dropped = table[table["left_out"].isna()], table[table["left_out"].notna()]
    assert not ((kept["law"] == "annealing") & (kept["objective"] == "huber")).any()
    onset = dropped[dropped["quantity"] == "onset_5"]
    assert "the onset has no law" in set(onset["left_out"])
    huber = kept[kept["objective"] == "huber"]
    assert len(huber) and huber["low"].isna().all() and (huber["verdict"] == "open").all()
    effective = kept[(kept["tokens"] == "effective") & (kept["quantity"] == "slope_of_alpha_uih")]
    assert len(effective)


def test_effective_tokens_are_left_out_where_nothing_repeats(inputs) -> None:
    curves, training = inputs
    once = Curves(curves.assign(repeats=curves["repeats"] / 1000), training, 0.999, 15.4)
    found = specification.specify(once, CHOSEN, QUANTITIES[3:4])
    effective = found[found["tokens"] == "effective"]
    assert effective["estimate"].isna().all()
    assert "no token is repeated" in set(effective["left_out"])


def test_equal_sets_are_pooled_once(inputs) -> None:
    curves, training = inputs
    found = specification.specify(
        Curves(curves.assign(n_tokens=7), training, 0.999, 15.4), CHOSEN, QUANTITIES[3:4]
    )
    assert set(found.loc[found["estimate"].notna(), "pool"]) == {CHOSEN.pool}


def test_intervals_of_a_sum_add_in_squares() -> None:
    found = [Parameter(3.0, 2.0, 5.0, "identified"), Parameter(1.0, 0.5, 2.0, "identified")]
    estimate, low, high = combine(found, lambda v: float(v[0] - v[1]))
    assert (estimate, low, high) == (2.0, pytest.approx(2 - 2**0.5), pytest.approx(2 + 4.25**0.5))
    open_above = [found[0], Parameter(1.0, 0.5, np.nan, "not_identified")]
    _, low, high = combine(open_above, lambda v: float(v[0] - v[1]))
    assert np.isnan(low) and high == pytest.approx(2 + 4.25**0.5)
    _, low, high = combine(open_above, lambda v: float(np.ptp(v)))
    assert np.isnan(low) and np.isnan(high)  # apart from 3, to either side


def test_equal_steps_thin_a_crowd() -> None:
    tokens = np.exp([0.0, 1.0, 1.1, 1.2, 2.0, 3.0])
    assert _equal_steps(tokens) == [0, 1, 4, 5]
    assert _equal_steps(np.exp(np.arange(5.0))) == [0, 1, 2, 3, 4]


def test_thresholds_are_the_ledgers() -> None:
    rules = Path(__file__).parents[2] / "paper" / "claims.yaml"
    claims = yaml.safe_load(rules.read_text())["claims"]
    for quantity in QUANTITIES:
        limits = claims[quantity.claim]["limits"]
        if quantity.parameter == "onset":
            assert (quantity.threshold, quantity.upper) == (limits["low"], limits["high"])
        else:
            assert quantity.threshold == limits.get("spread", 0.0)


def test_bad_input_is_named(inputs) -> None:
    curves, training = inputs
    with pytest.raises(UserError, match="lack the run size1-full"):
        specification.specify(
            Curves(curves[curves["run"] != "size1-full"], training, 0.9, 1), CHOSEN
        )
    with pytest.raises(UserError, match="--training lack the run size3-uih"):
        Curves(curves, training[training["run"] != "size3-uih"], 0.9, 1)
    with pytest.raises(UserError, match="pool is 'median'"):
        Settings(0.1, "median")
    with pytest.raises(UserError, match="burn_in is 1"):
        Settings(1, "equal")


def test_the_command_writes_the_table(inputs, table, tmp_path, call) -> None:
    curves, training = inputs
    logged = training.assign(tokens=1, loss=1.0, gradient_norm=1.0, tokens_per_second=1.0)
    files.write_table(curves, tmp_path / "curves.parquet", "curves")
    files.write_table(logged, tmp_path / "training.parquet", "training")
    call(
        specification.main,
        *("--curves", tmp_path / "curves.parquet", "--training", tmp_path / "training.parquet"),
        *("--out", tmp_path / "out.csv"),
        *("--settings", json.dumps({"burn_in": 0.06, "pool": "token_weighted"})),
    )
    written = pd.read_csv(tmp_path / "out.csv")
    pd.testing.assert_series_equal(written["estimate"], table["estimate"])
