"""Held-out curves of runs as tables and figures read them: checked, pooled, and where they turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recscale.artefact import read_tables, require_finite
from recscale.contracts import ALL_HELD_OUT, HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.labels import training_domain
from recscale.scaling.monotone import rises_again

POOLS = ("token_weighted", "equal")
FEWEST_POINTS = 6  # of which `rises_again` can tell a rise from noise


def read_curves(
    paths: Sequence[Path], flag: str = "--curves", domains: Sequence[str] = HELD_OUT_DOMAINS
) -> pd.DataFrame:
    """Rows of the curves contract of several runs in `domains`, of which each run has all.

    Raises:
        UserError: a file is missing or broken, a run is passed twice or lacks a domain, or the loss
            over all tokens is somewhere no finite number.
    """
    curves = read_tables(paths, "curves")
    runs = dict.fromkeys(curves["run"])
    curves = curves[curves["domain"].isin(domains)].reset_index(drop=True)
    if curves.duplicated(["run", "domain", "step", "token_class"]).any():
        raise UserError(f"{flag} hold a run twice", "pass the curves of each run once")
    whole = curves[curves["token_class"] == "all"]
    require_finite(whole, "loss", ("run", "domain", "step"))
    for run in runs:
        missing = set(domains) - set(whole.loc[whole["run"] == run, "domain"])
        if missing:
            raise UserError(
                f"{flag} lack the domain(s) {', '.join(sorted(missing))} of run {run}",
                "evaluate all held-out domains",
            )
    return curves


def one_size(curves: pd.DataFrame, flag: str = "--curves") -> str:
    """The model size of curves that must share it.

    Raises:
        UserError: they are of several sizes.
    """
    sizes = sorted(set(curves["size"]))
    if len(sizes) > 1:
        raise UserError(
            f"{flag} are of several sizes ({', '.join(sizes)})", "pass runs of one size"
        )
    return str(sizes[0])


def over_all_tokens(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows over all tokens, by run (as passed), domain and step, with their perplexity."""
    rows = curves[curves["token_class"] == "all"].copy()
    rows["perplexity"] = np.exp(rows["loss"])
    order = {run: place for place, run in enumerate(dict.fromkeys(rows["run"]))}
    return rows.sort_values(
        ["run", "domain", "step"],
        key=lambda column: column.map(order) if column.name == "run" else column,
        ignore_index=True,
    )


def with_id_losses(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows of `over_all_tokens` with the losses of the same evaluation on items beside them.

    Returns:
        The curves' columns without token_class; loss over all tokens, loss_id over id tokens (nats
        per token) and loss_per_item (nats); the last two are empty where a domain has no items.
    """
    rows = over_all_tokens(curves).drop(columns=["loss_per_item", "token_class"])
    keys = ["run", "domain", "step"]
    ids = curves.loc[curves["token_class"] == "id", [*keys, "loss", "loss_per_item"]]
    ids = ids.rename(columns={"loss": "loss_id"})
    return rows.merge(ids, on=keys, how="left", validate="one_to_one")


def last_losses(curves: pd.DataFrame) -> pd.DataFrame:
    """The last evaluation of each run and domain, as `with_id_losses` gives it.

    Domains stand in the order of `ALL_HELD_OUT`.
    """
    rows = with_id_losses(curves).groupby(["run", "domain"], sort=False).tail(1)
    order = {domain: place for place, domain in enumerate(ALL_HELD_OUT)}
    return rows.sort_values("domain", key=lambda c: c.map(order), kind="stable").reset_index(
        drop=True
    )


def paper_columns(curves: pd.DataFrame, pool: str) -> pd.DataFrame:
    """The curves of the paper's four columns of Tables 4 and 6, over all tokens.

    Args:
        curves: rows of the curves contract.
        pool: how CF and UIH pool their held-out sets, as in the fits: token_weighted (each token
            counts the same) or equal (each set does).

    Returns:
        Columns run, domain (of `TRAINING_DOMAINS`), tokens, domain_tokens, repeats, loss.
    """
    if pool not in POOLS:
        raise UserError(f"--pool is {pool!r}", f"it is {' or '.join(POOLS)}")
    whole = curves[(curves["token_class"] == "all") & curves["domain"].isin(HELD_OUT_DOMAINS)]
    weight = whole["n_tokens"] if pool == "token_weighted" else 1
    parts = whole.assign(
        domain=whole["domain"].map(training_domain), weighted=whole["loss"] * weight, weight=weight
    )
    pooled = parts.groupby(["run", "domain", "tokens"], as_index=False, sort=True).agg(
        domain_tokens=("domain_tokens", "first"),
        repeats=("repeats", "first"),
        weighted=("weighted", "sum"),
        weight=("weight", "sum"),
    )
    pooled["loss"] = pooled["weighted"] / pooled["weight"]
    return pooled.drop(columns=["weighted", "weight"])


@dataclass(frozen=True)
class Turn:
    """Where a held-out loss is lowest, and whether it rises from there (section 7.2).

    Attributes:
        minimum, final: the lowest and the last loss, nats per token.
        tokens, repeats: seen at the lowest loss, over all domains and of the set of its domain.
        tokens_before, tokens_after, repeats_before, repeats_after: the same at the evaluations
            beside it, between which the true minimum lies; nan where there is none.
        rises: whether the loss rises again by more than noise explains.
    """

    minimum: float
    final: float
    tokens: int
    repeats: float
    tokens_before: float
    tokens_after: float
    repeats_before: float
    repeats_after: float
    rises: bool


def turn(rows: pd.DataFrame, burn_in: float) -> Turn:
    """The turn of one curve.

    Args:
        rows: tokens, repeats and loss of one run and domain.
        burn_in: share of the run's tokens whose evaluations do not count when a rise is told from
            noise, as they do not in the fits.
    """
    rows = rows.sort_values("tokens")
    tokens, repeats, loss = (rows[c].to_numpy(float) for c in ("tokens", "repeats", "loss"))
    lowest = int(np.argmin(loss))

    def beside(values: np.ndarray, place: int) -> float:
        return float(values[place]) if 0 <= place < len(values) else float("nan")

    late = (tokens > 0) & (tokens >= burn_in * tokens[-1])
    known = late.sum() >= FEWEST_POINTS
    return Turn(
        minimum=float(loss[lowest]),
        final=float(loss[-1]),
        tokens=int(tokens[lowest]),
        repeats=float(repeats[lowest]),
        tokens_before=beside(tokens, lowest - 1),
        tokens_after=beside(tokens, lowest + 1),
        repeats_before=beside(repeats, lowest - 1),
        repeats_after=beside(repeats, lowest + 1),
        rises=bool(known and rises_again(tokens[late], loss[late])),
    )
