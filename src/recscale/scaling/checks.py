"""What a table of held-out curves must be before a law is fitted to it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recscale.errors import UserError


def check_curves(curves: pd.DataFrame, where: str) -> None:
    """Refuse a table of curves without rows, or with a bad loss, or tokens that do not increase.

    Rows of a run, domain and token class stand in the order of the training: tokens that go back
    come from two trainings in one file. Domains may stand in any order.

    Args:
        curves: rows under the contract `curves`, of which the columns run, domain, tokens,
            token_class and loss are looked at. Losses count over all tokens (token class `all`).
        where: names the file in errors.

    Raises:
        UserError: names the file, run, domain and tokens.
    """
    if curves.empty:
        raise UserError(f"{where} has no rows", "rerun the pre-training run that writes it")
    tokens = curves["tokens"].to_numpy(float)
    bad = np.flatnonzero(~np.isfinite(tokens) | (tokens < 0))
    if len(bad):
        row = curves.iloc[bad[0]]
        raise UserError(
            f"{where} has {row['tokens']} tokens in run {row['run']}, domain {row['domain']}",
            "delete it and rerun the run that writes it",
        )
    loss = curves["loss"].to_numpy(float)
    bad = np.flatnonzero(~np.isfinite(loss) | (loss <= 0))
    bad = bad[curves["token_class"].to_numpy()[bad] == "all"]
    if len(bad):
        row = curves.iloc[bad[0]]
        raise UserError(
            f"{where} has the loss {row['loss']} in run {row['run']}, domain {row['domain']}, "
            f"at {row['tokens']} tokens",
            "the run diverged or its evaluation is broken: lower its learning rate or rerun it",
        )
    keys = ["run", "domain", "token_class"]
    repeated = curves.duplicated([*keys, "tokens"])
    if repeated.any():
        row = curves[repeated].iloc[0]
        raise UserError(
            f"{where} has run {row['run']}, domain {row['domain']} twice at {row['tokens']} tokens",
            "delete it and rerun the run that writes it",
        )
    back = curves.groupby(keys, sort=False)["tokens"].diff() < 0
    if back.any():
        row = curves[back].iloc[0]
        raise UserError(
            f"{where} is not sorted by tokens: run {row['run']}, domain {row['domain']} goes back "
            f"to {row['tokens']}",
            "delete it and rerun the run that writes it, or sort its rows by tokens",
        )
