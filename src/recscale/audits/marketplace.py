"""What a bias of the log does to walks, where true preference is known: simulated marketplaces.

A marketplace has one bias at a strength and the others off; its log is read, mined and walked on
by the pipeline's own code. If users chose freely among the training items, an item would be chosen
as often as the users' true preference says: each user chooses with probability softmax(true
preference), as often as they have events. A bias moves the log away from that, and walks keep some
of it:

* preference_js_log, preference_js_walks: Jensen-Shannon distance (base 2) of the items' shares, in
  the training period's log and in the walks, from those of free choice;
* bias_of_log, bias_of_walks: the same less its value with all biases off, of the same seed, which
  has the same users and listings;
* bias_kept: bias_of_walks over bias_of_log, and the same _corrected for two comparisons. Fieller's
  interval over seeds; without ends where the bias of the log cannot be told from 0;
* affinity_log, affinity_walks: how much more alike successive items (of a session, of a walk) are
  than items of the same sequences at random, as the mean inner product of their true vectors.
  A bias can leave the items' shares alone and blur what goes together, as exposure does;
* affinity_lost_log, affinity_lost_walks, affinity_lost_kept: the fall from its value with all
  biases off, and the walks' over the log's.

Groups are `world:none=0`, `world:position=1`, ... over all seeds, and `world:position=1:seed=0`,
... for one; over seeds the intervals are Student's t.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.audits.distances import jensen_shannon, shares
from recscale.audits.histories import Items, read_histories, within
from recscale.audits.mining import mine
from recscale.audits.table import Row, frame, point, ratio_of_means, with_corrected
from recscale.claims.intervals import over_seeds
from recscale.curriculum import graph, walk_settings, walks
from recscale.data.world_catalogue import DIMENSIONS, true_preference
from recscale.errors import UserError, run_command
from recscale.logs import progress
from recscale.ranking.sequences import Integers, Sequences
from recscale.ranking.world_log import DIALS, NO_DIAL, Rules, World, write_log
from recscale.settings import parse

NUMBERS_AT_ONCE = 4_000_000
PARTS = ("log", "walks")


@dataclass(frozen=True)
class Settings:
    """How marketplaces are made and walked on.

    Everything random derives from `seed`; that of `walk` is not used. `seeds` is how many
    marketplaces each bias has, `strengths` are those of a bias.
    """

    seed: int
    seeds: int
    strengths: tuple[float, ...]
    world: World
    held_out_items: float
    rules: Rules
    walk: walk_settings.Settings


def simulate(
    settings: Settings, seed: int, dial: str, strength: float, folder: Path
) -> dict[str, float]:
    """preference_js and affinity of the log and the walks of one marketplace.

    Args:
        settings: how.
        seed: of all that is random.
        dial: the only bias that is on, or none; strength: of it.
        folder: an empty folder.

    Raises:
        UserError: as `dials`, or the log gives no rule.
    """
    log = write_log(
        settings.world,
        settings.rules.memory_limit,
        settings.held_out_items,
        dial,
        strength,
        seed,
        folder,
    )
    rules = mine(log.events, log.items, log.train_until, seed, settings.rules, folder / "mined")
    rules = rules[rules["split"] == "train"]
    if rules.empty:
        raise UserError(
            f"a marketplace with {dial} at {strength:g} gives no rule",
            "raise events in ranking.world_trials, or lower its min_support",
        )
    item_graph = graph.build(rules)
    how = dataclasses.replace(settings.walk, seed=seed)
    made_walks = walks.together(walks.generate(item_graph, how, "audit"))
    items = Items.read(log.items)
    histories = read_histories(log.events, log.train_until, items)
    numbers = items.numbers(item_graph.item_ids)[made_walks.nodes]
    synthetic = Sequences.from_lengths(numbers, made_walks.lengths.astype(np.int64))
    truth = Truth.read(folder / "world/truth", histories.users, items)
    wanted = truth.free_choice(histories.items.lengths)
    found = {}
    for name, sequences in (("log", histories.sessions()), ("walks", synthetic)):
        shown = shares(np.bincount(sequences.values, minlength=len(items)).astype(float))
        apart = jensen_shannon(shown.reshape(-1, 1), wanted.reshape(-1, 1))
        found[f"preference_js_{name}"] = float(apart[0])
        found[f"affinity_{name}"] = truth.affinity(sequences)
    return found


@dataclass(frozen=True)
class Truth:
    """Vectors of users (users, DIMENSIONS) and items (items, DIMENSIONS), and appeal (items,)."""

    users: NDArray[np.float64]
    items: NDArray[np.float64]
    appeal: NDArray[np.float64]

    @classmethod
    def read(cls, folder: Path, users: Integers, items: Items) -> Truth:
        """From the folder of a marketplace's truth, for these user_ids and items."""
        tables = {name: pq.read_table(folder / f"{name}.parquet") for name in ("users", "items")}
        # Both tables are in the order of their ids.
        rows = {
            "users": np.searchsorted(tables["users"]["user_id"].to_numpy(), users),
            "items": np.searchsorted(tables["items"]["item_id"].to_numpy(), items.item_ids),
        }
        vectors = {
            name: table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, DIMENSIONS)
            for name, table in tables.items()
        }
        appeal = tables["items"]["appeal"].to_numpy()[rows["items"]]
        return cls(vectors["users"][rows["users"]], vectors["items"][rows["items"]], appeal)

    def free_choice(self, events: Integers) -> NDArray[np.float64]:
        """Shares of the items (items,) if users, each so often, chose by true preference alone."""
        total = np.zeros(len(self.items))
        at_once = max(1, NUMBERS_AT_ONCE // len(self.items))
        for low in range(0, len(self.users), at_once):
            part = slice(low, low + at_once)
            liked = true_preference(self.users[part, None], self.items[None], self.appeal[None])
            weight = np.exp(liked)
            total += events[part] @ (weight / weight.sum(axis=1, keepdims=True))
        return shares(total)

    def affinity(self, sequences: Sequences) -> float:
        """Mean inner product of successive items, less that of any two items of the sequences."""
        place, _ = within(sequences)
        first, second = (self.items[sequences.values[at]] for at in (place, place + 1))
        together = float(np.einsum("nd,nd->n", first, second).mean())
        return together - float(first.mean(axis=0) @ second.mean(axis=0))


def worlds(settings: Settings) -> Iterator[tuple[str, float]]:
    """Each bias and its strengths, none of them first."""
    yield NO_DIAL, 0.0
    for dial in DIALS:
        for strength in settings.strengths:
            yield dial, strength


def group(dial: str, strength: float) -> str:
    """What a bias at a strength is called: `world:position=1`."""
    return f"world:{dial.removesuffix('_bias')}={strength:g}"


def audit(settings: Settings, folder: Path) -> list[Row]:
    """All rows of the marketplaces, which are made in `folder` and removed again.

    Raises:
        UserError: a setting is wrong, or a log gives no rule.
    """
    found: dict[tuple[str, float], list[dict[str, float]]] = {}
    todo = [(w, number) for w in worlds(settings) for number in range(settings.seeds)]
    for (dial, strength), number in progress(todo, desc="marketplaces", unit=" worlds"):
        of_world = seeds.derive(settings.seed, "audited world", number)
        with tempfile.TemporaryDirectory(dir=folder) as corner:
            made = simulate(settings, of_world, dial, strength, Path(corner))
        found.setdefault((dial, strength), []).append(made)
    rows: list[Row] = []
    for (dial, strength), measured in found.items():
        name = group(dial, strength)
        for measure, lost, kept, sign in (
            ("preference_js", "bias_of", "bias_kept", 1),
            ("affinity", "affinity_lost", "affinity_lost_kept", -1),
        ):
            values = _values(measured, measure)
            rows += _rows(name, measure, values)
            if dial == NO_DIAL:
                continue
            change = sign * (values - _values(found[NO_DIAL, 0.0], measure))
            rows += _rows(name, lost, change)
            rows += with_corrected(
                kept,
                name,
                partial(ratio_of_means, change[1], change[0]),
                len(measured),
            )
    return rows


def _values(measured: list[dict[str, float]], measure: str) -> NDArray[np.float64]:
    """A measure of the log and of the walks (2, seeds)."""
    return np.array([[of_seed[f"{measure}_{part}"] for of_seed in measured] for part in PARTS])


def _rows(name: str, measure: str, values: NDArray[np.float64]) -> list[Row]:
    """Values of log and walks (2, seeds): over seeds, and of each."""
    rows = []
    for part, per_seed in zip(PARTS, values, strict=True):
        n = len(per_seed)
        whole = over_seeds(per_seed) if n > 1 else point(per_seed[0])
        rows.append(Row(f"{measure}_{part}", name, whole, n))
        rows += [
            Row(f"{measure}_{part}", f"{name}:seed={number}", point(value), 1)
            for number, value in enumerate(per_seed)
        ]
    return rows


def main() -> None:
    """Command line: settings to what the marketplaces tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--marketplaces", type=Path, required=True, help="output: the measures")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    arguments.marketplaces.parent.mkdir(parents=True, exist_ok=True)
    rows = audit(settings, arguments.marketplaces.parent)
    files.write_csv(frame("bias", rows), arguments.marketplaces)


if __name__ == "__main__":
    run_command(main)
