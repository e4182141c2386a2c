"""A reference holds what a rung wrote, and gives it back unchanged or not at all."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from recscale import files
from recscale.errors import UserError
from recscale.reference import collect, restore
from recscale.reference.manifest import read_reference, verify


def everything(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in files_of(folder)}


def files_of(folder):
    return [file for file in folder.rglob("*") if file.is_file()]


def flags(rung, folder, *more):
    return [
        *("--results", rung.results, "--artefacts", rung.artefacts, "--name", "mini"),
        *("--rung", "mini", "--tidy", *rung.tidy, "--made", *rung.made),
        *("--pictures", rung.picture, "--reference", folder, *more),
    ]


def test_the_manifest_says_what_there_is(rung, tmp_path, call):
    call(collect.main, *flags(rung, tmp_path / "kept"))
    value = json.loads((tmp_path / "kept/manifest.json").read_text())
    assert (value["name"], value["rung"], value["total_files"]) == ("mini", "mini", 7)
    there = {name: data for name, data in everything(tmp_path / "kept").items() if "/" in name}
    assert set(value["files"]) == set(there)
    assert value["total_bytes"] == sum(map(len, there.values()))
    for path, entry in value["files"].items():
        assert entry["sha256"] == files.sha256(tmp_path / "kept" / path)
        kinds = {"tables": "made", "claims": "made", "figures": "picture"}
        assert entry["kind"] == kinds.get(path.split("/")[0], "tidy")


def test_collecting_again_gives_the_same_bytes_and_drops_what_is_gone(rung, tmp_path, call):
    call(collect.main, *flags(rung, tmp_path / "kept"))
    (tmp_path / "kept/minutes.json").write_text("{}")
    before = everything(tmp_path / "kept")
    (tmp_path / "kept/tables/table99.csv").write_text("rung\nmini\n")
    call(collect.main, *flags(rung, tmp_path / "kept"))
    assert everything(tmp_path / "kept") == before


def test_what_is_restored_is_what_was_measured(rung, reference, tmp_path, call):
    out = tmp_path / "restored"
    call(restore.main, "--reference", reference.folder, "--rung", "mini", "--out", out)
    restored = everything(out)
    measured = {f.relative_to(rung.results).as_posix(): f.read_bytes() for f in rung.tidy}
    assert restored == measured


@pytest.mark.parametrize("path", ["data/card.json", "tables/table4.csv"])
def test_a_changed_file_stops_the_restoring_by_its_name(reference, tmp_path, path):
    file = reference.folder / path
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(UserError, match=f"{path} is not the file that was collected"):
        restore.restore(reference, "mini", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_stops_it(reference, tmp_path):
    (reference.folder / "item_ids/quality/sae.parquet").unlink()
    with pytest.raises(UserError, match="sae.parquet is missing from the reference"):
        restore.restore(reference, "mini", tmp_path / "out")


def test_an_additional_file_stops_it_but_measured_minutes_do_not(reference, tmp_path):
    (reference.folder / "minutes.json").write_text("{}")
    verify(reference)
    shutil.copy(reference.folder / "data/card.json", reference.folder / "data/other.json")
    with pytest.raises(UserError, match="data/other.json is not in the manifest"):
        restore.restore(reference, "mini", tmp_path / "out")


def test_another_rung_is_not_restored(reference, tmp_path):
    with pytest.raises(UserError, match="of rung mini, the config of h200"):
        restore.restore(reference, "h200", tmp_path / "out")


def test_files_of_another_rung_are_refused(rung, tmp_path, call):
    rung.rewrite("tables/table4.csv", lambda frame: frame.assign(rung="smoke"))
    with pytest.raises(UserError, match="table4.csv is of rung smoke, not of mini"):
        call(collect.main, *flags(rung, tmp_path / "kept"))


def test_a_folder_with_another_rungs_reference_is_refused(rung, reference):
    roots = (rung.results, rung.artefacts)
    with pytest.raises(UserError, match="holds the reference of rung mini, not of smoke"):
        collect.collect({"tidy": rung.tidy}, roots, "smoke", "smoke", reference.folder)


def test_a_file_from_elsewhere_or_missing_is_refused(rung, tmp_path, call):
    stray = tmp_path / "stray.csv"
    pd.DataFrame({"a": [1]}).to_csv(stray, index=False)
    with pytest.raises(UserError, match="stray.csv lies in none of"):
        call(collect.main, *flags(rung, tmp_path / "kept", "--made", stray))
    rung.tidy[0].unlink()
    with pytest.raises(UserError, match="curves.parquet is missing"):
        call(collect.main, *flags(rung, tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("text", ["[]", '{"name": "mini", "rung": "mini", "files": {"a": 1}}', "{"])
def test_a_broken_manifest_is_named(reference, text):
    (reference.folder / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is no"):
        read_reference(reference.folder)
