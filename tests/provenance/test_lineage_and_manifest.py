"""What Snakemake remembers, read by the script and collected by the library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from recscale import files
from recscale.provenance.collect import collect
from repository_copy import ROOT, snakemake

SCRIPT = ROOT / "workflow/scripts/lineage.py"
DEEP = "results/r/" + "long_" * 45 + "/part.csv"  # its record's name is cut into folders
SNAKEFILE = f"""
rule end:
    input: part="{DEEP}", code="src/a.py"
    output: "paper/r/tables/t.csv"
    log: "logs/end/r.log"
    params: settings='{{"seed": 3}}'
    shell:
        "cat {{input.part}} > {{output}};"
        " : python -m recscale.end --settings {{params.settings:q}}"
rule part:
    input: "raw.csv"
    output: "{DEEP}", "results/r/side.csv"
    log: "logs/part/r.log"
    shell: "cat {{input}} > {{output[0]}}; touch {{output[1]}}"
"""


def lineage(folder):
    """What the script prints in a working folder, by the job's rule."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), ".snakemake/metadata"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return done.stderr
    return {job["rule"]: job for job in json.loads(done.stdout)["jobs"]}


def test_two_invocations_leave_one_lineage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "raw.csv").write_text("a\n1\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("")
    table = "paper/r/tables/t.csv"
    for target in (DEEP, table):
        done = snakemake(tmp_path, "-c1", target)
        assert done.returncode == 0, done.stdout
    Path("results/r/side.csv").unlink()
    jobs = lineage(tmp_path)
    assert set(jobs) == {"end", "part"}
    assert jobs["end"]["inputs"] == {
        DEEP: files.sha256(DEEP),
        "src/a.py": files.sha256("src/a.py"),
    }
    assert jobs["part"]["inputs"] == {"raw.csv": files.sha256("raw.csv")}
    assert set(jobs["part"]["outputs"]) == {DEEP}  # the other is gone
    assert jobs["part"]["started"] <= jobs["part"]["ended"] <= jobs["end"]["ended"]

    folders = (Path("results/r"), Path("paper/r"))
    provenance = collect(list(jobs.values()), folders, "r", "")
    assert provenance.of_kind("unknown") == []
    end = provenance.jobs[provenance.files[table].job]
    assert end.seeds == {"seed": 3} and end.inputs == [DEEP] and end.changed == {}
    assert list(provenance.code[end.code]) == ["src/a.py"]

    # A record that is dropped leaves its file unexplained; a broken one does no more harm.
    assert snakemake(tmp_path, "--cleanup-metadata", table).returncode == 0
    (tmp_path / ".snakemake/metadata/bm8=").write_text("{")
    jobs = lineage(tmp_path)
    assert set(jobs) == {"part"}
    assert collect(list(jobs.values()), folders, "r", "").of_kind("unknown") == [table]


def test_where_snakemake_never_ran_one_line_says_so(tmp_path):
    assert lineage(tmp_path).startswith("lineage: error: .snakemake/metadata is missing")
