"""Planted curves: losses that follow a known law over the paper's range of tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from recscale.contracts import HELD_OUT_DOMAINS


@pytest.fixture
def tokens() -> np.ndarray:
    """Fourteen log-spaced evaluations from 4 to 163.84 billion tokens."""
    return np.geomspace(4e9, 163.84e9, 14)


@pytest.fixture
def planted() -> Callable[..., np.ndarray]:
    """Losses l_inf + a (D / 10^9)^-alpha, with optional white noise."""

    def make(
        tokens: np.ndarray,
        l_inf: float = 0.66,
        a: float = 0.8,
        alpha: float = 0.564,
        noise: float = 0.0,
        seed: int = 0,
    ) -> np.ndarray:
        errors = np.random.default_rng(seed).normal(size=len(tokens))
        return l_inf + a * (tokens / 1e9) ** -alpha + noise * errors

    return make


@pytest.fixture
def curves(planted: Callable[..., np.ndarray]) -> pd.DataFrame:
    """A table under the contract `curves`: one run, seven domains, step 0 and 14 evaluations."""
    steps = np.concatenate([[0], np.geomspace(40, 1600, 14).round().astype(int)])
    rows = []
    for i, domain in enumerate(HELD_OUT_DOMAINS):
        losses = planted(np.maximum(steps, 10) * 1e8, l_inf=0.5 + 0.1 * i, noise=0.001, seed=i)
        for step, loss in zip(steps, losses, strict=True):
            for token_class in ("all", "id"):
                rows.append(
                    {
                        "run": "size1-full",
                        "size": "size1",
                        "seed": 7,
                        "domain": domain,
                        "step": step,
                        "tokens": step * 1000,
                        "domain_tokens": step * 100,
                        "repeats": step / 10,
                        "token_class": token_class,
                        "loss": loss + (token_class == "id"),
                        "n_tokens": 1000 * (i + 1),
                        "loss_per_item": None,
                    }
                )
    return pd.DataFrame(rows)
