"""Figures 9, 10 and 11: a prompt and its answers, as codes on the left, as text on the right (8).

Text is broken by its measured width and the figure is as high as its lines need, so that nothing is
cut off. Answers that are no item are marked by a sign and by slanted type, not by colour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from recscale import latex
from recscale.artefact import Artefact, command_line, each_row, from_arguments, read_tables
from recscale.curriculum import templates
from recscale.errors import UserError
from recscale.figures import style

POINTS = 72
MARGIN = 4.0  # all lengths are in points
COLUMN = style.DOUBLE_COLUMN * POINTS / 2
TEXT = COLUMN - 2 * MARGIN
LEADING = 1.28  # distance of lines, in sizes of the type
NO_ITEM = "✗ no item has these codes"
HEADINGS = ("Semantic id format", "Decoded natural language")
SEARCH_NAMES = {"constrained": "among real items", "unconstrained": "among all tokens"}

_CODES = FontProperties(family="DejaVu Sans Mono", size=5.2)
_WORDS = FontProperties(family="DejaVu Sans", size=5.8)
_SLANTED = FontProperties(family="DejaVu Sans", size=5.8, style="oblique")
_BOLD = FontProperties(family="DejaVu Sans", size=6.2, weight="bold")
_MEASURE = TextToPath()


def width_of(text: str, font: FontProperties) -> float:
    """Width of a line of text in points."""
    return float(_MEASURE.get_text_width_height_descent(text, font, ismath=False)[0])


def width_so_far(word: str, font: FontProperties) -> Callable[[int], float]:
    """The width of the first letters of a word by their number."""
    return lambda letters: width_of(word[:letters], font)


def wrapped(text: str, font: FontProperties, width: float) -> list[str]:
    """Text in lines of at most `width` points; a word that is wider is broken between letters."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if width_of(longer, font) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while width_of(word, font) > width:
            fits = bisect_right(range(len(word)), width, lo=2, key=width_so_far(word, font)) - 1
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return [*lines, line] if line or not lines else lines


@dataclass(frozen=True)
class Block:
    """Text that stands side by side: codes, and what they mean."""

    codes: str
    text: str
    codes_font: FontProperties
    text_font: FontProperties
    shaded: bool = False


def heading(left: str, right: str) -> Block:
    """A block in bold type on a shade."""
    return Block(left, right, _BOLD, _BOLD, shaded=True)


def sharing(row: Any, which: str) -> str:
    """What to add to a text whose codes several items have; `which` of them it is."""
    return f" [{which} of {row.items} items with these codes]" if row.items > 1 else ""


def answer(row: Any, count: int) -> Block:
    """The block of an answer: its number, its log probability, how many items share its codes."""
    number = f"{row.position + 1}. " if count > 1 else ""
    codes = f"{row.codes} (ln p = {row.log_probability:.2f})".replace("-", "−")
    if pd.isna(row.text):
        return Block(number + codes, number + NO_ITEM, _CODES, _SLANTED)
    return Block(number + codes, f"{number}{row.text}{sharing(row, 'first')}", _CODES, _WORDS)


def blocks(case: pd.DataFrame) -> list[Block]:
    """A case from top to bottom; `case` has rows of the contract `case_studies`."""
    of_role = {str(role): rows.sort_values("position") for role, rows in case.groupby("role")}
    prompt = of_role["prompt"]
    shown, history = len(prompt), int(prompt["history_items"].iloc[0])
    last = f", last {shown} of {history} items" if shown < history else ""
    opening = templates.HISTORY[0].strip()
    found = [
        heading(*HEADINGS),
        heading(f"Prompt{last}", f"Prompt{last}"),
        Block(opening, opening, _CODES, _WORDS),
    ]
    for row in each_row(prompt):
        comma = "," if row.position < shown - 1 else ""
        text = f"{row.position + 1}. {row.text}{sharing(row, 'one')}"
        found.append(Block(row.codes + comma, text, _CODES, _WORDS))
    for search, name in SEARCH_NAMES.items():
        rows = of_role[search]
        title = "Response" if len(rows) == 1 else f"Responses 1 to {len(rows)}"
        found.append(heading(f"{title}, {name}", f"{title}, {name}"))
        found += [answer(row, len(rows)) for row in each_row(rows)]
    if "truth" in of_role:
        found.append(heading("Ground truth", "Ground truth"))
        for row in each_row(of_role["truth"]):
            found.append(Block(row.codes, f"{row.text}{sharing(row, 'one')}", _CODES, _WORDS))
    return found


def draw(case: pd.DataFrame, artefact: Artefact) -> None:
    """Draw a case to PDF and SVG."""
    style.theme()
    laid = []
    for block in blocks(case):
        left = wrapped(block.codes, block.codes_font, TEXT)
        right = wrapped(block.text, block.text_font, TEXT)
        size = max(block.codes_font.get_size(), block.text_font.get_size())
        laid.append((block, left, right, LEADING * size * max(len(left), len(right)) + 2.4))
    total = sum(height for *_, height in laid) + 2 * MARGIN
    figure = plt.figure(figsize=(style.DOUBLE_COLUMN, total / POINTS))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 2 * COLUMN), ylim=(total, 0))
    axes.axis("off")
    top = MARGIN
    for block, left, right, height in laid:
        if block.shaded:
            axes.axhspan(top, top + height, color="0.9", linewidth=0, zorder=0)
        _lines(axes, left, MARGIN, top, block.codes_font)
        _lines(axes, right, COLUMN + MARGIN, top, block.text_font)
        top += height
    axes.plot([COLUMN, COLUMN], [MARGIN, total - MARGIN], color="0.6", linewidth=0.5)
    style.save(figure, artefact)


def _lines(axes: Axes, lines: list[str], left: float, top: float, font: FontProperties) -> None:
    step = LEADING * font.get_size()
    for number, line in enumerate(lines):
        # Titles of items hold dollar signs, which are no formulas here.
        axes.text(
            left,
            top + 1.2 + step * number,
            line,
            fontproperties=font,
            va="top",
            parse_math=False,
        )


def read_case(path: Path, figure: str) -> pd.DataFrame:
    """The rows of one figure in a file of contract `case_studies`.

    Raises:
        UserError: the file is missing, or has no or an incomplete case of this figure, or several.
    """
    table = read_tables([path], "case_studies")
    case = table[table["figure"] == figure].reset_index(drop=True)
    lacking = {"prompt", *SEARCH_NAMES} - set(case["role"])
    if lacking:
        raise UserError(
            f"{path} has no {min(lacking)} lines of {figure}", "build it again from its target"
        )
    if case["run"].nunique() > 1:
        raise UserError(f"{path} has {figure} of several runs", "pass the cases of one run")
    return case


def to_latex(case: pd.DataFrame, artefact: Artefact, lead: str) -> str:
    """The figure; `lead` (LaTeX) says what the case is."""
    first = case.iloc[0]
    chosen = (
        f"The seed drew the walk among {latex.count(first['chosen_from'])}; it was not picked."
        if first["chosen_from"]
        else "The seed drew the items; they were not picked."
    )
    caption = (
        f"{lead} Run {latex.escape(str(first['run']))} ({latex.escape(artefact.tag)}). Left: what "
        "the model reads and writes; right: the items' texts. Answers among real items follow a "
        "prefix trie; among all tokens, as in the paper, an answer need not be an item. $p$: the "
        f"model's probability of an answer. {chosen}"
    )
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.figure(tag, artefact.target, caption, artefact.path("pdf").name, wide=True)


def command(target: str, description: str | None, lead: str) -> Callable[[], None]:
    """The command line of one of the figures."""

    def main() -> None:
        parser = command_line(description)
        parser.add_argument("--cases", type=Path, required=True, help="case studies of a run")
        arguments = parser.parse_args()
        artefact = from_arguments(target, arguments)
        case = read_case(arguments.cases, target)
        draw(case, artefact)
        artefact.write_csv(case)
        artefact.write_tex(to_latex(case, artefact, lead))

    return main
