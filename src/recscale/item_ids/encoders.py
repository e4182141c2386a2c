"""Encoders of short texts: TF-IDF with truncated SVD, and models of Hugging Face.

The paper embeds item text with a proprietary model (Appendix B.1) and, for RQ-kmeans, with a Qwen
model (Table 9). TF-IDF with SVD needs no download; it is fitted to texts of training items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from recscale import files
from recscale.errors import UserError, first_line
from recscale.logs import logger

log = logger("item_ids.encoders")

FITTED_ROWS_AT_ONCE = 16_384
# A text's weights have norm 1. Where less than this is left of them in the components, what is left
# is the rounding of the SVD, and its direction means nothing.
LEAST_NORM = 1e-6


class Encoder(Protocol):
    """What turns texts to unit vectors.

    Attributes:
        dimensions: length of a vector.
        fallback: the unit vector, shape (dimensions,), that stands for a text of which the encoder
            knows no word; None if it knows all.
    """

    dimensions: int
    fallback: NDArray[np.float32] | None

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit rows (texts, dimensions); a row of zeros for a text of which no word is known."""
        ...

    def card(self) -> dict[str, Any]:
        """What the encoder is, as JSON values: equal cards mean equal vectors."""
        ...


def unit_rows(vectors: NDArray[np.floating], least: float = 0.0) -> NDArray[np.float32]:
    """Rows of length 1; those of length `least` or less become zeros."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so, for callers
        norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
        short = norms <= least
        return np.where(short, 0.0, vectors / np.where(short, 1.0, norms)).astype(np.float32)


class TfidfSvd:
    """Words and word pairs weighted by TF-IDF, then truncated SVD.

    A text's vector depends on that text and on the fitted texts only. A text without a known word
    has no direction; its `fallback` is the normalised mean of the fitted texts' vectors.

    Args:
        texts: the texts to fit vocabulary, weights and components to; read once.
        dimensions: how many components.
        seed: of the randomised SVD.

    Raises:
        UserError: there are no more fitted texts or words than dimensions.
    """

    def __init__(self, texts: Iterable[str], dimensions: int, seed: int) -> None:
        self.dimensions = dimensions
        # Sizes ("11 oz", "6-9.5 oz") tell many items apart, so numbers and one-letter words count.
        self._words = TfidfVectorizer(token_pattern=r"[^\s,>]+", ngram_range=(1, 2), min_df=2)
        try:
            weights = self._words.fit_transform(texts)
        except ValueError as error:  # one text, or no word that two texts share
            raise UserError(
                f"the training texts give no words to fit ({first_line(error)})",
                "tfidf_svd needs training items whose texts share words",
            ) from None
        if min(weights.shape) <= dimensions:
            raise UserError(
                f"item_ids.embedding.dimensions is {dimensions}, but the training texts give only "
                f"{min(weights.shape)} items or words",
                "choose fewer dimensions",
            )
        self._svd = TruncatedSVD(dimensions, random_state=np.random.RandomState(seed % 2**32))
        with threadpool_limits(1):  # sums would differ in their last bits between thread counts
            self._svd.fit(weights)
        self.fitted = int(weights.shape[0])
        total = np.zeros(dimensions)
        for start in range(0, self.fitted, FITTED_ROWS_AT_ONCE):
            rows = self._project(weights[start : start + FITTED_ROWS_AT_ONCE])
            total += rows.sum(axis=0, dtype=np.float64)
        self.fallback: NDArray[np.float32] | None = unit_rows(total[None])[0]

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit rows (texts, dimensions); a row of zeros for a text of which no word is known."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return self._project(self._words.transform(texts))

    def card(self) -> dict[str, Any]:
        """How many texts were fitted, words kept, and a hash of all that was fitted."""
        names = self._words.get_feature_names_out()
        digest = hashlib.sha256("\0".join(names).encode())
        digest.update(np.ascontiguousarray(self._words.idf_).tobytes())
        digest.update(np.ascontiguousarray(self._svd.components_).tobytes())
        return {
            "fitted_items": self.fitted,
            "words_and_pairs": len(names),
            "fitted_sha256": digest.hexdigest(),
        }

    def _project(self, weights: Any) -> NDArray[np.float32]:
        # A sparse product goes row by row, so a vector does not depend on the rows beside it.
        return unit_rows(self._svd.transform(weights), LEAST_NORM)


class HuggingFace:
    """A transformers encoder, pooled over the last token or by the mean over tokens.

    Vectors are cut to the first `dimensions` columns before they are normalised, as encoders with
    Matryoshka training allow. It runs on a GPU in bf16 if there is one, else on the CPU in fp32.
    Vectors of other batch sizes are equal up to rounding: matrix kernels add in another order.

    Args:
        model: a name on the hub or a folder; safetensors only, and no code of the model's is run.
        pooling: last_token or mean.
        dimensions: columns to keep; None: all.
        batch_size: texts at once.

    Raises:
        UserError: the model is not configured, not on disk while offline, not to be had in
            safetensors, or gives fewer columns than `dimensions`.
    """

    fallback: NDArray[np.float32] | None = None

    def __init__(
        self, model: str | None, pooling: str | None, dimensions: int | None, batch_size: int
    ) -> None:
        if not model or pooling not in ("last_token", "mean"):
            raise UserError(
                "item_ids.embedding names no model, or a pooling other than last_token and mean",
                "set item_ids.embedding.model and .pooling for the method hugging_face",
            )
        import torch  # only this method needs torch and transformers
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cpu":
            built = f"torch {torch.__version__} is a build without CUDA"
            why = built if torch.version.cuda is None else "torch finds no GPU"
            log.warning("%s: texts are embedded on the CPU", why)
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        # The last token is the last column if padding is on the left; models that count positions
        # from the first column need it on the right.
        side = "left" if pooling == "last_token" else "right"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                model, padding_side=side, trust_remote_code=False
            )
            self._model = AutoModel.from_pretrained(
                model, dtype=dtype, use_safetensors=True, trust_remote_code=False
            ).eval()
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise UserError(
                f"the embedding model {model} cannot be loaded ({first_line(error)})",
                "download it first, in safetensors, or name the folder it is in",
            ) from None
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token  # masked: any token will do
        config = self._model.config
        width = int(config.hidden_size)
        if dimensions is not None and dimensions > width:
            raise UserError(
                f"item_ids.embedding.dimensions is {dimensions}, but {model} gives {width}",
                "choose fewer dimensions, or null for all",
            )
        self._model.to(self.device)
        self.dimensions = width if dimensions is None else dimensions
        self.batch_size = batch_size
        self._longest = min(
            self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", 10**9)
        )
        self._card = {
            "model": model,
            "version": _folder_sha256(Path(model)) or getattr(config, "_commit_hash", None),
            "pooling": pooling,
            "precision": f"{dtype} on {self.device}".removeprefix("torch."),
            "torch": torch.__version__,
        }

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit rows (texts, dimensions).

        Raises:
            UserError: the GPU has no memory for `batch_size` texts.
        """
        import torch

        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        # Texts of similar length side by side: padding costs as much as text.
        order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
        try:
            for start in range(0, len(texts), self.batch_size):
                rows = order[start : start + self.batch_size]
                vectors[rows] = self._encode_batch([texts[row] for row in rows])
        except torch.OutOfMemoryError:
            raise UserError(
                f"item_ids.embedding.batch_size is {self.batch_size}, and the GPU has no memory "
                "for so many texts",
                "choose a smaller one",
            ) from None
        return vectors

    def card(self) -> dict[str, Any]:
        """The model, its commit on the hub or its folder's hash, pooling and precision."""
        return self._card

    def _encode_batch(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            batch = self._tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            ).to(self.device)
            hidden = self._model(**batch).last_hidden_state.float()
            if self._card["pooling"] == "last_token":
                pooled = hidden[:, -1]
            else:
                mask = batch["attention_mask"][..., None].to(hidden.dtype)
                pooled = (hidden * mask).sum(1) / mask.sum(1)
            return unit_rows(pooled[:, : self.dimensions].cpu().numpy())


def _folder_sha256(folder: Path) -> str | None:
    """A hash of a model's weights, configuration and tokenizer; None if it is no folder."""
    if not folder.is_dir():
        return None
    parts = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json", ".txt"))
    digests = [f"{part.name} {files.sha256(part)}" for part in parts]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
