"""Privacy (section 5.3): what walks tell of single users.

The paper says that walks are decoupled from single users because the graph is an aggregate, and
measures nothing. Here, on the users of the training period (or so many of them), in privacy.csv:

* fewest_users: users behind the rule of the train split that has fewest, over the whole log.
* copied_k (k = 2 .. 6), on walks, rewired walks and real stretches: share of sequences that hold
  k successive items of exactly one user's history. A walk can do so by chance: rewired walks show
  how often, stretches of real histories how often without any protection.
* Users are then halved at random, and rules mined, with the run's limits, from members only; this
  is done `members.ROUNDS` times, each half being the members in turn.
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
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from recscale import files, seeds
from recscale.audits import anonymity
from recscale.audits.copying import Holders
from recscale.audits.histories import choose_users, read_walks, stretches_like
from recscale.audits.members import SUCCESSIVE, membership
from recscale.audits.sample import Sample, Settings, mined, take_sample, walked
from recscale.audits.table import REWIRED, STRETCHES, WALKS, Row, frame, point, share
from recscale.curriculum import graph, rewired
from recscale.errors import UserError, run_command
from recscale.logs import logger
from recscale.ranking.sequences import Sequences
from recscale.settings import parse

log = logger("audits.privacy")

RULES_AT_ONCE = 1_000_000
TESTED_USERS = 5000  # of those with a next item, at most


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
