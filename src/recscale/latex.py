"""LaTeX fragments: booktabs tables and figures with their caption, ready for \\input.

Numbers are rounded here and nowhere else: a CSV holds them in full.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

DASH = "--"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_PATTERN = re.compile("|".join(re.escape(character) for character in _SPECIAL))


def escape(text: str) -> str:
    """`text` with LaTeX's special characters escaped."""
    return _PATTERN.sub(lambda match: _SPECIAL[match.group()], text)


def fixed(value: float, digits: int) -> str:
    """A number with `digits` decimals; a dash where there is none."""
    return DASH if value is None or math.isnan(value) else f"{value:.{digits}f}"


def count(value: float) -> str:
    """A whole number with separators; a dash where there is none."""
    return DASH if value is None or math.isnan(value) else f"{value:,.0f}"


def interval(low: float, high: float, digits: int) -> str:
    """An interval; an end the data do not bound is a dash."""
    return f"[{fixed(low, digits)}, {fixed(high, digits)}]"


def row(cells: Sequence[str]) -> str:
    """One line of a tabular; the cells are LaTeX already."""
    return " & ".join(cells) + r" \\"


def tabular(columns: str, header: Sequence[str], groups: Sequence[Sequence[str]]) -> str:
    """A booktabs tabular.

    Args:
        columns: the column types, such as `lrr`.
        header: lines between the top and the middle rule.
        groups: lines of the body; a rule is drawn between two groups.
    """
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *header]
    for group in groups:
        lines += [r"\midrule", *group]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def table(tag: str, label: str, caption: str, body: str, wide: bool = False) -> str:
    """A table float around `body`.

    Args:
        tag: which target and rung made it, kept as a comment on the first line.
        label: name for \\ref, without the `tab:` before it.
        caption: LaTeX text; `body`: a tabular, or several.
        wide: over both columns of a page.
    """
    return _float("table", "tab", tag, label, [rf"\caption{{{caption}}}"], [body], wide)


def figure(tag: str, label: str, caption: str, file: str, wide: bool = False) -> str:
    """A figure float that includes the graphics `file`, a path beside the fragment."""
    width = r"\textwidth" if wide else r"\columnwidth"
    body = [rf"\includegraphics[width={width}]{{{file}}}", rf"\caption{{{caption}}}"]
    return _float("figure", "fig", tag, label, [], body, wide)


def _float(
    kind: str, prefix: str, tag: str, label: str, before: list[str], body: list[str], wide: bool
) -> str:
    environment = kind + "*" if wide else kind
    lines = [
        f"% {tag}; needs booktabs and graphicx",
        rf"\begin{{{environment}}}[t]",
        r"\centering",
        *before,
        rf"\label{{{prefix}:{label}}}" if before else "",
        r"\small" if kind == "table" else "",
        *body,
        "" if before else rf"\label{{{prefix}:{label}}}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join(line for line in lines if line) + "\n"
