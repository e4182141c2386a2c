"""Command: a base model, which continual pre-training starts from.

It is trained here on general text from random weights, or is a checkpoint from the hub or a folder
(the paper's Qwen3 models). The base knows the ordinary text tokens only.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from accelerate import Accelerator
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import PreTrainedModel

from recscale import seeds
from recscale.contracts import CONTRACTS
from recscale.errors import UserError, first_line, run_command
from recscale.files import write_json, write_table
from recscale.logs import logger
from recscale.pretraining.data import Vocabulary, read_vocabulary, read_windows
from recscale.pretraining.evaluation import HeldOut, held_out_losses, read_held_out
from recscale.pretraining.loss import ready
from recscale.pretraining.model import (
    check_rows,
    count_parameters,
    load_model,
    new_model,
    save_model,
)
from recscale.pretraining.sampler import MixtureSampler
from recscale.pretraining.trainer import TrainingSettings, precision_in_use, start, train
from recscale.settings import parse

log = logger("pretraining.base")


@dataclass(frozen=True)
class BaseSettings(TrainingSettings):
    """Settings of this command: those of a training."""


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
) -> tuple[PreTrainedModel, pd.DataFrame]:
    """Train a model with random weights on the windows of general text.

    Returns:
        The model and its training table.

    Raises:
        UserError: windows or settings do not fit, or the loss is not finite.
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
    return model, train(accelerator, loss, sampler, settings, run)


def read_general(path: Path, vocabulary: Vocabulary) -> HeldOut:
    """The held-out windows of general text; raises UserError if they hold REC tokens."""
    (held_out,) = read_held_out(path.parent, [path.stem], vocabulary, item_ids=None)
    if held_out.windows.max() >= vocabulary.base_vocabulary:
        raise UserError(
            f"{path} holds REC tokens, which a base model does not know",
            "pass the held-out windows of general text",
        )
    return held_out


def main() -> None:
    """Train or fetch one base model; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", required=True, help="role of the size: size1 .. size4")
    parser.add_argument("--windows", type=Path, help="windows of general text, to train on")
    parser.add_argument("--held-out", type=Path, help="held-out general windows, to measure on")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer folder")
    parser.add_argument("--folder", required=True, type=Path, help="folder of the final model")
    parser.add_argument("--manifest", required=True, type=Path, help="manifest to write")
    parser.add_argument("--training", required=True, type=Path, help="training table to write")
    parser.add_argument("--settings", required=True, help="JSON of BaseSettings")
    options = parser.parse_args()
    settings = parse(BaseSettings, options.settings)
    accelerator = start(settings)

    vocabulary = read_vocabulary(options.tokenizer)
    held_out = read_general(options.held_out, vocabulary) if options.held_out else None
    if settings.model.checkpoint is not None:
        model = load_model(checkpoint_folder(settings.model.checkpoint), dtype="auto")
        table = pd.DataFrame(columns=[c.name for c in CONTRACTS["training"].columns])
    elif options.windows is None or held_out is None:
        raise UserError(
            "a base model without a checkpoint is trained on text",
            "pass --windows and --held-out, or set settings.model.checkpoint",
        )
    else:
        model, table = train_base(settings, options.size, options.windows, vocabulary, accelerator)
    check_rows(model, vocabulary.base_vocabulary)
    loss = None
    if held_out:
        measured = accelerator.prepare_model(ready(accelerator, model), evaluation_mode=True)
        loss = held_out_losses(accelerator, measured, held_out).mean("all")
    parameters, outside_embedding = count_parameters(model)
    if accelerator.is_main_process:
        hashes = save_model(model, options.tokenizer, vocabulary.end_of_text, options.folder)
        write_table(table, options.training, "training")
        manifest = {
            "size": options.size,
            "folder": str(options.folder),
            "tokens": int(table["tokens"].max()) if len(table) else 0,
            "steps": int(table["step"].max()) if len(table) else 0,
            "parameters": parameters,
            "non_embedding_parameters": outside_embedding,
            "held_out_loss": loss,
            "precision": precision_in_use(accelerator),
            "processes": accelerator.num_processes,
            "files": hashes,
        }
        write_json(manifest, options.manifest)
        log.info("base of %s: held-out loss %s nats/token", options.size, loss)
    accelerator.end_training()


if __name__ == "__main__":
    run_command(main)
