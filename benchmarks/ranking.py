"""Training of Figure 1's models: examples a CPU-second, and the time spent on anything else.

    python benchmarks/ranking.py [--items 3000] [--examples 8000]

Sequences are simulated: items by a power law, each followed by one of its own few favourites. Every
model trains three epochs on one thread, as in the workflow, with validation after each. Outside of
training is all else of a training's wall time: drawing examples, building the model, validation and
the ranks of the test users; importing RecBole stands apart.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from recscale.contracts import CONTRACTS  # noqa: E402
from recscale.ranking.comparison import Comparison, compare  # noqa: E402
from recscale.ranking.compatibility import quiet_corner  # noqa: E402
from recscale.ranking.models import MODELS  # noqa: E402

EPOCHS = 3
USERS = 1300


def simulated(items: int) -> Comparison:
    """A comparison of 20,000 walks and `USERS` real histories over so many items."""
    generator = np.random.default_rng(1)
    favourites = generator.integers(0, items, (items, 5))
    share = np.cumsum(1 / np.arange(10, items + 10))
    share /= share[-1]

    def sequences(count: int, length: int) -> list[list[int]]:
        now = np.searchsorted(share, generator.random(count))
        steps = [now]
        for _ in range(length - 1):
            liked = favourites[now, generator.integers(0, 5, count)]
            other = np.searchsorted(share, generator.random(count))
            now = np.where(generator.random(count) < 0.6, liked, other)
            steps.append(now)
        return np.stack(steps, axis=1).tolist()

    walks = sequences(20_000, 8)
    table = {"walk": range(len(walks)), "items": walks, "path_confidence": [1.0] * len(walks)}
    real = sequences(USERS, 60)
    columns = {
        "user_id": range(USERS),
        "items": [s[:-2] for s in real],
        "sessions": [s[:-2] for s in real],
        "valid_item": [s[-2] for s in real],
        "test_item": [s[-1] for s in real],
    }
    return compare(
        pa.table(columns, schema=CONTRACTS["histories"].arrow_schema()),
        pa.table(table, schema=CONTRACTS["walks"].arrow_schema()),
        history_length=20,
    )


def main() -> None:
    """Measure every model and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--examples", type=int, default=8000)
    arguments = parser.parse_args()
    began = time.perf_counter()
    import torch
    from recbole.trainer import Trainer

    from recscale.ranking.recbole_runner import Training, train

    importing = time.perf_counter() - began
    torch.set_num_threads(1)
    comparison = simulated(arguments.items)
    inside = [0.0, 0.0]
    one_epoch = Trainer._train_epoch

    def timed(*given, **more):
        wall, cpu = time.perf_counter(), time.process_time()
        result = one_epoch(*given, **more)
        inside[0] += time.perf_counter() - wall
        inside[1] += time.process_time() - cpu
        return result

    Trainer._train_epoch = timed
    n_items = len(comparison.vocabulary)
    print(f"{n_items:,} items, {arguments.examples:,} examples, {EPOCHS} epochs, hidden 64")
    print(f"{'model':10}{'examples/CPU-s':>16}{'wall s':>9}{'outside training':>18}")
    found: dict[str, object] = {"cpu": platform.machine(), "import_seconds": round(importing, 1)}
    with tempfile.TemporaryDirectory() as folder, quiet_corner(folder):
        for model in MODELS:
            inside[:] = [0.0, 0.0]
            began = time.perf_counter()
            examples = comparison.training_examples("tstr", arguments.examples, 1)
            settings = Training(model, 64, 20, EPOCHS, EPOCHS, 256, 0.005, 100, seed=1)
            trained = train(settings, examples, comparison.validation.examples, n_items)
            trained.ranks(comparison.test)
            wall = time.perf_counter() - began
            speed = EPOCHS * len(examples) / inside[1]
            outside = 1 - inside[0] / wall
            print(f"{model:10}{speed:16,.0f}{wall:9.1f}{outside:18.2f}")
            found[model] = {"examples_a_cpu_second": round(speed), "outside": round(outside, 2)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
