"""Reads what runs have left in the journals of a store; files of journals that fail."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncsteps import MemoryStore, StepStore, open_store
from asyncsteps._journal.places import folders
from asyncsteps._journal.reading import files_of
from asyncsteps.journal import JournalFile

STORES = ["memory", "directory", "s3", "s3 by botocore"]
"""The kinds of stores that runs leave journals in."""


def open_by(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[StepStore]:
    """Open a store of the kind that a fixture is asked for."""
    if request.param == "memory":
        return open_store("memory:")
    if request.param == "directory":
        path: Path = request.getfixturevalue("tmp_path")
        return open_store(path / "steps")
    bucket, endpoint = request.getfixturevalue("bucket"), request.getfixturevalue("s3_endpoint")
    transport = "botocore" if request.param == "s3 by botocore" else None
    return open_store(f"s3://{bucket}/wf/steps", endpoint_url=endpoint, transport=transport)


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


class FailingFiles:
    """Journal files in memory that count, delay and fail."""

    where = "nowhere"
    remote = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.written: list[float] = []
        self.listed = 0
        self.error: Exception | None = None
        self.delay = 0.0

    async def names(self) -> list[str]:
        self.listed += 1
        return list(self.files)

    async def read(self, name: str) -> JournalFile | None:
        body = self.files.get(name)
        return None if body is None else JournalFile(body, 0.0)

    async def write(self, name: str, body: bytes) -> None:
        self.written.append(asyncio.get_running_loop().time())
        await anyio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        self.files[name] = body

    async def remove(self, names: Iterable[str]) -> None:
        for name in names:
            del self.files[name]

    def lines(self) -> list[bytes]:
        return [line for name in sorted(self.files) for line in self.files[name].splitlines()]


class FailingStore(MemoryStore):
    """A memory store with such files."""

    def __init__(self) -> None:
        super().__init__()
        self.journal_files: Any = FailingFiles()
