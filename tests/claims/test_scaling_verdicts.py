"""Verdicts on Table 4, Figures 6a and 8, and Table 8."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recscale.claims.ledger import decide
from recscale.claims.training_loss import block_rises
from recscale.claims.verdict import Evidence, Verdict
from recscale.errors import UserError

# L_inf and alpha of 0.6B, 1.7B, 4B and 8B as Table 4 prints them.
TABLE4 = {
    "general": [(0.96, 0.027), (0.87, 0.023), (0.82, 0.026), (0.79, 0.020)],
    "item_text": [(1.07, 0.169), (0.92, 0.141), (0.86, 0.126), (0.93, 0.214)],
    "cf": [(0.33, 0.282), (0.34, 0.315), (0.35, 0.357), (0.36, 0.358)],
    "uih": [(0.64, 0.453), (0.65, 0.514), (0.66, 0.564), (0.66, 0.588)],
}
FROM_FITS = ("alpha_hierarchy", "alpha_grows_with_size", "l_inf_flat_in_size")


def outcome(claims, identifier, rung="planted", **tables):
    """The outcome of one claim from planted tables."""
    return decide(claims[identifier], Evidence(rung, **tables))


def backwards(parameters):
    """The same table with the sizes in the opposite order."""
    return {domain: values[::-1] for domain, values in parameters.items()}


@pytest.mark.parametrize("identifier", FROM_FITS)
def test_the_papers_own_numbers_with_tight_intervals_bear_it_out(claims, make_fits, identifier):
    assert outcome(claims, identifier, fits=make_fits(TABLE4)).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize("identifier", [*FROM_FITS, "general_alpha_largest_small"])
def test_a_run_without_fits_is_not_reproduced(claims, make_fits, identifier):
    fits = make_fits(TABLE4)
    found = outcome(claims, identifier, fits=fits[fits["run"] != "size2-full"])
    assert found.verdict is Verdict.NOT_MEASURED
    assert "size2-full" in found.reason and "table4" in found.reason


def test_the_hierarchy_needs_intervals_that_are_apart(claims, make_fits):
    wide = outcome(claims, "alpha_hierarchy", fits=make_fits(TABLE4, half=0.08))
    assert wide.verdict is Verdict.INCONCLUSIVE
    assert wide.reason == "not told apart: cf and item_text, item_text and general"
    open_ended = make_fits(TABLE4)
    open_ended.loc[open_ended["domain"] == "item_text", "alpha_low"] = None
    found = outcome(claims, "alpha_hierarchy", fits=open_ended)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "not told apart: item_text and general"
    swapped = TABLE4 | {"uih": TABLE4["cf"], "cf": TABLE4["uih"]}
    found = outcome(claims, "alpha_hierarchy", fits=make_fits(swapped))
    assert found.verdict is Verdict.CONTRADICTED
    assert "uih and cf" in found.reason


def test_alpha_that_falls_with_size_contradicts(claims, make_fits):
    found = outcome(claims, "alpha_grows_with_size", fits=make_fits(backwards(TABLE4)))
    assert found.verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize("identifier", ["alpha_grows_with_size", "l_inf_flat_in_size"])
def test_one_seed_or_loose_fits_are_inconclusive(claims, make_fits, identifier):
    one = outcome(claims, identifier, fits=make_fits(TABLE4, seeds=1))
    assert one.verdict is Verdict.INCONCLUSIVE
    assert one.reason == "1 of the 3 seeds it needs"
    loose = outcome(claims, identifier, fits=make_fits(TABLE4, status="not_identified"))
    assert loose.verdict is Verdict.INCONCLUSIVE
    assert "of cf not identified: size1-full not_identified" in loose.reason


def test_l_inf_that_doubles_is_not_flat(claims, make_fits):
    steep = TABLE4 | {"cf": [(0.3, 0.3), (0.4, 0.3), (0.5, 0.3), (0.6, 0.3)]}
    found = outcome(claims, "l_inf_flat_in_size", fits=make_fits(steep))
    assert found.verdict is Verdict.CONTRADICTED


def test_the_smallest_model_has_the_largest_general_alpha(claims, make_fits):
    apart = {"general": [(0.9, 0.05), (0.9, 0.03), (0.9, 0.03), (0.9, 0.02)]}
    name = "general_alpha_largest_small"
    assert outcome(claims, name, fits=make_fits(apart)).verdict is Verdict.REPRODUCED
    turned = make_fits(backwards(apart))
    assert outcome(claims, name, fits=turned).verdict is Verdict.CONTRADICTED


def test_saturation_is_judged_where_the_base_is_a_released_checkpoint(claims, make_fits):
    steps = np.array([0, 10, 100])

    def curves(fall):
        rows = [
            {
                "run": f"size{i}-full",
                "size": f"size{i}",
                "domain": "general",
                "token_class": "all",
                "tokens": step,
                "loss": 1.0 - fall * step / 100,
            }
            for i in range(1, 5)
            for step in steps
        ]
        return pd.DataFrame(rows)

    name, fits = "general_saturated", make_fits(TABLE4)
    flat, falling = curves(0.02), curves(0.3)
    found = outcome(claims, name, rung="b200", fits=fits, curves=flat)
    assert found.verdict is Verdict.REPRODUCED
    found = outcome(claims, name, rung="b200", fits=fits, curves=falling)
    assert found.verdict is Verdict.CONTRADICTED
    found = outcome(claims, name, rung="mini", fits=fits, curves=flat)
    assert found.verdict is Verdict.NOT_MEASURABLE
    assert "fall of the loss 2 2 2 2 %" in found.measured


def test_lawful_curves_follow_the_law(claims, lawful):
    curves, fits = lawful
    found = outcome(claims, "power_law_every_domain", fits=fits, curves=curves)
    assert found.verdict is Verdict.REPRODUCED, found
    without = outcome(
        claims, "power_law_every_domain", fits=fits[fits["run"] != "size4-full"], curves=curves
    )
    assert without.verdict is Verdict.NOT_MEASURED


def test_a_domain_that_rises_at_two_sizes_contradicts_and_at_one_does_not(claims, lawful):
    curves, fits = lawful
    general = (fits["domain"] == "general").to_numpy()
    first = general & (fits["size"] == "size1").to_numpy()
    second = general & (fits["size"] == "size2").to_numpy()
    once = fits.assign(status=fits["status"].mask(first, "not_monotone"))
    found = outcome(claims, "power_law_every_domain", fits=once, curves=curves)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "not every curve passes: general"
    twice = once.assign(status=once["status"].mask(second, "not_monotone"))
    found = outcome(claims, "power_law_every_domain", fits=twice, curves=curves)
    assert found.verdict is Verdict.CONTRADICTED
    assert "rises again" in found.reason


def test_a_constant_that_fits_as_well_leaves_it_open(claims, lawful):
    curves, fits = lawful
    rng = np.random.default_rng(0)
    cf = curves["domain"] == "cf_both_seen"
    flat = curves.assign(loss=curves["loss"].mask(cf, 0.9 + 0.0005 * rng.normal(size=len(curves))))
    found = outcome(claims, "power_law_every_domain", fits=fits, curves=flat)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "not every curve passes: cf_both_seen"


def test_fits_of_other_curves_are_an_error(claims, lawful):
    curves, fits = lawful
    with pytest.raises(UserError, match="has 10 points, its curve 9"):
        outcome(
            claims,
            "power_law_every_domain",
            fits=fits,
            curves=curves[curves["tokens"] != curves["tokens"].max()],
        )


def test_the_largest_model_is_best_on_general_text(claims, make_curves):
    falling = make_curves(lambda domain, place: 1 - 0.1 * place)
    name = "chinchilla_general"
    assert outcome(claims, name, curves=falling).verdict is Verdict.REPRODUCED
    rising = make_curves(lambda domain, place: 1 + 0.1 * place)
    assert outcome(claims, name, curves=rising).verdict is Verdict.CONTRADICTED
    one_seed = falling[~falling["run"].str.contains("seed")]
    found = outcome(claims, name, curves=one_seed)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "1 of the 3 seeds it needs")
    without = falling[falling["run"] != "size4-full"]
    assert outcome(claims, name, curves=without).verdict is Verdict.NOT_MEASURED


def test_cf_saturates_at_the_third_size(claims, make_curves):
    name = "cf_saturates"
    saturated = make_curves(lambda domain, place: [0.6, 0.5, 0.4, 0.4][place])
    assert outcome(claims, name, curves=saturated).verdict is Verdict.REPRODUCED
    still = make_curves(lambda domain, place: [0.6, 0.5, 0.4, 0.3][place])
    assert outcome(claims, name, curves=still).verdict is Verdict.CONTRADICTED
    earlier = make_curves(lambda domain, place: [0.6, 0.4, 0.5, 0.5][place])
    assert outcome(claims, name, curves=earlier).verdict is Verdict.CONTRADICTED


def test_inverse_scaling_on_uih_ood(claims, make_curves):
    name = "uih_inverse_scaling"
    inverse = make_curves(lambda d, place: 0.70 + (0.015 * place if d == "uih_ood" else 0))
    found = outcome(claims, name, curves=inverse)
    assert found.verdict is Verdict.REPRODUCED
    assert "size4 (0.788) - size1 (0.744) 0.0447" in found.measured
    usual = make_curves(lambda domain, place: 0.75 - 0.015 * place)
    assert outcome(claims, name, curves=usual).verdict is Verdict.CONTRADICTED
    same = make_curves(lambda domain, place: 0.7)
    assert outcome(claims, name, curves=same).verdict is Verdict.INCONCLUSIVE


def test_training_loss_that_falls_with_noise_is_monotone(claims, make_training):
    name = "training_loss_monotone"
    assert outcome(claims, name, training=make_training()).verdict is Verdict.REPRODUCED
    bumped = outcome(claims, name, training=make_training(bump=0.2))
    assert bumped.verdict is Verdict.CONTRADICTED
    assert "size4-full" in bumped.reason
    short = outcome(claims, name, training=make_training(rows=30))
    assert short.verdict is Verdict.INCONCLUSIVE
    training = make_training()
    without = outcome(claims, name, training=training[training["run"] != "size1-full"])
    assert without.verdict is Verdict.NOT_MEASURED


def test_block_rises_are_standard_normal_on_flat_noise():
    rng = np.random.default_rng(0)
    rises = np.concatenate([block_rises(rng.normal(size=200), 10)[1] for _ in range(200)])
    assert np.std(rises) == pytest.approx(1, abs=0.05)
    means, _ = block_rises(np.repeat([3.0, 2.0], 5) + np.tile([0.1, -0.1], 5), 2)
    assert means == pytest.approx([3.02, 1.98])


def test_the_papers_own_sweep_bears_out_its_choice(claims, table8):
    found = outcome(claims, "walk_choice", sweep=table8)
    assert found.verdict is Verdict.REPRODUCED, found
    assert "Gini 0.635 (lowest 0.635)" in found.measured


def test_a_configuration_that_dominates_or_is_far_fairer_contradicts(claims, table8):
    better = table8.copy()
    better.loc[0, ["gini", "geometric_lift", "items"]] = [0.6, 400.0, 185_000]
    found = outcome(claims, "walk_choice", sweep=better)
    assert found.verdict is Verdict.CONTRADICTED
    assert "dominated by bfs_p05q2_a10_threshNone" in found.reason
    fairer = table8.copy()
    fairer.loc[0, ["gini", "geometric_lift"]] = [0.55, 100.0]
    assert outcome(claims, "walk_choice", sweep=fairer).verdict is Verdict.CONTRADICTED


def test_a_sweep_of_some_rows_is_inconclusive(claims, table8):
    some = outcome(claims, "walk_choice", sweep=table8.tail(3))
    assert some.verdict is Verdict.INCONCLUSIVE
    assert some.reason == "11 configurations not walked"
    none = outcome(claims, "walk_choice", sweep=table8.head(5))
    assert none.verdict is Verdict.NOT_MEASURED
    poor = table8.assign(geometric_lift=table8["geometric_lift"].mask(table8.index == 0, 900.0))
    assert "lift" in outcome(claims, "walk_choice", sweep=poor).reason
