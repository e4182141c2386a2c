"""The two commands: their outputs, their repeatability and their error lines."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForCausalLM

from recscale.contracts import CONTRACTS
from recscale.errors import UserError, run_command
from recscale.files import parquet_schema, read_json, read_table, sha256, write_json
from recscale.pretraining import base, cpt
from recscale.pretraining.schedule import evaluation_steps

from .tiny_curriculum import (
    LENGTH,
    TINY,
    Curriculum,
    arguments_of,
    base_options,
    cpt_options,
    cpt_settings,
    run_module,
    settings,
    write_windows,
)

MIXTURE = {"general": 0.5, "item_text": 0.09, "cf": 0.3, "uih": 0.11}


def curves(curriculum: Curriculum, name: str) -> pd.DataFrame:
    return read_table(curriculum.root / f"cpt/{name}/curves.parquet", "curves")


def test_the_base_command(trained: Curriculum) -> None:
    folder = trained.root / "base"
    manifest = read_json(folder / "size1.json")
    table = read_table(folder / "size1.parquet", "training")
    assert table["run"].unique().tolist() == ["base-size1"]
    assert table["step"].tolist() == [10, 20, 30, 40]
    assert table["loss"].iloc[-1] < table["loss"].iloc[0]
    assert manifest["steps"] == 40 and manifest["tokens"] == 40 * 4 * LENGTH
    rows = trained.manifest["base_vocabulary"]
    assert manifest["parameters"] - manifest["non_embedding_parameters"] == rows * 16
    assert 0 < manifest["held_out_loss"] < np.log(rows)
    assert manifest["precision"] == "fp32"
    model = AutoModelForCausalLM.from_pretrained(folder / "size1")
    assert model.config.vocab_size == rows
    assert manifest["files"]["model.safetensors"] == sha256(folder / "size1/model.safetensors")


def test_the_cpt_command(trained: Curriculum) -> None:
    found = curves(trained, "one")
    path = trained.root / "cpt/one/curves.parquet"
    assert parquet_schema(path) == CONTRACTS["curves"].arrow_schema()
    assert found["step"].unique().tolist() == [0, *evaluation_steps(40, 4, 5)]
    assert (found["tokens"] == found["step"] * 4 * LENGTH).all()
    assert found.groupby("step")["domain"].nunique().eq(8).all()
    assert (found["loss_per_item"].notna() == (found["token_class"] == "id")).all()
    assert set(found.loc[found["domain"] == "general", "token_class"]) == {"all", "template"}
    by_class = found.pivot(index=["domain", "step"], columns="token_class", values="n_tokens")
    assert (by_class["all"] == by_class[["id", "number", "template"]].sum(axis=1)).all()
    everything = found[found["token_class"] == "all"].set_index(["domain", "step"])["loss"]
    for domain in ("cf_both_seen", "uih_ood", "item_text"):
        assert everything[domain, 40] < everything[domain, 0] - 0.5

    manifest = read_json(trained.root / "cpt/one/manifest.json")
    ledger = manifest["ledger"]
    assert manifest["tokens"] == 40 * 4 * LENGTH == sum(d["seen_tokens"] for d in ledger.values())
    last = found[(found["step"] == 40) & (found["token_class"] == "all")].set_index("domain")
    for held_out, domain in (("cf_one_unseen", "cf"), ("uih_ood", "uih"), ("general", "general")):
        assert last["domain_tokens"][held_out] == ledger[domain]["seen_tokens"]
        assert last["repeats"][held_out] == ledger[domain]["repeats"]
        assert abs(ledger[domain]["seen_tokens"] / LENGTH - 160 * MIXTURE[domain]) < 1
        assert ledger[domain]["unique_tokens"] == 40 * LENGTH
    model = AutoModelForCausalLM.from_pretrained(trained.root / "cpt/one/model")
    assert model.config.vocab_size == 64  # 62 tokens, padded


def test_two_runs_give_the_same_bytes(trained: Curriculum, monkeypatch: pytest.MonkeyPatch) -> None:
    options = cpt_options(trained, "one")
    again = {
        k: trained.root / "again" / k
        for k in ("checkpoints", "folder", "curves", "training", "manifest")
    }
    run_module(monkeypatch, cpt, options | again)
    assert sha256(options["curves"]) == sha256(again["curves"])
    hashes = [read_json(o["manifest"])["files"]["model.safetensors"] for o in (options, again)]
    assert hashes[0] == hashes[1]


def test_a_reduced_set_and_an_unused_domain(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = {"general": 0.5, "item_text": 0, "cf": 0.25, "uih": 0.25}
    values = cpt_settings(mixture=mixture, uih="reduced", run_seed=4, evaluations=2)
    run_module(monkeypatch, cpt, cpt_options(trained, "reduced", settings=values))
    ledger = read_json(trained.root / "cpt/reduced/manifest.json")["ledger"]
    assert ledger["uih"] == {"unique_tokens": 24, "seen_tokens": 40 * 24, "repeats": 40.0}
    assert ledger["item_text"] == {"unique_tokens": 0, "seen_tokens": 0, "repeats": 0.0}
    found = curves(trained, "reduced")
    assert found["seed"].unique().tolist() == [4]
    assert found.loc[found["domain"] == "item_text", "repeats"].eq(0).all()


def test_a_checkpoint_takes_the_place_of_training(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dict.fromkeys(TINY) | {"checkpoint": str(trained.root / "base/size1")}
    out = {k: trained.root / f"checkpoint/{k}" for k in ("folder", "manifest", "training")}
    options = base_options(trained, settings=settings(model=model), windows="unused.npy", **out)
    run_module(monkeypatch, base, options)
    manifest, original = (read_json(o["manifest"]) for o in (out, base_options(trained)))
    assert manifest["tokens"] == manifest["steps"] == 0
    assert manifest["files"] == original["files"]
    assert manifest["held_out_loss"] == pytest.approx(original["held_out_loss"])
    assert len(read_table(out["training"], "training")) == 0
    assert parquet_schema(out["training"]) == CONTRACTS["training"].arrow_schema()
    options = cpt_options(trained, "from_checkpoint", base=out["manifest"])
    options["settings"] = cpt_settings(model=model, evaluations=1)
    run_module(monkeypatch, cpt, options)
    from_checkpoint, from_base = (
        curves(trained, name).query("step == 40").drop(columns="run").reset_index(drop=True)
        for name in ("from_checkpoint", "one")
    )
    pd.testing.assert_frame_equal(from_checkpoint, from_base)


def test_a_checkpoint_needs_no_windows(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = {k: trained.root / f"unmeasured/{k}" for k in ("folder", "manifest", "training")}
    options = base_options(trained, **out)
    del options["windows"], options["held_out"]
    with pytest.raises(UserError, match="pass --windows and --held-out"):
        run_module(monkeypatch, base, options)
    model = dict.fromkeys(TINY) | {"checkpoint": str(trained.root / "base/size1")}
    run_module(monkeypatch, base, options | {"settings": settings(model=model)})
    assert read_json(out["manifest"])["held_out_loss"] is None


def test_a_checkpoint_out_of_reach(curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = dict.fromkeys(TINY) | {"checkpoint": "nobody/no-such-model"}
    options = base_options(curriculum, settings=settings(model=model))
    with pytest.raises(UserError, match="'nobody/no-such-model' is no folder and cannot be"):
        run_module(monkeypatch, base, options)


def test_a_base_is_not_measured_on_items(
    trained: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = base_options(trained, held_out=trained.held_out / "uih_ood.npy")
    with pytest.raises(UserError, match=r"uih_ood.npy holds REC tokens"):
        run_module(monkeypatch, base, options)


def other_tokenizer(c: Curriculum) -> None:
    change_json(c.train / "cf.json", tokenizer="0" * 64)


def other_vocabulary(c: Curriculum) -> None:
    change_json(c.held_out / "uih_ood.json", vocabulary=99)


def no_windows(c: Curriculum) -> None:
    write_windows(c.train / "uih.npy", np.zeros((0, LENGTH)), c.manifest)


def missing_windows(c: Curriculum) -> None:
    (c.held_out / "cf_both_unseen.npy").unlink()


def truncated_windows(c: Curriculum) -> None:
    path = c.train / "general.npy"
    path.write_bytes(path.read_bytes()[:-100])


def other_lengths(c: Curriculum) -> None:
    write_windows(c.train / "cf.npy", np.ones((5, LENGTH + 1)), c.manifest)


def rewritten_tokenizer(c: Curriculum) -> None:
    path = c.tokenizer / "tokenizer.json"
    path.write_text(path.read_text() + "\n")


def truncated_base(c: Curriculum) -> None:
    path = c.root / "base/size1/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def change_json(path: Path, **changes: Any) -> None:
    write_json(read_json(path) | changes, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_tokenizer, "cf.npy was written with another tokenizer"),
        (other_vocabulary, "uih_ood.json states a vocabulary of 99, the tokenizer has 62"),
        (no_windows, "uih.npy holds no windows"),
        (missing_windows, "cf_both_unseen.npy is missing"),
        (truncated_windows, "general.npy is truncated or no numpy array"),
        (other_lengths, "have several lengths"),
        (rewritten_tokenizer, "describes another tokenizer.json than the one beside it"),
        (truncated_base, "model.safetensors is missing, truncated or not the file"),
    ],
)
def test_inputs_that_do_not_fit(
    damage: Any, message: str, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = settings(tokens=5 * 4 * LENGTH)
    run_module(monkeypatch, base, base_options(curriculum, settings=quick))
    damage(curriculum)
    with pytest.raises(UserError, match=message):
        run_module(monkeypatch, cpt, cpt_options(curriculum, "broken"))
    assert not (curriculum.root / "cpt/broken").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixture": MIXTURE | {"uih": 0.2}}, "which sums to 1.09"),
        ({"mixture": MIXTURE | {"uih": -0.11, "cf": 0.52}}, "must not be negative"),
        ({"mixture": MIXTURE | {"video": 0.0}}, "settings.mixture has the unknown key 'video'"),
        ({"uih": "half"}, "settings.uih is 'half'; it must be one of full"),
        ({"size": "size2"}, "is of size1, the run of size2"),
        ({"model": TINY | {"layers": 2}}, "has layers 1, settings.model.layers is 2"),
        ({"uih": "reduced", "tokens": 10**6}, "uih.npy has 40 windows, the reduced set needs 51"),
        ({"tokens": 0}, "settings.tokens of 0 are 0 steps"),
        ({"learning_rate": 1e38}, "loss of run bad is nan at step [23]"),
    ],
)
def test_settings_that_do_not_fit(
    changes: dict[str, Any],
    message: str,
    trained: Curriculum,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = cpt_options(trained, "bad", settings=cpt_settings(**changes))
    with pytest.raises(UserError, match=message):
        run_module(monkeypatch, cpt, options)
    assert not (trained.root / "cpt/bad").exists()


def test_the_commands_as_processes(trained: Curriculum, curriculum: Curriculum) -> None:
    """A base in one process, and CPT in two, with the environment that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    alone = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    together = alone | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    cpt_arguments = arguments_of(cpt_options(curriculum, "one"))
    steps = [
        [("recscale.pretraining.base", arguments_of(base_options(curriculum)), alone)],
        [
            ("recscale.pretraining.cpt", cpt_arguments, together | {"RANK": r, "LOCAL_RANK": r})
            for r in ("0", "1")
        ],
    ]
    script = Path(__file__).with_name("commands_as_processes.py")
    ended = subprocess.run(
        [sys.executable, str(script), json.dumps(steps)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert read_json(curriculum.root / "cpt/one/manifest.json")["processes"] == 2
    # The same curriculum and settings as `trained`, but for the number of processes.
    found, expected = curves(curriculum, "one"), curves(trained, "one")
    assert (found["loss"] - expected["loss"]).abs().max() < 1e-5
    whole = found[found["token_class"] == "all"].set_index(["domain", "step"])["loss"]
    assert whole["uih_ood", 40] < whole["uih_ood", 0]


def test_an_error_is_one_line_and_status_2(
    curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(base, "main", lambda main=base.main: run_command(main))
    with pytest.raises(SystemExit) as ended:
        run_module(monkeypatch, base, base_options(curriculum, settings=settings(tokens=1)))
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("recscale: error: settings.tokens of 1 are 0")
    assert not (curriculum.root / "base").exists()
