"""What walks tell of their graph's users and not of others (section 5.3).

The audited users are halved at random, and rules mined from one half, the members. Walks on their
graph are then asked for items of members and of users kept out; `recscale.audits.privacy` says
which measures come of it.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recscale import files, seeds
from recscale.audits.copying import Difference, Holders, per_user
from recscale.audits.histories import stretches_like, training_events
from recscale.audits.membership import Round, Successors, likelihood, mean_area
from recscale.audits.sample import Sample, Settings, mined, walked
from recscale.audits.table import (
    LOG,
    REWIRED,
    STRETCHES,
    WALKS,
    Row,
    around,
    point,
    share,
    with_corrected,
)
from recscale.curriculum import graph, rewired
from recscale.logs import logger
from recscale.ranking.sequences import Integers, Sequences

log = logger("audits.members")

SUCCESSIVE = (2, 3, 4, 5, 6)  # items that make a copy
ROUNDS = 4  # halvings: two, each half being the members once
FEWEST = 10  # users in a half: fewer tell nothing


def halve(users: Integers, number: int, seed: int) -> NDArray[np.bool_]:
    """Who is a member in a round (users,): a random half, in the next round the other half."""
    chance = seeds.uniform(seeds.derive(seed, "audited members", number // 2), users)
    return (chance < 0.5) == (number % 2 == 0)


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
