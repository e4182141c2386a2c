"""The sentences of the curriculum (sections 4.2.1, 4.2.2, 4.3.1).

Wording 0 of each template is the paper's, to the letter. The paper says that templates are diverse
and prints one of each; the other wordings are ours, an option, and have the same slots in the same
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

REC_OPEN = "<RECTOKEN>"
REC_CLOSE = "</RECTOKEN>"

# Layer 1, item-text alignment: text before the item, before its description, and after it.
ITEM_TEXT = (
    ("This item ", " is described as ", "."),
    ("The description of item ", " reads: ", "."),
    ("Item ", " is listed as ", "."),
    ("What is item ", "? It is ", "."),
    ("A seller offers item ", " with these words: ", "."),
)
# Layer 1, collaborative filtering: text before item A, the probability in percent, item B, the
# confidence, the lift, and after it.
COLLABORATIVE = (
    (
        "When a user interacts with item ",
        ", there is a ",
        "% probability they will also interact with item ",
        " (confidence: ",
        ", lift: ",
        ")",
    ),
    (
        "A user who chooses item ",
        " has a ",
        "% chance of choosing item ",
        " as well (confidence: ",
        ", lift: ",
        ")",
    ),
    (
        "Interest in item ",
        " goes with a ",
        "% probability of interest in item ",
        " (confidence: ",
        ", lift: ",
        ")",
    ),
    (
        "Of the visits that touch item ",
        ", ",
        "% also touch item ",
        " (confidence: ",
        ", lift: ",
        ")",
    ),
    (
        "Item ",
        " is met together, in ",
        "% of the cases, with item ",
        " (confidence: ",
        ", lift: ",
        ")",
    ),
)
# Layer 2, user interaction history: text before the items, which commas divide.
HISTORY = (
    "A user interacted with the following sequence of items: ",
    "The history of one user, oldest item first: ",
    "One user chose these items in this order: ",
    "Items that a user met one after the other: ",
    "Read as a sequence, a user's interactions were with ",
)
BETWEEN_ITEMS = ", "
WORDINGS = 5  # of each template


def rec_token(code: int) -> str:
    """The token of one code: REC and its number."""
    return f"REC{code}"


def item(codes: Iterable[int]) -> str:
    """An item as the model reads it: its codes between the two delimiters."""
    return " ".join([REC_OPEN, *map(rec_token, codes), REC_CLOSE])


def numbers(confidence: float, lift: float) -> tuple[str, str, str]:
    """A rule's numbers as they are printed: percent, confidence (0 to 1) and lift."""
    return f"{100 * confidence:.1f}", f"{confidence:.3f}", f"{lift:.2f}"


def item_text(codes: Iterable[int], text: str, wording: int = 0) -> str:
    """Layer 1, item-text alignment: what an item is."""
    before, between, after = ITEM_TEXT[wording]
    return f"{before}{item(codes)}{between}{text}{after}"


def collaborative(
    a: Iterable[int], b: Iterable[int], confidence: float, lift: float, wording: int = 0
) -> str:
    """Layer 1, collaborative filtering: a rule A -> B with its confidence and lift."""
    text = COLLABORATIVE[wording]
    percent, share, times = numbers(confidence, lift)
    return (
        f"{text[0]}{item(a)}{text[1]}{percent}{text[2]}{item(b)}"
        f"{text[3]}{share}{text[4]}{times}{text[5]}"
    )


def history(items: Sequence[Iterable[int]], wording: int = 0) -> str:
    """Layer 2, user interaction history: the items of a walk, in order."""
    return HISTORY[wording] + BETWEEN_ITEMS.join(map(item, items))
