"""Table 6 as a LaTeX fragment: the runs with their UIH losses, and the fitted laws."""

from __future__ import annotations

import pandas as pd

from recscale import latex
from recscale.artefact import Artefact, each_row
from recscale.labels import DOMAIN_NAMES, FIT_STATUS, size_label
from recscale.latex import count, fixed, interval

NOT_FITTED = "not_fitted"


def _runs(table: pd.DataFrame) -> str:
    header = [
        r" & & & \multicolumn{3}{c}{UIH tokens} & \multicolumn{2}{c}{Repeats} "
        r"& \multicolumn{2}{c}{UIH loss} & \multicolumn{2}{c}{Lowest at} & \\",
        r"\cmidrule(lr){4-6} \cmidrule(lr){7-8} \cmidrule(lr){9-10} \cmidrule(lr){11-12}",
        latex.row(
            [
                *(r"UIH (\%)", r"Item (\%)", r"CF (\%)"),
                *("unique", "seen", "paper (B)", "ours", "paper", "lowest", "last"),
                *("tokens", "repeats", "Rises"),
            ]
        ),
    ]
    lines = [
        latex.row(
            [
                f"{row.uih_percent:.1f}" + (", full set" if row.uih_set == "full" else ""),
                fixed(row.item_text_percent, 1),
                fixed(row.cf_percent, 1),
                count(row.uih_unique_tokens),
                count(row.uih_seen_tokens),
                f"{row.published_uih_tokens_billion:g}",
                fixed(row.uih_repeats, 1),
                f"{row.published_uih_repeats:g}",
                fixed(row.minimum, 3),
                fixed(row.final, 3),
                count(row.onset_tokens),
                f"{fixed(row.onset_repeats, 1)} "
                f"{interval(row.onset_repeats_low, row.onset_repeats_high, 1)}",
                "yes" if row.rises else "no",
            ]
        )
        for row in each_row(table[table["domain"] == "uih"])
    ]
    return latex.tabular("lrrrrrrrrrrrl", header, [lines])


def _laws(table: pd.DataFrame) -> str:
    l_inf, alpha = r"$L_\infty \downarrow$", r"$\alpha \uparrow$"
    header = [
        r"UIH (\%)",
        *("Domain", l_inf, r"95\,\%", f"paper {l_inf}", alpha, r"95\,\%", f"paper {alpha}", "Fit"),
    ]
    groups = []
    for _, rows in table.groupby("run", sort=False):
        group: list[str] = []
        for row in each_row(rows):
            percent = f"{row.uih_percent:.1f}" + (", full set" if row.uih_set == "full" else "")
            group.append(
                latex.row(
                    [
                        percent if not group else "",
                        DOMAIN_NAMES[row.domain],
                        fixed(row.l_inf, 2),
                        interval(row.l_inf_low, row.l_inf_high, 2),
                        f"{row.published_l_inf:.2f}",
                        fixed(row.alpha, 3),
                        interval(row.alpha_low, row.alpha_high, 3),
                        f"{row.published_alpha:.3f}" + mark(row.rises, row.published_rises),
                        says(row.status),
                    ]
                )
            )
        groups.append(group)
    return latex.tabular("llrlrrlrl", [latex.row(header)], groups)


def mark(rises: bool, published_rises: bool) -> str:
    """What stands behind the paper's exponent of a curve that rises again, here or in the paper."""
    marks = [symbol for symbol, is_so in ((r"\dagger", rises), ("*", published_rises)) if is_so]
    return f"$^{{{','.join(marks)}}}$" if marks else ""


def says(status: str) -> str:
    """The status of a row's fit in words."""
    known = {**FIT_STATUS, "not_monotone": "rises again", NOT_FITTED: "not fitted"}
    return known.get(status, latex.escape(status))


def to_latex(table: pd.DataFrame, size: str, artefact: Artefact) -> str:
    """The LaTeX fragment: the runs with their UIH losses, and the fitted laws."""
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    where = f"{latex.escape(size_label(size, artefact.rung))}; {latex.escape(artefact.tag)}"
    first = (
        f"UIH ratios on the reduced UIH set, below the full one ({where}). Held-out UIH loss in "
        "nats per token; in brackets the 95\\,\\% interval of the repeats from which the loss "
        "rises, a dash where no evaluation bounds it (after the last: no rise was seen). Rises: "
        "the loss rises by more than noise explains."
    )
    second = (
        "Fitted laws $L(D) = L_\\infty + A D^{-\\alpha}$ of the same runs beside the paper's. A "
        "curve that rises again follows no such law; the paper prints one for it all the same "
        "($\\dagger$: our run rises again; *: the paper says so of its own)."
    )
    return latex.table(tag, label, first, _runs(table), wide=True) + latex.table(
        tag, f"{label}-laws", second, _laws(table), wide=True
    )
