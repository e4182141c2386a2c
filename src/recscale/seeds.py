"""Random numbers that depend on names and keys, never on order, threads or shards.

Every stage derives its seed from the one in the config and its own name, so that adding a stage
changes no other stage's numbers. Splits hash the key of each row: a row's split does not depend on
which other rows are present, or on how the rows are divided among jobs.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the part of the work that `names` names."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator seeded with `derive(seed, *names)`."""
    return np.random.default_rng(derive(seed, *names))


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood, 2014), a bijection on 64-bit integers."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * _MIX_1
        values = (values ^ (values >> np.uint64(27))) * _MIX_2
        return values ^ (values >> np.uint64(31))


def hash_keys(seed: int, *keys: NDArray[np.integer]) -> NDArray[np.uint64]:
    """One 64-bit hash per row of the integer key columns `keys` (each of shape `(rows,)`)."""
    state = np.full(len(keys[0]), np.uint64(seed), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = mix(state + _GOLDEN + mix(key.astype(np.uint64) + _GOLDEN))
    return state


def uniform(seed: int, *keys: NDArray[np.integer]) -> NDArray[np.float64]:
    """One number in [0, 1) per row of the integer key columns, a pure function of seed and keys."""
    return (hash_keys(seed, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53
