"""Shares, passes and purity of the mixture sampler; the reduced UIH set."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recscale.errors import UserError
from recscale.pretraining.data import reduced_windows
from recscale.pretraining.sampler import MixtureSampler, domain_order, ledger

FULL = {"general": 0.5, "item_text": 0.09, "cf": 0.3, "uih": 0.11}
SIZES = {"general": 50, "item_text": 7, "cf": 30, "uih": 3}


def numbered(batch: int = 16, seed: int = 1) -> MixtureSampler:
    """A sampler over windows that hold their own number in each domain."""
    domains = {
        name: (FULL[name], np.repeat(np.arange(n, dtype=np.uint16)[:, None], 4, axis=1))
        for name, n in SIZES.items()
    }
    return MixtureSampler(domains, batch, seed, rows=100)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
@hypothesis_settings(deadline=None)
def test_every_prefix_holds_the_shares_to_within_one_window(shares: list[int]) -> None:
    total = sum(shares)
    order = domain_order(shares, 2 * total)
    counts = (order[:, None] == np.arange(len(shares))).cumsum(0)
    wanted = np.arange(1, 2 * total + 1)[:, None] * np.array(shares) / total
    bound = 1 - 1 / max(2, 2 * len(shares) - 2)
    assert np.abs(counts - wanted).max() <= bound + 1e-9
    assert counts[total - 1].tolist() == shares  # the order is periodic


@pytest.mark.parametrize("share", [0.005, 0.11])
def test_counts_follow_the_mixture_at_every_step(share: float) -> None:
    shares = {"general": 0.5, "cf": 0.5 - share, "uih": share}
    windows = np.zeros((5, 4), dtype=np.uint16)
    sampler = MixtureSampler({n: (s, windows) for n, s in shares.items()}, 16, 0, rows=1)
    for step in range(300):
        counts = sampler.counts(step)
        assert sum(counts.values()) == 16 * step
        for name, wanted in shares.items():
            assert abs(counts[name] - wanted * 16 * step) < 1
    for earlier, later in pairwise(sampler.counts(s) for s in range(300)):
        assert all(later[name] >= earlier[name] for name in shares)


def test_counts_are_what_the_batches_hold() -> None:
    sampler, seen = numbered(), dict.fromkeys(SIZES, 0)
    for step in range(20):
        assert sampler.counts(step) == seen
        for name, _ in sampler.indices(step):
            seen[name] += 1


def test_a_pass_shows_every_window_once_and_the_next_in_another_order() -> None:
    sampler = numbered()
    drawn: dict[str, list[int]] = {name: [] for name in SIZES}
    for step in range(60):
        for name, index in sampler.indices(step):
            drawn[name].append(index)
    for name, size in SIZES.items():
        passes = [drawn[name][i : i + size] for i in range(0, len(drawn[name]), size)]
        for one in passes[:-1]:
            assert sorted(one) == list(range(size))
        assert len(set(map(tuple, passes[:-1]))) > 1


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    forward = [numbered().batch(step) for step in range(12)]
    backward = numbered()
    for step in reversed(range(12)):
        assert np.array_equal(backward.batch(step), forward[step])
    assert any(not np.array_equal(numbered(seed=2).batch(s), forward[s]) for s in range(3))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_parts_of_a_batch_are_the_batch(parts: int) -> None:
    sampler = numbered()
    together = np.concatenate([sampler.batch(3, part, parts) for part in range(parts)])
    assert np.array_equal(together, sampler.batch(3))
    assert together.dtype == np.int64


def test_an_id_without_a_row_is_refused() -> None:
    windows = np.full((3, 4), 70, dtype=np.uint16)
    sampler = MixtureSampler({"general": (1.0, windows)}, 2, 0, rows=64)
    with pytest.raises(UserError, match="hold the id 70, the model has 64 rows"):
        sampler.batch(0)


def test_the_ledger_counts_tokens_and_repeats() -> None:
    seen = ledger(numbered(), 25)  # 400 windows of 4 tokens
    assert seen["general"].seen_tokens == 800
    assert seen["uih"].seen_tokens == 176
    assert seen["uih"].unique_tokens == 12
    assert seen["uih"].repeats == pytest.approx(176 / 12)
    assert sum(s.seen_tokens for s in seen.values()) == 1600


def test_the_reduced_set_gives_the_repeats_of_table_6() -> None:
    tokens, length = 163_840_000_000, 512
    windows = reduced_windows(tokens, length)
    published = {0.005: 4.1, 0.01: 8.2, 0.02: 16.3, 0.05: 40.8, 0.15: 122.3}
    for share, repeats in published.items():
        assert share * tokens / (windows * length) == pytest.approx(repeats, abs=0.06)
    assert reduced_windows(1_500_000, 128) == 14
    assert reduced_windows(10_000, 128) == 1


def test_the_curriculum_comes_one_domain_after_the_other() -> None:
    """Item text, then CF, then UIH; general text throughout; every share holds over the run."""
    steps, batch = 250, 16
    domains = {
        name: (FULL[name], np.repeat(np.arange(n, dtype=np.uint16)[:, None], 4, axis=1))
        for name, n in SIZES.items()
    }
    sampler = MixtureSampler(domains, batch, 1, rows=100, curriculum_steps=steps)
    seen = [name for step in range(steps) for name, _ in sampler.indices(step)]
    taught = [name for name in seen if name != "general"]
    assert taught == sorted(taught, key=["item_text", "cf", "uih"].index)
    for name, share in FULL.items():
        assert abs(seen.count(name) - share * steps * batch) < 2
    halves = [seen[: len(seen) // 2].count("general"), seen[len(seen) // 2 :].count("general")]
    assert abs(halves[0] - halves[1]) <= 2
    counts = dict.fromkeys(SIZES, 0)
    for step in range(steps):
        assert sampler.counts(step) == counts
        for name, _ in sampler.indices(step):
            counts[name] += 1
    assert sampler.counts(steps) == counts
    # The windows a pass shows are the same as in a mixture, in another order.
    first = [i for s in range(steps) for n, i in sampler.indices(s) if n == "uih"][:3]
    assert sorted(first) == [0, 1, 2]


def test_a_curriculum_without_general_text() -> None:
    shares = {"item_text": 0.18, "cf": 0.6, "uih": 0.22}
    windows = np.zeros((5, 4), dtype=np.uint16)
    domains = {name: (share, windows) for name, share in shares.items()}
    sampler = MixtureSampler(domains, 10, 0, rows=1, curriculum_steps=10)
    assert sampler.counts(10) == {"item_text": 18, "cf": 60, "uih": 22}
    assert {name for name, _ in sampler.indices(0)} == {"item_text"}
    assert {name for name, _ in sampler.indices(9)} == {"uih"}
