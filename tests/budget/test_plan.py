"""FLOPs, memory and purchases of small requests, and the two commands."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from recscale.budget import plan, seen
from recscale.budget.memory import bytes_per_gpu
from recscale.budget.request import Request
from recscale.budget.sizes import disk, row_bytes
from recscale.budget.subsets import offers, purchases
from recscale.budget.training import of_base, of_run
from recscale.errors import UserError
from recscale.settings import build

from .small_request import ROOT, small_request, small_values


def test_a_run_of_the_paper_has_its_parameters_tokens_and_gpu_hours():
    request = small_request()
    run = of_run(request, "size1-full")
    # 440,467,456 outside the embedding, and 159,872 rows of 1,024.
    assert run.parameters == 440_467_456 + 159_872 * 1024
    assert run.tokens == 163_840_000_000
    assert run.flops_6nd == pytest.approx(6 * run.parameters * run.tokens)
    each = 6 * (440_401_920 + 159_872 * 1024) + 6 * 28 * 16 * 128 * 513
    assert run.flops == pytest.approx(each * (run.tokens + 41 * 8 * 102_400_000 / 3))
    assert run.gpu_hours == pytest.approx(run.flops / (2.25e15 * 0.4) / 3600)
    assert run.seconds == pytest.approx(run.gpu_hours * 3600 / 8)


def test_half_the_share_takes_twice_the_hours():
    values = small_values()
    before = of_run(build(Request, values, "r"), "size1-full").gpu_hours
    values["hardware"]["share_of_peak"] = {"192": 0.2}
    assert of_run(build(Request, values, "r"), "size1-full").gpu_hours == pytest.approx(2 * before)


def test_a_branch_trains_its_decay_only():
    request = small_request("mini")
    whole, branch = of_run(request, "size1-wsd"), of_run(request, "size1-wsd_0.5")
    assert branch.tokens == pytest.approx(0.2 * 0.5 * whole.tokens)
    assert branch.seconds < 0.2 * whole.seconds


def test_a_published_checkpoint_is_not_trained_and_a_cpu_has_no_gpu_hours():
    assert of_base(small_request(), "size1").tokens == 0
    base = of_base(small_request("mini"), "size1")
    assert (base.tokens, base.gpu_hours, base.gpu_bytes) == (700_000, 0, None)


@pytest.mark.parametrize("size", ["size1", "size2", "size3", "size4"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("shards", [1, 8])
def test_memory_is_what_a_training_would_check(size, precision, shards):
    torch = pytest.importorskip("torch")
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from recscale.pretraining.memory import computes_in, training_memory

    request = small_request("h200")
    shape, rows, tied = request.shape(size), 10_000, size != "size4"
    config = Qwen3Config(
        vocab_size=rows,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.head_dimension,
        intermediate_size=shape.feed_forward,
        tie_word_embeddings=tied,
    )
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
    for accumulates in (True, False):
        expected = training_memory(
            model,
            4096,
            computes_in(precision, "full" if shards > 1 else "none"),
            True,
            shards,
            replicated=shards == 1,
            accumulates=accumulates,
        )
        found = bytes_per_gpu(shape, rows, tied, 4096, precision, True, 8, shards, accumulates)
        assert found == pytest.approx(1.05 * expected.total, rel=1e-6)


def test_purchases_pay_for_a_run_once_and_end_at_the_whole():
    tasks = plan.plan_of(small_request()).tasks
    bought = purchases(tasks, ["fig2", "fig9", "table1"])
    assert [one.artefact for one in bought] == ["table1", "fig9", "fig2"]
    hours = {run: of_run(small_request(), run).gpu_hours for run in ("size1-full", "size3-full")}
    assert bought[0].total == 0
    assert bought[1].added == pytest.approx(hours["size3-full"], rel=1e-3)
    assert bought[2].added == pytest.approx(hours["size1-full"], rel=1e-3)
    assert bought[2].alone == pytest.approx(sum(hours.values()), rel=1e-3)


def test_a_budget_too_small_for_the_papers_size_buys_a_smaller_one():
    request = small_request()
    tasks = plan.plan_of(request).tasks
    (offer,) = offers(request, tasks, shares=(0.2,))
    assert offer.whole == ("table1",)
    assert offer.smaller == {"size1": ("fig9",)}


def test_windows_take_four_bytes_where_the_vocabulary_is_large():
    at = {"runs": set(), "windows": {("sae", "uih")}, "streams": {"train"}}
    paper = disk(small_request(), **at)
    assert paper["windows"] == 4 * 98 * 30_000_000
    assert disk(small_request("mini"), **at)["windows"] == 2 * 98 * 960
    assert row_bytes("pairs") == 32


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v.update(rung="h300"), "machines has no h300"),
        (lambda v: v["hardware"]["machines"]["b200"].update(gpu="x"), "machines.b200.gpu is x"),
        (lambda v: v["hardware"]["gpus"]["b200"].pop("price"), "lacks the key 'price'"),
        (lambda v: v["hardware"].update(prize=1), "unknown key 'prize'"),
    ],
)
def test_what_is_wrong_with_the_hardware_is_named(change, named):
    values = small_values()
    change(values)
    with pytest.raises(UserError, match=named):
        build(Request, values, "request")


def test_a_log_of_unknown_size_is_named():
    values = small_values()
    values["config"]["data"]["source"] = "parquet"
    with pytest.raises(UserError, match="logs has no parquet"):
        plan.plan_of(build(Request, values, "request"))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "request.json"
    path.write_text(json.dumps(small_values("mini")))
    return path


def test_the_command_prints_a_page_without_torch(tmp_path):
    request = tmp_path / "request.json"
    request.write_text(json.dumps(small_values()))
    code = (
        "import sys; from recscale.budget import plan; plan.main();"
        "assert not {'torch', 'transformers', 'snakemake'} & set(sys.modules)"
    )
    flags = ["--request", request, "--csv", tmp_path / "p.csv", "--page", tmp_path / "p.md"]
    subprocess.run(
        [sys.executable, "-c", code, *map(str, flags)],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        check=True,
    )
    frame = pd.read_csv(tmp_path / "p.csv").set_index("node")
    assert frame.loc["cpt size3-full", "allocations"] == 2  # 7 days, and a limit of 6
    assert frame.loc["walks train", "jobs"] == 4
    page = (tmp_path / "p.md").read_text()
    for section in ("In total", "Trainings", "Time by rule", "Disk", "Critical path", "buys"):
        assert f"## {section}" in page or section in page
    assert "outlast their limit of 6 d" in page


def test_planned_and_used_are_compared_job_by_job(tmp_path, written, call):
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    for name, seconds in {"cpt-size1-full": 30, "walks-train-0": 2, "nothing-x": 9}.items():
        (benchmarks / f"{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:30\n")
    call(seen.main, *_flags(tmp_path, written, benchmarks))
    frame = pd.read_csv(tmp_path / "s.csv").set_index(["rule", "unit"])
    planned = plan.plan_of(small_request("mini"))
    row = frame.loc[("cpt", "seconds")]
    assert (row["jobs"], row["used"]) == (1, 30)
    assert row["planned"] == pytest.approx(planned.tasks["cpt size1-full"].seconds)
    assert row["ratio"] == pytest.approx(row["planned"] / 30)
    rate = frame.loc[("cpt size1", "FLOP/s"), "used"]
    assert rate == pytest.approx(planned.trainings["cpt size1-full"].flops / 30)
    assert ("walks", "seconds") in frame.index
    assert "nothing" not in frame.reset_index()["rule"].tolist()


def test_the_seconds_of_a_copy_are_those_of_no_training(tmp_path, written, call):
    """A finished run's results were given again: see recscale.pretraining.finished."""
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    for name, seconds in {"cpt-size1-full": 2, "walks-train-0": 2}.items():
        (benchmarks / f"{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:30\n")
    mark = tmp_path / "pretraining/size1-full/checkpoints/finished/0/given_again"
    mark.parent.mkdir(parents=True)
    mark.touch()
    call(seen.main, *_flags(tmp_path, written, benchmarks))
    assert set(pd.read_csv(tmp_path / "s.csv")["rule"]) == {"walks"}


def test_a_rung_that_was_not_run_says_so(tmp_path, written, call):
    call(seen.main, *_flags(tmp_path, written, tmp_path / "none"))
    assert "Not measured" in (tmp_path / "s.md").read_text()


def test_a_broken_benchmark_file_is_named(tmp_path):
    (tmp_path / "cpt-x.tsv").write_text("s\n")
    with pytest.raises(UserError, match=r"cpt-x\.tsv is no benchmark file"):
        seen.measured(tmp_path)


def _flags(tmp_path, request, benchmarks):
    named = {
        "request": request,
        "benchmarks": benchmarks,
        "results": tmp_path,
        "csv": tmp_path / "s.csv",
        "page": tmp_path / "s.md",
    }
    return [part for name, value in named.items() for part in (f"--{name}", value)]
