"""Reads journals from a store."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, create_task_group

from asyncsteps._errors import StoreError
from asyncsteps._journal.places import Folder, Kind, folders, segment_name
from asyncsteps._journal.story import RunLog
from asyncsteps.store._protocol import JournalFile, JournalFiles, StepStore, journal_files

_AT_ONCE = 16
T = TypeVar("T")


def files_of(store: StepStore) -> JournalFiles:
    """Return where a store keeps journals.

    Raises:
        StoreError: When it keeps none.
    """
    files = journal_files(store)
    if files is None:
        raise StoreError(
            "this store keeps no journals: an S3 store has room for them beside a prefix that is not empty",
            url=store.url,
        )
    return files


async def newest(files: JournalFiles, limit: int | None, *, kind: Kind | None = None) -> list[Folder]:
    """Return the newest journals, the newest first."""
    found = [each for each in folders(await files.names()) if kind is None or each.kind == kind]
    return found[::-1][:limit]


async def last_files(files: JournalFiles, wanted: Sequence[Folder]) -> list[RunLog]:
    """Read the last file of each journal, which tells of the run as a whole; one that has gone is left out."""

    async def read(folder: Folder) -> RunLog | None:
        file = await files.read(folder.segments[-1])
        if file is None:
            return None
        log = RunLog(folder, [file.body], file.age)
        end = await _end_since(files, log)
        return log if end is None else RunLog(folder, [end.body], end.age)

    logs = await _gather([partial(read, folder) for folder in wanted])
    return [log for log in logs if log is not None]


async def whole(files: JournalFiles, folder: Folder) -> RunLog | None:
    """Read a journal, or return None when it is gone."""
    read = await _gather([partial(files.read, name) for name in folder.segments])
    found = [file for file in read if file is not None]
    if not found:
        return None
    log = RunLog(folder, [file.body for file in found], found[-1].age)
    end = await _end_since(files, log)
    return log if end is None else RunLog(folder, [*(file.body for file in found), end.body], end.age)


async def _end_since(files: JournalFiles, log: RunLog) -> JournalFile | None:
    """Return the file that tells the end of a run that seems killed, if it came after the listing."""
    if log.summary.outcome != "killed":
        return None
    last = int(log.folder.segments[-1].rpartition("/")[2].partition(".")[0])
    return await files.read(segment_name(log.folder.name, last + 1, last=True))


async def _gather(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make the calls, some of them side by side, and return their results in order."""
    limiter = CapacityLimiter(_AT_ONCE)
    results: dict[int, T] = {}

    async def call(number: int) -> None:
        async with limiter:
            results[number] = await calls[number]()

    try:
        async with create_task_group() as tasks:
            for number in range(len(calls)):
                tasks.start_soon(call, number)
    except ExceptionGroup as group:
        first = group.exceptions[0]
        raise first from first.__cause__
    return [results[number] for number in range(len(calls))]
