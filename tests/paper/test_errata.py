"""paper/ERRATA.md: each entry's arithmetic, worked out here by hand, and the committed page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from recscale.errors import UserError
from recscale.paper import errata, errata_items, errata_laws, errata_tokens
from recscale.paper.published import CHECKS, Published

PAPER = Path(__file__).parents[2] / "paper"


@pytest.fixture(scope="module")
def paper():
    return Published(PAPER / "published")


# What each check has to compute, in the order of its text; the sums beside it give the numbers.
ARITHMETIC = [
    # .09 x 163.84 / 2.0, .30 x 163.84 / 7.6, .11 x 163.84 / 2.8
    (errata_tokens.repeats, "item text 7.4, CF 6.5, UIH 6.4"),
    # 5.748e6 x 512; 17.93 / 6.1
    (errata_tokens.uih_tokens, "are 2.94B; 17.93B tokens at 6.1 repeats"),
    # 39e3 x 512; 0.82e9 / 42e6, ...; 0.82 / 4.1, ...; their mean over 512
    (
        errata_tokens.reduced_set,
        "are 20M; with 42M tokens the repeats would be 20, 39, 78, 194, 582",
    ),
    (errata_tokens.reduced_set, "200, 199, 200, 200, 200M, or 390K windows"),
    # 625,000 x 512 x 512; 17.93 / .11, 0.82 / .005, ...
    (errata_tokens.table6_budget, "= 163.84B; UIH tokens over ratio (Table 6) give 163.0, 164.0"),
    # 163.84 / 0.6, 163.84 / 454, 163.84 / 8
    (
        errata_tokens.tokens_per_parameter,
        "= 273; 454 implies 0.36B parameters; 163.84B / 8B = 20.5",
    ),
    # 1 - .66 / .95; .50 x 163.84 / 2.943; .13 x 163.84 / 2.943; .50 / .13
    (errata_tokens.repetition_confounded, "31% it is"),
    (errata_tokens.repetition_confounded, "27.8 times, CF + UIH 7.2 times: 3.8 times as often"),
    # 35 x 9 / 39, 35 x 30 / 39
    (errata_tokens.ratios_not_proportional, "item text 8.1 %, CF 26.9 %"),
    # 48.3e3 x 512, 51.7e3 x 512
    (errata_tokens.held_out_uih, "24.7M (OOD) and 26.5M (full graph), together 51.2M"),
    # 5.748e6 x 512 / 30e6; 8 x 10 + 7 + 11
    (errata_tokens.thirty_million, "= 98 tokens; a walk of 8 items at 10 tokens each"),
    (errata_tokens.thirty_million, "has about 98"),
    # .76 - .66; 1 - .76 / .95
    (errata_laws.two_fits, "moves by 0.10"),
    (errata_laws.two_fits, "would be 20% against 0.76"),
    (errata_laws.alpha_ranges, "0.453, 0.514, 0.564, 0.588; none of Table 6 is above 0.754"),
    # ln 1.47; -.357 x (.3853 - .35)
    (errata_laws.slope, "is L = 0.385 and L_inf = 0.35, it is -0.013, not -0.357"),
    (errata_laws.higher_alpha_is_better, "the one at 15 % has the largest alpha, 0.754"),
    (errata_laws.enough_for_cf, "0.33, 0.34, 0.35, 0.36 from 0.6B to 8B: lowest at 0.6B"),
    (errata_laws.table_one, "general, item_text, cf, uih are in Table 4"),
    (errata_items.ranking_gain, "a ratio of 2.30"),
    # 1 / .10, 1 / .15, 1 / .20, and four more
    (
        errata_items.walk_lengths,
        "1 / alpha = 10.0, 6.7, 5.0 items; 4 + 1 / alpha = 14.0, 10.7, 9.0",
    ),
    (errata_items.configurations, "12 + 1 = 13; Table 8 has 12 second-order and 2 first-order"),
    (errata_items.order_of_walks, "0.635; the best second-order row has 0.639"),
    (errata_items.in_out_parameter, "by 1 / q: 0.5 for q = 2.0"),
    # 189e3 / 65.7e6
    (errata_items.walk_coverage, "0.29%"),
    # 1 - exp(-64.1 / 16.777), 1 - exp(-64.1 / 134.2); 1 - (1 - exp(-x)) / x at these x
    (errata_items.collisions, "97.8, 38.0 % of the items share theirs"),
    (errata_items.collisions, "74.4, 20.5 % do"),
    # 8 x 7 and 6 x 8 bits
    (errata_items.chosen_codes, "8 × 128 has 1.2 % with more codes (2^56 against 2^48)"),
    (errata_items.chosen_codes, "(1,024 against 1,536)"),
    (errata_items.candidates, "three approaches are listed"),
    # 64.1 / 65.7
    (errata_items.embeddings, "64.1M is 97.6% of 65.7M"),
]


@pytest.mark.parametrize(("check", "expected"), ARITHMETIC)
def test_the_arithmetic_of_an_entry(paper, check, expected):
    assert expected in check(paper).computed


def test_every_check_is_in_the_list_above_and_on_the_page():
    assert {check for check, _ in ARITHMETIC} == set(CHECKS)
    page = (PAPER / "ERRATA.md").read_text()
    assert len(re.findall(r"^## \d+\. ", page, re.MULTILINE)) == len(CHECKS) == 25


def test_the_committed_page_is_what_the_command_writes(call, tmp_path):
    out = tmp_path / "ERRATA.md"
    call(errata.main, "--published", PAPER / "published", "--out", out)
    assert out.read_text() == (PAPER / "ERRATA.md").read_text()


def test_every_entry_has_its_four_parts(paper):
    for erratum in errata.errata(paper.folder):
        for part in (erratum.where, erratum.printed, erratum.computed, erratum.assumed):
            assert part.strip() and "nan" not in part.split(), erratum.title


def test_another_published_number_changes_its_entry_and_no_other(tmp_path, paper):
    folder = tmp_path / "published"
    shutil.copytree(paper.folder, folder)
    path = folder / "table2_training_data.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[table["domain"] == "cf", "tokens_billion"] = "15.2"
    table.to_csv(path, index=False)
    pairs = list(zip(errata.errata(paper.folder), errata.errata(folder), strict=True))
    changed = [before.title for before, after in pairs if before != after]
    assert changed == ["Repeats of item text and CF look swapped"]
    assert "CF 3.2" in pairs[0][1].computed


def test_a_missing_table_stops_by_name(tmp_path, paper):
    folder = tmp_path / "published"
    shutil.copytree(paper.folder, folder)
    (folder / "table4_scaling_laws.csv").unlink()
    with pytest.raises(UserError, match=r"table4_scaling_laws\.csv is missing"):
        errata.errata(folder)
