"""Listings and users of the simulated marketplace, and what users truly prefer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recscale import seeds

DIMENSIONS = 8
DAY = 86_400.0  # seconds
LIFE = 60 * DAY  # a listing is on sale so long
FAVOURITES = 3  # leaf categories a user cares for

TOP = ("Women", "Men", "Kids", "Home", "Toys", "Electronics")
MIDDLE = ("Clothing", "Accessories", "Collectibles", "Supplies")
LEAF = ("Tops", "Shoes", "Bags", "Cards", "Lamps", "Sets")
BRANDS = tuple(
    f"{a}{b}"
    for a in ("Alder", "Birch", "Cedar", "Dune", "Ember", "Fjord")
    for b in ("line", "works", "craft", "well", "son")
)
ADJECTIVES = ("vintage", "new", "lot of", "rare", "cute", "large", "small", "handmade", "blue")
SIZES = ("XS", "S", "M", "L", "XL", "7", "8", "9", "10")
COLORS = ("Black", "White", "Red", "Blue", "Green", "Pink")
CONDITIONS = ("New", "Like new", "Good", "Fair", "Poor")
SHIPPERS = ("Buyer", "Seller")
# Shares of listings without the attribute, as third parties counted them in MerRec's first month.
NO_BRAND, NO_SIZE, NO_COLOR = 0.192, 0.627, 0.956
REDACTED, RENAMED = 0.15, 0.01


def normal(seed: int, *keys: NDArray[np.integer]) -> NDArray[np.float64]:
    """One standard normal number per row of keys (Box and Muller)."""
    first = seeds.uniform(seeds.derive(seed, 1), *keys)
    second = seeds.uniform(seeds.derive(seed, 2), *keys)
    return np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)


def vectors(seed: int, rows: int) -> NDArray[np.float64]:
    """Standard normal vectors (rows, DIMENSIONS); a row depends on the seed and its number only."""
    row, column = np.divmod(np.arange(rows * DIMENSIONS), DIMENSIONS)
    return normal(seed, row, column).reshape(rows, DIMENSIONS)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True)
class Catalogue:
    """Listings, sorted by leaf category and the time they are put on sale.

    item_id (items,), leaf (items,), vector (items, DIMENSIONS) of length 1, appeal (items,): how
    popular a listing is with everybody, birth (items,): seconds since the world began; `columns`
    are MerRec's item columns; `renamed` their names after the title was changed.
    """

    item_id: NDArray[np.int64]
    leaf: NDArray[np.int64]
    vector: NDArray[np.float64]
    appeal: NDArray[np.float64]
    birth: NDArray[np.float64]
    columns: pa.Table
    renamed: pa.Array
    centres: NDArray[np.float64]

    @property
    def leaves(self) -> int:
        """Number of leaf categories."""
        return len(self.centres)


def catalogue(seed: int, items: int, seconds: float) -> Catalogue:
    """So many listings, put on sale from LIFE before the world begins until `seconds` after."""
    seed = seeds.derive(seed, "world items")

    def draw(name: str) -> NDArray[np.float64]:
        return seeds.uniform(seeds.derive(seed, name), np.arange(items))

    leaves = min(len(TOP) * len(MIDDLE) * len(LEAF), max(4, items // 40))
    centres = unit(vectors(seeds.derive(seed, "centres"), leaves))
    # Categories are of unequal size: the k-th has a share that falls with its number.
    share = np.cumsum(1.0 / np.arange(2, leaves + 2))
    leaf = np.searchsorted(share / share[-1], draw("leaf"), side="right")
    birth = draw("birth") * (seconds + LIFE) - LIFE
    order = np.lexsort((birth, leaf))
    leaf, birth = leaf[order], birth[order]
    vector = unit(centres[leaf] + 0.35 * vectors(seeds.derive(seed, "vectors"), items)[order])
    appeal = normal(seeds.derive(seed, "appeal"), order)
    item_id = 10_000_000_000 + np.arange(items) * 7919
    columns, renamed = _columns(seed, leaf)
    return Catalogue(item_id, leaf, vector, appeal, birth, columns, renamed, centres)


def _columns(seed: int, leaf: NDArray[np.int64]) -> tuple[pa.Table, pa.Array]:
    """MerRec's item columns of listings in these leaf categories, and their changed names."""
    rows = np.arange(len(leaf))

    def draw(name: str) -> NDArray[np.float64]:
        return seeds.uniform(seeds.derive(seed, "column", name), rows)

    def pick(name: str, choices: tuple[str, ...]) -> NDArray[np.int64]:
        return (draw(name) * len(choices)).astype(np.int64)

    def text(choices: tuple[str, ...], index: NDArray, missing: NDArray | None = None) -> pa.Array:
        return pa.array(choices).take(pa.array(index, mask=missing))

    top, rest = np.divmod(leaf, len(MIDDLE) * len(LEAF))
    middle, low = np.divmod(rest, len(LEAF))
    brand, size, color = pick("brand", BRANDS), pick("size", SIZES), pick("color", COLORS)
    no_brand = draw("no brand") < NO_BRAND
    no_size = draw("no size") < NO_SIZE
    no_color = draw("no color") < NO_COLOR
    condition, shipper = pick("condition", CONDITIONS), pick("shipper", SHIPPERS)
    adjective = pick("adjective", ADJECTIVES)
    redacted = draw("redacted") < REDACTED
    names, renamed = [], []
    for row in range(len(leaf)):
        words = [ADJECTIVES[adjective[row]], LEAF[low[row]].lower(), str(1 + row % 97)]
        if not no_brand[row]:
            words.insert(0, BRANDS[brand[row]])
        if redacted[row]:
            words.append("[redacted]")
        names.append(" ".join(words))
        renamed.append(" ".join(["PRICE DROP", *words]))
    price = np.clip(np.exp(np.log(25) + 1.1 * normal(seeds.derive(seed, "price"), rows)), 1, 5000)
    table = pa.table(
        {
            "product_id": pa.array((leaf * 1000 + brand).astype(str).tolist()),
            "name": pa.array(names),
            "price": pa.array(np.round(price, 0)),
            "c0_id": pa.array(top),
            "c1_id": pa.array(top * 10 + middle),
            "c2_id": pa.array(leaf),
            "c0_name": text(TOP, top % len(TOP)),
            "c1_name": text(MIDDLE, middle),
            "c2_name": text(LEAF, low),
            "brand_id": pa.array(brand, mask=no_brand),
            "brand_name": text(BRANDS, brand, no_brand),
            "item_condition_id": pa.array(condition + 1),
            "item_condition_name": text(CONDITIONS, condition),
            "size_id": pa.array(size, mask=no_size),
            "size_name": text(SIZES, size, no_size),
            "color": text(COLORS, color, no_color),
            "shipper_id": pa.array(shipper + 1),
            "shipper_name": text(SHIPPERS, shipper),
        }
    )
    changes = draw("renamed") < RENAMED
    return table, pa.array([r if c else n for r, c, n in zip(renamed, changes, names, strict=True)])


@dataclass(frozen=True)
class Users:
    """user_id (users,), vector (users, DIMENSIONS), favourites: leaves (users, FAVOURITES)."""

    user_id: NDArray[np.int64]
    vector: NDArray[np.float64]
    favourites: NDArray[np.int64]


def population(seed: int, users: int, items: Catalogue) -> Users:
    """Users whose preference is a few categories' centres and a taste of their own."""
    seed = seeds.derive(seed, "world users")
    user, place = np.divmod(np.arange(users * FAVOURITES), FAVOURITES)
    share = np.cumsum(1.0 / np.arange(2, items.leaves + 2))
    draw = seeds.uniform(seeds.derive(seed, "favourites"), user, place)
    favourites = np.searchsorted(share / share[-1], draw, side="right").reshape(users, FAVOURITES)
    own = vectors(seeds.derive(seed, "vectors"), users)
    vector = unit(items.centres[favourites].sum(axis=1) + 0.35 * own)
    return Users(1_000_000 + 3 * np.arange(users), vector, favourites)


def true_preference(
    users: NDArray[np.float64], items: NDArray[np.float64], appeal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a user gives for an item, free of any exposure: 4 <user, item> + appeal / 4.

    Args:
        users: vectors (..., DIMENSIONS). items: vectors (..., DIMENSIONS). appeal: (...).
    """
    return 4.0 * np.einsum("...d,...d->...", users, items) + 0.25 * appeal
