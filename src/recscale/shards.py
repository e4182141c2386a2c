"""Work that several jobs share, a shard each."""

from __future__ import annotations

from recscale.errors import UserError


def check_shard(shard: int, shards: int) -> None:
    """Refuse the number of a shard that there is not.

    Raises:
        UserError: there is no such shard.
    """
    if not 0 <= shard < shards:
        raise UserError(f"--shard is {shard} of --shards {shards}", "count shards from 0")
