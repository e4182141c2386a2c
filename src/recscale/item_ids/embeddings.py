"""Item text to vectors: TF-IDF with truncated SVD, or a Hugging Face encoder.

The paper embeds item text with a proprietary model (Appendix B.1) and, for RQ-kmeans, with a Qwen
model (Table 9). TF-IDF with SVD needs no download; it is fitted on training items only, so that
the text of a held-out item changes nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from recscale import files, seeds
from recscale.errors import UserError, first_line, run_command
from recscale.item_ids.text import item_texts
from recscale.logs import logger, progress
from recscale.settings import parse

log = logger("item_ids.embeddings")


@dataclass(frozen=True)
class Settings:
    """The `item_ids.embedding` block of the config, and the seed."""

    seed: int
    method: str
    dimensions: int | None
    model: str | None
    pooling: str | None
    batch_size: int | None


def tfidf_svd(texts: list[str], train: NDArray[np.bool_], dimensions: int, seed: int) -> NDArray:
    """Unit vectors of shape (items, dimensions): words and word pairs weighted, then truncated SVD.

    Args:
        texts: one text per item.
        train: which items the vocabulary, weights and components may be fitted on.

    Raises:
        UserError: there are no more words in the training texts than dimensions.
    """
    # Sizes ("11 oz", "6-9.5 oz") tell many items apart, so numbers and one-letter words count.
    vectorizer = TfidfVectorizer(token_pattern=r"[^\s,>]+", ngram_range=(1, 2), min_df=2)
    fitted = [t for t, use in zip(texts, train, strict=True) if use]
    weights = vectorizer.fit_transform(fitted)
    if min(weights.shape) <= dimensions:
        raise UserError(
            f"item_ids.embedding.dimensions is {dimensions}, but the training texts give only "
            f"{min(weights.shape)} items or words",
            "choose fewer dimensions",
        )
    svd = TruncatedSVD(dimensions, random_state=np.random.RandomState(seed % 2**32))
    svd.fit(weights)
    return normalize(svd.transform(vectorizer.transform(texts))).astype(np.float32)


def hugging_face(texts: list[str], settings: Settings) -> NDArray:
    """Unit vectors of a transformers encoder, pooled over the last token or by the mean.

    Raises:
        UserError: the model is not configured, not on disk while offline, or not to be had.
    """
    if not settings.model or settings.pooling not in ("last_token", "mean"):
        raise UserError(
            "item_ids.embedding names no model, or a pooling other than last_token and mean",
            "set item_ids.embedding.model and .pooling for the method hugging_face",
        )
    import torch  # only this method needs torch and transformers
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.model, padding_side="left")
        model = AutoModel.from_pretrained(settings.model).eval()
    except (OSError, ValueError) as error:
        raise UserError(
            f"the embedding model {settings.model} cannot be loaded ({first_line(error)})",
            "download it first, or name the folder it is in",
        ) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    size = settings.batch_size or 32
    pooled = []
    with torch.inference_mode():
        for start in progress(range(0, len(texts), size), desc="embedding"):
            batch = tokenizer(
                texts[start : start + size], padding=True, truncation=True, return_tensors="pt"
            ).to(device)
            hidden = model(**batch).last_hidden_state
            if settings.pooling == "last_token":
                vector = hidden[:, -1]
            else:
                mask = batch["attention_mask"][..., None].to(hidden.dtype)
                vector = (hidden * mask).sum(1) / mask.sum(1)
            pooled.append(vector[:, : settings.dimensions].float().cpu().numpy())
    return normalize(np.concatenate(pooled)).astype(np.float32)


def embed(items: pd.DataFrame, settings: Settings) -> NDArray:
    """The vectors of all items, in the items table's row order; float16, unit length.

    Raises:
        UserError: an unknown method, an item without text, or a vector that is not finite.
    """
    texts = item_texts(items)
    empty = [int(i) for i, t in zip(items["item_id"], texts, strict=True) if not t.strip()]
    if empty:
        raise UserError(f"{len(empty)} items have no text, first item_id {empty[0]}", "drop them")
    train = (items["split"] == "train").to_numpy()
    if settings.method == "tfidf_svd":
        if settings.dimensions is None:
            raise UserError("item_ids.embedding.dimensions is null", "tfidf_svd needs a number")
        seed = seeds.derive(settings.seed, "tfidf_svd")
        vectors = tfidf_svd(texts, train, settings.dimensions, seed)
    elif settings.method == "hugging_face":
        vectors = hugging_face(texts, settings)
    else:
        raise UserError(
            f"item_ids.embedding.method is {settings.method!r}", "use tfidf_svd or hugging_face"
        )
    if not np.isfinite(vectors).all():
        raise UserError("an item's vector is not finite", "check the embedding model")
    # Texts of unseen words only have no direction in the SVD; zeros would all get one code unseen.
    silent = int((np.abs(vectors).sum(1) == 0).sum())
    if silent:
        log.warning("%d items share no word with the training texts: their vectors are 0", silent)
    return vectors.astype(np.float16)


def main() -> None:
    """Command line: items to embeddings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    vectors = embed(files.read_table(arguments.items, "items"), settings)
    log.info("%d items, %d dimensions, %s", *vectors.shape, settings.method)
    files.write_array(vectors, arguments.embeddings)


if __name__ == "__main__":
    run_command(main)
