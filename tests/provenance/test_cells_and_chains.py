"""From a cell back to the data: which runs, which hashes, and what is said of changes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recscale import files
from recscale.errors import UserError
from recscale.provenance import __main__ as command
from recscale.provenance.cell import find_cell
from recscale.provenance.chain import chain, describe
from recscale.provenance.collect import collect
from recscale.provenance.commands import code_hash, config_hash, seeds_of
from recscale.provenance.manifest import MANIFEST, UNKNOWN, read_provenance
from recscale.provenance.verify import differences

RESULTS, PAPER = Path("results/r"), Path("paper/r")
RUNS = ("size1-full", "size1-full-seed1", "size2-full", "size2-uih_0.5")
TABLE = PAPER / "tables/table4.csv"
ROWS = """rung,name,size,domain,run,alpha,status
r,r,size1,cf,size1-full,0.25,converged
r,r,size1,uih,size1-full,,not_identified
r,r,size2,cf,size2-full,0.50,converged
r,r,size2,cf,size2-uih_0.5,0.75,converged
"""


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return str(path)


def job(rule, wildcards, inputs, outputs, settings=None):
    """A job that just ran, as the lineage describes it."""
    flags = f" --settings '{json.dumps(settings)}'" if settings else ""
    read = (*inputs, "src/a.py")
    written = {str(path): Path(path).stat().st_mtime for path in outputs}
    return {
        **{"rule": rule, "command": f"python -m recscale.{rule} --out {outputs[0]}{flags}"},
        **{"log": [f"logs/{rule}/r{wildcards}.log"], "environment": None},
        **{"inputs": {path: files.sha256(path) for path in read}, "outputs": written},
        **{"started": min(written.values()) - 1, "ended": max(written.values())},
    }


@pytest.fixture
def lineage(tmp_path, monkeypatch):
    """A table of fits of four runs, which read one set of windows, made of raw data."""
    monkeypatch.chdir(tmp_path)
    write("src/a.py", "a = 1\n")
    raw = write("data/log.csv", "raw")
    windows = write(RESULTS / "windows.npy", "windows")
    jobs = [job("windows", "", [raw], [windows], {"seed": 7})]
    fits = []
    for number, run in enumerate(RUNS):
        curves = write(RESULTS / f"pretraining/{run}/curves.parquet", f"curves {run}")
        settings = {"run_seed": number, "seed": 7, "uih": run}
        jobs.append(job("cpt", f"-{run}", [windows], [curves], settings))
        fits.append(write(RESULTS / f"scaling/{run}.csv", f"fit {run}"))
        jobs.append(job("fit", f"-{run}", [curves], [fits[-1]]))
    jobs.append(job("table4", "", fits, [write(TABLE, ROWS)]))
    return jobs


def manifest(lineage, last=None):
    return collect(lineage, (RESULTS, PAPER), "r", "", last)


def rules_behind(provenance, *words):
    cell = find_cell(provenance, words)
    steps = chain(provenance, cell.path, cell.runs(provenance.runs))
    return steps, sorted(step.label for step in steps)


def test_every_file_has_its_hash_and_its_job(lineage):
    provenance = manifest(lineage)
    made = [path for job in lineage for path in job["outputs"]]
    assert set(provenance.files) == {*made, "data/log.csv"}
    for path, file in provenance.files.items():
        assert file.sha256 == files.sha256(path)
        assert file.bytes == Path(path).stat().st_size
    for path in made:
        assert path in provenance.jobs[provenance.files[path].job].outputs
    assert provenance.files["data/log.csv"].kind == "source"
    assert provenance.of_kind(UNKNOWN) == []
    assert provenance.runs == set(RUNS)


def test_a_cell_leads_to_its_run_and_to_no_other(lineage):
    steps, labels = rules_behind(manifest(lineage), "table4", "run=size2-uih_0.5", "alpha")
    assert labels == ["cpt-size2-uih_0.5", "fit-size2-uih_0.5", "table4", "windows"]
    assert steps[0].label == "table4"
    assert steps[0].read == [str(RESULTS / "scaling/size2-uih_0.5.csv")]
    (cpt,) = [step for step in steps if step.job.rule == "cpt"]
    assert cpt.job.seeds == {"run_seed": 3, "seed": 7}
    (windows,) = [step for step in steps if step.job.rule == "windows"]
    assert windows.read == ["data/log.csv"]


def test_repeats_of_a_run_with_other_seeds_belong_to_its_cell(lineage):
    _, labels = rules_behind(manifest(lineage), "table4", "size=size1", "domain=cf", "alpha")
    assert {"cpt-size1-full", "cpt-size1-full-seed1"} < set(labels)
    assert not any("size2" in label for label in labels)


def test_without_runs_all_that_the_artefact_reads_is_followed(lineage):
    steps = chain(manifest(lineage), str(TABLE))
    assert sum(step.job.rule == "cpt" for step in steps) == len(RUNS)


def test_the_value_is_the_text_of_the_file(lineage):
    provenance = manifest(lineage)
    assert find_cell(provenance, ["table4", "run=size2-full", "alpha"]).value == "0.50"
    assert find_cell(provenance, ["table4", "size=size1", "domain=uih", "alpha"]).value == ""
    assert find_cell(provenance, ["table4", "alpha=0.5", "size"]).value == "size2"


@pytest.mark.parametrize(
    "words, named",
    [
        (["table5", "alpha"], "table4"),
        (["table4", "size=size3", "alpha"], "size is size1, size2"),
        (["table4", "size=size1", "domain=item", "alpha"], "domain is cf, uih"),
        (["table4", "width=3", "alpha"], "rung, name, size"),
        (["table4", "size=size1", "beta"], "no column 'beta'"),
        (["table4", "size=size2", "alpha"], "run=size2-full|size2-uih_0.5"),
        (["table4", "size=size1"], "0 columns"),
        (["table4", "run=size2-full", "alpha", "size"], "2 columns"),
    ],
)
def test_a_cell_that_is_none_or_several_names_what_there_is(lineage, words, named):
    with pytest.raises(UserError) as error:
        find_cell(manifest(lineage), words)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_a_table_that_changed_since_is_not_answered_for(lineage):
    provenance = manifest(lineage)
    write(TABLE, ROWS.replace("0.50", "0.51"))
    with pytest.raises(UserError, match="has changed since"):
        find_cell(provenance, ["table4", "run=size2-full", "alpha"])


def test_configs_are_equal_whatever_their_order_and_their_files():
    one = """python -m recscale.fit --curves a/b --burn-in 0.1 --settings '{"x": 1, "y": 2}' > l"""
    two = """python -m recscale.fit --settings '{"y": 2, "x": 1}' --burn-in 0.1 --curves c/d > m"""
    assert config_hash(one) == config_hash(two)
    for other in (one.replace("0.1", "0.2"), one.replace('"x": 1', '"x": 3')):
        assert config_hash(other) != config_hash(one)


def test_seeds_are_found_in_flags_and_settings():
    settings = json.dumps({"seed": 1, "model": {"run_seed": 2, "layers": 3}})
    assert seeds_of(f"python -m recscale.x --settings '{settings}' --other-seed 6 > log") == {
        "seed": 1,
        "model.run_seed": 2,
        "other-seed": "6",
    }
    assert seeds_of("python -m recscale.x --layers 3") == {}


def test_the_hash_of_code_is_of_paths_and_contents():
    assert code_hash({"src/a.py": "1", "src/b.py": "2"}) == code_hash(
        {"src/b.py": "2", "src/a.py": "1"}
    )
    assert (
        len({code_hash(s) for s in ({"src/a.py": "1"}, {"src/a.py": "2"}, {"src/b.py": "1"})}) == 3
    )


def test_a_file_without_a_record_is_named(lineage):
    write(RESULTS / "stray.csv", "by hand")
    dropped = [job for job in lineage if job["rule"] != "windows"]
    provenance = manifest(dropped)
    assert provenance.of_kind(UNKNOWN) == [
        str(RESULTS / "stray.csv"),
        str(RESULTS / "windows.npy"),
    ]
    steps, labels = rules_behind(provenance, "table4", "run=size2-full", "alpha")
    assert "windows" not in labels
    (cpt,) = [step for step in steps if step.job.rule == "cpt"]
    assert any("windows.npy" in line and "NO RECORD" in line for line in describe(cpt, False))


def test_inputs_and_code_that_changed_since_are_said(lineage):
    fit = RESULTS / "scaling/size2-full.csv"
    before = files.sha256(fit)
    write(fit, "another fit")
    write("src/a.py", "a = 2\n")
    provenance = manifest(lineage)
    assert provenance.jobs["table4"].changed[str(fit)] == before
    assert "src/a.py" in provenance.jobs["table4"].changed
    lines = list(describe(chain(provenance, str(TABLE))[0], False))
    assert any(str(fit) in line and "CHANGED since: it was" in line for line in lines)
    assert any("code CHANGED since" in line and "src/a.py" in line for line in lines)


def test_an_output_that_was_written_again_after_its_job_is_said(lineage):
    path = RESULTS / "windows.npy"
    late = path.stat().st_mtime + 60
    os.utime(path, (late, late))
    provenance = manifest(lineage)
    assert [name for name, file in provenance.files.items() if file.rewritten] == [str(path)]
    (windows,) = [s for s in chain(provenance, str(TABLE)) if s.label == "windows"]
    assert any("WRITTEN AGAIN" in line for line in describe(windows, False))


def test_a_restored_file_leads_to_its_one_original_and_into_the_references_manifest(lineage):
    """The reference holds curves of two runs; each restored file is followed to its own."""
    whole = manifest(lineage)
    reference = Path("results/reference/r")
    restored, copies = [], []
    for run in RUNS[2:]:
        name = f"pretraining/{run}/curves.parquet"
        text = (RESULTS / name).read_text()
        copies.append(write(reference / name, text))
        restored.append(write(Path("results/s") / name, text))
    whole.write(reference / MANIFEST)
    table = write("paper/s/tables/table4.csv", ROWS)
    jobs = [
        job("restore_reference", "", copies, restored),
        job("table4", "", restored, [table]),
    ]
    provenance = collect(jobs, (Path("results/s"), Path("paper/s")), "s", "")
    steps = chain(provenance, table, frozenset({"size2-full"}))
    assert [step.label for step in steps] == [
        *("table4", "restore_reference", "cpt-size2-full", "windows")
    ]
    assert steps[1].read == copies[:1]
    assert [step.provenance.name for step in steps] == ["s", "s", "r", "r"]


def test_files_that_did_not_change_keep_their_hash_without_being_read(lineage, monkeypatch):
    before = manifest(lineage)
    write(RESULTS / "windows.npy", "other windows, longer")
    read = []
    hashed = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: read.append(str(path)) or hashed(path))
    again = manifest(lineage, before)
    assert [path for path in read if not path.startswith("src/")] == [str(RESULTS / "windows.npy")]
    path = str(RESULTS / "windows.npy")
    assert again.files[path].sha256 == hashed(path) != before.files[path].sha256


def test_verify_names_what_changed_and_what_is_missing(lineage):
    provenance = manifest(lineage)
    assert list(differences(provenance)) == []
    write(RESULTS / "windows.npy", "WINDOWS")  # of the same length
    (RESULTS / "scaling/size1-full.csv").unlink()
    write("src/a.py", "a = 2\n")
    found = list(differences(provenance))
    assert f"changed: {RESULTS / 'windows.npy'}" in found
    assert f"missing: {RESULTS / 'scaling/size1-full.csv'}" in found
    assert len(found) == 3 and found[-1].startswith("code changed: src/a.py, since cpt-")


def test_the_command_answers_and_verifies(lineage, call, capsys):
    manifest(lineage).write(RESULTS / MANIFEST)
    assert read_provenance(RESULTS / MANIFEST) == manifest(lineage)
    call(command.main, "--name", "r", "--cell", "table4", "run=size2-full", "alpha")
    out = capsys.readouterr().out
    assert out.startswith("table4 run=size2-full: alpha = 0.50\n")
    for part in ("size2-full/curves.parquet", "data/log.csv", "run_seed 2, seed 7"):
        assert part in out
    assert "size1-full/" not in out
    call(command.main, "--name", "r", "--verify")
    assert "files are as they were" in capsys.readouterr().out
    write(TABLE, ROWS + "\n")
    with pytest.raises(UserError, match="1 files are not as"):
        call(command.main, "--name", "r", "--verify")
    assert f"changed: {TABLE}" in capsys.readouterr().out


def test_what_is_missing_or_broken_is_named(lineage):
    with pytest.raises(UserError, match="the target provenance"):
        read_provenance(RESULTS / MANIFEST)
    write(RESULTS / MANIFEST, '{"name": "r"}')
    with pytest.raises(UserError, match="is no manifest of provenance"):
        read_provenance(RESULTS / MANIFEST)
    with pytest.raises(UserError, match="the lineage is not as"):
        manifest([{"rule": "windows", "outputs": {str(RESULTS / "windows.npy"): 0.0}}])
