"""The language model: its configuration, the rows of new tokens, its size, reading and saving.

Section 6.1 of the paper continues the pre-training of Qwen3 checkpoints; below that scale the same
architecture starts from random weights. REC tokens are new rows of the embedding, and of the head
where the two are not tied.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging as transformers_logging

from recscale.errors import UserError, first_line
from recscale.files import sha256

ROWS_MULTIPLE = 64  # embedding rows are padded to this, which matrix units prefer
# Spread of new rows, as a share of the trained rows' own. In CPT of a model of width 32, shares of
# 0.05 and 1 both ended with higher held-out losses on ids.
NEW_ROW_SPREAD = 0.3
# Standard deviation of random weights times the square root of the width. Qwen3's own deviation of
# 0.02 suits widths of thousands: at widths 32 and 64 it was 0.4 nats behind after 0.4M tokens.
INITIAL_SPREAD = 0.35

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class ModelSettings:
    """Shape of a model with random weights, or the checkpoint that takes its place."""

    hidden: int | None
    layers: int | None
    heads: int | None
    key_value_heads: int | None
    head_dimension: int | None
    feed_forward: int | None
    checkpoint: str | None


def new_model(settings: ModelSettings, rows: int, length: int, end_of_text: int) -> PreTrainedModel:
    """A `Qwen3ForCausalLM` with random weights from torch's global generator and tied embeddings.

    Args:
        settings: the shape; `checkpoint` is not read.
        rows: tokens the model knows, that is rows of its embedding.
        length: tokens of a window, the longest sequence it will have seen.
        end_of_text: id of the token that ends a document.

    Raises:
        UserError: a dimension is not given, or the heads cannot share key-value heads evenly.
    """
    shape = {k: v for k, v in vars(settings).items() if k != "checkpoint"}
    missing = [name for name, value in shape.items() if value is None]
    if missing:
        raise UserError(
            f"settings.model has no {', '.join(missing)} and no checkpoint",
            "give the model's dimensions, or the name or folder of a checkpoint",
        )
    if shape["heads"] % shape["key_value_heads"]:
        raise UserError(
            f"settings.model.heads is {shape['heads']}, key_value_heads {shape['key_value_heads']}",
            "the heads must be a multiple of the key-value heads",
        )
    config = Qwen3Config(
        vocab_size=rows,
        hidden_size=shape["hidden"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["key_value_heads"],
        head_dim=shape["head_dimension"],
        intermediate_size=shape["feed_forward"],
        max_position_embeddings=length,
        initializer_range=INITIAL_SPREAD / shape["hidden"] ** 0.5,
        tie_word_embeddings=True,
        eos_token_id=end_of_text,
        pad_token_id=end_of_text,
    )
    return Qwen3ForCausalLM(config)


def load_model(folder: Path, dtype: torch.dtype | str = torch.float32) -> PreTrainedModel:
    """Read a causal language model from a folder; safetensors only, and no code of the folder's.

    Raises:
        UserError: the folder has no safetensors weights, or a file is missing, truncated, or not of
            an architecture that transformers knows.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"{folder} has no *.safetensors file", "use a checkpoint in that format")
    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is truncated or not safetensors ({error})",
                "fetch or build the checkpoint again",
            ) from None
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} holds no causal language model ({first_line(error)})",
            "name a checkpoint whose architecture transformers knows",
        ) from None


def padded_rows(vocabulary: int) -> int:
    """Rows of an embedding for a vocabulary: a multiple of `ROWS_MULTIPLE`."""
    return -(-vocabulary // ROWS_MULTIPLE) * ROWS_MULTIPLE


def check_rows(model: PreTrainedModel, trained: int) -> None:
    """Raise a UserError if the model has fewer rows than the tokenizer has text tokens."""
    rows = len(_vocabulary_matrices(model)[0])
    if rows < trained:
        raise UserError(
            f"the model's embedding has {rows} rows, the tokenizer's text tokens need {trained}",
            "use the tokenizer that the checkpoint was trained with",
        )


def add_rows(model: PreTrainedModel, trained: int, vocabulary: int, seed: int) -> None:
    """Give the model a row for every token of the vocabulary, in place.

    Every row from `trained` on, in the embedding and in an untied head, becomes the mean of the
    trained rows plus Gaussian noise with `NEW_ROW_SPREAD` of their spread, dimension by dimension.
    The rows that a checkpoint has in reserve were never trained, so they are set as well.
    transformers' own `mean_resizing` is not used: it scales the covariance by 1e-9, which makes the
    new rows all but equal.

    The embedding grows to `vocabulary` rows, padded to a multiple of `ROWS_MULTIPLE`, and never
    shrinks. Padding rows take part in the softmax and are never targets, so that transformers' own
    loss on the saved model is the loss we report.

    Args:
        model: a causal language model.
        trained: ids below this are trained tokens.
        vocabulary: tokens that text may hold.
        seed: of the noise.

    Raises:
        UserError: the model has fewer than `trained` rows.
    """
    check_rows(model, trained)
    if padded_rows(vocabulary) > len(_vocabulary_matrices(model)[0]):
        model.resize_token_embeddings(padded_rows(vocabulary), mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in _vocabulary_matrices(model):
            known = weight[:trained].float()
            noise = torch.randn(
                (weight.shape[0] - trained, weight.shape[1]), generator=generator
            ).to(weight.device)
            weight[trained:] = known.mean(0) + NEW_ROW_SPREAD * known.std(0) * noise


def count_parameters(model: PreTrainedModel) -> tuple[int, int]:
    """Parameters of the model: all of them, and those outside embedding and head."""
    total = sum(p.numel() for p in model.parameters())
    return total, total - sum(w.numel() for w in _vocabulary_matrices(model))


def _vocabulary_matrices(model: PreTrainedModel) -> list[Tensor]:
    """The embedding and, where it is not tied to it, the head."""
    embedding = cast(Tensor, model.get_input_embeddings().weight)
    head = cast(Tensor, model.get_output_embeddings().weight)
    return [embedding] if head is embedding else [embedding, head]


def save_model(
    model: PreTrainedModel, tokenizer: Path, end_of_text: int, folder: Path
) -> dict[str, str]:
    """Write the model and its tokenizer, and return the SHA-256 of each file by its name.

    `AutoModelForCausalLM.from_pretrained(folder)` and `AutoTokenizer.from_pretrained(folder)` read
    the result. All is written to a temporary folder beside it first, so that a folder of that name
    is whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        model.config.eos_token_id = end_of_text
        model.generation_config = GenerationConfig(
            eos_token_id=end_of_text, pad_token_id=end_of_text
        )
        model.save_pretrained(temporary)
        for path in sorted(tokenizer.iterdir()):
            if path.is_file():
                shutil.copyfile(path, temporary / path.name)
        hashes = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return hashes
