"""What each command says of curves that no law can be fitted to: one line, and exit status 2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale.errors import run_command
from recscale.scaling import fit, joint_law, repetition, rivals, uncertainty

CHOSEN = {"burn_in": 0.06, "pool": "token_weighted"}
COMMANDS: dict[str, tuple[Callable[[], None], dict[str, object]]] = {
    "fit": (fit.main, CHOSEN),
    "rivals": (rivals.main, CHOSEN),
    "uncertainty": (uncertainty.main, {**CHOSEN, "seed": 1}),
    "repetition": (repetition.main, CHOSEN),
}


def says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], main, *flags: object
) -> str:
    """The line a command ends with; its exit status is 2."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, flags)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(said) == 1 and said[0].startswith("recscale: error: ")
    return said[0]


def refused(name: str, curves: pd.DataFrame, folder: Path, monkeypatch, capsys) -> str:
    """What a command of `COMMANDS` says of these curves; it writes nothing."""
    path, out = folder / "curves.parquet", folder / "out"
    curves.astype({"loss_per_item": float}, errors="ignore").to_parquet(path)
    main, chosen = COMMANDS[name]
    flags = ("--curves", path, "--out", out, "--settings", json.dumps(chosen))
    said = says(monkeypatch, capsys, main, *flags)
    assert str(path) in said and not out.exists()
    return said


def place(curves: pd.DataFrame) -> int:
    """The sixth evaluation of uih_ood over all tokens."""
    return curves.index[(curves["token_class"] == "all") & (curves["domain"] == "uih_ood")][5]


def with_value(column: str, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Curves of which one row of uih_ood has this value."""

    def change(curves: pd.DataFrame) -> pd.DataFrame:
        here = curves.index == place(curves)
        return curves.assign(**{column: curves[column].where(~here, value)})

    return change


def unsorted(curves: pd.DataFrame) -> pd.DataFrame:
    """Two neighbouring evaluations of uih_ood change places."""
    i = place(curves)
    order = [*range(i), i + 2, i + 1, i, *range(i + 3, len(curves))]
    return curves.iloc[order]


HERE = "run size1-full, domain uih_ood"
BAD = {
    "a loss that is NaN": (with_value("loss", np.nan), f"has the loss nan in {HERE}"),
    "an infinite loss": (with_value("loss", np.inf), f"has the loss inf in {HERE}"),
    "a loss of 0": (with_value("loss", 0.0), f"has the loss 0.0 in {HERE}"),
    "a negative loss": (with_value("loss", -1.0), f"has the loss -1.0 in {HERE}"),
    "tokens that are NaN": (with_value("tokens", np.nan), f"has nan tokens in {HERE}"),
    "negative tokens": (with_value("tokens", -5), f"has -5 tokens in {HERE}"),
    "tokens twice": (
        lambda c: pd.concat([c, c[c["domain"] == "uih_ood"].iloc[-2:]]),
        f"has {HERE} twice at 1600000 tokens",
    ),
    "unsorted tokens": (unsorted, f"is not sorted by tokens: {HERE} goes back to"),
    "no loss": (lambda c: c.drop(columns="loss"), "lacks the column(s) loss"),
    "no tokens": (lambda c: c.drop(columns="tokens"), "lacks the column(s) tokens"),
    "no rows": (lambda c: c.iloc[:0], "has no rows"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", BAD)
def test_bad_curves_stop_with_file_run_and_domain(
    name, kind, curves, tmp_path, monkeypatch, capsys
) -> None:
    change, message = BAD[kind]
    assert message in refused(name, change(curves), tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("name", ["fit", "rivals", "uncertainty"])
@pytest.mark.parametrize("points", [0, 1, 2])
def test_fewer_points_than_parameters_stop_with_run_and_domain(
    name, points, curves, tmp_path, monkeypatch, capsys
) -> None:
    """One domain is evaluated too rarely after the burn-in, the others are not."""
    late = sorted(set(curves.loc[curves["tokens"] >= 96_000, "tokens"]))[: 10 - points]
    few = curves[~((curves["domain"] == "uih_ood") & curves["tokens"].isin(late))]
    said = refused(name, few, tmp_path, monkeypatch, capsys)
    assert f"has {points} evaluation(s) after the burn-in in run size1-full, domain uih_ood" in said


def test_a_run_that_has_not_begun_is_refused(curves, tmp_path, monkeypatch, capsys) -> None:
    said = refused("fit", curves[curves["tokens"] == 0], tmp_path, monkeypatch, capsys)
    assert "no evaluation of run size1-full after step 0" in said


@pytest.mark.parametrize("points", [3, 5])
def test_three_points_are_a_status_and_no_error(points, curves, tmp_path, call) -> None:
    tokens = sorted(set(curves["tokens"]))
    curves = curves[curves["tokens"].isin([0, *tokens[-points:]])]
    path = tmp_path / "curves.parquet"
    curves.astype({"loss_per_item": float}).to_parquet(path)
    flags = ("--curves", path, "--out", tmp_path / "out.csv", "--settings", json.dumps(CHOSEN))
    call(fit.main, *flags)
    found = pd.read_csv(tmp_path / "out.csv")
    assert set(found["n_points"]) == {points} and set(found["status"]) == {"too_few_points"}


def test_an_absent_domain_is_no_error(curves, tmp_path, call) -> None:
    path = tmp_path / "curves.parquet"
    without = curves[curves["domain"] != "cf_both_seen"].astype({"loss_per_item": float})
    without.to_parquet(path)
    flags = ("--curves", path, "--out", tmp_path / "out.csv", "--settings", json.dumps(CHOSEN))
    call(fit.main, *flags)
    found = pd.read_csv(tmp_path / "out.csv").set_index("domain")["n_points"]
    assert found["cf_both_seen"] == found["cf"] == 0 and found["cf_one_unseen"] == 10


POINTS = [(n, d, 2 + n**-0.3 + d**-0.2) for n in (1e4, 1e5, 1e6) for d in (1e6, 1e7)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.assign(loss=[np.nan, *p["loss"][1:]]), "has the loss nan in row 1"),
        (lambda p: p.assign(loss=[0.0, *p["loss"][1:]]), "has the loss 0.0 in row 1"),
        (lambda p: p.assign(tokens=[-1.0, *p["tokens"][1:]]), "has the tokens -1.0 in row 1"),
        (lambda p: pd.concat([p, p.iloc[:1]]), "has two points with 10000 parameters"),
        (lambda p: p.iloc[:2], "has 2 point(s), the law has five parameters"),
        (lambda p: p.drop(columns="tokens"), "lacks the column(s) tokens"),
        (lambda p: p.iloc[:0], "has no rows"),
    ],
)
def test_bad_points_stop_the_joint_law(change, message, tmp_path, monkeypatch, capsys) -> None:
    points = pd.DataFrame(POINTS, columns=["parameters", "tokens", "loss"])
    change(points).to_csv(tmp_path / "points.csv", index=False)
    flags = ("--points", tmp_path / "points.csv", "--replicates", 2)
    said = says(monkeypatch, capsys, joint_law.main, *flags)
    assert message in said and "points.csv" in said
