"""Every table from known inputs: its numbers, its rows, its bytes."""

from pathlib import Path

import pandas as pd
import pytest

import tidy_inputs
from recscale.tables import table2, table3, table4, table8
from tidy_inputs import PUBLISHED, SIZES


def arguments_of(target: str, inputs: Path, prefix: Path) -> list[object]:
    flags: dict[str, list[object]] = {
        "table2": [
            *("--windows", *(inputs / f"{domain}.json" for domain in tidy_inputs.UNIQUE)),
            *("--run-manifest", inputs / "size3-full.json"),
            *("--published", PUBLISHED / "table2_training_data.csv"),
        ],
        "table3": [
            *("--windows", *sorted((inputs / "held_out").glob("*.json"))),
            *("--published", PUBLISHED / "table3_holdout_data.csv"),
        ],
        "table4": [
            *("--fits", *(inputs / size / "fits.csv" for size in SIZES)),
            *("--published", PUBLISHED / "table4_scaling_laws.csv"),
        ],
        "table8": [
            *("--sweep", inputs / "walks" / "sweep.csv"),
            *("--published", PUBLISHED / "table8_walk_sweep.csv"),
        ],
    }
    return [*flags[target], "--rung", "mini", "--out-prefix", prefix]


MAINS = {"table2": table2.main, "table3": table3.main, "table4": table4.main, "table8": table8.main}


@pytest.mark.parametrize("target", MAINS)
def test_equal_inputs_give_equal_bytes(target, inputs, tmp_path, call) -> None:
    for folder in ("a", "b"):
        call(MAINS[target], *arguments_of(target, inputs, tmp_path / folder / target))
    for ending in ("csv", "tex"):
        first, second = (tmp_path / f / f"{target}.{ending}" for f in ("a", "b"))
        assert first.read_bytes() == second.read_bytes() != b""
    tex = (tmp_path / "a" / f"{target}.tex").read_text()
    assert tex.startswith(f"% {target}, rung mini;")
    assert tex.count(r"\begin{") == tex.count(r"\end{")
    assert tex.count("{") == tex.count("}")
    written = pd.read_csv(tmp_path / "a" / f"{target}.csv")
    assert set(written["rung"]) == {"mini"} and set(written["name"]) == {"mini"}
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [f"{target}.csv", f"{target}.tex"]


def test_table2_numbers(inputs, tmp_path, call) -> None:
    arguments = arguments_of("table2", inputs, tmp_path / "t")
    call(table2.main, *arguments, "--name", "my_log")
    table = pd.read_csv(tmp_path / "t.csv").set_index("domain")
    assert set(table["name"]) == {"my_log"}
    assert table["unique_tokens"].to_dict() == tidy_inputs.UNIQUE
    assert table["ratio_percent"].to_dict() == {
        "general": 50.0,
        "item_text": 9.0,
        "cf": 30.0,
        "uih": 11.0,
    }
    assert table.loc["uih", "repeats"] == 0.11 * 1_500_000 / 80_000
    # The paper's own ratios give Item-Text more and CF fewer repeats than it prints.
    implied = table["published_repeats_implied"]
    assert implied["item_text"] == pytest.approx(0.09 * 163.84 / 2.0)
    assert implied["cf"] == pytest.approx(0.30 * 163.84 / 7.6)
    assert table.loc["general", "published_repeats"] == "<1"
    tex = (tmp_path / "t.tex").read_text()
    assert r"Item-Text & 60,000 & 9.0 & 2.25 & 2 & 9 & 6.2 & 7.37 \\" in tex
    assert r"\textless{}1" in tex and "rung mini, run my\\_log" in tex


def test_table3_pools_are_sums(inputs, tmp_path, call) -> None:
    call(table3.main, *arguments_of("table3", inputs, tmp_path / "t"))
    table = pd.read_csv(tmp_path / "t.csv").set_index("domain")
    assert list(table.index) == [
        *("general", "item_text", "cf_both_seen", "cf_one_unseen", "cf_both_unseen", "cf"),
        *("uih_ood", "uih_full_graph", "uih"),
    ]
    assert table.loc["cf", "tokens"] == 128 * (3 + 4 + 5)
    assert table.loc["uih", "windows"] == 6 + 7
    assert table.loc["cf", "published_tokens_million"] == 243
    assert table["published_tokens_million"].isna().sum() == 5
    assert list(table.index[table["pooled"]]) == ["cf", "uih"]
    assert r"CF, together & 12 & 36 & 1,536 & 243 \\" in (tmp_path / "t.tex").read_text()


def test_table4_shows_what_is_not_identified(inputs, tmp_path, call) -> None:
    call(table4.main, *arguments_of("table4", inputs, tmp_path / "t"))
    table = pd.read_csv(tmp_path / "t.csv")
    paper = table[table["part"] == "paper"].set_index(["size", "domain"])
    assert len(paper) == 16 and (table["part"] == "held_out").sum() == 28
    l_inf, _, alpha = tidy_inputs.truth("size3", "uih_ood")
    row = paper.loc[("size3", "uih")]
    assert (row["l_inf"], row["alpha"]) == (l_inf, alpha)
    assert (row["published_l_inf"], row["published_alpha"]) == (0.66, 0.564)
    general = paper.loc[("size1", "general")]
    assert general["status"] == "not_identified"
    assert pd.isna(general["l_inf_low"]) and pd.isna(general["alpha_high"])
    tex = (tmp_path / "t.tex").read_text()
    assert "size1 (0.6B's role) & General & 0.90 & [--, 0.95] & 0.96 & 0.080 & [0.060, --]" in tex
    assert r"0.027 & not identified \\" in tex
    assert tex.count("UIH Full Graph") == 4


def test_table4_labels_sizes_by_rung(inputs, tmp_path, call) -> None:
    manifests = [inputs / f"{size}-full.json" for size in SIZES]
    arguments = arguments_of("table4", inputs, tmp_path / "t")
    call(table4.main, *arguments, "--manifests", *manifests)
    labels = pd.read_csv(tmp_path / "t.csv")["size_label"]
    assert labels[0] == "size1 (0.6B's role), 48.2K parameters"
    call(table4.main, *["b200" if a == "mini" else a for a in arguments])
    assert list(pd.read_csv(tmp_path / "t.csv")["size_label"].unique()) == [
        *("0.6B", "1.7B", "4B", "8B")
    ]


def test_table4_of_a_fit_without_parameters(inputs, tmp_path, call) -> None:
    empty = dict.fromkeys(("l_inf", "a", "alpha", "d0", "first_tokens", "last_tokens", "rmse"))
    ends = dict.fromkeys(("l_inf_low", "l_inf_high", "alpha_low", "alpha_high"))
    tidy_inputs.fits(tmp_path, "size2", status="not_monotone", **empty, **ends)
    arguments = arguments_of("table4", inputs, tmp_path / "t")
    swapped = inputs / "size2" / "fits.csv"
    call(
        table4.main,
        *(
            tmp_path / "size2" / "fits.csv" if argument == swapped else argument
            for argument in arguments
        ),
    )
    tex = (tmp_path / "t.tex").read_text()
    assert r" & CF & -- & [--, --] & 0.34 & -- & [--, --] & 0.315 & not monotone \\" in tex


def test_table8_keeps_the_papers_order_and_what_was_not_run(inputs, tmp_path, call) -> None:
    call(table8.main, *arguments_of("table8", inputs, tmp_path / "t"))
    table = pd.read_csv(tmp_path / "t.csv")
    published = pd.read_csv(PUBLISHED / "table8_walk_sweep.csv")
    assert list(table["config"]) == [*published["config"], "1st_order_a030_threshNone"]
    by_config = table.set_index("config")
    assert by_config["length"].isna().sum() == 11
    assert list(by_config.index[by_config["chosen"]]) == ["1st_order_a015_thresh1e-09"]
    chosen = by_config.loc["1st_order_a015_thresh1e-09"]
    assert (chosen["items"], chosen["published_items"]) == (1400, 180_000)
    assert (chosen["gini"], chosen["published_gini"]) == (0.635, 0.635)
    assert pd.isna(by_config.loc["1st_order_a030_threshNone", "published_length"])
    tex = (tmp_path / "t.tex").read_text()
    assert r"1st\_order\_a015\_threshNone & 0.15 & none & 10.6 & 10.6 & 1,600 & 188,000" in tex
    assert r"\textbf{1st\_order\_a015\_thresh1e-09} & \textbf{0.15} & \textbf{1e-09}" in tex


def test_table_8s_rule_picks_what_the_paper_chose_on_the_papers_numbers() -> None:
    published = pd.read_csv(PUBLISHED / "table8_walk_sweep.csv")
    assert (
        table8.winner(
            published["config"],
            published["gini"],
            published["geometric_lift"],
            published["items_thousand"],
        )
        == table8.CHOSEN
    )
    worse_lift = published["geometric_lift"].where(published["config"] != table8.CHOSEN, 100.0)
    picked = table8.winner(
        published["config"], published["gini"], worse_lift, published["items_thousand"]
    )
    assert picked == "bfs_p05q2_a20_thresh3e-09"
    nothing = published["gini"] * float("nan")
    assert table8.winner(published["config"], nothing, worse_lift, nothing) is None
