"""Table 2: unique training tokens, share of the mixture and repeats of each domain (section 6.1).

Unique tokens are counted in the packed windows; share and repeats are what the run drew, from its
manifest. The paper's own numbers stand beside ours, with the repeats that its ratios and tokens
imply: its printed Item-Text and CF repeats look swapped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recscale import latex
from recscale.artefact import (
    Artefact,
    command_line,
    each_row,
    from_arguments,
    read_columns,
    read_keys,
)
from recscale.contracts import TRAINING_DOMAINS
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, short_number
from recscale.latex import count, fixed

PAPER_TOKENS_BILLION = 163.84  # 625,000 steps x 512 windows x 512 tokens (section 6.1)
PUBLISHED = ("domain", "tokens_billion", "ratio_percent", "repeats")
LEDGER = ("unique_tokens", "seen_tokens", "repeats")


def build(
    windows: list[dict[str, Any]], run: dict[str, Any], published: pd.DataFrame
) -> pd.DataFrame:
    """One row per training domain.

    Args:
        windows: manifests of the packed training windows, one per domain.
        run: manifest of the pre-training run, with its ledger of tokens under `ledger`.
        published: the paper's Table 2.

    Returns:
        Columns domain, unique_tokens, documents, windows, ratio_percent, seen_tokens, repeats, run,
        and the paper's as published_tokens_billion, published_ratio_percent, published_repeats,
        published_repeats_implied.

    Raises:
        UserError: a domain lacks its windows, its row in the ledger or in the paper's table, or
            the ledger and the windows disagree on the unique tokens.
    """
    by_domain = {manifest["domain"]: manifest for manifest in windows}
    paper = {row.domain: row for row in each_row(published)}
    rows = []
    for domain in TRAINING_DOMAINS:
        for known, what in ((by_domain, "--windows"), (run["ledger"], "--run-manifest")):
            if domain not in known:
                raise UserError(f"{what} lacks the domain {domain!r}", "pass all four domains")
        if domain not in paper:
            raise UserError(f"--published lacks the domain {domain!r}", "restore the file")
        packed, drawn = by_domain[domain], run["ledger"][domain]
        for key in LEDGER:
            if key not in drawn:
                raise UserError(
                    f"--run-manifest lacks ledger.{domain}.{key}", "run the training again"
                )
        if packed["tokens"] != drawn["unique_tokens"]:
            raise UserError(
                f"the windows of {domain} hold {packed['tokens']} tokens, but run {run['run']} "
                f"counted {drawn['unique_tokens']}",
                "pass the windows that the run was trained on",
            )
        printed = paper[domain]
        ratio, tokens = float(printed.ratio_percent), float(printed.tokens_billion)
        rows.append(
            {
                "domain": domain,
                "unique_tokens": packed["tokens"],
                "documents": packed["documents"],
                "windows": packed["windows"],
                "ratio_percent": 100 * drawn["seen_tokens"] / run["tokens"],
                "seen_tokens": drawn["seen_tokens"],
                "repeats": drawn["repeats"],
                "run": run["run"],
                "published_tokens_billion": tokens,
                "published_ratio_percent": ratio,
                "published_repeats": str(printed.repeats),
                "published_repeats_implied": ratio / 100 * PAPER_TOKENS_BILLION / tokens,
            }
        )
    return pd.DataFrame(rows)


def to_latex(table: pd.DataFrame, run: dict[str, Any], artefact: Artefact) -> str:
    """The LaTeX fragment."""
    header = [
        r" & \multicolumn{3}{c}{Ours} & \multicolumn{4}{c}{Paper} \\",
        r"\cmidrule(lr){2-4} \cmidrule(lr){5-8}",
        latex.row(
            [
                *("Domain", "Unique tokens", r"Ratio (\%)", "Repeats"),
                *("Tokens (B)", r"Ratio (\%)", "Repeats", "implied"),
            ]
        ),
    ]
    body = [
        latex.row(
            [
                DOMAIN_NAMES[row.domain],
                count(row.unique_tokens),
                fixed(row.ratio_percent, 1),
                fixed(row.repeats, 2),
                f"{row.published_tokens_billion:g}",
                f"{row.published_ratio_percent:g}",
                latex.escape(row.published_repeats),
                fixed(row.published_repeats_implied, 2),
            ]
        )
        for row in each_row(table)
    ]
    caption = (
        f"Training data of the full mixture ({latex.escape(artefact.tag)}): run "
        f"{latex.escape(str(run['run']))} saw {short_number(run['tokens'])} tokens in "
        f"{run['steps']:,} steps. Implied: the repeats that the paper's own ratio and tokens give "
        f"at {PAPER_TOKENS_BILLION}B training tokens."
    )
    tabular = latex.tabular("lrrrrrrr", header, [body])
    tag = f"{artefact.target}, {artefact.tag}"
    return latex.table(tag, artefact.target, caption, tabular, wide=True)


def main() -> None:
    """Command line of Table 2."""
    parser = command_line(__doc__)
    parser.add_argument("--windows", type=Path, nargs=4, required=True, help="window manifests")
    parser.add_argument("--run-manifest", type=Path, required=True, help="of the full mixture")
    parser.add_argument("--published", type=Path, required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("table2", arguments)
    windows = [
        read_keys(path, ("domain", "tokens", "documents", "windows")) for path in arguments.windows
    ]
    run = read_keys(arguments.run_manifest, ("run", "steps", "tokens", "ledger"))
    table = build(windows, run, read_columns(arguments.published, PUBLISHED))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, run, artefact))


if __name__ == "__main__":
    run_command(main)
