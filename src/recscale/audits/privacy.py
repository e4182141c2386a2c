"""Privacy (section 5.3): what walks tell of single users.

The paper says that walks are decoupled from single users because the graph is an aggregate, and
measures nothing. Here, on the users of the training period (or so many of them), in privacy.csv:

* fewest_users: users behind the rule of the train split that has fewest, over the whole log.
* copied_k (k = 2 .. 6), on walks, rewired walks and real stretches: share of sequences that hold
  k successive items of exactly one user's history. A walk can do so by chance: rewired walks show
  how often, stretches of real histories how often without any protection.
* Users are then halved at random, and rules mined, with the run's limits, from members only; this
  is done ROUNDS times, each half being the members in turn.
  copied_k_members, copied_k_kept_out (of as many users) and copied_k_difference, in the first
  round, of walks on the members' graph and of stretches of the members' histories: what chance
  does alike to members and others cancels in the difference.
  membership_auc: area under the curve of a test that tells members from users kept out by the
  likelihood of their histories, calibrated on the histories of further users; half of those kept
  out calibrate and are not told apart. membership_auc_plain: without calibration. Means over the
  rounds, with a bootstrap over users; on walks, rewired walks (popularity alone) and real
  stretches (the real-data arm). Rules of half the users have fewer users behind them than the
  run's own, so these overstate what its walks tell.
  copied_k_difference and membership_auc stand _corrected for two comparisons, too.
* anonymity_...: see `recscale.audits.anonymity`.
* kept_out_users: users kept out.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.audits import anonymity
from recscale.audits.copying import Difference, Holders, per_user
from recscale.audits.histories import (
    Histories,
    Items,
    choose_users,
    read_histories,
    read_walks,
    stretches_like,
    training_events,
)
from recscale.audits.membership import Round, Successors, likelihood, mean_area
from recscale.audits.mining import mine
from recscale.audits.table import (
    LOG,
    REWIRED,
    STRETCHES,
    WALKS,
    Row,
    around,
    frame,
    point,
    share,
    with_corrected,
)
from recscale.curriculum import graph, rewired, walk_settings, walks
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.ranking.sequences import Integers, Sequences
from recscale.ranking.world_log import Rules
from recscale.settings import parse

log = logger("audits.privacy")

SUCCESSIVE = (2, 3, 4, 5, 6)
ROUNDS = 4  # halvings: two, each half being the members once
FEWEST = 10  # users in a half: fewer tell nothing
RULES_AT_ONCE = 1_000_000
TESTED_USERS = 5000  # of those with a next item, at most


@dataclass(frozen=True)
class Settings:
    """The `audits` block of the config as far as privacy is concerned, and how rules are mined.

    `walk` is how to walk and how many walks to make of either graph; its seed is not used.
    """

    seed: int
    train_until: str
    users: int | None
    replicates: int
    rules: Rules
    walk: walk_settings.Settings


@dataclass(frozen=True)
class Sample:
    """The audited users' histories, and a folder with their events in `all.parquet`."""

    histories: Histories
    items: Items
    item_table: Path
    folder: Path


def fewest_users(rules: Path) -> tuple[int, int]:
    """Users behind the training rule with fewest, and the number of training rules."""
    fewest, count = [], 0
    for batch in files.read_batches(rules, ["users", "split"], RULES_AT_ONCE):
        users = batch.filter(pc.equal(batch["split"], "train"))["users"].to_numpy()
        count += len(users)
        fewest += [int(users.min())] if len(users) else []
    if not count:
        raise UserError(f"{rules} holds no training rule", "lower curriculum.rules.min_support")
    return min(fewest), count


def take_sample(
    events: Path, item_table: Path, users: Integers, settings: Settings, folder: Path
) -> Sample:
    """Write and read the events of the audited users."""
    some = training_events(events, settings.train_until, users)
    files.write_record_batches(some, folder / "all.parquet", "events")
    items = Items.read(item_table)
    histories = read_histories(folder / "all.parquet", settings.train_until, items)
    return Sample(histories, items, item_table, folder)


def halve(users: Integers, number: int, seed: int) -> NDArray[np.bool_]:
    """Who is a member in a round (users,): a random half, in the next round the other half."""
    chance = seeds.uniform(seeds.derive(seed, "audited members", number // 2), users)
    return (chance < 0.5) == (number % 2 == 0)


def mined(sample: Sample, events: Path, settings: Settings, min_users: int) -> pd.DataFrame:
    """Training rules of some of the audited users' events."""
    with tempfile.TemporaryDirectory(dir=sample.folder) as folder:
        found = mine(
            events,
            sample.item_table,
            settings.train_until,
            settings.seed,
            replace(settings.rules, min_users=min_users),
            Path(folder),
        )
    return found[found["split"] == "train"]


def walked(item_graph: graph.ItemGraph, stream: str, settings: Settings, items: Items) -> Sequences:
    """Walks on a graph, in item numbers."""
    how = replace(settings.walk, seed=settings.seed)
    made = walks.together(walks.generate(item_graph, how, f"audit of {stream}"))
    numbers = items.numbers(item_graph.item_ids)
    return Sequences.from_lengths(numbers[made.nodes], made.lengths.astype(np.int64))


def copied(sample: Sample, arms: dict[str, Sequences]) -> list[Row]:
    """Shares of the sequences of each arm that copy one user alone, for each k."""
    rows = []
    for k in SUCCESSIVE:
        holders = Holders.of(sample.histories.items, k)
        for group, sequences in arms.items():
            copying, _ = holders.copies(sequences, k)
            found = share(len(np.unique(copying)), len(sequences))
            rows.append(Row(f"copied_{k}", group, found, len(sequences)))
    return rows


def copied_by_side(
    sample: Sample, is_member: NDArray[np.bool_], arms: dict[str, Sequences], settings: Settings
) -> list[Row]:
    """The same for members and users kept out, and the difference."""
    rows = []
    users = len(is_member)
    for k in SUCCESSIVE:
        holders = Holders.of(sample.histories.items, k)
        for group, sequences in arms.items():
            copying, user = holders.copies(sequences, k)
            counts = {}
            for name, inner in (("members", True), ("kept_out", False)):
                of = is_member[user] == inner
                counts[name] = per_user(copying[of], user[of], users)[is_member == inner]
                found = share(len(np.unique(copying[of])), len(sequences))
                rows.append(Row(f"copied_{k}_{name}", group, found, len(sequences)))
            random = seeds.generator(settings.seed, "copied", k, group)
            apart = Difference.of(
                counts["members"], counts["kept_out"], len(sequences), settings.replicates, random
            )
            rows += with_corrected(f"copied_{k}_difference", group, apart.interval, users)
    return rows


def arms_of_members(
    sample: Sample, is_member: NDArray[np.bool_], number: int, settings: Settings
) -> dict[str, Sequences]:
    """Walks on the members' graph, on it rewired, and stretches; empty if they give no rule."""
    members = sample.histories.users[is_member]
    with tempfile.TemporaryDirectory(dir=sample.folder) as folder:
        events = Path(folder) / "members.parquet"
        some = training_events(sample.folder / "all.parquet", settings.train_until, members)
        files.write_record_batches(some, events, "events")
        rules = mined(sample, events, settings, settings.rules.min_users)
    if rules.empty:
        return {}
    item_graph = graph.build(rules)
    changed = rewired.rewire(item_graph, settings.seed)
    made = walked(item_graph, f"members {number}", settings, sample.items)
    return {
        WALKS: made,
        REWIRED: walked(changed, f"rewired members {number}", settings, sample.items),
        STRETCHES: stretches_like(
            sample.histories.take(np.flatnonzero(is_member)),
            made.lengths,
            seeds.derive(settings.seed, "membership", number),
        ),
    }


def scored(
    sample: Sample, is_member: NDArray[np.bool_], sequences: Sequences, number: int, seed: int
) -> dict[str, Round]:
    """The scores that sequences made from members give all users, by measure."""
    histories, items = sample.histories.items, len(sample.items)
    chance = seeds.uniform(seeds.derive(seed, "calibrating users", number), sample.histories.users)
    calibrating = ~is_member & (chance < 0.5)
    sides = np.where(is_member, 1, np.where(calibrating, -1, 0))
    others = histories.take(np.flatnonzero(calibrating))
    usual = likelihood(histories, Successors.of(others, items))
    plain = likelihood(histories, Successors.of(sequences, items))
    return {
        "membership_auc": Round(plain - usual, sides),
        "membership_auc_plain": Round(plain, sides),
    }


def membership(sample: Sample, settings: Settings) -> list[Row]:
    """All that is told of members and users kept out."""
    rows: list[Row] = []
    users = sample.histories.users
    rounds: dict[tuple[str, str], list[Round]] = {}
    for number in range(ROUNDS):
        is_member = halve(users, number, settings.seed)
        if is_member.sum() < FEWEST or (~is_member).sum() < FEWEST:
            log.warning("%d users are too few to be halved", len(users))
            return rows
        arms = arms_of_members(sample, is_member, number, settings)
        if not arms:
            log.warning("half of the users give no rule: nothing is said of membership")
            return rows
        if not number:
            rows.append(Row("kept_out_users", LOG, point(int((~is_member).sum())), len(users)))
            compared = {group: arms[group] for group in (WALKS, STRETCHES)}
            rows += copied_by_side(sample, is_member, compared, settings)
        for group, sequences in arms.items():
            found = scored(sample, is_member, sequences, number, settings.seed)
            for measure, one in found.items():
                rounds.setdefault((measure, group), []).append(one)
    for (measure, group), of_group in rounds.items():
        random = seeds.generator(settings.seed, measure, group)
        area, drawn = mean_area(of_group, settings.replicates, random)
        rows += with_corrected(measure, group, partial(around, area, drawn), len(users))
    return rows


def next_items(sample: Sample, real: Path, seed: int) -> anonymity.NextItems:
    """Audited users with a next item (contract `histories`), with their training histories."""
    table = files.read_table(real, "histories", ["user_id", "test_item"])
    users = table["user_id"].to_numpy()
    place = np.searchsorted(sample.histories.users, users)
    place = np.minimum(place, len(sample.histories.users) - 1)
    known = np.flatnonzero(sample.histories.users[place] == users)
    order = np.argsort(seeds.hash_keys(seeds.derive(seed, "test users"), users[known]))
    known = np.sort(known[order[:TESTED_USERS]])
    targets = sample.items.numbers(table["test_item"].to_numpy()[known])
    return anonymity.NextItems(sample.histories.take(place[known]), targets)


def audit(sample: Sample, own_walks: Sequences, real: Path, settings: Settings) -> list[Row]:
    """All rows but fewest_users.

    Args:
        sample: the audited users.
        own_walks: of the curriculum, in item numbers.
        real: contract `histories`, for next items.
        settings: as the command's.
    """
    rows: list[Row] = []
    rules = mined(sample, sample.folder / "all.parquet", settings, 1)
    shown = next_items(sample, real, settings.seed)
    if len(shown.targets):
        rows += anonymity.audit(rules, shown, sample.items)
    arms = {WALKS: own_walks}
    of_all = rules[rules["users"] >= settings.rules.min_users]
    if len(of_all):
        changed = rewired.rewire(graph.build(of_all), settings.seed)
        arms[REWIRED] = walked(changed, "rewired", settings, sample.items)
    arms[STRETCHES] = stretches_like(
        sample.histories.items, own_walks.lengths, seeds.derive(settings.seed, "copied")
    )
    return rows + copied(sample, arms) + membership(sample, settings)


def main() -> None:
    """Command line: the log, its rules and its walks to the audit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--walks", type=Path, nargs="+", required=True)
    parser.add_argument("--privacy", type=Path, required=True, help="output: the measures")
    parser.add_argument("--settings", required=True, help="JSON object")
    arguments = parser.parse_args()
    settings = parse(Settings, arguments.settings)
    fewest, count = fewest_users(arguments.rules)
    rows = [Row("fewest_users", "training rules", point(fewest), count)]
    users = choose_users(arguments.events, settings.train_until, settings.users, settings.seed)
    arguments.privacy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.privacy.parent) as folder:
        sample = take_sample(arguments.events, arguments.items, users, settings, Path(folder))
        own = read_walks(arguments.walks, sample.items, settings.walk.walks)
        rows += audit(sample, own, arguments.histories, settings)
    files.write_csv(frame("privacy", rows), arguments.privacy)
    log.info("%d users, %d walks", len(users), len(own))


if __name__ == "__main__":
    run_command(main)
