"""One training of a RecBole model, with early stopping, and the ranks it gives (section 5.2).

RecBole 1.2.1 (Zhao et al., 2022) provides the models, the trainer and the recall that stops it.
Its own reading of files is left out: rows go to its loaders from memory, with the items numbered
by the shared vocabulary, so that both arms have the same embedding rows and no file is parsed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data.dataloader import FullSortEvalDataLoader, TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.trainer import Trainer
from recbole.utils import get_model, init_seed

from recscale.ranking.compatibility import restore_numpy_names
from recscale.ranking.examples import Examples, RealRows, TrainingExamples
from recscale.ranking.models import Model, find_model
from recscale.ranking.rank_metrics import Ranks, rank_in_blocks, rows_at_once


class Diverged(Exception):
    """The training loss became not a number."""


@dataclass(frozen=True)
class Training:
    """What one training is made with; `cutoff` is the K of the recall that stops it."""

    model: str
    hidden: int
    history_length: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    cutoff: int
    seed: int


class Trained:
    """A model in the state of its best epoch.

    Attributes:
        best_epoch: counted from 1.
        epochs: epochs run.
        stopped_early: whether patience ran out before the limit of epochs.
        recall: validation recall at the training's cutoff, of the best epoch.
    """

    def __init__(self, trainer: Any, rows_at_once: int, history: list[float], patience: int):
        self._trainer = trainer
        self._rows_at_once = rows_at_once
        self.recall = max(history)
        self.epochs = len(history)
        # RecBole takes an epoch as good as the best so far for the better one.
        self.best_epoch = self.epochs - history[::-1].index(self.recall)
        self.stopped_early = self.epochs - self.best_epoch >= patience

    def recbole_recall(self, rows: Examples, n_items: int) -> float:
        """RecBole's own recall of `rows` at the training's cutoff."""
        trainer = self._trainer
        loader = FullSortEvalDataLoader(trainer.config, _Rows(rows, n_items), None)
        result = trainer.evaluate(loader, load_best_model=False)
        return float(result[trainer.valid_metric])

    @torch.no_grad()
    def scores(self, rows: RealRows, block: np.ndarray) -> torch.Tensor:
        """Scores of the items 1 to n for the rows `block`, shape `(block, items)`."""
        model = self._trainer.model
        model.eval()
        scores = model.full_sort_predict(_interaction(rows.examples.take(block)))
        return scores.view(len(block), -1)[:, 1:]  # without padding

    def ranks(self, rows: RealRows) -> Ranks:
        """The rank of each row's target, scored in blocks of users so that memory stays flat."""
        return rank_in_blocks(self.scores, rows, self._rows_at_once)


def train(
    training: Training, examples: TrainingExamples, validation: Examples, n_items: int
) -> Trained:
    """Train until the validation recall stops growing, and go back to the best epoch.

    The same arguments give the same model. Stand in `compatibility.quiet_corner` when calling it.

    Args:
        training: the model and how it is trained.
        examples: what it trains on, items numbered 1 to `n_items`.
        validation: rows whose recall at `training.cutoff` is taken after every epoch.
        n_items: size of the vocabulary.

    Raises:
        Diverged: the loss became not a number.
        UserError: the model is unknown.
    """
    entry = find_model(training.model, training.hidden)
    at_once = rows_at_once(n_items)
    config = _config(training, entry, at_once)
    init_seed(config["seed"], config["reproducibility"])
    rows = _Rows(examples, n_items)
    model_class = get_model(training.model)
    # One of the models that RecBole imports with it (SINE) turns this on for the whole process,
    # which halves the speed.
    torch.autograd.set_detect_anomaly(False)
    model = model_class(config, rows).to(config["device"])
    trainer = Trainer(config, model)
    if entry.sums_padding:
        _keep_padding_zero(model.item_embedding.weight, trainer.optimizer)
    history: list[float] = []
    best: dict[str, torch.Tensor] = {}

    def after_epoch(epoch: int, recall: float) -> None:
        history.append(recall)
        if trainer.cur_step == 0:  # the best epoch so far
            best.update(copy.deepcopy(model.state_dict()))

    try:
        trainer.fit(
            TrainDataLoader(config, rows, None, shuffle=True),
            FullSortEvalDataLoader(config, _Rows(validation, n_items), None),
            saved=False,
            verbose=False,
            callback_fn=after_epoch,
        )
    except ValueError as error:
        if "nan" not in str(error):
            raise
        raise Diverged from error
    finally:
        trainer.tensorboard.close()
    model.load_state_dict(best)
    return Trained(trainer, at_once, history, training.patience)


def _config(training: Training, entry: Model, at_once: int) -> Any:
    restore_numpy_names()
    settings = {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "item_length",
        "MAX_ITEM_LIST_LENGTH": training.history_length,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "eval_args": {"mode": "full", "order": "TO", "group_by": "user", "split": None},
        "metrics": ["Recall"],
        "topk": [training.cutoff],
        "valid_metric": f"Recall@{training.cutoff}",
        "metric_decimal_place": 12,
        "epochs": training.epochs,
        "stopping_step": training.patience - 1,  # RecBole stops one epoch after these
        "eval_step": 1,
        "learning_rate": training.learning_rate,
        "train_batch_size": training.batch_size,
        "eval_batch_size": at_once,
        "gpu_id": "",  # the CPU, whatever the machine has: the same numbers everywhere
        "worker": 0,
        "seed": training.seed % 2**32,  # numpy's old generator takes no more
        "reproducibility": True,
        "show_progress": False,
        "checkpoint_dir": "checkpoints",
        **entry.settings(training.hidden),
    }
    return Config(model=training.model, dataset="rows", config_dict=settings)


def _keep_padding_zero(embedding: torch.nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
    """Hold row 0 at zero: RecBole initialises it anew and the softmax over all rows trains it."""
    row = embedding.data[0]

    def zero(*_: Any) -> None:
        row.zero_()

    zero()
    optimizer.register_step_post_hook(zero)


class _Rows:
    """What RecBole's loaders, trainer and models ask of a data set, over rows in memory."""

    uid_field = "user_id"
    iid_field = "item_id"

    def __init__(self, examples: TrainingExamples, n_items: int) -> None:
        self._examples = examples
        self.item_num = n_items + 1  # with padding

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: np.ndarray) -> Any:
        return _interaction(self._examples.take(np.asarray(index)))

    def num(self, field: str) -> int:
        """Items with padding; RecBole's sequential models ask for no other field."""
        return self.item_num

    def get_item_feature(self) -> torch.Tensor:
        """The items' numbers; RecBole keeps them for models that cannot score all items at once."""
        return torch.arange(self.item_num)


def _interaction(examples: Examples) -> Any:
    columns = {
        "item_id_list": examples.histories,
        "item_length": examples.lengths,
        "item_id": examples.targets,
    }
    return Interaction({k: torch.from_numpy(v.astype(np.int64)) for k, v in columns.items()})
