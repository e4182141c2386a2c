"""Planted evidence: ranks, fits, curves and training losses with known verdicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale.claims.rules import Claim, load_claims
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.scaling.fit import COLUMNS, Settings, fit_runs

ROOT = Path(__file__).parents[2]
SIZES = ("size1", "size2", "size3", "size4")


@pytest.fixture(scope="session")
def claims() -> dict[str, Claim]:
    """The committed claims by id."""
    paper = ROOT / "paper"
    return {c.id: c for c in load_claims(paper / "claims.yaml", paper / "published" / "claims.csv")}


@pytest.fixture
def make_ranks() -> Callable[..., pd.DataFrame]:
    """Ranks of 400 test users among 30,000 items; a model finds a target with a known chance."""

    def make(
        tstr: float = 0.5,
        trtr: float = 0.2,
        models: tuple[str, ...] = ("GRU4Rec", "NARM", "SASRec", "STAMP"),
        seeds: int = 3,
        items: int = 30_000,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        tables = []
        for model in models:
            for arm, chance in (("tstr", tstr), ("trtr", trtr)):
                for seed in range(seeds):
                    found = rng.random(400) < chance
                    rank = np.where(found, rng.integers(1, 11, 400), items)
                    tables.append(
                        pd.DataFrame(
                            {
                                "arm": arm,
                                "budget": "matched",
                                "validation": "real",
                                "stratum": "head",
                                "in_history": False,
                                "model": model,
                                "seed": seed,
                                "user_id": np.arange(400),
                                "test_item": 5,
                                "rank": rank,
                                "rank_masked": rank,
                            }
                        )
                    )
        return pd.concat(tables, ignore_index=True)

    return make


@pytest.fixture
def make_fits() -> Callable[..., pd.DataFrame]:
    """Rows of fits.csv for the full runs from given parameters, with narrow or given intervals."""

    def make(
        parameters: dict[str, list[tuple[float, float]]],
        seeds: int = 3,
        half: float = 0.005,
        status: str = "converged",
    ) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        rows = []
        for seed in range(seeds):
            for place, size in enumerate(SIZES):
                for domain, values in parameters.items():
                    l_inf, alpha = np.array(values[place]) * (1 + 0.002 * rng.normal(size=2))
                    row = dict.fromkeys(COLUMNS) | {
                        "run": f"{size}-full" + (f"-seed{seed}" if seed else ""),
                        "size": size,
                        "seed": seed,
                        "domain": domain,
                        "l_inf": l_inf,
                        "alpha": alpha,
                        "alpha_low": alpha - half,
                        "alpha_high": alpha + half,
                        "status": status,
                    }
                    rows.append(row)
        return pd.DataFrame(rows, columns=list(COLUMNS))

    return make


@pytest.fixture(scope="session")
def make_curves() -> Callable[..., pd.DataFrame]:
    """Curves of the full runs that end at given losses."""

    def make(
        final: Callable[[str, int], float], seeds: int = 3, noise: float = 0.0005
    ) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        steps = np.concatenate([[0], np.geomspace(40, 1600, 14).round().astype(int)])
        tables = []
        for seed in range(seeds):
            for place, size in enumerate(SIZES):
                for domain in HELD_OUT_DOMAINS:
                    fall = 0.4 * (np.maximum(steps, 10) / 40) ** -0.6
                    loss = final(domain, place) + fall + noise * rng.normal(size=len(steps))
                    tables.append(
                        pd.DataFrame(
                            {
                                "run": f"{size}-full" + (f"-seed{seed}" if seed else ""),
                                "size": size,
                                "seed": seed,
                                "domain": domain,
                                "step": steps,
                                "tokens": steps * 1000,
                                "domain_tokens": steps * 100,
                                "repeats": steps / 100,
                                "token_class": "all",
                                "loss": loss,
                                "n_tokens": 1000,
                                "loss_per_item": np.nan,
                            }
                        )
                    )
        return pd.concat(tables, ignore_index=True)

    return make


@pytest.fixture(scope="session")
def lawful(make_curves: Callable[..., pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves of the four full runs that follow the law, and their fits."""
    curves = make_curves(lambda domain, place: 0.9 - 0.05 * place, seeds=1)
    return curves, fit_runs(curves, Settings(0.06, "token_weighted"), "planted")


@pytest.fixture
def make_training() -> Callable[..., pd.DataFrame]:
    """Training losses of the four full runs: a falling curve with noise, or one with a bump."""

    def make(bump: float = 0.0, rows: int = 80) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        tables = []
        for size in SIZES:
            step = 10 * (1 + np.arange(rows))
            loss = 1 + 2 * step**-0.3 + 0.004 * rng.normal(size=rows)
            if size == "size4":
                loss += bump * (np.arange(rows) > 0.6 * rows)
            tables.append(
                pd.DataFrame(
                    {
                        "run": f"{size}-full",
                        "step": step,
                        "tokens": step * 1000,
                        "loss": loss,
                        "learning_rate": 0.001,
                        "gradient_norm": 1.0,
                        "tokens_per_second": 1e4,
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)

    return make


@pytest.fixture
def table8() -> pd.DataFrame:
    """The paper's own Table 8 under the columns of walks/sweep.csv."""
    printed = pd.read_csv(ROOT / "paper" / "published" / "table8_walk_sweep.csv")
    first = printed["config"].str.startswith("1st_order")
    return printed.assign(
        order=np.where(first, 1, 2),
        p=np.where(first, 1.0, 0.5),
        q=np.where(first, 1.0, 2.0),
        walks=30_000_000,
        items=printed["items_thousand"] * 1000,
    ).drop(columns="items_thousand")
