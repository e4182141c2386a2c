"""Collect the end points of runs, for the joint law and the forecast (section 7.3).

Command: `python -m recscale.scaling.collect --curves ... --manifests ... --tokenizer manifest.json
--mixture full --out points.csv --settings JSON`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from recscale import files, settings
from recscale.artefact import read_keys
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.scaling import compute
from recscale.scaling.fit import POOLS, domain_curves
from recscale.tables.run_curves import read_curves

KEYS = ("run", "size", "seed", "tokens", "parameters", "non_embedding_parameters")

log = logger("scaling.collect")


def read_ends(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Manifests by run, with the keys `KEYS`.

    Raises:
        UserError: a file is broken, or two are of one run.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        manifest = read_keys(path, KEYS)
        if manifest["run"] in found:
            raise UserError(f"{path} is of run {manifest['run']}, which came before", "drop one")
        found[manifest["run"]] = manifest
    return found


def collect(
    curves: pd.DataFrame,
    manifests: dict[str, dict[str, Any]],
    costs: compute.Settings,
    vocabulary: int,
    pool: str,
    mixture: str,
) -> pd.DataFrame:
    """One row per run and domain (with the pooled cf and uih): the run's last evaluation.

    Returns:
        Columns run, size, seed, mixture, domain, parameters, non_embedding_parameters,
        flops_per_token, tokens, loss (nats per token).

    Raises:
        UserError: a run has no manifest, or its curve ends before its tokens do.
    """
    rows = domain_curves(curves, pool)
    parts = []
    for name, of_run in rows.groupby("run", sort=False):
        run = str(name)
        if run not in manifests:
            raise UserError(f"--manifests lack run {run}", "pass the manifest of each curve")
        manifest = manifests[run]
        ends = of_run[of_run["tokens"] == of_run["tokens"].max()]
        if ends["tokens"].iloc[0] != manifest["tokens"]:
            raise UserError(
                f"the curve of run {run} ends at {ends['tokens'].iloc[0]} of "
                f"{manifest['tokens']} tokens",
                "rerun it: a point inside a run is no end point",
            )
        known = {key: manifest[key] for key in ("parameters", "non_embedding_parameters")}
        flops = compute.flops_of_run(manifest, costs, vocabulary)
        parts.append(ends.assign(mixture=mixture, flops_per_token=flops, **known))
    columns = ["run", "size", "seed", "mixture", "domain", "parameters"]
    columns += ["non_embedding_parameters", "flops_per_token", "tokens", "loss"]
    order = {domain: place for place, domain in enumerate((*HELD_OUT_DOMAINS, *POOLS))}
    table = pd.concat(parts, ignore_index=True)[columns]
    return table.sort_values(
        ["domain", "parameters", "tokens"],
        key=lambda column: column.map(order) if column.name == "domain" else column,
        kind="stable",
        ignore_index=True,
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="its manifest.json")
    parser.add_argument("--mixture", required=True, help="of all these runs")
    parser.add_argument("--pool", default="token_weighted", help="or equal, as in the fits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", required=True, help="JSON: sizes, length")
    arguments = parser.parse_args()
    costs = settings.parse(compute.Settings, arguments.settings)
    table = collect(
        read_curves(arguments.curves),
        read_ends(arguments.manifests),
        costs,
        compute.read_vocabulary(arguments.tokenizer),
        arguments.pool,
        arguments.mixture,
    )
    files.write_csv(table, arguments.out)
    log.info("%s: %d end points", arguments.out, len(table))


if __name__ == "__main__":
    run_command(main)
