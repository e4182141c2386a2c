"""Table 4 over seeds: every interval beside the one that Table 4 prints."""

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

import tidy_inputs
from recscale import files
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.tables import table4_seeds
from tidy_inputs import SIZES

SEVERAL = ("size1", "size2")  # sizes with three seeds; the others have one
ALL = (*HELD_OUT_DOMAINS, "cf", "uih")
METHODS = ("seeds", "cluster", "block_bootstrap")


def intervals(size: str) -> pd.DataFrame:
    """Rows under the contract `uncertainty`, each with numbers of its own."""
    methods = METHODS if size in SEVERAL else METHODS[-1:]
    rows = [
        {
            **{"size": size, "kind": "full", "domain": domain, "parameter": parameter},
            **{"method": method, "runs": 1 if method == "block_bootstrap" else 3},
            **{"converged": 0 if method == "block_bootstrap" else 2, "estimate": 1 + 0.01 * i},
            **{"low": 0.9 - 0.001 * i, "high": None if domain == "general" else 1.2 + 0.001 * i},
        }
        for i, (domain, parameter, method) in enumerate(product(ALL, ("alpha", "l_inf"), methods))
    ]
    return pd.DataFrame(rows).astype({"high": float})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fits, intervals and manifests of four sizes."""
    folder = tmp_path_factory.mktemp("seeds")
    for size in SIZES:
        tidy_inputs.fits(folder, size).rename(folder / f"{size}.csv")
        tidy_inputs.run_manifest(folder, size)
        files.write_table(intervals(size), folder / f"{size}.parquet", "uncertainty")
    return folder


def arguments(made: Path, prefix: Path) -> list[object]:
    return [
        *("--uncertainty", *(made / f"{size}.parquet" for size in SIZES)),
        *("--fits", *(made / f"{size}.csv" for size in SIZES)),
        *("--manifests", *(made / f"{size}-full.json" for size in SIZES)),
        *("--rung", "mini", "--out-prefix", prefix),
    ]


def test_every_interval_stands_beside_table_4s(made, tmp_path, call) -> None:
    call(table4_seeds.main, *arguments(made, tmp_path / "t"))
    table = pd.read_csv(tmp_path / "t.csv")
    # Nine curves, two parameters; seeds and clusters at two sizes only.
    assert len(table) == 9 * 2 * (2 * 4 + 2 * 2)
    assert set(table["domain"]) == set(ALL)
    keys = ["size", "domain", "parameter", "method"]
    found = table.set_index(keys)
    fits = files.read_csv(made / "size2.csv").set_index("domain")
    profile = found.loc[("size2", "cf", "alpha", "profile")]
    for name in ("estimate", "low", "high"):
        column = "alpha" if name == "estimate" else f"alpha_{name}"
        assert profile[name] == pytest.approx(fits.loc["cf", column], nan_ok=True)
    assert profile["converged"] == (fits.loc["cf", "status"] == "converged")
    assert fits.loc["general", "status"] == "not_identified"
    assert found.loc[("size2", "general", "alpha", "profile"), "converged"] == 0
    drawn = files.read_table(made / "size2.parquet", "uncertainty")
    drawn = drawn.set_index(["domain", "parameter", "method"])
    for method in METHODS:
        for parameter in ("alpha", "l_inf"):
            ours = found.loc[("size2", "uih_ood", parameter, method)]
            theirs = drawn.loc[("uih_ood", parameter, method)]
            for name in ("runs", "converged", "estimate", "low", "high"):
                assert ours[name] == pytest.approx(theirs[name], nan_ok=True)
    # Seeds shift a whole curve: L_inf moves with it, alpha does not.
    assert (
        found.loc[("size1", "item_text", "l_inf", "seeds"), "high"]
        > (found.loc[("size1", "item_text", "l_inf", "seeds"), "low"])
    )


def test_the_fragment_says_what_is_missing_and_how_many_converged(made, tmp_path, call) -> None:
    call(table4_seeds.main, *arguments(made, tmp_path / "t"))
    tex = (tmp_path / "t.tex").read_text()
    assert tex.count(r"\begin{table*}") == 4 and tex.count("{") == tex.count("}")
    assert "rung mini" in tex and "nan" not in tex
    several = [line for line in tex.splitlines() if " of 3 " in line]
    one = [line for line in tex.splitlines() if " of 1 " in line]
    assert len(several) == len(one) == 2 * 2 * (4 + 7)
    # One run: no mean over seeds, no interval over seeds, none of the cluster.
    assert all(line.split(" & ")[3] == line.split(" & ")[5] == "--" for line in one)
    assert all(line.split(" & ")[6] == "--" for line in one)
    again = tmp_path / "again"
    call(table4_seeds.main, *arguments(made, again / "t"))
    for ending in ("csv", "tex"):
        first, second = (folder / f"t.{ending}" for folder in (tmp_path, again))
        assert first.read_bytes() == second.read_bytes()


def test_open_ends_and_runs_without_a_law_look_different() -> None:
    row = pd.DataFrame({"estimate": [0.5], "low": [None], "high": [0.7]})
    assert table4_seeds.shown(next(row.itertuples()), 2) == "[--, 0.70]"
    none = row.assign(estimate=[float("nan")])
    assert table4_seeds.shown(next(none.itertuples()), 2) == "--"
    assert table4_seeds.shown(None, 2) == "--"


def test_files_that_do_not_belong_together_are_refused(made, tmp_path, call) -> None:
    flags = arguments(made, tmp_path / "t")
    without = [flag for flag in flags if flag != made / "size4.csv"]
    with pytest.raises(UserError, match="--fits lack general at size4"):
        call(table4_seeds.main, *without)
    without = [flag for flag in flags if flag != made / "size3.parquet"]
    with pytest.raises(UserError, match="lacks alpha of general of run size3-full"):
        call(table4_seeds.main, *without)
    other = files.read_table(made / "size3.parquet", "uncertainty").assign(kind="real")
    files.write_table(other, tmp_path / "size3.parquet", "uncertainty")
    mixed = [tmp_path / f.name if f == made / "size3.parquet" else f for f in flags]
    with pytest.raises(UserError, match="pass the file of the same run"):
        call(table4_seeds.main, *mixed)
    assert not list(tmp_path.glob("t.*"))
