"""The rules: what `snakemake plan` prints on a clean copy, and that it plans the jobs there are."""

from __future__ import annotations

import re

import pandas as pd

from repository_copy import copy_of_repository, snakemake


def test_a_clean_copy_plans_every_job_and_says_that_none_was_measured(tmp_path):
    copy = copy_of_repository(tmp_path / "copy")
    done = snakemake(copy, "--profile", "mini", "plan", "plan_seen")
    assert done.returncode == 0, done.stdout
    assert "# Plan of mini" in done.stdout
    assert "Not measured" in done.stdout
    frame = pd.read_csv(copy / "results/mini/plan/plan.csv")
    dry = snakemake(copy, "--profile", "mini", "-n", "all").stdout
    jobs = int(re.search(r"^total +(\d+)$", dry, flags=re.M)[1])
    assert frame.loc[frame["in_all"], "jobs"].sum() == jobs - 1  # but `all` itself
    assert set(frame.loc[frame["rule"] == "cpt", "jobs"]) == {1}
