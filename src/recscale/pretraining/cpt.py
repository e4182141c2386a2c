"""Command: one run of continual pre-training (CPT) on a mixture of the curriculum (section 6.1)."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator
from transformers import PreTrainedModel

from recscale import seeds
from recscale.contracts import HELD_OUT_DOMAINS, TRAINING_DOMAINS
from recscale.errors import UserError, run_command
from recscale.files import read_json, sha256, write_json, write_table
from recscale.logs import logger
from recscale.pretraining.data import Mixture, Vocabulary, read_mixture, read_vocabulary
from recscale.pretraining.evaluation import Losses, held_out_losses, read_held_out
from recscale.pretraining.loss import ready
from recscale.pretraining.model import (
    ModelSettings,
    add_rows,
    count_parameters,
    load_model,
    padded_rows,
    save_model,
)
from recscale.pretraining.sampler import MixtureSampler, Seen, ledger
from recscale.pretraining.trainer import (
    TrainingSettings,
    evaluation_steps,
    precision_in_use,
    start,
    train,
)
from recscale.settings import parse

log = logger("pretraining.cpt")


@dataclass(frozen=True)
class CptSettings(TrainingSettings):
    """Settings of this command.

    size: role of the size; mixture: shares of the training tokens; uih: the "full" or the "reduced"
    UIH set; run_seed: tells runs of one configuration apart; evaluations: beside step 0.
    """

    size: str
    mixture: Mixture
    uih: str
    run_seed: int
    evaluations: int


def training_domain(held_out: str) -> str:
    """The training domain that a held-out domain belongs to."""
    return next(domain for domain in TRAINING_DOMAINS if held_out.startswith(domain))


def curve_rows(losses: Losses, seen: Seen) -> list[dict[str, Any]]:
    """Rows of one domain at one step of the curves table: a row for each kind of token present."""
    rows = []
    for token_class, tokens in losses.tokens.items():
        if tokens:
            per_item = losses.loss_per_item if token_class == "id" else math.nan
            rows.append(
                {
                    "domain_tokens": seen.seen_tokens,
                    "repeats": seen.repeats,
                    "token_class": token_class,
                    "loss": losses.mean(token_class),
                    "n_tokens": tokens,
                    "loss_per_item": per_item,
                }
            )
    return rows


def read_base(path: Path, settings: CptSettings) -> PreTrainedModel:
    """The base model that a manifest describes.

    Raises:
        UserError: the base is of another size or shape, or a file is missing or was changed.
    """
    manifest = read_json(path)
    if manifest["size"] != settings.size:
        raise UserError(
            f"{path} is of {manifest['size']}, the run of {settings.size}",
            "pass the base model of the run's size",
        )
    folder = Path(manifest["folder"])
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise UserError(
                f"{folder / name} is missing, truncated or not the file that {path} describes",
                f"delete {path} and run its target again",
            )
    model = load_model(folder)
    check_shape(model, settings.model, folder)
    return model


def check_shape(model: PreTrainedModel, wanted: ModelSettings, folder: Path) -> None:
    """Raise a UserError if a model trained here has another shape than the settings ask for."""
    shape = {
        "hidden": model.config.hidden_size,
        "layers": model.config.num_hidden_layers,
        "heads": model.config.num_attention_heads,
        "key_value_heads": model.config.num_key_value_heads,
        "head_dimension": model.config.head_dim,
        "feed_forward": model.config.intermediate_size,
    }
    for name, value in shape.items():
        setting = getattr(wanted, name)
        if wanted.checkpoint is None and setting != value:
            raise UserError(
                f"the model in {folder} has {name} {value}, settings.model.{name} is {setting}",
                "train the base model again with these settings",
            )


def run_cpt(
    run: str,
    settings: CptSettings,
    base: Path,
    windows: Path,
    held_out: Path,
    item_ids: Path,
    vocabulary: Vocabulary,
    accelerator: Accelerator,
) -> tuple[PreTrainedModel, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Train one run and measure its held-out losses.

    Returns:
        The model, the curves table, the training table and the manifest without the model's files.

    Raises:
        UserError: inputs do not fit each other, or a loss is not finite.
    """
    domains = read_mixture(windows, settings.mixture, settings.uih, settings.tokens, vocabulary)
    sets = read_held_out(held_out, HELD_OUT_DOMAINS, vocabulary, item_ids)
    # The order of windows depends on the run's seed alone: runs that share it are paired.
    sampler = MixtureSampler(
        domains,
        settings.batch_windows,
        seeds.derive(settings.seed, "cpt", "windows", settings.run_seed),
        padded_rows(vocabulary.vocabulary),
    )
    steps = settings.steps(sampler.length)
    model = read_base(base, settings)
    add_rows(
        model,
        vocabulary.base_vocabulary,
        vocabulary.vocabulary,
        seeds.derive(settings.seed, "cpt", "new rows", settings.run_seed),
    )
    loss = ready(accelerator, model, vocabulary.end_of_text)
    rows: list[dict[str, Any]] = []

    def evaluate(step: int) -> None:
        seen = ledger(sampler, step)
        for domain in sets:
            try:
                losses = held_out_losses(accelerator, loss, domain)
            except UserError as error:
                raise UserError(f"run {run} at step {step}: {error.what}", error.way_out) from None
            common = {
                "run": run,
                "size": settings.size,
                "seed": settings.run_seed,
                "domain": domain.name,
                "step": step,
                "tokens": step * settings.batch_windows * sampler.length,
            }
            found = curve_rows(losses, seen[training_domain(domain.name)])
            rows.extend(common | row for row in found)

    at = [0, *evaluation_steps(steps, settings.warm_up_steps, settings.evaluations)]
    table = train(accelerator, loss, sampler, settings, run, frozenset(at), evaluate)
    parameters, outside_embedding = count_parameters(model)
    manifest = {
        "run": run,
        "size": settings.size,
        "seed": settings.run_seed,
        "steps": steps,
        "tokens": steps * settings.batch_windows * sampler.length,
        "parameters": parameters,
        "non_embedding_parameters": outside_embedding,
        "precision": precision_in_use(accelerator),
        "processes": accelerator.num_processes,
        "ledger": {
            domain: {**vars(seen), "repeats": seen.repeats}
            for domain, seen in ledger(sampler, steps).items()
        },
    }
    return model, pd.DataFrame(rows), table, manifest


def main() -> None:
    """Run one continual pre-training; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--base", required=True, type=Path, help="manifest of the base model")
    parser.add_argument("--windows", required=True, type=Path, help="folder of training windows")
    parser.add_argument("--held-out", required=True, type=Path, help="folder of held-out windows")
    parser.add_argument("--item-ids", required=True, type=Path, help="item_ids table")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer folder")
    parser.add_argument("--folder", required=True, type=Path, help="folder of the final model")
    parser.add_argument("--curves", required=True, type=Path, help="curves table to write")
    parser.add_argument("--training", required=True, type=Path, help="training table to write")
    parser.add_argument("--manifest", required=True, type=Path, help="manifest to write")
    parser.add_argument("--settings", required=True, help="JSON of CptSettings")
    options = parser.parse_args()
    settings = parse(CptSettings, options.settings)
    accelerator = start(settings)

    vocabulary = read_vocabulary(options.tokenizer)
    model, curves, table, manifest = run_cpt(
        options.run,
        settings,
        options.base,
        options.windows,
        options.held_out,
        options.item_ids,
        vocabulary,
        accelerator,
    )
    if accelerator.is_main_process:
        hashes = save_model(model, options.tokenizer, vocabulary.end_of_text, options.folder)
        write_table(curves, options.curves, "curves")
        write_table(table, options.training, "training")
        manifest |= {"folder": str(options.folder), "files": hashes}
        write_json(manifest, options.manifest)
        log.info("run %s: %d tokens", options.run, manifest["tokens"])
    accelerator.end_training()


if __name__ == "__main__":
    run_command(main)
