"""Planted evidence: ranks, fits, curves and training losses with known verdicts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale.claims.rules import Claim, load_claims
from recscale.claims.verdict import Evidence
from recscale.contracts import ALL_HELD_OUT, HELD_OUT_DOMAINS
from recscale.labels import parse_run, training_domain
from recscale.scaling import fit
from recscale.scaling.fit import COLUMNS
from recscale.scaling.power_law import fit_power_law

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


@pytest.fixture
def make_run() -> Callable[..., pd.DataFrame]:
    """One run's curves: a loss by domain as a function of the share of D seen, with a scatter.

    Window, budget and evaluations are such that 4,000 evaluated tokens are of each domain; UIH
    tokens are `uih` of all, of a set of `unique` tokens.
    """

    def make(
        run: str,
        loss: Callable[[str, np.ndarray], np.ndarray],
        uih: float = 0.11,
        cf: float = 0.3,
        unique: int = 200_000,
        per_item: Callable[[str], float] | None = None,
        n_tokens: int = 4000,
        evaluations: int = 24,
    ) -> pd.DataFrame:
        name = parse_run(run)
        # Runs of a seed see the same windows, so they share most of the scatter.
        shift = 0.001 * np.random.default_rng(name.seed + 100).normal()
        rng = np.random.default_rng(hash_of(run))
        steps = np.concatenate([[0], np.geomspace(40, 2000, evaluations).round().astype(int)])
        share = steps / steps[-1]
        tables = []
        for domain in ALL_HELD_OUT:
            of = training_domain(domain)
            drawn = {"uih": uih, "cf": cf}.get(of, 0.2)
            seen = np.round(drawn * steps * 1000).astype(int)
            base = pd.DataFrame(
                {
                    "run": run,
                    "size": name.size,
                    "seed": name.seed,
                    "domain": domain,
                    "step": steps,
                    "tokens": steps * 1000,
                    "domain_tokens": seen,
                    "repeats": seen / (unique if of == "uih" else 600_000),
                    "token_class": "all",
                    "loss": loss(domain, share) + shift + 2e-4 * rng.normal(size=len(steps)),
                    "n_tokens": n_tokens,
                    "loss_per_item": np.nan,
                }
            )
            tables.append(base)
            if domain != "general":
                items = 8 * base["loss"] if per_item is None else per_item(domain) + shift
                tables.append(base.assign(token_class="id", loss_per_item=items))
        return pd.concat(tables, ignore_index=True)

    return make


def hash_of(text: str) -> int:
    """A number that depends on the text and on nothing else."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


@pytest.fixture
def make_evidence(make_run: Callable[..., pd.DataFrame]) -> Callable[..., Evidence]:
    """Evidence of some runs under three seeds: curves by their losses, and the fits of these.

    Args (of the fixture's function):
        runs: arguments of `make_run` by run, without its name.
        seeds: how many seeds each run has; a number, or by run.
        status: of fits, by run and domain; otherwise converged, or not_monotone where it rises.
    """

    def make(
        runs: dict[str, dict],
        seeds: int | dict[str, int] = 3,
        parameters: dict[str, tuple[float, float]] | None = None,
        status: dict[tuple[str, str], str] | None = None,
        **more: object,
    ) -> Evidence:
        curves, fits = [], []
        for run, how in runs.items():
            for seed in range(seeds if isinstance(seeds, int) else seeds.get(run, 3)):
                named = run + (f"-seed{seed}" if seed else "")
                curves.append(make_run(named, **how))
                fits += _fits_of(named, run, curves[-1], parameters or {}, status or {})
        return Evidence(
            "planted",
            curves=pd.concat(curves, ignore_index=True),
            fits=pd.DataFrame(fits, columns=list(COLUMNS)),
            window_length=512,
            **more,
        )

    return make


def _fits_of(named: str, run: str, curves: pd.DataFrame, parameters: dict, status: dict) -> list:
    """Rows of fits.csv for CF, UIH and item text, with planted parameters (L_inf, alpha)."""
    name, rows = parse_run(named), []
    shift = 0.002 * np.random.default_rng(hash_of(named)).normal()
    for domain in ("cf", "uih", "item_text", "general"):
        member = {"cf": "cf_both_seen", "uih": "uih_ood"}.get(domain, domain)
        loss = curves.loc[(curves["domain"] == member) & (curves["token_class"] == "all"), "loss"]
        rises = loss.iloc[-1] > loss.min() + 0.01
        l_inf, alpha = parameters.get(run, (0.5, 0.4))
        rows.append(
            dict.fromkeys(COLUMNS)
            | {
                "run": named,
                "size": name.size,
                "seed": name.seed,
                "domain": domain,
                "burn_in": 0.06,
                "l_inf": l_inf + shift,
                "alpha": alpha + shift,
                "status": status.get((run, domain), "not_monotone" if rises else "converged"),
            }
        )
    return rows


@pytest.fixture(scope="session")
def lawful(make_curves: Callable[..., pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves of the four full runs that follow the law, and their fits."""
    curves = make_curves(lambda domain, place: 0.9 - 0.05 * place, seeds=1)
    with pytest.MonkeyPatch.context() as patch:
        # The second solver, which no claim reads, takes most of the time.
        patch.setattr(fit, "fit_curve", lambda *curve: fit.Fit(fit_power_law(*curve)))
        return curves, fit.fit_runs(curves, fit.Settings(0.06, "token_weighted"), "planted")


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
