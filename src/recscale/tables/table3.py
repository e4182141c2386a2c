"""Table 3: held-out tokens of each domain (section 6.1).

The paper prints four columns; its CF is the sum of three held-out sets and its UIH of two, so the
sums stand in rows of their own.
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
from recscale.contracts import HELD_OUT_DOMAINS, TRAINING_DOMAINS
from recscale.errors import UserError, run_command
from recscale.labels import DOMAIN_NAMES, training_domain
from recscale.latex import DASH, count

PUBLISHED = ("domain", "tokens_million")


def build(windows: list[dict[str, Any]], published: pd.DataFrame) -> pd.DataFrame:
    """One row per held-out domain, and one per column of the paper that pools several.

    Returns:
        Columns domain, pooled (whether the row is a sum), windows, documents, tokens,
        published_tokens_million (empty for the parts of a pool).

    Raises:
        UserError: a held-out domain or a row of the paper's table is missing.
    """
    by_domain = {manifest["domain"]: manifest for manifest in windows}
    missing = [domain for domain in HELD_OUT_DOMAINS if domain not in by_domain]
    if missing:
        raise UserError(
            f"--windows lacks the domain(s) {', '.join(missing)}", "pass all seven manifests"
        )
    paper = published.set_index("domain")["tokens_million"]
    rows: list[dict[str, Any]] = []
    for column in TRAINING_DOMAINS:
        if column not in paper.index:
            raise UserError(f"--published lacks the domain {column!r}", "restore the file")
        parts = [domain for domain in HELD_OUT_DOMAINS if training_domain(domain) == column]
        counts = [
            {key: by_domain[domain][key] for key in ("windows", "documents", "tokens")}
            for domain in parts
        ]
        if len(parts) > 1:
            rows += [
                {"domain": domain, "pooled": False, **found}
                for domain, found in zip(parts, counts, strict=True)
            ]
        total = {key: sum(found[key] for found in counts) for key in counts[0]}
        printed = float(paper[column])
        rows.append(
            {
                "domain": column,
                "pooled": len(parts) > 1,
                **total,
                "published_tokens_million": printed,
            }
        )
    return pd.DataFrame(rows)


def to_latex(table: pd.DataFrame, artefact: Artefact) -> str:
    """The LaTeX fragment."""
    header = [latex.row(["Domain", "Windows", "Documents", "Tokens", "Paper (M tokens)"])]
    groups: dict[str, list[str]] = {column: [] for column in TRAINING_DOMAINS}
    for row in each_row(table):
        name = DOMAIN_NAMES[row.domain] + (", together" if row.pooled else "")
        printed = row.published_tokens_million
        groups[training_domain(row.domain)].append(
            latex.row(
                [
                    name,
                    count(row.windows),
                    count(row.documents),
                    count(row.tokens),
                    DASH if pd.isna(printed) else f"{printed:g}",
                ]
            )
        )
    caption = (
        f"Held-out data ({latex.escape(artefact.tag)}). The paper prints one number for the three "
        "CF sets and one for the two UIH sets."
    )
    body = latex.tabular("lrrrr", header, list(groups.values()))
    return latex.table(f"{artefact.target}, {artefact.tag}", artefact.target, caption, body)


def main() -> None:
    """Command line of Table 3."""
    parser = command_line(__doc__)
    parser.add_argument("--windows", type=Path, nargs="+", required=True, help="seven manifests")
    parser.add_argument("--published", type=Path, required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("table3", arguments)
    windows = [
        read_keys(path, ("domain", "windows", "documents", "tokens")) for path in arguments.windows
    ]
    table = build(windows, read_columns(arguments.published, PUBLISHED))
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, artefact))


if __name__ == "__main__":
    run_command(main)
