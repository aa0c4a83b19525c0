"""Immutable snapshots of long lists of done steps, out of sight of every listing of done steps.

A snapshot is an object of a store, under a prefix that differs from the steps' prefix in its first character: no
listing of ``steps``, ``steps/`` or ``s`` includes it. The listing of an empty prefix includes every key of the
bucket, so there is no room for one.
"""

import hashlib
import logging
from datetime import UTC, datetime, timedelta

from asyncsteps._errors import AccessDeniedError, StoreError
from asyncsteps.store._location import normalise_prefix
from asyncsteps.swf._constants import SNAPSHOT_KEEP_DAYS
from asyncsteps.swf._done.payload import Snapshot, pack, unpack
from asyncsteps.swf._sync.stores import use_store

_logger = logging.getLogger("asyncsteps.swf")

_ROOT = "asyncsteps-snapshots"
_DAY = "%Y-%m-%d"


def snapshot_prefix(prefix: str) -> str | None:
    """The key prefix of the snapshots of the steps under ``prefix``; None for the empty prefix."""
    prefix = normalise_prefix(prefix)
    if not prefix:
        return None
    lead = "_" if prefix.startswith(".") else "."
    return f"{lead}{_ROOT}/{hashlib.sha256(prefix.encode()).hexdigest()[:32]}/"


async def write_snapshot(bucket: str, prefix: str, names: list[str]) -> Snapshot | None:
    """Write a snapshot of ``names`` and remove the old ones of this prefix.

    Returns:
        A pointer to it, or None under an empty prefix and where the role may not write one.
    """
    where = snapshot_prefix(prefix)
    if where is None:
        return None
    packed = pack(names)
    today = datetime.now(UTC)
    digest = hashlib.sha256(packed["packed"].encode()).hexdigest()[:32]
    name = f"{today.strftime(_DAY)}-{digest}"
    async with use_store(bucket, where) as store:
        try:
            await store.mark_done(name, packed)
        except AccessDeniedError as error:
            _logger.warning(
                "no snapshot of the %d done steps is written (%s); they travel in parts, which costs 6 history "
                "events each: allow s3:PutObject and s3:GetObject on %s*",
                len(names),
                error,
                where,
            )
            return None
        oldest = (today - timedelta(days=SNAPSHOT_KEEP_DAYS)).strftime(_DAY)
        try:
            await store.withdraw([other for other in await store.list_done() if other < oldest])
        except StoreError as error:  # whatever it is, the snapshot is written
            _logger.warning("old snapshots of done steps stay (%s): allow s3:ListBucket, s3:DeleteObject", error)
    return Snapshot(where, name, len(names))


async def read_snapshot(bucket: str, snapshot: Snapshot) -> list[str] | None:
    """Read the names of a snapshot; None when it is gone.

    Raises:
        DoneListError: When it holds something else.
        StoreError: When it cannot be read (the decider's role needs ``s3:GetObject``).
    """
    async with use_store(bucket, snapshot.prefix) as store:
        packed = await store.read_done(snapshot.name)
    return None if packed is None else unpack(packed)
