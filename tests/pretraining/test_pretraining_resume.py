"""Runs that are killed, resumed, branched, re-sharded or computed in other portions."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from recscale.errors import INTERRUPTED, UserError
from recscale.files import read_json, read_table, sha256, write_json
from recscale.pretraining import checkpoints, cpt
from recscale.pretraining.checkpoints import Checkpoints, Identity
from recscale.pretraining.schedule import decay_start

from .tiny_curriculum import (
    LENGTH,
    Curriculum,
    arguments_of,
    cpt_options,
    cpt_settings,
    run_module,
)

HERE = Path(__file__).parent
ENVIRONMENT = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


def script(name: str, argument: Any, status: int = 0, **environment: str) -> str:
    """Run a script of this folder, which must end with a status; returns what it prints."""
    ended = subprocess.run(
        [sys.executable, str(HERE / name), json.dumps(argument)],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == status, ended.stderr
    return ended.stdout


def together(options: dict[str, Any], processes: int, status: int = 0, **environment: str) -> None:
    """Run CPT in several processes, with the environment that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = ENVIRONMENT | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} | environment
    common |= {"WORLD_SIZE": str(processes)}
    commands = [
        (
            "recscale.pretraining.cpt",
            arguments_of(options),
            common | {"RANK": str(r), "LOCAL_RANK": str(r)},
        )
        for r in range(processes)
    ]
    script("commands_as_processes.py", [commands], status)


def with_torchrun(options: dict[str, Any], processes: int) -> None:
    """Run CPT as the workflow starts it in several processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", "recscale.pretraining.cpt"]
    ended = subprocess.run(
        [*command, *arguments_of(options)],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr


def losses(curriculum: Curriculum, name: str) -> pd.Series:
    table = read_table(curriculum.root / f"cpt/{name}/curves.parquet", "curves")
    return table.set_index(["domain", "step", "token_class"])["loss"]


def weights(curriculum: Curriculum, name: str) -> dict[str, torch.Tensor]:
    return load_file(curriculum.root / f"cpt/{name}/model/model.safetensors")


def largest_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_runs_end_with_the_same_bytes(
    seed: int, trained: Curriculum, tmp_path: Path
) -> None:
    """SIGTERM and SIGKILL at random steps, in a checkpoint's writing, and at a random time."""
    draw = random.Random(seed)
    out = {k: tmp_path / k for k in ("checkpoints", "folder", "curves", "training", "manifest")}
    options = cpt_options(trained, "one", **out)
    moments = [
        ("SIGTERM", "batch", draw.randrange(1, 9)),
        ("SIGKILL", "batch", draw.randrange(12, 20)),
        ("SIGKILL", "checkpoint", 20),
        ("SIGTERM", "batch", draw.randrange(21, 29)),
        ("SIGKILL", "checkpoint", 40),
        ("SIGKILL", "time", draw.randrange(1, 300)),
    ]
    printed = script("killed_run.py", ["recscale.pretraining.cpt", arguments_of(options), moments])
    statuses = json.loads(printed.splitlines()[-1])
    assert statuses[:5] == [INTERRUPTED, -9, -9, INTERRUPTED, -9]
    assert statuses[-1] == 0
    undisturbed = trained.root / "cpt/one"
    assert sha256(out["curves"]) == sha256(undisturbed / "curves.parquet")
    assert sha256(out["folder"] / "model.safetensors") == sha256(
        undisturbed / "model/model.safetensors"
    )
    log, calm = (
        read_table(path, "training") for path in (out["training"], undisturbed / "training.parquet")
    )
    pd.testing.assert_frame_equal(
        log.drop(columns="tokens_per_second"), calm.drop(columns="tokens_per_second")
    )
    assert not out["checkpoints"].exists() or not list(out["checkpoints"].glob("*/step-*"))


def test_a_killed_run_loses_no_more_than_the_interval(trained: Curriculum, tmp_path: Path) -> None:
    options = cpt_options(trained, "one", checkpoints=tmp_path, folder=tmp_path / "m")
    options |= {k: tmp_path / k for k in ("curves", "training", "manifest")}
    module = "recscale.pretraining.cpt"
    # Every 10 steps; before step 27 is read, 27 are done. The second process ends at once.
    moments = [("SIGKILL", "batch", 27), ("SIGKILL", "batch", 20)]
    statuses = json.loads(script("killed_run.py", [module, arguments_of(options), moments]))
    assert statuses == [-9, -9, 0]  # the second began with step 20, as the third did


def test_a_branch_is_the_run_it_shortens(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A WSD branch from its trunk's checkpoint against the same run from its own beginning."""
    wsd = {"schedule": "wsd", "evaluations": 6}
    trunk = cpt_options(trained, "trunk", settings=cpt_settings(**wsd, branches=[0.5]))
    run_module(monkeypatch, cpt, trunk)
    kept = read_json(trunk["manifest"])["kept"]
    assert list(kept) == [str(decay_start(20))] == ["16"]
    half = cpt_settings(**wsd, horizon=0.5)
    run_module(
        monkeypatch,
        cpt,
        cpt_options(trained, "branch", settings=half, trunk=trunk["manifest"]),
    )
    run_module(monkeypatch, cpt, cpt_options(trained, "whole", settings=half))
    assert largest_difference(weights(trained, "branch"), weights(trained, "whole")) == 0
    branch, whole = losses(trained, "branch"), losses(trained, "whole")
    assert branch.index.get_level_values("step").min() > 16
    assert branch.equals(whole.loc[branch.index])
    manifests = [read_json(trained.root / f"cpt/{n}/manifest.json") for n in ("branch", "whole")]
    assert manifests[0]["ledger"] == manifests[1]["ledger"]
    assert manifests[0]["tokens"] == 20 * 4 * LENGTH
    # Another mixture has another trajectory.
    other = cpt_settings(**wsd, horizon=0.5, run_seed=1)
    options = cpt_options(trained, "other", settings=other, trunk=trunk["manifest"])
    with pytest.raises(UserError, match="is a checkpoint of a run with other data or settings"):
        run_module(monkeypatch, cpt, options)
    quarter = cpt_settings(**wsd, horizon=0.25)
    options = cpt_options(trained, "quarter", settings=quarter, trunk=trunk["manifest"])
    with pytest.raises(UserError, match="names no checkpoint of step 8"):
        run_module(monkeypatch, cpt, options)


@pytest.mark.parametrize("at_once", [2, 1])
def test_accumulation_computes_the_same_step(
    at_once: int, trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the windows at once and twice the accumulation: the same run to five decimals."""
    name = f"accumulated-{at_once}"
    values = cpt_settings(windows_at_once=at_once)
    run_module(monkeypatch, cpt, cpt_options(trained, name, settings=values))
    assert (losses(trained, name) - losses(trained, "one")).abs().max() < 1e-5


@pytest.mark.parametrize("sharding", ["full", "node"])
def test_a_sharded_run_is_the_run_of_one_process(
    sharding: str, trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty steps: `fully_shard` over two processes (gloo, fp32) against one process."""
    fifty = {"tokens": 50 * 4 * LENGTH}
    if not (trained.root / "cpt/fifty").exists():
        options = cpt_options(trained, "fifty", settings=cpt_settings(**fifty))
        run_module(monkeypatch, cpt, options)
    name = f"sharded-{sharding}"
    values = cpt_settings(**fifty, sharding=sharding)
    options = cpt_options(trained, name, settings=values)
    if sharding == "full":
        with_torchrun(options, 2)
    else:
        together(options, 2, LOCAL_WORLD_SIZE="1")
    assert read_json(trained.root / f"cpt/{name}/manifest.json")["processes"] == 2
    assert (losses(trained, name) - losses(trained, "fifty")).abs().max() < 1e-5
    tables = [
        read_table(trained.root / f"cpt/{n}/training.parquet", "training") for n in (name, "fifty")
    ]
    for column in ("loss", "gradient_norm"):
        assert (tables[0][column] - tables[1][column]).abs().max() < 1e-4
    assert largest_difference(weights(trained, name), weights(trained, "fifty")) < 1e-4


def test_a_run_goes_on_with_another_number_of_processes(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes are killed after a sharded checkpoint, and one process goes on from it."""
    options = cpt_options(trained, "moved")
    sharded = options | {"settings": cpt_settings(sharding="full")}
    together(sharded, 2, status=1, STRIKE=json.dumps(["SIGKILL", "batch", 27]))
    assert [path.name for path in options["checkpoints"].glob("*/step-*")] != []
    run_module(monkeypatch, cpt, options)
    table = read_table(options["training"], "training")
    assert table["step"].tolist() == [10, 20, 30, 40]
    assert (losses(trained, "moved") - losses(trained, "one")).abs().max() < 1e-5


def quick_checkpoints(folder: Path, accelerator: Accelerator, name: str = "r") -> Any:
    model = torch.nn.Linear(3, 2)
    adamw = torch.optim.AdamW(model.parameters())
    identity = Identity.of({"run": name}, {"data": 1})
    return Checkpoints(folder, identity, accelerator, 10, keep=[10]), model, adamw


def test_checkpoints_are_kept_by_their_rules(tmp_path: Path, accelerator: Accelerator) -> None:
    found, model, adamw = quick_checkpoints(tmp_path, accelerator)
    for step in (10, 20, 30, 40):
        found.save(step, model, adamw, {"step": step})
    assert found.steps() == [10, 30, 40]  # 10 stays for a branch
    with torch.no_grad():
        model.weight.zero_()
    step, rows = found.load(found.latest(), model, adamw)
    assert (step, rows) == (40, {"step": 40}) and model.weight.abs().sum() > 0
    other, _, _ = quick_checkpoints(tmp_path, accelerator, "s")
    assert other.latest() is None  # another config begins anew
    found.finish()
    assert found.steps() == [10]


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, accelerator: Accelerator) -> None:
    found, model, adamw = quick_checkpoints(tmp_path, accelerator)
    for step in (20, 30):
        found.save(step, model, adamw, {})
    (shard,) = (found.folder / "step-00000030").glob("*.distcp")
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "truncated or changed" in (checkpoints.damage(shard.parent) or "")
    assert found.latest() == found.folder / "step-00000020"
    with pytest.raises(UserError, match=r"distcp is missing, truncated or changed; delete"):
        found.load(shard.parent, model, adamw)
    described = shard.with_name("checkpoint.json")
    write_json(read_json(described) | {"files": {}, "trajectory": "0"}, described)
    with pytest.raises(UserError, match="of a run with other data or settings"):
        found.load(shard.parent, model, adamw)
