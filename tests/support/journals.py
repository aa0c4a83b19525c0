"""Reads what runs have left in the journals of a store."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from asyncsteps import StepStore
from asyncsteps._journal.places import folders
from asyncsteps._journal.reading import files_of

OpenStore = Callable[[], AbstractAsyncContextManager[StepStore]]


async def journals(store: StepStore) -> list[list[dict[str, Any]]]:
    """The lines of each journal, decoded, the oldest run first."""
    return [events async for events in _journals(store)]


async def _journals(store: StepStore) -> AsyncIterator[list[dict[str, Any]]]:
    files = files_of(store)
    for folder in folders(await files.names()):
        bodies = [await files.read(name) for name in folder.segments]
        yield [json.loads(line) for body in bodies if body is not None for line in body.body.splitlines()]


def told(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    """The events as pairs of kind and step."""
    return [(event["event"], event.get("step")) for event in events]


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    return [event for event in events if event["event"] == kind]
