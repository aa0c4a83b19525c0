"""Tells of the last runs of a store, and of one of them."""

from collections.abc import Iterator

from asyncsteps._errors import StoreError
from asyncsteps._journal.lines import Event
from asyncsteps._journal.places import folder_id
from asyncsteps._journal.reading import files_of, last_files, newest, whole
from asyncsteps._journal.story import RunLog, RunSummary
from asyncsteps.store._protocol import StepStore


async def runs(store: StepStore, *, limit: int | None = 20, by_hand: bool = False) -> list[RunSummary]:
    """Return the last runs over a store, the newest first, as their journals tell them.

    Args:
        store: An open store.
        limit: How many at most; None: all whose journals are kept.
        by_hand: Whether commands that changed marks by hand are among them.

    Raises:
        StoreError: When the store cannot be read, or keeps no journals.
    """
    files = files_of(store)
    logs = await last_files(files, await newest(files, limit, kind=None if by_hand else "run"))
    return [log.summary for log in logs]


async def story(store: StepStore, run_id: str) -> tuple[RunSummary, list[Event]]:
    """Return a run and all its events, in order; docs/journal.md has their schema.

    Args:
        store: An open store.
        run_id: The run's id; where several runs had it, the last of them.

    Raises:
        StoreError: When the store cannot be read, keeps no journals, or none of that run.
    """
    files = files_of(store)
    for folder in await newest(files, None):
        if not folder.name.endswith(f"-{folder_id(run_id)}"):
            continue
        log = await whole(files, folder)
        if log is not None and log.summary.run_id == run_id:
            return log.summary, list(_events(log))
    raise StoreError(
        f"no journal of a run {run_id!r} is kept: see 'asyncsteps runs' for those that are", url=store.url
    )


def _events(log: RunLog) -> Iterator[Event]:
    """The events, without repetitions of the first line and without signs of life but the last."""
    events = list(log.events())
    begun = False
    for number, event in enumerate(events, 1):
        again = event["event"] == "started" and begun
        begun = begun or event["event"] == "started"
        if not again and (event["event"] != "alive" or number == len(events)):
            yield event
