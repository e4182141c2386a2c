"""Sessions, slates and clicks of the simulated marketplace.

A user comes with an intent, one of their favourite categories. At every event the recommender shows
SLATE listings, most of them of that category, and the user interacts with one. Of listing i at
position j (from 0) the weight is

    (1 + j) ^ (-2 position_bias) * exp(true preference of i)

the position-based model's examination times relevance (Richardson et al., 2007; Craswell et al.,
2008), normalised over the slate. The dials, each from 0 to 1:

* position_bias: attention falls with the position; at 0 all positions are looked at alike.
* popularity_bias: the chance that a place on the slate goes to the most popular of four candidates
  rather than to one drawn at random.
* exposure_bias: the chance that a place goes to one of the BELIEVED listings that the recommender
  ever believed in for this user, whatever the intent.
* noise: the chance that the interaction ignores preference (its weight is examination alone).

With all dials at 0 slates are drawn at random from the listings on sale and clicks follow true
preference. Every draw hashes the seed, the user and the number of the user's event, so that users
can be simulated in blocks of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recscale import seeds
from recscale.data.world_catalogue import DAY, LIFE, Catalogue, Users, normal, true_preference

SLATE = 10
BELIEVED = 20
FROM_INTENT = 0.85  # of a slate's places; the others show any category
SESSION_STOP = 0.35  # after each event of a session; the median session has 2
SPREAD = 1.82  # of ln(events a user): mean over median is 63 / 12, as in MerRec


@dataclass(frozen=True)
class Dials:
    """How far the log is from true preference; each from 0 to 1 (see the module's docstring)."""

    position_bias: float
    popularity_bias: float
    exposure_bias: float
    noise: float


@dataclass(frozen=True)
class Events:
    """Events of some users in their order: arrays (events,), and slates (events, SLATE) of rows.

    user is the user's number, number and session count from 0 per user, time in seconds, item is
    the row of the listing, position its place on the slate, type a number of EVENT_TYPES.
    """

    user: NDArray[np.int64]
    number: NDArray[np.int64]
    session: NDArray[np.int64]
    time: NDArray[np.float64]
    item: NDArray[np.int64]
    position: NDArray[np.int64]
    type: NDArray[np.int64]
    slate: NDArray[np.int64]


def events_of_users(seed: int, users: int, events: int) -> NDArray[np.int64]:
    """How many events each user has: log-normal and at least 1, about `events` in all."""
    weight = np.exp(SPREAD * normal(seeds.derive(seed, "world activity"), np.arange(users)))
    return np.maximum(1, np.rint(weight * events / weight.sum())).astype(np.int64)


def simulate(
    seed: int,
    counts: NDArray[np.int64],
    first_user: int,
    users: Users,
    items: Catalogue,
    dials: Dials,
    seconds: float,
) -> Events:
    """The events of the users first_user .. first_user + len(counts) - 1, `counts` each."""
    seed = seeds.derive(seed, "world events")
    starts = np.cumsum(counts) - counts
    user = np.repeat(np.arange(first_user, first_user + len(counts)), counts)
    number = np.arange(counts.sum()) - np.repeat(starts, counts)

    def draw(name: str, *more: NDArray[np.integer]) -> NDArray[np.float64]:
        return seeds.uniform(seeds.derive(seed, name), user, number, *more)

    # Sessions, and their times: evenly spread with jitter, half a minute between events.
    new = (draw("session") < SESSION_STOP) | (number == 0)
    session = np.cumsum(new) - 1
    first_session = session[starts]
    session -= np.repeat(first_session, counts)
    sessions = np.repeat(np.maximum.reduceat(session, starts) + 1, counts)
    session_draw = seeds.uniform(seeds.derive(seed, "session time"), user, session)
    began = (session + session_draw) / sessions * seconds
    place = np.flatnonzero(new)
    inside = np.arange(len(user)) - np.repeat(place, np.diff(np.append(place, len(user))))
    time = np.floor(np.minimum(began + 20.0 * inside + 30.0 * draw("pause"), seconds - 1))
    choice = seeds.uniform(seeds.derive(seed, "intent"), user, session)
    intent = users.favourites[user, (choice * users.favourites.shape[1]).astype(int)]

    slate = np.empty((len(user), SLATE), dtype=np.int64)
    for j in range(SLATE):
        slate[:, j] = _shown(seed, j, user, number, time, intent, items, dials)
    score = np.stack(
        [
            true_preference(
                users.vector[user], items.vector[slate[:, j]], items.appeal[slate[:, j]]
            )
            for j in range(SLATE)
        ],
        axis=1,
    )
    score[draw("noise") < dials.noise] = 0.0
    weight = np.exp(score) * (1.0 + np.arange(SLATE)) ** (-2.0 * dials.position_bias)
    cumulative = np.cumsum(weight, axis=1)
    target = draw("click") * cumulative[:, -1]
    position = np.minimum((cumulative <= target[:, None]).sum(axis=1), SLATE - 1)
    funnel = np.cumsum([0.80, 0.12, 0.03, 0.02, 0.02, 0.01])
    kind = np.minimum(np.searchsorted(funnel, draw("type"), side="right"), len(funnel) - 1)
    item = slate[np.arange(len(user)), position]
    return Events(user, number, session, time, item, position, kind, slate)


def _shown(
    seed: int,
    place: int,
    user: NDArray[np.int64],
    number: NDArray[np.int64],
    time: NDArray[np.float64],
    intent: NDArray[np.int64],
    items: Catalogue,
    dials: Dials,
) -> NDArray[np.int64]:
    """The listing (its row) at one place of every slate."""

    def draw(name: str) -> NDArray[np.float64]:
        return seeds.uniform(seeds.derive(seed, name, place), user, number)

    any_leaf = items.leaf[(draw("any leaf") * len(items.leaf)).astype(np.int64)]
    leaf = np.where(draw("from intent") < FROM_INTENT, intent, any_leaf)
    # Listings are sorted by leaf and birth: those on sale now are one range.
    span = LIFE * 1000
    key = items.leaf * span + items.birth + LIFE
    low = np.searchsorted(key, leaf * span + time, side="left")
    high = np.searchsorted(key, leaf * span + time + LIFE, side="right")
    empty = high <= low  # nothing of this leaf is on sale: show the nearest listing
    low = np.clip(np.where(empty, low - 1, low), 0, len(items.leaf) - 1)
    high = np.where(empty, low + 1, high)
    row = low + (draw("listing") * (high - low)).astype(np.int64)
    if dials.popularity_bias > 0:
        best = row
        for rival in range(3):
            other = low + (draw(f"rival {rival}") * (high - low)).astype(np.int64)
            best = np.where(items.appeal[other] > items.appeal[best], other, best)
        row = np.where(draw("popular") < dials.popularity_bias, best, row)
    if dials.exposure_bias > 0:
        which = (draw("believed which") * BELIEVED).astype(np.int64)
        guess = seeds.uniform(seeds.derive(seed, "believed"), user, which)
        believed = (guess * len(items.leaf)).astype(np.int64)
        row = np.where(draw("believed") < dials.exposure_bias, believed, row)
    return row


def is_logged(events: Events, seed: int, seconds: float) -> NDArray[np.bool_]:
    """Whether an event reached the log: the last day's mostly did not, as in MerRec."""
    draw = seeds.uniform(seeds.derive(seed, "world log"), events.user, events.number)
    return (events.time < seconds - DAY) | (draw < 0.05)
