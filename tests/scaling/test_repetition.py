"""What repeated tokens are worth: planted R*, runs that rise again, and what is not known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidy_inputs
from recscale.errors import UserError
from recscale.scaling.repetition import (
    Settings,
    Status,
    effective_tokens,
    fit_repetition,
    fit_runs,
    main,
)
from recscale.scaling.repetition_points import points_of
from recscale.tables.run_curves import read_curves

CHOSEN = Settings(burn_in=0.06, pool="token_weighted")
TOTAL = 1_500_000
# Share of UIH in the mixture, and unique tokens of its set.
RUNS = {
    "size3-full": (0.11, 80_000),
    "size3-uih": (0.5, 80_000),
    "size3-uih_fresh": (0.5, 10_000_000),
    "size3-uih_matched": (0.13, 80_000),
    **{f"size3-uih_{p}": (p / 100, 1_840) for p in (0.5, 1, 2, 5, 15)},
}


def planted(worth: float, noise: float = 0.002, rising: str = "", seed: int = 0) -> pd.DataFrame:
    """Curves that follow the law; `rising` names a run whose loss rises in its second half."""
    rows = []
    for i, (run, (share, unique)) in enumerate(RUNS.items()):
        tokens = np.geomspace(TOTAL / 20, TOTAL, 12).round()
        seen = share * tokens
        loss = 1.0 + 0.5 * (effective_tokens(seen, unique, worth) / 50_000) ** -0.3
        loss = loss * np.exp(noise * np.random.default_rng([seed, i]).normal(size=12))
        if run == rising:
            loss = loss + 0.4 * np.maximum(0, np.log(tokens / tokens[6]))
        rows.append(
            pd.DataFrame(
                {
                    **{"run": run, "tokens": tokens, "domain_tokens": seen},
                    **{"repeats": seen / unique, "loss": loss},
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def test_effective_tokens_by_hand() -> None:
    # One pass and less counts in full; the second pass of R* = 1 counts 1 - 1/e.
    assert effective_tokens(50, 100, 5) == 50
    assert effective_tokens(100, 100, 5) == 100
    assert effective_tokens(200, 100, 1) == pytest.approx(100 + 100 * (1 - np.exp(-1)))


@given(
    seen=st.floats(1, 1e12),
    unique=st.floats(1, 1e12),
    worth=st.floats(0.05, 2000),
    more=st.floats(1, 10),
)
def test_effective_tokens_lie_between_unique_and_seen_and_grow(seen, unique, worth, more) -> None:
    found = effective_tokens(seen, unique, worth)
    assert min(seen, unique) * (1 - 1e-9) <= found <= seen * (1 + 1e-9)
    assert found <= unique * (1 + worth) * (1 + 1e-9)
    assert effective_tokens(seen * more, unique, worth) >= found * (1 - 1e-9)
    assert effective_tokens(seen, unique, worth * more) >= found * (1 - 1e-9)


@pytest.mark.parametrize("kind", ["ends", "curves"])
@pytest.mark.parametrize("worth", [3.0, 15.0])
def test_a_planted_worth_comes_back(kind, worth) -> None:
    exact = fit_repetition(planted(worth, 1e-6), "uih_ood", kind, CHOSEN)
    assert exact.worth == pytest.approx(worth, rel=0.02)
    assert exact.e == pytest.approx(1.0, abs=0.02)
    held = 0
    for seed in range(8):  # of 50, 88 to 96 % hold
        law = fit_repetition(planted(worth, seed=seed), "uih_ood", kind, CHOSEN)
        assert law.status is Status.CONVERGED
        assert law.squares < 0.5 * min(law.squares_in_full, law.squares_for_nothing)
        assert law.noise == pytest.approx(0.002, rel=0.7)
        held += law.worth_low <= worth <= law.worth_high
    assert held >= 6


def test_a_run_that_rises_again_is_named_and_cut_at_its_lowest_loss() -> None:
    rows = planted(10.0, rising="size3-uih_15")
    curves = fit_repetition(rows, "uih_ood", "curves", CHOSEN)
    of_run = rows[rows["run"] == "size3-uih_15"]
    lowest = of_run.loc[of_run["loss"].idxmin()]
    assert curves.cut == {"size3-uih_15": lowest["repeats"]}
    assert curves.runs["size3-uih_15"] == (of_run["tokens"] <= lowest["tokens"]).sum() - 1
    assert curves.runs["size3-uih_5"] == 11  # all but the burn-in's
    ends = fit_repetition(rows, "uih_ood", "ends", CHOSEN)
    assert "size3-uih_15" not in ends.runs and len(ends.runs) == len(RUNS) - 1
    assert ends.worth_low <= 10 <= ends.worth_high


def test_repeats_that_count_in_full_leave_the_interval_open_above() -> None:
    law = fit_repetition(planted(1e5), "uih_ood", "ends", CHOSEN)
    assert law.status is Status.NOT_IDENTIFIED and law.worth_high is None
    assert "open above: repeats may count in full" in law.reason


def test_runs_that_differ_in_more_than_repeats_are_a_poor_fit() -> None:
    rows = planted(10.0)
    other = rows["run"].isin(["size3-uih", "size3-uih_2"])
    law = fit_repetition(
        rows.assign(loss=rows["loss"].where(~other, rows["loss"] * 0.8)), "uih_ood", "ends", CHOSEN
    )
    assert law.status is Status.POOR_FIT
    assert "they differ in more than repeats" in law.reason


def test_too_few_runs_and_runs_without_repeats() -> None:
    rows = planted(10.0)
    few = rows[rows["run"].isin(["size3-full", "size3-uih"])]
    law = fit_repetition(few, "uih_ood", "ends", CHOSEN)
    assert (law.status, law.worth) == (Status.TOO_FEW_POINTS, None)
    assert law.reason.startswith("2 run(s) with 2 points")
    fresh = rows.assign(repeats=rows["repeats"] * 1e-6)
    law = fit_repetition(fresh, "uih_ood", "curves", CHOSEN)
    assert law.status is Status.NOT_IDENTIFIED and law.reason == "no run sees a token twice"


def test_a_run_without_uih_is_left_out() -> None:
    rows = planted(10.0)
    none = rows[rows["run"] == "size3-full"].assign(run="size3-cf", domain_tokens=0, repeats=np.nan)
    points, _, _ = points_of(pd.concat([rows, none]), 0.06, "ends")
    assert set(points["run"]) == set(RUNS)


def test_the_command_fits_every_uih_set_and_refuses_several_sizes(tmp_path, call) -> None:
    kinds = ["full", "uih", "uih_fresh", *tidy_inputs.RATIOS]
    for kind in kinds:
        tidy_inputs.curves(tmp_path, "size3", kind)
    tidy_inputs.curves(tmp_path, "size1")
    paths = tidy_inputs.run_files(tmp_path, kinds, "curves.parquet")
    chosen = json.dumps({"burn_in": 0.06, "pool": "token_weighted"})
    call(main, "--curves", *paths, "--out", tmp_path / "laws.json", "--settings", chosen)
    laws = json.loads((tmp_path / "laws.json").read_text())
    assert [(law["domain"], law["kind"]) for law in laws] == [
        (d, k) for d in ("uih_ood", "uih_full_graph", "uih") for k in ("ends", "curves")
    ]
    # The made-up losses at 5 and 15 % rise after their onset.
    assert all(set(law["cut"]) == {"size3-uih_5", "size3-uih_15"} for law in laws)
    other = tmp_path / "size1" / "curves.parquet"
    with pytest.raises(UserError, match="are of size1, size3; pass runs of one size"):
        fit_runs(read_curves([*paths, other]), CHOSEN)
    with pytest.raises(UserError, match="burn_in is 1"):
        Settings(1.0, "equal")
