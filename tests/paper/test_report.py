"""The report compiles from finished files alone, shows what they hold, and refuses strangers."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import typst

import tidy_inputs
from recscale.errors import UserError
from recscale.paper import compile as paper
from recscale.paper import inputs
from recscale.paper.errata import errata

from .conftest import SETTINGS


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The finished files, to change at will."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def staged(folder: Path, root: Path, rung: str = "mini", controls: bool = False) -> Path:
    """The folder that the compiler reads, left in place; where the report's main file is."""
    sources = inputs.Sources(
        artefacts=folder / "artefacts",
        verdicts=folder / "verdicts.csv",
        verdicts_controls=folder / "verdicts_controls.csv" if controls else None,
        card=folder / "card.json",
        runs=[folder / f"{size}-full.json" for size in tidy_inputs.SIZES],
        published=tidy_inputs.PUBLISHED,
        settings=SETTINGS,
        rung=rung,
        name=rung,
        commit="abc1234+",
    )
    inputs.gather(sources, root / "run")
    return paper.copy_sources(tidy_inputs.ROOT / "paper" / "main.typ", root)


def words(content: object) -> str:
    """The text inside a queried element."""
    if isinstance(content, dict):
        own = content.get("text")
        rest = [value for key, value in content.items() if key not in ("text", "func", "label")]
        return (own if isinstance(own, str) else words(own)) + "".join(map(words, rest))
    return "".join(map(words, content)) if isinstance(content, list) else ""


def bare(text: str) -> str:
    """A text without its spaces."""
    return re.sub(r"\s", "", text)


def query(main: Path, selector: str) -> list[dict[str, object]]:
    found = typst.query(main, selector, root=main.parent, ignore_system_fonts=True)
    return json.loads(found)


def test_equal_inputs_give_equal_bytes(finished, copy, tmp_path, report) -> None:
    first = report(finished, tmp_path / "a" / "paper.pdf").read_bytes()
    assert first == report(copy, tmp_path / "b" / "other.pdf").read_bytes()
    assert first.startswith(b"%PDF") and len(first) > 100_000
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["paper.pdf"]


@pytest.mark.parametrize("controls", [False, True])
def test_every_artefact_stands_in_the_report_with_its_target(finished, tmp_path, controls) -> None:
    main = staged(finished, tmp_path, controls=controls)
    captions = [bare(words(figure["caption"])) for figure in query(main, "figure")]
    more = (*inputs.CONTROL_TABLES, *inputs.CONTROL_FIGURES) if controls else ()
    figures = [*inputs.FIGURES, "verdicts_controls" if controls else "verdicts"]
    ledger = "claims_controls" if controls else "claims"
    wanted = {*inputs.TABLES, *figures, *more, ledger, "errata"}
    made = [re.search(r"\(target(\w+),rungmini,commitabc1234\+\)$", c) for c in captions]
    assert {found[1] for found in made if found} == wanted
    assert all(made)
    assert {Path(str(image["source"])).name for image in query(main, "image")} == {
        f"{figure}.pdf" for figure in (*figures, *more) if figure not in inputs.CONTROL_TABLES
    }


def test_every_table_and_figure_has_a_latex_fragment(finished) -> None:
    made = sorted(finished.glob("artefacts/*/*.csv"))
    assert len(made) > len([*inputs.TABLES, *inputs.FIGURES])
    for path in made:
        fragment = path.with_suffix(".tex").read_text()
        environment = "table" if path.parent.name == "tables" else "figure"
        assert f"\\begin{{{environment}" in fragment, path.name
        assert fragment.count("\\begin{") == fragment.count("\\end{"), path.name


def test_the_page_of_verdicts_and_the_ledger_lead_the_report(finished, tmp_path) -> None:
    main = staged(finished, tmp_path)
    heads = [words(found["body"]) for found in query(main, "heading")]
    assert heads[0] == "What holds"
    names = [words(figure["caption"]) for figure in query(main, "figure")]
    assert "Verdicts." in names[0] and "Verdicts with reasons." in names[1]


def test_the_controls_say_what_they_change(finished, tmp_path) -> None:
    main = staged(finished, tmp_path, controls=True)
    ledgers = [pd.read_csv(finished / f"{name}.csv") for name in ("verdicts", "verdicts_controls")]
    changed = ledgers[1][ledgers[1]["verdict"] != ledgers[0]["verdict"]]
    [caption] = [
        words(figure["caption"])
        for figure in query(main, "figure")
        if "that the controls change" in words(figure["caption"])
    ]
    assert len(changed) == 1 and f"1of{len(ledgers[0])}claims" in bare(caption)
    cells = [words(table) for table in query(main, "table")]
    [shown] = [cell for cell in cells if "With controls" in cell]
    assert changed["claim"].iloc[0] in shown and "inconclusive" in shown


def test_no_commit_is_named_where_none_is_known(finished, tmp_path) -> None:
    main = staged(finished, tmp_path)
    this = json.loads((tmp_path / "run" / "rung.json").read_text())
    (tmp_path / "run" / "rung.json").write_text(json.dumps({**this, "commit": ""}))
    assert "commit" not in prose(main)


def test_all_errata_stand_in_the_appendix(finished, tmp_path) -> None:
    cells = [words(table) for table in query(staged(finished, tmp_path), "table")]
    [appendix] = [cell for cell in cells if "Assumed here" in cell]
    entries = errata(tidy_inputs.PUBLISHED)
    assert all(entry.title in appendix and entry.computed in appendix for entry in entries)


def test_what_the_method_says_of_the_config_is_read_from_it(finished, tmp_path) -> None:
    main = staged(finished, tmp_path)
    assert "support is20or more".replace(" ", "") in prose(main)
    method = json.loads((tmp_path / "run" / "method.json").read_text())
    method["curriculum"]["rules"]["min_support"] = 4321
    (tmp_path / "run" / "method.json").write_text(json.dumps(method))
    assert "supportis4321ormore" in prose(main)


def test_numbers_come_from_the_files(copy, tmp_path) -> None:
    path = copy / "artefacts" / "tables" / "table4.csv"
    table = pd.read_csv(path)
    assert 0.4321 not in set(table["alpha"])
    table.loc[2, "alpha"] = 0.4321
    table.to_csv(path, index=False)
    verdicts = pd.read_csv(copy / "verdicts.csv")
    verdicts.loc[0, ["verdict", "measured"]] = ["contradicted", "0.777 [0.7, 0.8]"]
    verdicts.to_csv(copy / "verdicts.csv", index=False)
    main = staged(copy, tmp_path)
    cells = "|".join(words(table) for table in query(main, "table"))
    assert "0.432" in cells and "0.777 [0.7, 0.8]" in cells


def laws_of_table_6(main: Path) -> list[str]:
    """The text of the tables that show laws of runs by UIH ratio."""
    cells = [words(found) for found in query(main, "table")]
    return [cell for cell in cells if "UIH(%)" in bare(cell)]


def test_a_curve_that_rises_has_no_exponent_and_its_onset_is_named(copy, tmp_path) -> None:
    table = pd.read_csv(copy / "artefacts" / "tables" / "table6.csv")
    risen = table[(table["domain"] == "uih") & table["rises"]]
    assert set(risen["run"]) == {"size3-uih_5", "size3-uih_15"}
    cells = laws_of_table_6(staged(copy, tmp_path))
    assert sum(cell.count("rises again") for cell in cells) == len(table[table["rises"]])
    table.loc[table["rises"], ["rises", "status"]] = [False, "converged"]
    table.to_csv(copy / "artefacts" / "tables" / "table6.csv", index=False)
    (tmp_path / "again").mkdir()
    cells = laws_of_table_6(staged(copy, tmp_path / "again"))
    assert not any("rises again" in cell for cell in cells)


def prose(main: Path) -> str:
    """The text of all paragraphs and captions, without spaces and apostrophes."""
    paragraphs = [words(paragraph) for paragraph in query(main, "par")]
    captions = [words(figure["caption"]) for figure in query(main, "figure")]
    return bare("|".join([*paragraphs, *captions]))


def test_case_studies_are_compared_with_the_true_item(finished, tmp_path) -> None:
    text = prose(staged(finished, tmp_path))
    assert "theansweramongrealitemshas7of8,theoneamongalltokens8of8." in text
    assert "Amongalltokens,1of3arenoitem" in text and "Amongalltokens,1of5arenoitem" in text


def test_answers_are_set_beside_the_most_frequent_ids(finished, copy, tmp_path) -> None:
    text = prose(staged(finished, tmp_path))
    # Hits of the four models: 4, 8, 12 and 16 of 40; of the most frequent ids: none.
    assert "for10.0to40.0%ofthewalks,andfor0.0%if" in text
    assert "ofthe4models,3liesabovethatandnonebelowit" in text
    assert "thecodedistancegrowswithrandomitemsforsize1(0.6Bsrole),size2" in text
    assert "thenumberofcategoriesgrowswithrandomitemsfornomodelandshrinksfornomodel" in text
    path = copy / "artefacts" / "tables" / "generation.csv"
    table = pd.read_csv(path)
    table[table["measure"] != "distinct_categories"].to_csv(path, index=False)
    (tmp_path / "without").mkdir()
    text = prose(staged(copy, tmp_path / "without"))
    assert "numberofcategories" not in text and "thecodedistancegrows" in text


def test_whether_a_model_beats_popularity_follows_the_table(copy, tmp_path) -> None:
    path = copy / "artefacts" / "tables" / "next_item_recall.csv"
    table = pd.read_csv(path)
    is_llm = table["model"] == "LLM"
    table.loc[is_llm, ["recall", "low", "high"]] = [0.01, 0.0, 0.02]
    for name, low in (("none", 0.0), ("one", 0.9991)):
        here = (table["data"] == "size4-full") & (table["k"] == 100)
        table.loc[here, ["recall", "low", "high"]] = [0.9992, low, 1.0]
        table.to_csv(path, index=False)
        (tmp_path / name).mkdir()
        text = prose(staged(copy, tmp_path / name))
        assert ("Nomodelisshowntorecommendbetter" in text) == (name == "none")
        assert ("visitmostoften:size4(8Bsrole)at100." in text) == (name == "one")
        assert "recall@100from0.010to0.999" in text


def test_all_claims_are_counted(finished, tmp_path) -> None:
    verdicts = pd.read_csv(finished / "verdicts.csv")["verdict"].value_counts()
    cells = [words(table) for table in query(staged(finished, tmp_path), "table")]
    [tally] = [cell for cell in cells if "Which means that" in cell]
    for kind, number in verdicts.items():
        assert f"{kind}{number}" in tally


def test_the_text_follows_the_rung_and_the_data(copy, tmp_path) -> None:
    for path in (*(copy / "artefacts").glob("*/*.csv"), copy / "verdicts.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table["rung"] = "b200"
        if "name" in table:
            table["name"] = "b200"
        table.to_csv(path, index=False)
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps({**card, "source": "merrec"}))
    [departures] = [
        words(table)
        for table in query(staged(copy, tmp_path, "b200"), "table")
        if "What is done here" in words(table)
    ]
    assert "auto-encoder" in departures
    assert "Four small models" not in departures and "SmolLM" not in departures


def test_artefacts_of_another_rung_are_refused(finished, copy, tmp_path, report) -> None:
    with pytest.raises(UserError, match=r"table1.csv was made for mini/mini.* h200/mini"):
        report(finished, tmp_path / "paper.pdf", rung="h200")
    with pytest.raises(UserError, match=r"for mini/mini.* mini/my_log"):
        report(finished, tmp_path / "paper.pdf", name="my_log")
    with pytest.raises(UserError, match="the rungs are smoke"):
        report(finished, tmp_path / "paper.pdf", rung="b100")
    verdicts = pd.read_csv(copy / "verdicts.csv").assign(rung="smoke")
    verdicts.to_csv(copy / "verdicts.csv", index=False)
    with pytest.raises(UserError, match=r"verdicts\.csv is not of rung mini"):
        report(copy, tmp_path / "paper.pdf")
    assert not (tmp_path / "paper.pdf").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("artefacts/tables/table8.csv", "table8.csv is missing"),
        ("artefacts/figures/fig2.pdf", "fig2.pdf is missing.*run the target fig2"),
        ("artefacts/figures/verdicts.pdf", "verdicts.pdf is missing.*run the target verdicts"),
        ("verdicts.csv", "verdicts.csv is missing"),
        ("card.json", "card.json is missing"),
        ("size4-full.json", "size4-full.json is missing"),
    ],
)
def test_a_missing_input_is_named(name, says, copy, tmp_path, report) -> None:
    (copy / name).unlink()
    with pytest.raises(UserError, match=says):
        report(copy, tmp_path / "out" / "paper.pdf")
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_named(copy, tmp_path, report) -> None:
    pd.read_csv(copy / "verdicts.csv").drop(columns="reason").to_csv(
        copy / "verdicts.csv", index=False
    )
    with pytest.raises(UserError, match=r"verdicts.csv lacks the column\(s\) reason"):
        report(copy, tmp_path / "paper.pdf")


def test_a_missing_setting_is_named(finished, tmp_path, report) -> None:
    without = {key: value for key, value in SETTINGS.items() if key != "scaling"}
    with pytest.raises(UserError, match=r"--settings lack scaling.burn_in"):
        report(finished, tmp_path / "paper.pdf", settings=json.dumps(without))


def test_an_edition_with_controls_needs_them(copy, tmp_path, report) -> None:
    ledger = {"verdicts-controls": copy / "verdicts_controls.csv"}
    out = report(copy, tmp_path / "paper_controls.pdf", **ledger)
    assert out.read_bytes().startswith(b"%PDF")
    (copy / "artefacts" / "tables" / "rival_laws.csv").unlink()
    with pytest.raises(UserError, match=r"rival_laws\.csv is missing"):
        report(copy, tmp_path / "again.pdf", **ledger)


def test_a_source_that_does_not_compile_leaves_nothing(finished, tmp_path, report) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "main.typ").write_text("#let x = nothing.at-all")
    with pytest.raises(UserError, match=r"does not compile \(unknown variable: nothing"):
        report(finished, tmp_path / "paper.pdf", main=tmp_path / "paper" / "main.typ")
    with pytest.raises(UserError, match=r"none\.typ is missing"):
        report(finished, tmp_path / "paper.pdf", main=tmp_path / "paper" / "none.typ")
    assert not (tmp_path / "paper.pdf").exists()


def test_every_artefact_has_a_report_caption_that_names_the_rung() -> None:
    folder = tidy_inputs.ROOT / "workflow" / "report"
    made = (*inputs.TABLES, *inputs.FIGURES, *inputs.CONTROL_TABLES, *inputs.CONTROL_FIGURES)
    pages = ("verdicts", "verdicts_controls", "claims", "claims_controls")
    for target in (*made, *pages, "paper", "paper_controls", "workflow"):
        text = (folder / f"{target}.rst").read_text()
        assert '{{ snakemake.config["rung"] }}' in text
