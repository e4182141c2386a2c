"""The page of verdicts and the table in the README."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from recscale.claims import readme
from recscale.claims.ledger import write_ledger
from recscale.claims.readme import BEGIN, END
from recscale.claims.verdict import Evidence, Verdict
from recscale.errors import UserError
from recscale.figures import verdicts

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference" / "mini"


@pytest.fixture
def ledger(claims, make_ranks):
    """A ledger in which each verdict occurs."""
    table = write_ledger(claims.values(), Evidence("mini", ranks=make_ranks()))
    table.loc[2:4, "verdict"] = ["contradicted", "inconclusive", "not measurable here"]
    assert set(table["verdict"]) == set(map(str, Verdict))
    return table


def test_the_page_has_a_row_per_claim_and_those_that_held_first(call, ledger, tmp_path):
    ledger.to_csv(tmp_path / "verdicts.csv", index=False)
    prefix = tmp_path / "page"
    options = ["--verdicts", tmp_path / "verdicts.csv", "--rung", "mini", "--out-prefix", prefix]
    call(verdicts.main, *options)
    page = pd.read_csv(tmp_path / "page.csv", keep_default_na=False)
    assert sorted(page["id"]) == sorted(ledger["id"])
    places = page["verdict"].map(list(map(str, Verdict)).index)
    assert places.is_monotonic_increasing
    assert page["id"].iloc[:2].tolist() == ["ranking_tstr_beats_trtr", "ranking_sasrec_gain"]
    tex = (tmp_path / "page.tex").read_text()
    assert tex.count(r"\begin{table*}") == 5 and "2 reproduced, 1 contradicted" in tex
    drawn = (tmp_path / "page.svg").read_bytes(), (tmp_path / "page.pdf").read_bytes()
    call(verdicts.main, *options)
    assert drawn == ((tmp_path / "page.svg").read_bytes(), (tmp_path / "page.pdf").read_bytes())


def test_no_text_of_the_page_is_cut_off_or_meets_another(claims, ledger):
    """Lines stay inside their column, whatever stands in them."""
    wide = ledger.assign(ours="0.88888 8888 " * 6, published="0.88 888 " * 5)
    figure = verdicts.laid_out(verdicts.grouped(wide))
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    edge = figure.bbox
    assert all(edge.x0 <= box.x0 and box.x1 <= edge.x1 for box in boxes)
    assert all(edge.y0 <= box.y0 and box.y1 <= edge.y1 for box in boxes)
    for place, box in enumerate(boxes):
        for other in boxes[place + 1 :]:
            assert not (box.shrunk(0.97, 0.8)).overlaps(other.shrunk(0.97, 0.8))


def test_every_verdict_has_a_mark_of_its_own():
    assert set(verdicts.MARKERS) == set(readme.MARKS) == set(map(str, Verdict))
    assert len(set(verdicts.MARKERS.values())) == len(set(readme.MARKS.values())) == len(Verdict)


def test_verdicts_of_another_rung_stop_by_name(call, ledger, tmp_path):
    ledger.to_csv(tmp_path / "verdicts.csv", index=False)
    with pytest.raises(UserError, match=r"verdicts\.csv is of rung mini, not smoke"):
        call(
            verdicts.main,
            *("--verdicts", tmp_path / "verdicts.csv", "--rung", "smoke"),
            *("--out-prefix", tmp_path / "page"),
        )


def test_an_unknown_verdict_stops_by_name(ledger):
    with pytest.raises(UserError, match="the verdict 'maybe'"):
        verdicts.grouped(ledger.assign(verdict="maybe"))


@pytest.fixture
def folder(ledger, tmp_path):
    """A folder of results with a ledger, and a README with markers."""
    (tmp_path / "claims").mkdir()
    ledger.to_csv(tmp_path / "claims" / "verdicts.csv", index=False)
    (tmp_path / "README.md").write_text(f"# before\n{BEGIN}\nstale\n{END}\nafter\n")
    return tmp_path


def test_the_command_writes_between_the_markers_alone_and_once(call, folder, ledger):
    page = folder / "README.md"
    options = ["--reference", folder, "--readme", page]
    call(readme.main, *options)
    text = page.read_text()
    assert text.startswith(f"# before\n{BEGIN}\n34 claims at rung `mini`: ● 2 reproduced,")
    assert text.endswith(f"\n{END}\nafter\n") and "stale" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) == len(ledger)
    assert rows[0].startswith("| ● reproduced | Models trained on synthetic walks")
    assert any("L\\_inf" in row for row in rows)
    call(readme.main, *options)
    assert page.read_text() == text


def test_a_ledger_with_controls_goes_before_one_without(call, folder, ledger):
    better = ledger.assign(verdict="reproduced")
    better.to_csv(folder / "claims" / "verdicts_controls.csv", index=False)
    call(readme.main, "--reference", folder, "--readme", folder / "README.md")
    assert "● 34 reproduced." in (folder / "README.md").read_text()


@pytest.mark.parametrize("text", ["none", f"{BEGIN} alone", f"{END}\n{BEGIN}", f"{BEGIN}{END}" * 2])
def test_a_readme_without_the_two_markers_stops_by_name(call, folder, text):
    (folder / "README.md").write_text(text)
    with pytest.raises(UserError, match=r"README\.md has not one <!-- verdicts:begin -->"):
        call(readme.main, "--reference", folder, "--readme", folder / "README.md")


def test_a_folder_without_verdicts_stops_by_name(call, tmp_path):
    with pytest.raises(UserError, match=r"has no claims/verdicts_controls\.csv or claims/verdicts"):
        call(readme.main, "--reference", tmp_path, "--readme", tmp_path / "README.md")


def test_the_readme_is_what_the_command_would_write():
    page = ROOT / "README.md"
    assert readme.rewritten(page, REFERENCE) == page.read_text(encoding="utf-8")
