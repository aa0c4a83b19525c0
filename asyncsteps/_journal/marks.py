"""Tells all that the mark of a step says, or what the marks of a group say together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anyio import CapacityLimiter, create_task_group

from asyncsteps._errors import RecordError
from asyncsteps._journal.lines import time_of
from asyncsteps.store._protocol import StepStore

READ_AT_MOST = 1_000
"""How many marks of a group are read, one request each on S3."""

_AT_ONCE = 32
_SLOWEST = 5


@dataclass(frozen=True, slots=True)
class MarkedGroup:
    """What the marks of a group say together.

    Attributes:
        group: The selector that the group is of.
        done: How many steps of it are done.
        read: How many of their marks were read, at most `READ_AT_MOST`; the rest of this tells of those.
        runs: How many of them each run played, by its id; the most first.
        by_hand: How many were marked by hand.
        forced: How many were forced.
        retried: How many took more than one attempt.
        first: When the first was marked.
        last: When the last was marked.
        seconds: How long all ran together.
        slowest: The slowest, with their seconds.
    """

    group: str
    done: int
    read: int
    runs: Mapping[str, int]
    by_hand: int
    forced: int
    retried: int
    first: datetime | None
    last: datetime | None
    seconds: float
    slowest: tuple[tuple[str, float], ...]


def seconds_of(mark: Mapping[str, Any]) -> float | None:
    """Return how long the step of a mark ran, or None when the mark does not say."""
    started, ended = time_of(mark.get("started")), time_of(mark.get("ended"))
    return None if started is None or ended is None else (ended - started).total_seconds()


async def show(store: StepStore, name: str) -> dict[str, Any] | MarkedGroup | None:
    """Return what the mark of a step says; for a name that only others are below, what theirs say together.

    Args:
        store: An open store.
        name: The step's name, or a group's; ``*`` is all.

    Returns:
        The record; or the group; None when neither the step nor anything below it is done.

    Raises:
        StoreError: When the store cannot be read.
    """
    if name != "*":
        record = await store.read_done(name)
        if record is not None:
            return record
    names = await store.list_done(name, on_foreign=lambda _key: None)
    return await _group(store, name, names) if names else None


async def _group(store: StepStore, group: str, names: Sequence[str]) -> MarkedGroup:
    marks: dict[str, dict[str, Any]] = {}
    limiter = CapacityLimiter(_AT_ONCE)

    async def read(name: str) -> None:
        async with limiter:
            try:
                record = await store.read_done(name)
            except RecordError:
                record = {}
            if record is not None:
                marks[name] = record

    try:
        async with create_task_group() as tasks:
            for name in names[:READ_AT_MOST]:
                tasks.start_soon(read, name)
    except ExceptionGroup as several:
        raise several.exceptions[0] from several.exceptions[0].__cause__
    times = sorted(at for mark in marks.values() if (at := time_of(mark.get("marked_at"))) is not None)
    took = {name: seconds for name, mark in marks.items() if (seconds := seconds_of(mark)) is not None}
    runs = Counter(
        str(mark["run_id"]) for mark in marks.values() if mark.get("run_id") and not mark.get("marked_by")
    )
    attempts = [mark.get("attempts") for mark in marks.values()]
    return MarkedGroup(
        group=group,
        done=len(names),
        read=len(marks),
        runs=dict(runs.most_common()),
        by_hand=sum(bool(mark.get("marked_by")) for mark in marks.values()),
        forced=sum(mark.get("forced") is True for mark in marks.values()),
        retried=sum(isinstance(number, int) and number > 1 for number in attempts),
        first=times[0] if times else None,
        last=times[-1] if times else None,
        seconds=sum(took.values()),
        slowest=tuple(sorted(took.items(), key=lambda each: (-each[1], each[0]))[:_SLOWEST]),
    )
