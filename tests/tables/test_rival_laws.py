"""The table of rival laws: who wins, by how much, and what the counts leave out."""

import numpy as np
import pandas as pd
import pytest

from recscale import files
from recscale.contracts import LAWS
from recscale.errors import UserError
from recscale.tables import rivals

DOMAINS = ("general", "uih_ood", "uih")


def compared(run: str, domain: str, best: str, status: str = "converged") -> pd.DataFrame:
    """Rivals of one curve: each law's AICc is three above the one before, errors likewise.

    The law `best` is first; the last one has no numbers.
    """
    order = [best, *(law for law in LAWS if law != best)]
    rows = []
    for place, law in enumerate(order):
        known = place < len(order) - 1
        rows.append(
            {
                **{"run": run, "size": run[:5], "seed": 0, "domain": domain, "law": law},
                **{"parameters": 1 + LAWS.index(law), "status": status},
                **{"n_points": 10, "n_first": 6, "n_rest": 4, "rmse": 0.01},
                "aicc": -50 + 3.0 * place if known else np.nan,
                "delta_aicc": 3.0 * place if known else np.nan,
                "extrapolation_rmse": 0.01 * (place + 1) if known else np.nan,
                "extrapolation_bias": 0.001 * (-1) ** place if known else np.nan,
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture
def paths(tmp_path):
    """Two runs with three domains: one curve of the power law, one of another, pooled, rising."""
    curves = {
        "size1-full": [("power_law", "converged"), ("exponential", "converged")],
        "size2-full": [("power_law", "not_identified"), ("broken_power_law", "not_monotone")],
    }
    found = []
    for run, cases in curves.items():
        cases = [*cases, ("constant", "converged")]  # the pooled one, which has no vote
        tables = [compared(run, domain, *case) for domain, case in zip(DOMAINS, cases, strict=True)]
        path = tmp_path / f"{run}.parquet"
        files.write_table(pd.concat(tables), path, "rivals")
        found.append(path)
    return found


def made(paths) -> pd.DataFrame:
    return rivals.build(pd.concat([files.read_table(path, "rivals") for path in paths]))


def test_one_law_wins_each_curve(paths) -> None:
    table = made(paths)
    assert len(table) == 2 * 3 * len(LAWS)
    assert (table.groupby(["run", "domain"])[["least_aicc", "extrapolates_best"]].sum() == 1).all(
        axis=None
    )
    winners = table[table["least_aicc"]].set_index(["run", "domain"])["law"]
    assert winners["size1-full", "uih_ood"] == "exponential"
    assert table.loc[table["domain"] == "uih", "pooled"].all()
    assert table.loc[table["rises"], "run"].unique().tolist() == ["size2-full"]


def test_counts_are_of_held_out_sets_and_rising_ones_stand_apart(paths) -> None:
    table = made(paths)
    falls = rivals.summary(table, rises=False).set_index("law")
    rises = rivals.summary(table, rises=True).set_index("law")
    assert falls["least_aicc"].to_dict() == {
        **dict.fromkeys(LAWS, 0), "power_law": 2, "exponential": 1
    }  # fmt: skip
    assert falls.loc["power_law", "compared"] == 3
    assert falls.loc["power_law", "close"] == 2  # the third is 3 above
    assert falls.loc["power_law", "error"] == pytest.approx(0.01)
    assert falls.loc["power_law", "too_high"] == 2
    assert falls.loc["broken_power_law", "compared"] == 0  # always last: no numbers
    assert rises["least_aicc"].sum() == rises.loc["broken_power_law", "least_aicc"] == 1
    # No curve of the kind leaves zeros, not gaps.
    none = rivals.summary(table[~table["rises"]], rises=True)
    assert none["compared"].tolist() == [0] * len(LAWS) and none["error"].isna().all()
    said = rivals.sentence(rivals.summary(table, rises=False))
    assert said.startswith("Of 3 curves that do not rise again, the power law with a floor has the")
    assert "least AICc in 2 and is within 2 of it in 2; of 3," in said and "best in 2." in said


def test_the_command_writes_counts_and_a_float_for_each_run(paths, tmp_path, call) -> None:
    for folder in ("a", "b"):
        flags = ["--rung", "mini", "--out-prefix", tmp_path / folder / "rival_laws"]
        call(rivals.main, "--rivals", *paths, *flags)
    for ending in ("csv", "tex"):
        first, second = (tmp_path / f / f"rival_laws.{ending}" for f in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
    tex = (tmp_path / "a" / "rival_laws.tex").read_text()
    assert tex.count(r"\begin{table*}") == 3 and tex.count("{") == tex.count("}")
    assert "nan" not in tex and r"UIH OOD & broken & 3.0 & 20.0" in tex
    assert r"UIH OOD & exponential & 3.0 & 20.0 &" in tex and r"\textbf{10.0}" in tex
    assert "rises again" in tex or "not monotone" in tex
    table = pd.read_csv(tmp_path / "a" / "rival_laws.csv")
    assert list(dict.fromkeys(table["domain"])) == list(DOMAINS)


def test_a_file_given_twice_or_cut_short_is_refused(paths, tmp_path, call) -> None:
    flags = ["--rung", "mini", "--out-prefix", tmp_path / "t"]
    with pytest.raises(UserError, match="--rivals hold general of run size1-full twice"):
        call(rivals.main, "--rivals", paths[0], paths[0], *flags)
    table = files.read_table(paths[0], "rivals")
    files.write_table(table[table["law"] != "log_linear"], paths[0], "rivals")
    with pytest.raises(UserError, match="lack log_linear of general of run size1-full"):
        call(rivals.main, "--rivals", *paths, *flags)
    assert not list(tmp_path.glob("t.*"))
