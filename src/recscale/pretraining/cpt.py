"""Command: one run of continual pre-training (CPT) on a mixture of the curriculum (section 6.1)."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator

from recscale import seeds
from recscale.contracts import ALL_HELD_OUT
from recscale.errors import UserError, run_command
from recscale.files import read_json, sha256, write_json, write_table
from recscale.labels import training_domain
from recscale.logs import logger
from recscale.pretraining.checkpoints import Checkpoints, Identity, fingerprint
from recscale.pretraining.data import (
    AS_MANY_AS_WALKS,
    Mixture,
    files_of_mixture,
    read_mixture,
    read_vocabulary,
)
from recscale.pretraining.evaluation import Losses, held_out_losses, read_held_out
from recscale.pretraining.finished import MANIFEST, Finished
from recscale.pretraining.loss import ready
from recscale.pretraining.model import add_rows, count_parameters, padded_rows, save_model
from recscale.pretraining.parallel import gathered, precision_in_use, start
from recscale.pretraining.sampler import MixtureSampler, Seen, ledger
from recscale.pretraining.saved import read_base
from recscale.pretraining.schedule import decay_start, evaluation_steps, repeat_steps
from recscale.pretraining.trainer import HOW, Trained, TrainingSettings, train
from recscale.settings import parse

log = logger("pretraining.cpt")


@dataclass(frozen=True, kw_only=True)
class CptSettings(TrainingSettings):
    """Settings of this command.

    size: role of the size; mixture: shares of the training tokens; uih: which UIH set
    (`data.read_mixture`); order: mixed, or curriculum; run_seed: tells runs of one configuration
    apart; evaluations: beside step 0; branches: horizons of the runs that start from this one.
    """

    size: str
    mixture: Mixture
    uih: str
    order: str
    run_seed: int
    evaluations: int
    branches: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Paths:
    """What a run reads and writes.

    base: manifest of the base model; windows, held_out: folders of packed windows; item_ids: table;
    tokenizer: folder; trunk: manifest of the WSD run whose constant part this one starts from;
    checkpoints: folder of this run's; folder: of the final model; curves, training, manifest: files
    to write.
    """

    base: Path
    windows: Path
    held_out: Path
    item_ids: Path
    tokenizer: Path
    trunk: Path | None
    checkpoints: Path
    folder: Path
    curves: Path
    training: Path
    manifest: Path

    def outputs(self) -> dict[str, Path]:
        """The files to write, by a name of their own."""
        tables = {"curves.parquet": self.curves, "training.parquet": self.training}
        return {**tables, MANIFEST: self.manifest}


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


def identity_of(run: str, settings: CptSettings, paths: Paths, precision: str) -> Identity:
    """What the run's checkpoints belong to: its settings and data."""
    values = {k: v for k, v in asdict(settings).items() if k not in (*HOW, "branches")}
    values["precision"] = precision
    windows = files_of_mixture(paths.windows, settings.mixture, settings.uih)
    data = {
        "base": read_json(paths.base)["files"],
        "tokenizer": sha256(paths.tokenizer / "tokenizer.json"),
        "windows": {domain: fingerprint(path) for domain, path in windows.items()},
    }
    # A WSD run's rate is the same up to its decay, whatever its horizon.
    left_out = {"evaluations", "log_every", "largest_rise"}
    if settings.schedule == "wsd":
        left_out.add("horizon")
    shared = {k: v for k, v in values.items() if k not in left_out}
    held_out = [fingerprint(paths.held_out / f"{name}.npy") for name in ALL_HELD_OUT]
    measured = {"held_out": held_out, "item_ids": sha256(paths.item_ids)}
    return Identity.of({"run": run, **values, **data, **measured}, {**shared, **data})


def finished_of(settings: CptSettings, paths: Paths, identity: Identity) -> Finished:
    """Where the results of the run are kept when it has ended."""
    windows = [
        *files_of_mixture(paths.windows, settings.mixture, settings.uih).values(),
        *(paths.held_out / f"{name}.npy" for name in ALL_HELD_OUT),
    ]
    if settings.mixture.uih > 0 and settings.uih in AS_MANY_AS_WALKS:
        windows.append(paths.windows / "uih.npy")
    described = [path.with_suffix(".json") for path in windows]
    described.append(paths.tokenizer / "manifest.json")
    if paths.trunk:
        described.append(paths.trunk)
    return Finished(paths.checkpoints / "finished", identity, windows, described)


def trunk_checkpoint(trunk: Path, step: int) -> Path:
    """The checkpoint that a finished trunk kept of a step; raises UserError if it did not."""
    kept = read_json(trunk).get("kept", {})
    if str(step) not in kept:
        raise UserError(
            f"{trunk} names no checkpoint of step {step}, where this run's decay begins",
            f"delete {trunk} and run its target again, which keeps it",
        )
    return Path(kept[str(step)])


def run_cpt(run: str, settings: CptSettings, paths: Paths, accelerator: Accelerator) -> None:
    """Train one run, or go on with it, measure its held-out losses, and write its files.

    Raises:
        UserError: inputs do not fit each other, or a loss is not finite.
        Interrupted: the process was asked to stop, and saved a checkpoint.
    """
    if settings.order not in ("mixed", "curriculum"):
        raise UserError(f"settings.order is {settings.order!r}", "it must be mixed or curriculum")
    vocabulary = read_vocabulary(paths.tokenizer)
    domains = read_mixture(
        paths.windows, settings.mixture, settings.uih, settings.tokens, vocabulary
    )
    sets = read_held_out(paths.held_out, ALL_HELD_OUT, vocabulary, paths.item_ids)
    length = next(iter(domains.values()))[1].shape[1]
    steps = settings.steps(length)
    branches = [
        decay_start(int(settings.tokens * horizon) // (settings.batch_windows * length))
        for horizon in settings.branches
    ]
    precision = precision_in_use(accelerator)
    identity = identity_of(run, settings, paths, precision)
    checkpoints = Checkpoints(
        paths.checkpoints, identity, accelerator, settings.checkpoint_every, branches
    )
    finished = finished_of(settings, paths, identity)
    if finished.given_again(paths.outputs(), branches, checkpoints.folder, accelerator):
        log.info(
            "run %s was finished with this code, these settings and data: its results are given "
            "again; to train it anew, delete %s",
            run,
            paths.checkpoints,
        )
        checkpoints.finish()  # of a run that was killed before it could
        return
    # The order of windows depends on the run's seed alone: runs that share it are paired.
    sampler = MixtureSampler(
        domains,
        settings.batch_windows,
        seeds.derive(settings.seed, "cpt", "windows", settings.run_seed),
        padded_rows(vocabulary.vocabulary),
        steps if settings.order == "curriculum" else None,
    )
    model = read_base(paths.base, settings.size, settings.model)
    add_rows(
        model,
        vocabulary.base_vocabulary,
        vocabulary.vocabulary,
        seeds.derive(settings.seed, "cpt", "new rows", settings.run_seed),
    )
    parameters, outside_embedding = count_parameters(model)
    loss = ready(accelerator, model, vocabulary.end_of_text)

    def tokens_at(step: int) -> int:
        return step * settings.batch_windows * length

    at = {0, *evaluation_steps(steps, settings.warm_up_steps, settings.evaluations)}
    # Between these, UIH alone is measured where its repeats are those of the paper's onset.
    besides = set(repeat_steps(steps, ledger(sampler, steps)["uih"].repeats)) - at

    def evaluate(step: int) -> list[dict[str, Any]]:
        seen, rows = ledger(sampler, step), []
        for domain in sets:
            if step in besides and training_domain(domain.name) != "uih":
                continue
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
                "tokens": tokens_at(step),
            }
            found = curve_rows(losses, seen[training_domain(domain.name)])
            rows += [common | row for row in found]
        return rows

    first = trunk_checkpoint(paths.trunk, decay_start(steps)) if paths.trunk else None
    trained = train(
        accelerator, loss, sampler, settings, run, at | besides, evaluate, checkpoints, first
    )
    final = gathered(accelerator, loss)
    if accelerator.is_main_process:
        manifest = {
            "run": run,
            "size": settings.size,
            "seed": settings.run_seed,
            "steps": steps,
            "tokens": tokens_at(steps),
            "parameters": parameters,
            "non_embedding_parameters": outside_embedding,
            "precision": precision,
            "identity": identity.run,
            "processes": accelerator.num_processes,
            "ledger": {
                domain: {**asdict(seen), "repeats": seen.repeats}
                for domain, seen in ledger(sampler, steps).items()
            },
            "kept": {str(step): str(checkpoints.kept(step)) for step in branches},
            "folder": str(paths.folder),
            "files": save_model(final, paths.tokenizer, vocabulary.end_of_text, paths.folder),
        }
        write_results(trained, paths, manifest)
        finished.keep(paths.outputs())
        log.info("run %s: %d tokens", run, manifest["tokens"])
    accelerator.wait_for_everyone()
    checkpoints.finish()


def write_results(trained: Trained, paths: Paths, manifest: dict[str, Any]) -> None:
    """Write the tables of a run and, when they are there, its manifest."""
    write_table(pd.DataFrame(trained.evaluations), paths.curves, "curves")
    write_table(trained.training, paths.training, "training")
    write_json(manifest, paths.manifest)


def main() -> None:
    """Run one continual pre-training; see the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    # torchrun would take a plain --run for the beginning of an option of its own.
    parser.add_argument("--run-name", required=True, help="name of the run")
    parser.add_argument("--base", required=True, type=Path, help="manifest of the base model")
    parser.add_argument("--windows", required=True, type=Path, help="folder of training windows")
    parser.add_argument("--held-out", required=True, type=Path, help="folder of held-out windows")
    parser.add_argument("--item-ids", required=True, type=Path, help="item_ids table")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer folder")
    parser.add_argument("--trunk", type=Path, help="manifest of the WSD run to start from")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of checkpoints")
    parser.add_argument("--folder", required=True, type=Path, help="folder of the final model")
    parser.add_argument("--curves", required=True, type=Path, help="curves table to write")
    parser.add_argument("--training", required=True, type=Path, help="training table to write")
    parser.add_argument("--manifest", required=True, type=Path, help="manifest to write")
    parser.add_argument("--settings", required=True, help="JSON of CptSettings")
    options = parser.parse_args()
    settings = parse(CptSettings, options.settings)
    paths = Paths(**{name: getattr(options, name) for name in Paths.__dataclass_fields__})
    accelerator = start(settings)
    run_cpt(options.run_name, settings, paths, accelerator)
    accelerator.end_training()


if __name__ == "__main__":
    run_command(main)
