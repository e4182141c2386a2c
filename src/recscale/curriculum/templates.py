"""The sentences of the curriculum, in the words the paper prints (sections 4.2.1, 4.2.2, 4.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

REC_OPEN = "<RECTOKEN>"
REC_CLOSE = "</RECTOKEN>"


def rec_token(code: int) -> str:
    """The token of one code: REC and its number."""
    return f"REC{code}"


def item(codes: Iterable[int]) -> str:
    """An item as the model reads it: its codes between the two delimiters."""
    return " ".join([REC_OPEN, *map(rec_token, codes), REC_CLOSE])


def item_text(codes: Iterable[int], text: str) -> str:
    """Layer 1, item-text alignment: what an item is."""
    return f"This item {item(codes)} is described as {text}."


def collaborative(a: Iterable[int], b: Iterable[int], confidence: float, lift: float) -> str:
    """Layer 1, collaborative filtering: a rule A -> B with its confidence (0 to 1) and lift."""
    return (
        f"When a user interacts with item {item(a)}, there is a {100 * confidence:.1f}% "
        f"probability they will also interact with item {item(b)} "
        f"(confidence: {confidence:.3f}, lift: {lift:.2f})"
    )


def history(items: Sequence[Iterable[int]]) -> str:
    """Layer 2, user interaction history: the items of a walk, in order."""
    return "A user interacted with the following sequence of items: " + ", ".join(map(item, items))
