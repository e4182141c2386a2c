"""Table 5: the mixtures, the repeats of UIH they cause, and the losses they end with (section 7.1).

The paper prints shares only. Beside them stand what the runs drew: a mixture with fewer domains
repeats the ones it keeps more often, so its UIH loss is not that of the mixture alone. Losses stand
over all tokens and over id tokens: a domain that a mixture leaves out has templates it never saw.
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
from recscale.labels import DOMAIN_NAMES, KIND_NAMES, parse_run, size_label
from recscale.latex import count, fixed
from recscale.tables.run_curves import last_losses, one_size, read_curves

PUBLISHED = ("mixture", "item_text_percent", "cf_percent", "uih_percent")
# What the paper's Table 5 calls the mixtures.
PUBLISHED_NAMES = {
    "full": "item_text+cf+uih",
    "cf_uih": "cf+uih",
    "item_uih": "item_text+uih",
    "uih": "uih",
}


def read_ledgers(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Manifests by run, each with the ledger of the four training domains.

    Raises:
        UserError: a file is missing, two are of one run, or a ledger lacks a domain or a count.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        manifest = read_keys(path, ("run", "tokens", "ledger"))
        if manifest["run"] in found:
            raise UserError(f"{path} is of run {manifest['run']}, which came before", "drop one")
        for domain in TRAINING_DOMAINS:
            for key in ("unique_tokens", "seen_tokens", "repeats"):
                if key not in manifest["ledger"].get(domain, {}):
                    raise UserError(f"{path} lacks ledger.{domain}.{key}", "run the training again")
        found[manifest["run"]] = manifest
    return found


def drawn(manifest: dict[str, Any]) -> dict[str, float]:
    """Shares of a run's tokens in percent, and its UIH tokens: unique, seen, repeats."""
    ledger = manifest["ledger"]
    shares = {
        f"{domain}_percent": 100 * ledger[domain]["seen_tokens"] / manifest["tokens"]
        for domain in TRAINING_DOMAINS
    }
    uih = {f"uih_{key}": ledger["uih"][key] for key in ("unique_tokens", "seen_tokens", "repeats")}
    return {**shares, **uih}


def require_ledger(runs: list[str], ledgers: dict[str, dict[str, Any]]) -> None:
    """Refuse a run without its manifest."""
    missing = [run for run in runs if run not in ledgers]
    if missing:
        raise UserError(
            f"--manifests lack that of run {missing[0]}", "pass the manifest of each run"
        )


def build(
    curves: pd.DataFrame, ledgers: dict[str, dict[str, Any]], published: pd.DataFrame
) -> pd.DataFrame:
    """One row per mixture and held-out domain, in the paper's order.

    Args:
        curves: rows of the curves contract, one run per mixture.
        ledgers: what `read_ledgers` returns.
        published: the paper's Table 5.

    Returns:
        Columns run, mixture, size, seed; general_percent, item_text_percent, cf_percent,
        uih_percent, uih_unique_tokens, uih_seen_tokens, uih_repeats (what the run drew);
        published_ and the three shares that the paper prints; domain, loss (all tokens) and loss_id
        (id tokens; both nats per token) and loss_per_item (nats) at the last evaluation.

    Raises:
        UserError: a mixture, a manifest or a row of the paper's table is missing.
    """
    last = last_losses(curves)
    runs = {parse_run(run).kind: run for run in dict.fromkeys(curves["run"])}
    missing = [kind for kind in PUBLISHED_NAMES if kind not in runs]
    if missing:
        raise UserError(
            f"--curves lack the mixture {KIND_NAMES[missing[0]]!r}", "pass the four mixtures"
        )
    require_ledger([runs[kind] for kind in PUBLISHED_NAMES], ledgers)
    paper = {row.mixture: row for row in each_row(published)}
    rows: list[dict[str, Any]] = []
    for kind, name in PUBLISHED_NAMES.items():
        if name not in paper:
            raise UserError(f"--published lacks the mixture {name!r}", "restore the file")
        run = runs[kind]
        of_mixture = {
            "run": run,
            "mixture": KIND_NAMES[kind],
            **drawn(ledgers[run]),
            **{f"published_{c}": float(getattr(paper[name], c)) for c in PUBLISHED[1:]},
        }
        for row in each_row(last[last["run"] == run]):
            rows.append(
                {
                    **of_mixture,
                    **{c: getattr(row, c) for c in ("size", "seed", "domain")},
                    **{c: getattr(row, c) for c in ("loss", "loss_id", "loss_per_item")},
                }
            )
    return pd.DataFrame(rows)


def to_latex(table: pd.DataFrame, size: str, artefact: Artefact) -> str:
    """The LaTeX fragment: the mixtures, and their last losses."""
    tag, label = f"{artefact.target}, {artefact.tag}", artefact.target
    mixtures = table.drop_duplicates("run")
    header = [
        r" & \multicolumn{2}{c}{Item-Text (\%)} & \multicolumn{2}{c}{CF (\%)} "
        r"& \multicolumn{2}{c}{UIH (\%)} & \multicolumn{2}{c}{UIH tokens} & \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-5} \cmidrule(lr){6-7} \cmidrule(lr){8-9}",
        latex.row(["Mixture", *("ours", "paper") * 3, "unique", "seen", "Repeats"]),
    ]
    lines = []
    for row in each_row(mixtures):
        shares = [
            text
            for column in PUBLISHED[1:]
            for text in (
                fixed(getattr(row, column), 1),
                f"{getattr(row, f'published_{column}'):g}",
            )
        ]
        tokens = [count(row.uih_unique_tokens), count(row.uih_seen_tokens)]
        lines.append(latex.row([row.mixture, *shares, *tokens, fixed(row.uih_repeats, 1)]))
    first = (
        f"Mixtures ({latex.escape(size_label(size, artefact.rung))}; {latex.escape(artefact.tag)})"
        ". The paper prints the shares alone."
    )
    second = (
        "Last held-out loss of each mixture, nats per token: over all tokens, and over id tokens."
    )
    names = [row.mixture for row in each_row(mixtures)]
    losses = []
    for domain, of_domain in table.groupby("domain", sort=False):
        cells = [f"{fixed(row.loss, 3)}, {fixed(row.loss_id, 3)}" for row in each_row(of_domain)]
        losses.append(latex.row([DOMAIN_NAMES[str(domain)], *cells]))
    return latex.table(
        *(tag, label, first),
        latex.tabular("lrrrrrrrrr", header, [lines]),
        wide=True,
    ) + latex.table(
        *(tag, f"{label}-losses", second),
        latex.tabular("l" + "r" * len(names), [latex.row(["Domain", *names])], [losses]),
        wide=True,
    )


def main() -> None:
    """Command line of Table 5."""
    parser = command_line(__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="one per mixture")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="of these runs")
    parser.add_argument("--published", type=Path, required=True)
    arguments = parser.parse_args()
    artefact = from_arguments("table5", arguments)
    curves = read_curves(arguments.curves)
    size = one_size(curves)
    published = read_columns(arguments.published, PUBLISHED)
    table = build(curves, read_ledgers(arguments.manifests), published)
    artefact.write_csv(table)
    artefact.write_tex(to_latex(table, size, artefact))


if __name__ == "__main__":
    run_command(main)
