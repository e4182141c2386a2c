"""Command: a base model, which continual pre-training starts from.

It is trained here on general text from random weights, or is a checkpoint from the hub or a folder
(the paper's Qwen3 models). The base knows the ordinary text tokens only.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from accelerate import Accelerator
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from recscale import seeds
from recscale.contracts import CONTRACTS
from recscale.errors import UserError, first_line, run_command
from recscale.files import write_json, write_table
from recscale.logs import logger
from recscale.pretraining.checkpoints import Checkpoints, Identity, fingerprint
from recscale.pretraining.data import Vocabulary, read_vocabulary, read_windows
from recscale.pretraining.evaluation import HeldOut, held_out_losses, read_held_out
from recscale.pretraining.loss import NextTokenLoss, ready
from recscale.pretraining.model import (
    check_rows,
    count_parameters,
    load_model,
    new_model,
    save_model,
)
from recscale.pretraining.parallel import gathered, precision_in_use, start
from recscale.pretraining.sampler import MixtureSampler
from recscale.pretraining.trainer import HOW, TrainingSettings, train
from recscale.settings import parse

log = logger("pretraining.base")


@dataclass(frozen=True, kw_only=True)
class BaseSettings(TrainingSettings):
    """Settings of this command: those of a training."""


@dataclass(frozen=True, kw_only=True)
class BasePaths:
    """What a base model is made from and written to.

    windows, held_out: packed windows of general text, None for a published checkpoint; tokenizer:
    folder; checkpoints: folder of the training's; folder: of the final model; manifest, training:
    files to write.
    """

    windows: Path | None
    held_out: Path | None
    tokenizer: Path
    checkpoints: Path
    folder: Path
    manifest: Path
    training: Path


def checkpoint_folder(name: str) -> Path:
    """The folder of a checkpoint: itself, or a download of its safetensors from the hub.

    Raises:
        UserError: there is no such folder and the hub cannot be reached or lacks it.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=["*.safetensors", "*.json"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise UserError(
            f"the checkpoint {name!r} is no folder and cannot be fetched from the hub "
            f"({first_line(error)})",
            "check the name and the network, or set pretraining.sizes.*.checkpoint to a folder",
        ) from None


def train_base(
    settings: BaseSettings,
    size: str,
    windows: Path,
    vocabulary: Vocabulary,
    accelerator: Accelerator,
    folder: Path,
) -> tuple[NextTokenLoss, pd.DataFrame, Checkpoints]:
    """Train a model with random weights on the windows of general text, or go on with it.

    Args:
        settings: of the training.
        size: role of the size.
        windows: packed windows of general text.
        vocabulary: the tokenizer's.
        accelerator: from `parallel.start`.
        folder: of checkpoints.

    Returns:
        The model as a loss, its training table, and its checkpoints, to be finished.

    Raises:
        UserError: windows or settings do not fit, or the loss is not finite.
        Interrupted: the process was asked to stop, and saved a checkpoint.
    """
    general = read_windows(windows, vocabulary)
    rows, run = vocabulary.base_vocabulary, f"base-{size}"
    sampler = MixtureSampler(
        {"base": (1.0, general)},
        settings.batch_windows,
        seeds.derive(settings.seed, "base", "windows"),
        rows,
    )
    torch.manual_seed(seeds.derive(settings.seed, "base", "weights", size))
    model = new_model(settings.model, rows, sampler.length, vocabulary.end_of_text)
    loss = ready(accelerator, model, vocabulary.end_of_text)
    values = {k: v for k, v in asdict(settings).items() if k not in HOW}
    values |= {"run": run, "windows": fingerprint(windows), "tokenizer": vocabulary.sha256}
    values["precision"] = precision_in_use(accelerator)
    identity = Identity.of(values, values)
    checkpoints = Checkpoints(folder, identity, accelerator, settings.checkpoint_every)
    trained = train(accelerator, loss, sampler, settings, run, checkpoints=checkpoints)
    return loss, trained.training, checkpoints


def read_general(path: Path, vocabulary: Vocabulary) -> HeldOut:
    """The held-out windows of general text; raises UserError if they hold REC tokens."""
    (held_out,) = read_held_out(path.parent, [path.stem], vocabulary, item_ids=None)
    if held_out.windows.max() >= vocabulary.base_vocabulary:
        raise UserError(
            f"{path} holds REC tokens, which a base model does not know",
            "pass the held-out windows of general text",
        )
    return held_out


def run_base(size: str, settings: BaseSettings, paths: BasePaths, accelerator: Accelerator) -> None:
    """Train or fetch one base model, measure it where there is held-out text, and write its files.

    Raises:
        UserError: there is neither a checkpoint nor text, inputs do not fit each other, or a loss
            is not finite.
        Interrupted: the process was asked to stop, and saved a checkpoint.
    """
    vocabulary = read_vocabulary(paths.tokenizer)
    held_out = read_general(paths.held_out, vocabulary) if paths.held_out else None
    checkpoints = None
    if settings.model.checkpoint is not None:
        model = load_model(checkpoint_folder(settings.model.checkpoint), dtype="auto")
        loss = ready(accelerator, model)
        table = pd.DataFrame(columns=[c.name for c in CONTRACTS["training"].columns])
        if held_out:
            accelerator.prepare_model(loss, evaluation_mode=True)
    elif paths.windows is None or held_out is None:
        raise UserError(
            "a base model without a checkpoint is trained on text",
            "pass --windows and --held-out, or set settings.model.checkpoint",
        )
    else:
        loss, table, checkpoints = train_base(
            settings, size, paths.windows, vocabulary, accelerator, paths.checkpoints
        )
    check_rows(loss.model, vocabulary.base_vocabulary)
    measured = held_out_losses(accelerator, loss, held_out).mean("all") if held_out else None
    parameters, outside_embedding = count_parameters(loss.model)
    final = gathered(accelerator, loss)
    if accelerator.is_main_process:
        hashes = save_model(final, paths.tokenizer, vocabulary.end_of_text, paths.folder)
        write_table(table, paths.training, "training")
        manifest = {
            "size": size,
            "folder": str(paths.folder),
            "tokens": int(table["tokens"].max()) if len(table) else 0,
            "steps": int(table["step"].max()) if len(table) else 0,
            "parameters": parameters,
            "non_embedding_parameters": outside_embedding,
            "held_out_loss": measured,
            "precision": precision_in_use(accelerator),
            "processes": accelerator.num_processes,
            "files": hashes,
        }
        write_json(manifest, paths.manifest)
        log.info("base of %s: held-out loss %s nats/token", size, measured)
    accelerator.wait_for_everyone()
    if checkpoints:
        checkpoints.finish()


def main() -> None:
    """Train or fetch one base model; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", required=True, help="role of the size: size1 .. size4")
    parser.add_argument("--windows", type=Path, help="windows of general text, to train on")
    parser.add_argument("--held-out", type=Path, help="held-out general windows, to measure on")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer folder")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of checkpoints")
    parser.add_argument("--folder", required=True, type=Path, help="folder of the final model")
    parser.add_argument("--manifest", required=True, type=Path, help="manifest to write")
    parser.add_argument("--training", required=True, type=Path, help="training table to write")
    parser.add_argument("--settings", required=True, help="JSON of BaseSettings")
    options = parser.parse_args()
    settings = parse(BaseSettings, options.settings)
    paths = BasePaths(**{name: getattr(options, name) for name in BasePaths.__dataclass_fields__})
    accelerator = start(settings)
    run_base(options.size, settings, paths, accelerator)
    accelerator.end_training()


if __name__ == "__main__":
    run_command(main)
