"""Counter-based random numbers and cache prefetch for the walk kernels.

Draw n of attempt a of walk w is a hash of (seed, w, a, n) and of nothing else (SplitMix64's
finaliser; Steele, Lea and Flood, 2014). So a walk's bytes depend neither on the thread that makes
it, nor on the shard it falls into, nor on the walks made beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD6E8FEB86659FD93)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

# Draws of an attempt: its length, its start, and from then on its steps.
LENGTH_DRAW = np.uint64(0)
START_DRAW = np.uint64(1)
FIRST_STEP_DRAW = np.uint64(2)


@numba.njit(inline="always")
def mix(x: np.uint64) -> np.uint64:
    """A bijection on 64-bit integers whose output bits look random."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@numba.njit(inline="always")
def attempt_key(seed: np.uint64, walk: np.uint64, attempt: np.uint64) -> np.uint64:
    """The key of one attempt of one walk, from which its draws are hashed."""
    return mix(mix(mix(seed + _GOLDEN) ^ (walk * _ODD)) + attempt * _GOLDEN)


@numba.njit(inline="always")
def draw(key: np.uint64, number: np.uint64) -> np.uint64:
    """Draw `number` of the attempt with this key: 64 random bits."""
    return mix(key + number * _GOLDEN)


@numba.njit(inline="always")
def below(bits: np.uint64, bound: np.uint64) -> np.uint64:
    """A whole number in [0, bound) from the upper 32 of 64 random bits, bound at most 2^32."""
    return ((bits >> np.uint64(32)) * bound) >> np.uint64(32)


@numba.njit(inline="always")
def unit(bits: np.uint64) -> float:
    """A number in [0, 1) from the upper 53 of 64 random bits."""
    return float(bits >> np.uint64(11)) * 2.0**-53


@numba.njit(inline="always")
def geometric_length(bits: np.uint64, per_log: float, shortest: int, longest: int) -> int:
    """`shortest` + a geometric number (0, 1, ...), at most `longest`.

    A walk that may stop with probability alpha after each item from the `shortest`-th on has this
    length; `per_log` is 1 / log(1 - alpha).
    """
    more = math.log(unit(bits) + 2.0**-54) * per_log
    return shortest + int(min(more, float(longest - shortest)))


def _prefetch(_: Any, array: Any, index: Any) -> Any:
    signature = types.void(array, index)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(view.data, [arguments[1]])
        byte = ir.PointerType(ir.IntType(8))
        whole = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole]),
            "llvm.prefetch.p0",
        )
        # Arguments: read, keep in all caches, data.
        flags = [whole(0), whole(3), whole(1)]
        builder.call(function, [builder.bitcast(pointer, byte), *flags])
        return context.get_dummy_value()

    return signature, generate


# prefetch(array, index): ask the processor for the cache line of array[index] (1-d, index uint64).
prefetch: Any = intrinsic(_prefetch)
