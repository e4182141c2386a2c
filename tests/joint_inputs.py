"""Made-up runs of several lengths whose last losses follow a joint law, for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recscale import files
from recscale.contracts import ALL_HELD_OUT
from recscale.scaling import compute
from recscale.scaling.compute import Shape

SHAPES = {
    "size1": Shape(24, 2, 2, 1, 16, 72),
    "size2": Shape(32, 2, 2, 1, 16, 96),
    "size3": Shape(48, 3, 3, 3, 16, 144),
    "size4": Shape(64, 4, 4, 2, 16, 192),
}
LENGTH, VOCABULARY, ROWS = 128, 1538, 1600
TOTAL = 1_500_000
HORIZONS = (1.0, 0.5, 0.25, 0.125)
N0, D0 = 50_000.0, 600_000.0
SETTINGS = {"sizes": {size: vars(shape) for size, shape in SHAPES.items()}, "length": LENGTH}


def truth(domain: str) -> tuple[float, float, float, float, float]:
    """E, A, alpha, B and beta of a domain."""
    i = ALL_HELD_OUT.index(domain)
    return 0.8 + 0.1 * i, 0.3, 0.3 + 0.05 * i, 0.2 + 0.02 * i, 0.5 + 0.03 * i


def loss(domain: str, n: float, d: float) -> float:
    """The loss that a run ends with."""
    e, a, alpha, b, beta = truth(domain)
    return e + a * (n / N0) ** -alpha + b * (d / D0) ** -beta


def run_name(size: str, horizon: float) -> str:
    """As in config/experiments.yaml."""
    return f"{size}-wsd" + ("" if horizon == 1 else f"_{horizon:g}")


def manifest(folder: Path, run: str, size: str, tokens: int = TOTAL) -> Path:
    """The manifest of a run of one of `SHAPES`, with a tied head."""
    own = compute.non_embedding_parameters(SHAPES[size])
    path = folder / run / "manifest.json"
    value = {"run": run, "size": size, "seed": 0, "steps": 1, "tokens": tokens}
    value |= {"non_embedding_parameters": own}
    value |= {"parameters": own + ROWS * (SHAPES[size].hidden or 0)}
    files.write_json(value, path)
    return path


def curves(folder: Path, run: str, size: str, tokens: int = TOTAL, noise: float = 0.0) -> Path:
    """Eight evaluations that fall to the law's loss at the run's end, from above it."""
    n = compute.non_embedding_parameters(SHAPES[size])
    seen = [0, *np.geomspace(tokens / 40, tokens, 8).round().astype(int).tolist()]
    random = np.random.default_rng([len(run), tokens, n])
    rows = []
    for domain in ALL_HELD_OUT:
        end = loss(domain, n, tokens) * np.exp(noise * random.normal())
        for step, at in enumerate(seen):
            above = 0.4 * np.log(tokens / max(at, 1000)) * (1 + 0.1 * (at < tokens))
            rows.append(
                {
                    **{"run": run, "size": size, "seed": 0, "domain": domain, "step": step},
                    **{"tokens": at, "domain_tokens": at // 4, "repeats": at / 4 / 80_000},
                    **{"token_class": "all", "loss": end + above, "n_tokens": 6000},
                    "loss_per_item": None,
                }
            )
    path = folder / run / "curves.parquet"
    frame = pd.DataFrame(rows).astype({"loss_per_item": float})
    files.write_table(frame, path, "curves")
    return path


def tokenizer(folder: Path) -> Path:
    """The manifest of a tokenizer."""
    path = folder / "tokenizer.json"
    files.write_json({"vocabulary": VOCABULARY}, path)
    return path


def ladder_of_runs(folder: Path, noise: float = 0.0) -> list[str]:
    """Curves and manifests of four sizes and four lengths; returns the runs' names."""
    names = []
    for size in SHAPES:
        for horizon in HORIZONS:
            run, tokens = run_name(size, horizon), round(TOTAL * horizon)
            curves(folder, run, size, tokens, noise)
            manifest(folder, run, size, tokens)
            names.append(run)
    return names


def full_runs(folder: Path) -> list[str]:
    """The four runs of Figure 8."""
    for size in SHAPES:
        curves(folder, f"{size}-full", size)
        manifest(folder, f"{size}-full", size)
    return [f"{size}-full" for size in SHAPES]


def points(noise: float = 0.0, seed: int = 0, domain: str = "general") -> pd.DataFrame:
    """The same runs' end points of one domain, without files."""
    random = np.random.default_rng(seed)
    rows = []
    for size, shape in SHAPES.items():
        n = compute.non_embedding_parameters(shape)
        for horizon in HORIZONS:
            d = TOTAL * horizon
            rows.append(
                {
                    **{"run": run_name(size, horizon), "size": size, "seed": 0, "mixture": "full"},
                    **{"domain": domain, "non_embedding_parameters": n},
                    **{"parameters": n + ROWS * (shape.hidden or 0), "tokens": d},
                    "flops_per_token": compute.flops_per_token(shape, ROWS, LENGTH),
                    "loss": loss(domain, n, d) * np.exp(noise * random.normal()),
                }
            )
    return pd.DataFrame(rows)
