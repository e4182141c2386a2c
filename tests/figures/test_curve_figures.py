"""Figures 3 to 7 and 12: the numbers they draw, and what they refuse."""

import numpy as np
import pandas as pd
import pytest

import tidy_inputs
from recscale import files
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.figures import curve_panels, fig4, fig6, fig7, fig12
from recscale.figures.fig5 import turns_of
from recscale.tables.run_curves import over_all_tokens, read_curves
from tidy_inputs import MIXTURES, ONSET, RATIOS, TOKENS, TOTAL, figure_arguments, run_files


def test_fig3_draws_seven_domains_of_four_mixtures(drawn) -> None:
    table = pd.read_csv(drawn / "fig3.csv")
    assert len(table) == 4 * 7 * len(TOKENS)
    assert set(table["domain"]) == set(HELD_OUT_DOMAINS)
    np.testing.assert_allclose(table["perplexity"], np.exp(table["loss"]), rtol=1e-15)
    assert list(dict.fromkeys(table["mixture"])) == [
        *("Item-Text + CF + UIH", "CF + UIH", "Item-Text + UIH", "UIH only")
    ]


def test_fig4_counts_uih_tokens_and_its_controls_only_where_given(drawn, inputs) -> None:
    plain, controls = (pd.read_csv(drawn / f"{name}.csv") for name in ("fig4", "fig4_controls"))
    assert set(plain["run"]) == {f"size3-{kind}" for kind in MIXTURES}
    assert set(controls["run"]) - set(plain["run"]) == {
        *("size3-uih_matched", "size3-uih_fresh", "size3-cf")
    }
    assert set(controls["domain"]) == {"uih_ood", "uih_full_graph"}
    last = plain.groupby("run").tail(1).set_index("run")
    assert last.loc["size3-uih", "domain_tokens"] == TOTAL / 2
    assert fig4.unique_tokens(plain) == pytest.approx(tidy_inputs.UNIQUE["uih"])
    assert "Grey" in (drawn / "fig4_controls.tex").read_text()
    assert "Grey" not in (drawn / "fig4.tex").read_text()


def test_fig4_refuses_uih_sets_of_different_sizes(inputs, tmp_path, call) -> None:
    arguments = figure_arguments("fig4", inputs, tmp_path / "f")
    arguments.insert(1, inputs / "size3-uih_fresh" / "curves.parquet")
    with pytest.raises(UserError, match="different sizes.*--control-curves"):
        call(fig4.main, *arguments)
    assert not list(tmp_path.glob("f.*"))


def test_fig5_marks_where_a_loss_turns(drawn) -> None:
    table = pd.read_csv(drawn / "fig5.csv")
    assert len(table) == 5 * 7 * len(TOKENS)
    assert (table.groupby(["run", "domain"])["lowest"].sum() == 1).all()
    uih = table[(table["domain"] == "uih_ood") & table["lowest"]].set_index("uih_percent")
    # Past the onset the made-up losses rise; below it, and in other domains, they only fall.
    assert uih["rises"].to_dict() == {0.5: False, 1.0: False, 2.0: False, 5.0: True, 15.0: True}
    assert uih.loc[0.5, "step"] == len(TOKENS) - 1
    assert ONSET / 2 < uih.loc[15.0, "repeats"] < 3 * ONSET
    assert not table.loc[table["domain"] == "general", "rises"].any()
    assert "15 \\% UIH &" in (drawn / "fig5.tex").read_text()


def test_a_turn_is_the_lowest_evaluation_and_its_neighbours(inputs) -> None:
    curves = read_curves(run_files(inputs, RATIOS, "curves.parquet"))
    rows = over_all_tokens(curves)
    turns = turns_of(rows, tidy_inputs.BURN_IN)
    for (run, domain), found in turns.items():
        of_run = rows[(rows["run"] == run) & (rows["domain"] == domain)]
        assert found.minimum == of_run["loss"].min() <= found.final
        before = of_run.loc[of_run["tokens"] < found.tokens, "repeats"]
        assert found.repeats_before == before.max()
        assert np.isnan(found.repeats_after) == (found.tokens == TOTAL)


def test_fig6_smooths_and_measures_rises() -> None:
    training = pd.DataFrame(
        {
            "run": "r",
            "step": range(1, 8),
            "tokens": range(10, 80, 10),
            "loss": [9.0, 6.0, 3.0, 3.0, 3.0, 6.0, 6.0],
        }
    )
    table = fig6.smooth(training, share=0.3)
    assert set(table["window"]) == {3}
    assert table["smoothed_loss"].tolist() == [7.5, 6, 4, 3, 4, 5, 6]
    assert table["rise"].tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert set(table["final_loss"]) == {6.0}
    with pytest.raises(UserError, match="a run twice"):
        fig6.smooth(pd.concat([training, training]), share=0.3)
    training.loc[3, "loss"] = float("inf")
    with pytest.raises(UserError, match="run r, step 4"):
        fig6.smooth(training, share=0.3)


def test_fig6_has_both_panels_and_the_mean_of_the_last_tokens(drawn, inputs) -> None:
    table = pd.read_csv(drawn / "fig6.csv")
    runs = table.groupby("panel")["run"].nunique()
    assert runs.to_dict() == {"a": 4, "b": 6}
    log = files.read_table(inputs / "size3-uih_2" / "training.parquet", "training")
    late = log["tokens"] > (1 - fig6.LAST) * log["tokens"].max()
    of_run = table[(table["run"] == "size3-uih_2")]
    assert of_run["final_loss"].iloc[0] == pytest.approx(log.loc[late, "loss"].mean())
    tex = (drawn / "fig6.tex").read_text()
    assert "(a) size1 (0.6B's role), 48.2K parameters &" in tex and "(b) 0.5 \\% UIH &" in tex


def test_fig6_wants_the_manifest_of_every_size(inputs, tmp_path, call) -> None:
    arguments = figure_arguments("fig6", inputs, tmp_path / "f")
    arguments.remove(inputs / "size2-full.json")
    with pytest.raises(UserError, match=r"size1-full, size2-full.*pass one run per size"):
        call(fig6.main, *arguments)
    assert not list(tmp_path.glob("f.*"))


def test_fig7_groups_runs_by_ratio_and_size(drawn) -> None:
    table = pd.read_csv(drawn / "fig7.csv")
    assert table.groupby("uih_percent")["size"].nunique().to_dict() == {2.0: 4, 15.0: 4}
    assert table.loc[table["uih_percent"] == 15, "rises"].all()
    tex = (drawn / "fig7.tex").read_text()
    assert "15 \\%, size4 (8B's role) &" in tex and "2 and 15\\,\\% UIH" in tex
    with pytest.raises(UserError, match="size3-full has no UIH ratio"):
        fig7.runs_by_ratio({"size3-full": "size3"})
    with pytest.raises(UserError, match="several runs of size3 at 2 %"):
        fig7.runs_by_ratio({"size3-uih_2": "size3", "size3-uih_2-seed1": "size3"})


def test_fig12_sets_losses_per_item_beside_those_per_token(drawn) -> None:
    table = pd.read_csv(drawn / "fig12.csv")
    assert set(table["ids"]) == {"SAE", "RQ-kmeans"}
    assert table.loc[table["domain"] == "general", ["loss_id", "loss_per_item"]].isna().all(None)
    items = table[table["domain"] != "general"]
    np.testing.assert_allclose(items["loss_id"], items["loss"] + 0.3, rtol=1e-12)
    np.testing.assert_allclose(items["loss_per_item"], 8 * items["loss_id"], rtol=1e-12)
    assert "General & " in (tex := (drawn / "fig12.tex").read_text()) and "& -- & -- " in tex


def test_fig12_names_methods_it_knows_and_runs_that_share_one(inputs, tmp_path, call) -> None:
    arguments = figure_arguments("fig12", inputs, tmp_path / "f")
    unknown = ["pq" if argument == "rq_kmeans" else argument for argument in arguments]
    with pytest.raises(UserError, match="'pq'; known methods: sae"):
        call(fig12.main, *unknown)
    assert not list(tmp_path.glob("f.*"))
    call(fig12.main, *("rq_kmeans" if argument == "sae" else argument for argument in arguments))
    names = set(pd.read_csv(tmp_path / "f.csv")["ids"])
    assert names == {"RQ-kmeans, size3-full", "RQ-kmeans, size3-rq_kmeans"}
    with pytest.raises(UserError, match=r"hold 1 run\(s\)"):
        fig12.series_of(["size3-full"], ["sae", "rq_kmeans"])


def test_curves_that_do_not_belong_are_named(inputs) -> None:
    with pytest.raises(UserError, match="kind 'rewired', which this figure does not draw"):
        curve_panels.by_mixture(["size3-rewired"])
    with pytest.raises(UserError, match="drawn as 'UIH only', size3-uih among them"):
        curve_panels.by_mixture(["size3-uih", "size3-uih-seed1"])
    with pytest.raises(UserError, match="size3-cf has no UIH ratio"):
        curve_panels.by_ratio(["size3-cf"])
    path = inputs / "size3-uih" / "curves.parquet"
    with pytest.raises(UserError, match="--curves hold a run twice"):
        read_curves([path, path])


def test_a_run_without_a_domain_or_a_number_is_named(inputs, tmp_path) -> None:
    curves = files.read_table(inputs / "size3-uih" / "curves.parquet", "curves")
    path = tmp_path / "curves.parquet"
    files.write_table(curves[curves["domain"] != "uih_ood"], path, "curves")
    with pytest.raises(UserError, match=r"lack the domain\(s\) uih_ood of run size3-uih"):
        read_curves([path])
    files.write_table(curves[curves["domain"] == "real_histories"], path, "curves")
    with pytest.raises(UserError, match=r"lack the domain\(s\) cf_both_seen, .* of run size3-uih"):
        read_curves([path])


def test_ratios_keep_the_strongest_look_for_the_highest() -> None:
    series = curve_panels.by_ratio(["size3-uih_15", "size3-full", "size3-uih_0.5"])
    assert list(series) == ["size3-full", "size3-uih_0.5", "size3-uih_15"]
    assert series["size3-uih_15"].colour == curve_panels.RATIO_COLOURS[-1]
    assert series["size3-uih_0.5"].label == "0.5 % UIH"
