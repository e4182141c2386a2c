"""Figures 9 to 11 from made-up cases: nothing cut off, answers that are no item marked."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recscale import files
from recscale.errors import UserError
from recscale.figures import case_study, fig9, fig10, fig11, style

MAINS = {"fig9": fig9.main, "fig10": fig10.main, "fig11": fig11.main}
LONG = "W" * 300  # a word far wider than a column


def codes(n: int) -> str:
    return " ".join(f"REC{8000 + n + k}" for k in range(8))


def cases(**changes: object) -> pd.DataFrame:
    """Three cases; titles with dollars, per cent signs and words without end."""
    rows = []
    for figure, answers in {"fig9": 1, "fig10": 3, "fig11": 5}.items():
        roles = ["prompt"] * 4 + ["constrained"] * answers + ["unconstrained"] * answers
        roles += ["truth"] if figure != "fig11" else []
        for place, role in enumerate(roles):
            position = place - roles.index(role)
            no_item = role == "unconstrained" and position == 0
            text = f"oats $5 to $6 50% off, {LONG if position == 1 else 'by A_B & Co {x}'}"
            rows.append(
                {
                    "run": "size3-full",
                    "size": "size3",
                    "figure": figure,
                    "role": role,
                    "position": position,
                    "codes": f"<RECTOKEN> {codes(place)} </RECTOKEN>",
                    "text": None if no_item else text,
                    "items": 0 if no_item else 1 + (place % 2) * 4,
                    "log_probability": -1.5 - place if "constrained" in role else None,
                    "history_items": 6,
                    "chosen_from": 0 if figure == "fig11" else 300,
                }
            )
    return pd.DataFrame(rows).assign(**changes).astype({"log_probability": float})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    files.write_table(cases(), tmp_path / "cases.parquet", "case_studies")
    return tmp_path / "cases.parquet"


def arguments(path: Path, prefix: Path) -> list[object]:
    return ["--cases", path, "--rung", "mini", "--out-prefix", prefix]


@pytest.mark.parametrize("target", MAINS)
def test_all_text_is_inside_its_column(target, path, tmp_path, call, monkeypatch) -> None:
    drawn = []

    def measure(figure, artefact) -> None:
        renderer = figure.canvas.get_renderer()
        width, height = figure.get_size_inches() * figure.dpi
        boxes = []
        for text in figure.axes[0].texts:
            box = text.get_window_extent(renderer)
            is_left = box.x0 < width / 2
            edge = width / 2 if is_left else width
            assert box.x0 >= 0 and box.x1 <= edge and box.y0 >= 0 and box.y1 <= height
            boxes.append((is_left, box.y0, box.y1))
            drawn.append(text.get_text())
        for side in (True, False):
            lines = sorted((low, high) for is_left, low, high in boxes if is_left == side)
            middles = [(low + high) / 2 for low, high in lines]
            assert all(b - a > 4 for a, b in pairwise(middles))
        plt.close(figure)

    monkeypatch.setattr(style, "save", measure)
    call(MAINS[target], *arguments(path, tmp_path / target))
    everything = "".join(drawn).replace(" ", "")
    table = cases()
    shown = table[table["figure"] == target]
    for line in [*shown["codes"], *shown["text"].dropna()]:
        assert line.replace(" ", "") in everything
    assert everything.count(case_study.NO_ITEM.replace(" ", "")) == 1
    assert "last4of6items" in everything
    assert ("Groundtruth" in everything) == (target != "fig11")


@pytest.mark.parametrize("target", MAINS)
def test_equal_inputs_give_equal_bytes_and_a_fragment(target, path, tmp_path, call) -> None:
    for folder in ("a", "b"):
        call(MAINS[target], *arguments(path, tmp_path / folder / target))
    names = [f"{target}.{ending}" for ending in ("csv", "pdf", "svg", "tex")]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    pdf = (tmp_path / f"a/{target}.pdf").read_bytes()
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf).group(1)) / 72
    assert width <= style.DOUBLE_COLUMN + 0.01
    tex = (tmp_path / f"a/{target}.tex").read_text()
    assert rf"{{{target}.pdf}}" in tex and rf"\label{{fig:{target}}}" in tex
    assert "rung mini" in tex and "size3-full" in tex
    assert ("drew the items" in tex) == (target == "fig11")
    table = pd.read_csv(tmp_path / f"a/{target}.csv")
    assert set(table["figure"]) == {target} and set(table["rung"]) == {"mini"}


def test_items_of_a_prompt_are_themselves_and_answers_the_first_of_their_codes() -> None:
    shown = case_study.blocks(cases()[lambda t: t["figure"] == "fig10"])
    texts = [block.text for block in shown]
    of_prompt = [text for text in texts if "[one of 5 items with these codes]" in text]
    of_answers = [text for text in texts if "[first of 5 items with these codes]" in text]
    table = cases()[lambda t: (t["figure"] == "fig10") & (t["items"] > 1)]
    is_answer = table["role"].isin(["constrained", "unconstrained"])
    assert (len(of_prompt), len(of_answers)) == ((~is_answer).sum(), is_answer.sum())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abcW$_%", min_size=1, max_size=60), min_size=1, max_size=12))
def test_wrapping_loses_nothing_and_keeps_the_width(words) -> None:
    font, width = case_study._WORDS, 70.0
    lines = case_study.wrapped(" ".join(words), font, width)
    assert "".join(lines).replace(" ", "") == "".join(words)
    assert all(case_study.width_of(line, font) <= width for line in lines)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (cases()[lambda t: t["role"] != "prompt"], "has no prompt lines of fig9"),
        (cases()[lambda t: t["figure"] != "fig9"], "has no .* lines of fig9"),
        (pd.concat([cases(), cases(run="other")]), "has fig9 of several runs"),
    ],
)
def test_incomplete_files_are_named(frame, message, tmp_path, call) -> None:
    files.write_table(frame.reset_index(drop=True), tmp_path / "c.parquet", "case_studies")
    with pytest.raises(UserError, match=message):
        call(fig9.main, *arguments(tmp_path / "c.parquet", tmp_path / "fig9"))
