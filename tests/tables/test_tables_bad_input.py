"""What a table says when an input is wrong: one line that names the file or the key."""

import json
from pathlib import Path

import pandas as pd
import pytest

import tidy_inputs
from recscale.errors import UserError
from recscale.tables import table2, table3, table4, table8
from tidy_inputs import PUBLISHED, SIZES


def table2_arguments(inputs: Path, manifest: Path, out: Path) -> list[object]:
    windows = [inputs / f"{domain}.json" for domain in tidy_inputs.UNIQUE]
    published = PUBLISHED / "table2_training_data.csv"
    return [
        *("--windows", *windows, "--run-manifest", manifest, "--published", published),
        *("--rung", "mini", "--out-prefix", out),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.pop("ledger"), "lacks the key"),
        (lambda m: m["ledger"].pop("cf"), "lacks the domain 'cf'"),
        (lambda m: m["ledger"]["uih"].pop("repeats"), "ledger.uih.repeats"),
        (lambda m: m["ledger"]["uih"].update(unique_tokens=1), "the windows of uih hold 80000"),
    ],
)
def test_table2_refuses_a_manifest_that_does_not_fit(change, says, inputs, tmp_path, call) -> None:
    manifest = json.loads((inputs / "size3-full.json").read_text())
    change(manifest)
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=says):
        call(table2.main, *table2_arguments(inputs, tmp_path / "run.json", tmp_path / "t"))
    assert not list(tmp_path.glob("t.*"))


def test_a_rung_that_does_not_exist(inputs, tmp_path, call) -> None:
    arguments = table2_arguments(inputs, inputs / "size3-full.json", tmp_path / "t")
    with pytest.raises(UserError, match=r"'h100'.*smoke, mini, h200, b200"):
        call(table2.main, *["h100" if a == "mini" else a for a in arguments])


def test_table3_names_the_missing_domain(inputs, tmp_path, call) -> None:
    windows = [p for p in (inputs / "held_out").glob("*.json") if p.stem != "uih_ood"]
    published = PUBLISHED / "table3_holdout_data.csv"
    with pytest.raises(UserError, match="uih_ood"):
        call(
            *(table3.main, "--windows", *windows, "--published", published),
            *("--rung", "mini", "--out-prefix", tmp_path / "t"),
        )


def table4_arguments(fits: list[Path], out: Path) -> list[object]:
    published = PUBLISHED / "table4_scaling_laws.csv"
    return ["--fits", *fits, "--published", published, "--rung", "mini", "--out-prefix", out]


def test_table4_wants_one_fit_of_each_size(inputs, tmp_path, call) -> None:
    fits = [inputs / size / "fits.csv" for size in SIZES]
    with pytest.raises(UserError, match="lacks general at size4"):
        call(table4.main, *table4_arguments(fits[:3], tmp_path / "t"))
    with pytest.raises(UserError, match="more than one fit of general at size1"):
        call(table4.main, *table4_arguments([*fits, fits[0]], tmp_path / "t"))


def test_table4_chooses_among_recipes_only_when_told(inputs, tmp_path, call) -> None:
    other = tidy_inputs.fits(tmp_path, "size1", recipe="huber", alpha=0.5)
    fits = [*(inputs / size / "fits.csv" for size in SIZES), other]
    with pytest.raises(UserError, match=r"huber, variable_projection.*--recipe"):
        call(table4.main, *table4_arguments(fits, tmp_path / "t"))
    call(table4.main, *table4_arguments(fits, tmp_path / "t"), "--recipe", "variable_projection")
    assert set(pd.read_csv(tmp_path / "t.csv")["recipe"]) == {"variable_projection"}
    with pytest.raises(UserError, match="lack the recipe 'lbfgs'"):
        call(table4.main, *table4_arguments(fits, tmp_path / "t"), "--recipe", "lbfgs")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a CSV table"),
        ("config,order\n", r"sweep.csv lacks the column\(s\) p, q, alpha"),
        (None, "is missing"),
    ],
)
def test_table8_names_the_broken_file(text, says, tmp_path, call) -> None:
    if text is not None:
        (tmp_path / "sweep.csv").write_text(text)
    published = PUBLISHED / "table8_walk_sweep.csv"
    with pytest.raises(UserError, match=says):
        call(
            *(table8.main, "--sweep", tmp_path / "sweep.csv", "--published", published),
            *("--rung", "mini", "--out-prefix", tmp_path / "t"),
        )
    assert not list(tmp_path.glob("t.*"))


def test_table8_refuses_an_empty_sweep_and_strange_names(inputs, tmp_path, call) -> None:
    sweep = pd.read_csv(inputs / "walks" / "sweep.csv")
    path, published = tmp_path / "sweep.csv", PUBLISHED / "table8_walk_sweep.csv"
    arguments = ["--sweep", path, "--published", published, "--rung", "mini"]
    arguments += ["--out-prefix", tmp_path / "t"]
    sweep.head(0).to_csv(path, index=False)
    with pytest.raises(UserError, match="has no rows"):
        call(table8.main, *arguments)
    sweep.assign(config=["a", "b", "c", "d"]).to_csv(path, index=False)
    with pytest.raises(UserError, match="no configuration of the paper"):
        call(table8.main, *arguments)
    pd.concat([sweep, sweep]).to_csv(path, index=False)
    with pytest.raises(UserError, match="twice"):
        call(table8.main, *arguments)


def test_the_command_prints_one_line_and_imports_no_torch(inputs, tmp_path) -> None:
    found = tidy_inputs.python(
        *("-m", "recscale.tables.table8", "--sweep", tmp_path / "none.csv"),
        *("--published", PUBLISHED / "table8_walk_sweep.csv"),
        *("--rung", "mini", "--out-prefix", tmp_path / "t"),
    )
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1 and "none.csv is missing" in found.stderr
    modules = "recscale.tables.table2,recscale.tables.table3,recscale.tables.table4"
    program = f"import sys,{modules},recscale.tables.table8;print('torch' in sys.modules)"
    assert tidy_inputs.python("-c", program).stdout == "False\n"
