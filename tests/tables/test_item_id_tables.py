"""Table 9 and the comparison of methods of semantic ids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tidy_inputs
from recscale import files
from recscale.errors import UserError
from recscale.tables import item_id_methods, table9
from recscale.tables.trainings import mean_interval
from tidy_inputs import PUBLISHED

PAPER = PUBLISHED / "table9_rq_sweep.csv"


def test_table9_has_the_papers_settings_beside_ours(call, tmp_path):
    quality = tidy_inputs.quality_file(tmp_path)
    flags = ("--quality", quality, "--published", PAPER, "--rung", "mini")
    call(table9.main, *flags, "--out-prefix", tmp_path / "table9")
    found = files.read_csv(tmp_path / "table9.csv")
    assert found["published_collision_percent"].tolist() == [82.7, 37.4, 9.7, 3.5, 1.2]
    assert found["layers"].tolist() == found["published_layers"].tolist() == [3, 3, 5, 6, 8]
    assert np.allclose(found["shared"], [90, 50, 20, 5, 2])
    assert (found["shared_low"] < found["shared"]).all()
    assert found.loc[0, "items_per_code"] == pytest.approx(17_413 / 16**3)
    # 64.1M items over 256^3 codes drawn at random: more share codes than the paper prints.
    assert found.loc[0, "published_shared_uniform"] == pytest.approx(97.8, abs=0.1)
    assert found.loc[0, "published_surplus_uniform"] == pytest.approx(74.4, abs=0.2)
    text = (tmp_path / "table9.tex").read_text()
    assert "6 x 16" in text and "3.5" in text and "17,413 items, 3 trainings" in text


def test_a_published_number_changes_the_comparison_and_nothing_else():
    published = files.read_csv(PAPER)
    changed = published.assign(collision_percent=published["collision_percent"] + 1)
    first, second = (table9.build(tidy_inputs.quality(), p) for p in (published, changed))
    differing = [c for c in first if not first[c].equals(second[c])]
    assert differing == ["published_collision_percent"]


def test_four_settings_of_rq_kmeans_are_an_error():
    quality = tidy_inputs.quality()
    quality = quality[quality["setting"] != "rq_kmeans-8x8"]
    with pytest.raises(UserError, match="4 settings of rq_kmeans, the paper 5"):
        table9.build(quality, files.read_csv(PAPER))


def test_the_methods_stand_side_by_side_at_equal_codes(call, tmp_path):
    quality = tidy_inputs.quality_file(tmp_path)
    flags = ("--quality", quality, "--rung", "mini")
    call(item_id_methods.main, *flags, "--out-prefix", tmp_path / "methods")
    found = files.read_csv(tmp_path / "methods.csv")
    assert found["setting"].tolist() == [
        *("sae", "sae_general", "rq_kmeans-6x16", "rq_vae-6x16-cured", "rq_vae-6x16-plain")
    ]
    assert np.allclose(found["shared"], [0.10, 0.15, 0.05, 0.50, 0.50])
    assert found.loc[2, "published_shared_percent"] == 5.33
    assert found.loc[0, "purity_8"] == pytest.approx(0.8) and pd.isna(found.loc[2, "purity_8"])
    assert "RQ-VAE, without cures" in (tmp_path / "methods.tex").read_text()


@pytest.mark.parametrize(
    ("without", "message"),
    [("sae_general", "lacks sae_general"), ("rq_kmeans-6x16", "no setting of rq_kmeans has the 6")],
)
def test_a_missing_method_or_setting_is_named(without, message):
    quality = tidy_inputs.quality()
    with pytest.raises(UserError, match=message):
        item_id_methods.build(quality[quality["setting"] != without])


def test_one_training_has_no_interval():
    mean, low, high = mean_interval(pd.Series([0.25]))
    assert mean == 0.25 and np.isnan([low, high]).all()
    mean, low, high = mean_interval(pd.Series([1.0, 2.0, 3.0]))
    assert (mean, low, high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), 1e-3)
