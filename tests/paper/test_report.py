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


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The finished files, to change at will."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def staged(folder: Path, root: Path, rung: str = "mini") -> Path:
    """The folder that the compiler reads, left in place."""
    manifests = [folder / f"{size}-full.json" for size in tidy_inputs.SIZES]
    paper.gather(
        *(root / "run", folder / "artefacts", folder / "verdicts.csv", folder / "card.json"),
        *(manifests, rung, rung),
    )
    for source in (tidy_inputs.ROOT / "paper").glob("*.typ"):
        shutil.copyfile(source, root / source.name)
    return root / "main.typ"


def words(content: object) -> str:
    """The text inside a queried element."""
    if isinstance(content, dict):
        own = content.get("text")
        rest = [value for key, value in content.items() if key not in ("text", "func", "label")]
        return (own if isinstance(own, str) else words(own)) + "".join(map(words, rest))
    return "".join(map(words, content)) if isinstance(content, list) else ""


def query(main: Path, selector: str) -> list[dict[str, object]]:
    found = typst.query(main, selector, root=main.parent, ignore_system_fonts=True)
    return json.loads(found)


def test_equal_inputs_give_equal_bytes(finished, copy, tmp_path, report) -> None:
    first = report(finished, tmp_path / "a" / "paper.pdf").read_bytes()
    assert first == report(copy, tmp_path / "b" / "other.pdf").read_bytes()
    assert first.startswith(b"%PDF") and len(first) > 100_000
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["paper.pdf"]


def test_every_artefact_stands_in_the_report_with_its_target(finished, tmp_path) -> None:
    main = staged(finished, tmp_path)
    captions = [words(figure["caption"]) for figure in query(main, "figure")]
    for target in (*paper.TABLES, *paper.FIGURES, "claims"):
        assert any(f"(Target{target}" in re.sub(r"\s", "", c) for c in captions), target
    assert all("rung" in caption and "mini" in caption for caption in captions)
    assert {Path(str(image["source"])).name for image in query(main, "image")} == {
        f"{figure}.pdf" for figure in paper.FIGURES
    }


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


def test_a_curve_that_rises_has_no_exponent_and_its_onset_is_named(copy, tmp_path) -> None:
    table = pd.read_csv(copy / "artefacts" / "tables" / "table6.csv")
    risen = table[(table["domain"] == "uih") & table["rises"]]
    assert set(risen["run"]) == {"size3-uih_5", "size3-uih_15"}
    cells = [words(found) for found in query(staged(copy, tmp_path), "table")]
    assert sum(cell.count("rises again") for cell in cells) == len(table[table["rises"]])
    table.loc[table["rises"], ["rises", "status"]] = [False, "converged"]
    table.to_csv(copy / "artefacts" / "tables" / "table6.csv", index=False)
    (tmp_path / "again").mkdir()
    cells = [words(found) for found in query(staged(copy, tmp_path / "again"), "table")]
    assert not any("rises again" in cell for cell in cells)


def prose(main: Path) -> str:
    """The text of all paragraphs and captions, without spaces and apostrophes."""
    paragraphs = [words(paragraph) for paragraph in query(main, "par")]
    captions = [words(figure["caption"]) for figure in query(main, "figure")]
    return re.sub(r"\s", "", "|".join([*paragraphs, *captions]))


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
    main = staged(finished, tmp_path)
    # The sentence is set from the rows, so it is looked for in the rendered page.
    source = main.read_text().replace(
        "#tally.join", "#metadata(tally.map(t => repr(t)))#tally.join"
    )
    main.write_text(source)
    tally = " ".join(query(main, "metadata")[0]["value"])
    for kind, number in verdicts.items():
        assert str(number) in tally and str(kind) in tally


def test_the_text_follows_the_rung_and_the_data(copy, tmp_path) -> None:
    for path in (*(copy / "artefacts").glob("*/*.csv"), copy / "verdicts.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table["rung"] = "b200"
        if "name" in table:
            table["name"] = "b200"
        table.to_csv(path, index=False)
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps({**card, "source": "merrec"}))
    at_scale = " ".join(
        words(heading) for heading in query(staged(copy, tmp_path, "b200"), "strong")
    )
    assert "Semantic ids." in at_scale
    assert "Models." not in at_scale and "General text" not in at_scale


def test_artefacts_of_another_rung_are_refused(finished, copy, tmp_path, report) -> None:
    with pytest.raises(UserError, match=r"table2.csv was made for mini/mini.* h200/mini"):
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
    for target in (*paper.TABLES, *paper.FIGURES, "claims", "paper", "workflow"):
        text = (folder / f"{target}.rst").read_text()
        assert '{{ snakemake.config["rung"] }}' in text
