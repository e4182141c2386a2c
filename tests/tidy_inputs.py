"""Small tidy files that keep the contracts, for the tests of tables, figures and the paper."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recscale import files
from recscale.contracts import ALL_HELD_OUT, HELD_OUT_DOMAINS, TRAINING_DOMAINS
from recscale.labels import parse_run, training_domain

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "paper" / "published"
SIZES = ("size1", "size2", "size3", "size4")
PARAMETERS = {"size1": 48_200, "size2": 71_500, "size3": 145_000, "size4": 260_000}
TOTAL = 1_500_000
BURN_IN = 0.06
TOKENS = [0, *np.unique(np.geomspace(2_048, TOTAL, 28).round().astype(int)).tolist()]
D0 = 300_000.0

UNIQUE = {"general": 900_000, "item_text": 60_000, "cf": 200_000, "uih": 80_000}
SHARE = {"general": 0.5, "item_text": 0.09, "cf": 0.3, "uih": 0.11}
# Shares of the kinds of runs that have others, in the order of `TRAINING_DOMAINS`.
SHARES = {
    "cf_uih": (0.5, 0, 0.37, 0.13),
    "item_uih": (0.5, 0.225, 0, 0.275),
    "uih": (0.5, 0, 0, 0.5),
    "uih_fresh": (0.5, 0, 0, 0.5),
    "uih_matched": (0.87, 0, 0, 0.13),
    "cf": (0.63, 0, 0.37, 0),
    "no_general": (0, 0.18, 0.6, 0.22),
    "uih_0.5": (0.5, 0.135, 0.36, 0.005),
    "uih_1": (0.5, 0.13, 0.36, 0.01),
    "uih_2": (0.5, 0.12, 0.36, 0.02),
    "uih_5": (0.5, 0.12, 0.33, 0.05),
    "uih_15": (0.5, 0.2, 0.15, 0.15),
}
FRESH, REDUCED = 1_000_000, 1_840  # unique tokens of the other UIH sets
ONSET = 16.0  # repeats after which the losses of runs on the reduced set rise
ABOVE_FULL = {"cf_uih": -0.02, "uih": 0.1, "real": 0.05, "rewired": 0.2, "rq_kmeans": -0.03}
MIXTURES = ("full", "cf_uih", "item_uih", "uih")
RATIOS = ("uih_0.5", "uih_1", "uih_2", "uih_5", "uih_15")
SEED_NOISE = 0.01  # standard deviation of a loss over seeds that runs of a seed share


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with the package on its path, as a rule of the workflow would."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def training_windows(folder: Path) -> list[Path]:
    """Manifests of the four packed training domains."""
    return [
        _manifest(folder / f"{domain}.json", domain, tokens // 128, tokens, tokens // 40)
        for domain, tokens in UNIQUE.items()
    ]


def held_out_windows(folder: Path) -> list[Path]:
    """Manifests of the seven held-out domains: domain i has i + 1 windows of 128 tokens."""
    return [
        _manifest(folder / "held_out" / f"{domain}.json", domain, i + 1, 128 * (i + 1), 3 * (i + 1))
        for i, domain in enumerate(HELD_OUT_DOMAINS)
    ]


def _manifest(path: Path, domain: str, windows: int, tokens: int, documents: int) -> Path:
    counts = {"windows": windows, "tokens": tokens, "documents": documents}
    what = {"domain": domain, "length": 128, "vocabulary": 1538, "tokenizer": "0" * 64}
    files.write_json(what | counts, path)
    return path


def shares_of(run: str) -> dict[str, float]:
    """Share of each training domain in the mixture of a run."""
    kind = parse_run(run).kind
    return dict(zip(TRAINING_DOMAINS, SHARES[kind], strict=True)) if kind in SHARES else SHARE


def unique_of(run: str) -> dict[str, int]:
    """Unique tokens of the sets that a run draws from."""
    name = parse_run(run)
    reduced = REDUCED if name.uih_percent is not None else UNIQUE["uih"]
    return {**UNIQUE, "uih": FRESH if name.kind == "uih_fresh" else reduced}


def run_manifest(folder: Path, size: str = "size3", kind: str = "full") -> Path:
    """Manifest of a run that drew its mixture exactly."""
    run = f"{size}-{kind}"
    path = folder / f"{run}.json"
    unique = unique_of(run)
    ledger = {
        domain: {
            "unique_tokens": unique[domain] if share else 0,
            "seen_tokens": round(share * TOTAL),
            "repeats": share * TOTAL / unique[domain],
        }
        for domain, share in shares_of(run).items()
    }
    value = {
        "run": run,
        "size": size,
        "seed": 0,
        "steps": 732,
        "tokens": TOTAL,
        "parameters": PARAMETERS[size],
        "non_embedding_parameters": PARAMETERS[size] // 2,
        "ledger": ledger,
    }
    files.write_json(value, path)
    return path


def truth(size: str, domain: str) -> tuple[float, float, float]:
    """L_inf, A and alpha of a made-up law: every size and domain has its own."""
    i, j = SIZES.index(size), ALL_HELD_OUT.index(domain)
    return 0.5 + 0.4 * (j == 0) + 0.05 * j - 0.02 * i, 0.9 - 0.1 * i, 0.08 + 0.07 * j + 0.01 * i


def curves_path(folder: Path, run: str) -> Path:
    """Where `curves` writes a run; those on the full mixture lie in the folder of their size."""
    return folder / (run.removesuffix("-full")) / "curves.parquet"


def curves(folder: Path, size: str, kind: str = "full", seed: int = 0) -> Path:
    """Held-out losses that follow `truth` exactly after the burn-in, and lie above it before.

    Kinds of `ABOVE_FULL` lie above or below it by that much. All losses of a seed are shifted
    alike, so that differences between runs of a seed are exact. On the reduced UIH set the UIH
    losses rise by 0.5 ln(repeats / `ONSET`)^2 after it. An item's loss is eight times that
    of an id token.
    """
    run = f"{size}-{kind}" + (f"-seed{seed}" if seed else "")
    shares, unique = shares_of(run), unique_of(run)
    shift = SEED_NOISE * float(np.random.default_rng(seed).normal()) if seed else 0.0
    shift += ABOVE_FULL.get(kind, 0.0)
    rows = []
    for domain in ALL_HELD_OUT:
        l_inf, a, alpha = truth(size, domain)
        of_training = training_domain(domain)
        for step, tokens in enumerate(TOKENS):
            early = max(0.0, np.log(BURN_IN * TOTAL / max(tokens, 1_000)))
            loss = l_inf + a * (max(tokens, BURN_IN * TOTAL) / D0) ** -alpha + 0.4 * early + shift
            seen = round(shares[of_training] * tokens)
            repeats = seen / unique[of_training]
            if unique["uih"] == REDUCED and of_training == "uih" and repeats > ONSET:
                loss += 0.5 * np.log(repeats / ONSET) ** 2
            classes = (("all", 0.0), ("id", 0.3)) if domain != "general" else (("all", 0.0),)
            for token_class, offset in classes:
                rows.append(
                    {
                        "run": run,
                        "size": size,
                        "seed": seed,
                        "domain": domain,
                        "step": step,
                        "tokens": tokens,
                        "domain_tokens": seen,
                        "repeats": repeats,
                        "token_class": token_class,
                        "loss": loss + offset,
                        "n_tokens": 16_000,
                        "loss_per_item": 8 * (loss + offset) if token_class == "id" else None,
                    }
                )
    path = curves_path(folder, run)
    files.write_table(pd.DataFrame(rows).astype({"loss_per_item": float}), path, "curves")
    return path


def fits(folder: Path, size: str, kind: str = "full", **changes: Any) -> Path:
    """The fits that belong to `curves`; General is not identified, with open intervals."""
    fitted = [tokens for tokens in TOKENS if tokens >= BURN_IN * TOTAL]
    rows = []
    for domain in (*HELD_OUT_DOMAINS, "cf", "uih"):
        same = {"cf": "cf_both_seen", "uih": "uih_ood"}.get(domain, domain)
        l_inf, a, alpha = truth(size, same)
        unsure = domain == "general"
        rows.append(
            {
                "run": f"{size}-{kind}",
                "size": size,
                "seed": 0,
                "domain": domain,
                "recipe": "variable_projection",
                "l_inf": l_inf,
                "a": a,
                "alpha": alpha,
                "d0": D0,
                "l_inf_low": None if unsure else l_inf - 0.05,
                "l_inf_high": l_inf + 0.05,
                "alpha_low": alpha - 0.02,
                "alpha_high": None if unsure else alpha + 0.02,
                "status": "not_identified" if unsure else "converged",
                "n_points": len(fitted),
                "first_tokens": fitted[0],
                "last_tokens": fitted[-1],
                "rmse": 0.001,
                "durbin_watson": 2.0,
                "condition_number": 12.0,
                "correlation": 0.9,
                "last_loss": l_inf + a * (TOTAL / D0) ** -alpha,
                **changes,
            }
        )
    path = curves_path(folder, f"{size}-{kind}").with_name("fits.csv")
    files.write_csv(pd.DataFrame(rows), path)
    return path


def training(folder: Path, size: str, kind: str = "full") -> Path:
    """A training log: a falling loss with noise of fixed seed, 73 rows."""
    steps = np.arange(10, 740, 10)
    noise = np.random.default_rng(SIZES.index(size)).normal(0, 0.05, len(steps))
    loss = 2.2 - 0.1 * SIZES.index(size) + 4.5 * np.exp(-steps / 90) + noise
    frame = pd.DataFrame(
        {
            "run": f"{size}-{kind}",
            "step": steps,
            "tokens": steps * 2048,
            "loss": loss,
            "learning_rate": 0.003,
            "gradient_norm": 1.0,
            "tokens_per_second": 40_000.0,
        }
    )
    path = curves_path(folder, f"{size}-{kind}").with_name("training.parquet")
    files.write_table(frame, path, "training")
    return path


def ranks(
    folder: Path,
    model: str,
    seeds: int = 2,
    users: int = 400,
    items: int = 3000,
    better: str = "tstr",
) -> Path:
    """Ranks of both arms of one model; the arm `better` ranks targets higher."""
    rows = []
    hardness = np.random.default_rng(0).random(users)
    for arm in ("tstr", "trtr"):
        for seed in range(seeds):
            power = 2.2 if arm == better else 1.6
            shift = np.random.default_rng([seed, len(model), arm == "tstr"]).normal(0, 0.1, users)
            place = np.clip(hardness + shift, 1e-4, 1) ** power
            rank = np.ceil(place * items).astype(int)
            rows.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "budget": "matched",
                        "validation": "real",
                        "stratum": "head",
                        "in_history": False,
                        "model": model,
                        "seed": seed,
                        "user_id": np.arange(users) * 3,
                        "test_item": np.arange(users) % 50,
                        "rank": rank,
                        "rank_masked": np.maximum(1, rank - 5),
                    }
                )
            )
    path = folder / f"ranks_{model}.parquet"
    files.write_table(pd.concat(rows, ignore_index=True), path, "ranks")
    return path


def sweep(folder: Path) -> Path:
    """A sweep of the paper's last three configurations and one that the paper lacks."""
    published = pd.read_csv(PUBLISHED / "table8_walk_sweep.csv").tail(3)
    rows = published.drop(columns="items_thousand").assign(
        order=[2, 1, 1],
        p=[0.5, 1.0, 1.0],
        q=[2.0, 1.0, 1.0],
        walks=20_000,
        items=[1500, 1600, 1400],
    )
    rows["tokens"] = [500, 480, 470]
    extra = rows.iloc[[-1]].assign(config="1st_order_a030_threshNone", alpha=0.3, threshold=np.nan)
    path = folder / "walks" / "sweep.csv"
    files.write_csv(pd.concat([rows, extra]), path)
    return path


def verdicts(folder: Path) -> Path:
    """A verdict for each claim of the paper, of every kind in turn."""
    claims = pd.read_csv(PUBLISHED / "claims.csv")
    kinds = [
        "reproduced",
        "contradicted",
        "inconclusive",
        "not measurable here",
        "not measured yet",
    ]
    table = pd.DataFrame(
        {
            "id": claims["id"],
            "where": claims["where"],
            "claim": claims["claim"],
            "published": claims["published"],
            "measured": [f"0.{i:02d} [0.01, 0.99]" for i in range(len(claims))],
            "verdict": [kinds[i % len(kinds)] for i in range(len(claims))],
            "reason": "the interval excludes 1",
            "artefact": "table4",
            "rung": "mini",
        }
    )
    path = folder / "verdicts.csv"
    files.write_csv(table, path)
    return path


def data_card(folder: Path) -> Path:
    """Counts of a data set."""
    path = folder / "card.json"
    counts = {"source": "complete_journey", "events": 600_000, "users": 2_469, "sessions": 150_000}
    files.write_json(
        {**counts, "items": 17_000, "training_items": 15_000, "histories": 1_900}, path
    )
    return path


def runs_of_figures(folder: Path) -> None:
    """The files of all runs that figures and tables of curves read."""
    kinds = {size: ["full", "uih_2", "uih_15"] for size in SIZES}
    kinds["size3"] = [*MIXTURES, *RATIOS, "rq_kmeans", "uih_matched", "uih_fresh", "cf"]
    for size, of_size in kinds.items():
        for kind in of_size:
            curves(folder, size, kind)
            run_manifest(folder, size, kind)
            training(folder, size, kind)
        fits(folder, size)


def run_files(folder: Path, kinds: Sequence[str], name: str, size: str = "size3") -> list[Path]:
    """The file of this name (curves.parquet, training.parquet, fits.csv) of some runs."""
    return [curves_path(folder, f"{size}-{kind}").with_name(name) for kind in kinds]


def figure_arguments(target: str, inputs: Path, prefix: Path) -> list[object]:
    """The command line of a figure drawn from the files of this module in `inputs`."""
    manifests = [inputs / f"{size}-full.json" for size in SIZES]
    full = [inputs / size for size in SIZES]
    mixtures = ["--curves", *run_files(inputs, MIXTURES, "curves.parquet")]
    burn_in = ["--burn-in", BURN_IN]
    flags: dict[str, list[object]] = {
        "fig1": [
            *("--ranks", *sorted(inputs.glob("ranks_*.parquet"))),
            *("--published", PUBLISHED / "claims.csv", "--seed", 1, "--replicates", 500),
        ],
        "fig2": [
            *("--curves", *(folder / "curves.parquet" for folder in full)),
            *("--fits", *(folder / "fits.csv" for folder in full)),
            *("--published", PUBLISHED / "table4_scaling_laws.csv"),
            *(*burn_in, "--manifests", *manifests),
        ],
        "fig3": mixtures,
        "fig4": mixtures,
        "fig4_controls": [
            *("--target", "fig4_controls", *mixtures, "--control-curves"),
            *run_files(inputs, ("uih_matched", "uih_fresh", "cf"), "curves.parquet"),
        ],
        "fig5": ["--curves", *run_files(inputs, RATIOS, "curves.parquet"), *burn_in],
        "fig6": [
            *("--training-a", *(folder / "training.parquet" for folder in full)),
            *("--training-b", *run_files(inputs, ("full", *RATIOS), "training.parquet")),
            *("--manifests", *manifests, "--published", PUBLISHED / "claims.csv"),
        ],
        "fig7": [
            *("--curves",),
            *(inputs / f"{s}-{k}" / "curves.parquet" for k in ("uih_2", "uih_15") for s in SIZES),
            *(*burn_in, "--manifests", *manifests),
        ],
        "fig12": [
            *("--curves", *run_files(inputs, ("full", "rq_kmeans"), "curves.parquet")),
            *("--ids", "sae", "rq_kmeans"),
        ],
    }
    return [*flags[target], "--rung", "mini", "--out-prefix", prefix]


def table_arguments(target: str, inputs: Path, prefix: Path) -> list[object]:
    """The command line of a table of runs (Tables 5 and 6) made from `inputs`."""
    kinds = MIXTURES if target == "table5" else ("full", *RATIOS)
    flags: list[object] = [
        *("--curves", *run_files(inputs, kinds, "curves.parquet")),
        *("--manifests", *(inputs / f"size3-{kind}.json" for kind in kinds)),
    ]
    if target == "table5":
        flags += ["--published", PUBLISHED / "table5_mixtures.csv"]
    else:
        flags += ["--published", PUBLISHED / "table6_uih_repetition.csv", "--burn-in", BURN_IN]
    return [*flags, "--rung", "mini", "--out-prefix", prefix]


RATES = {
    ("rq_kmeans", 3, 16): 0.90,
    ("rq_kmeans", 3, 32): 0.50,
    ("rq_kmeans", 5, 16): 0.20,
    ("rq_kmeans", 6, 16): 0.05,
    ("rq_kmeans", 8, 8): 0.02,
    ("rq_vae", 6, 16): 0.50,
    ("sae", 8, 64): 0.10,
    ("sae_general", 8, 64): 0.15,
}


def quality(trainings: int = 3, **changes: float) -> pd.DataFrame:
    """Measures of semantic ids in the paper's order; RQ-VAE with and without cures.

    `changes` replace the shared rate of a setting by name, with _ for -.
    """
    rows = []
    for (method, width, codes), rate in RATES.items():
        variants = [("-cured", True), ("-plain", False)] if method == "rq_vae" else [("", None)]
        for suffix, cures in variants:
            name = method if method.startswith("sae") else f"{method}-{width}x{codes}{suffix}"
            shared = changes.get(name.replace("-", "_"), rate)
            for training in range(trainings):
                found = min(1.0, shared * (1 + 0.01 * (training - 1)))
                rows.append(
                    {
                        **{"setting": name, "method": method, "training": training},
                        **{"cures": cures, "width": width, "rec_tokens": width * codes},
                        **{"items": 17_413, "distinct_texts": 17_000},
                        **{"shared": found, "surplus": found / 2},
                        **{"shared_distinct_texts": found, "surplus_distinct_texts": found / 2},
                        **{"shared_ties_broken": found / 3, "surplus_ties_broken": found / 4},
                        **{"shared_uniform": 0.01, "held_out_like_training": found},
                        **{"code_use": 1.0, "code_perplexity": 0.5, "unexplained_variance": 0.3},
                        "neighbour_overlap": 0.4,
                        "purity": [0.1 * (depth + 1) for depth in range(width)],
                        "grouped": [1.0 - 0.1 * depth for depth in range(width)],
                    }
                )
    return pd.DataFrame(rows)


def quality_file(folder: Path, **changes: float) -> Path:
    """The file of `quality`."""
    path = folder / "quality.parquet"
    files.write_table(quality(**changes), path, "item_id_quality")
    return path


def nearest(folder: Path) -> Path:
    """Two queries with ten neighbours each; the second without texts."""
    rows: list[dict[str, Any]] = []
    for query in range(2):
        for position in range(11):
            equal = 8 if position < 2 else 7
            rows.append(
                {
                    **{"query": query, "position": position, "item_id": 100 * query + position},
                    "codes": " ".join(f"REC{n}" for n in range(8)) if query == 0 else None,
                    "text": f"oats {position}, in Grocery > Cereal" if query == 0 else None,
                    **{"equal_positions": equal, "common_prefix": equal, "width": 8},
                    **{"same_leaf_category": position != 5, "random_same_leaf": 0.1},
                }
            )
    path = folder / "nearest.csv"
    files.write_csv(pd.DataFrame(rows), path)
    return path
