"""The journals of a store in memory."""

import time
from collections.abc import Sequence

from asyncsteps.store._protocol import JournalFile


class MemoryJournal:
    """Keeps the journals of runs in memory. They can be read outside the store's block, too."""

    where = "memory:"
    remote = False

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, float]] = {}

    async def names(self) -> list[str]:
        """Return the names of all files."""
        return list(self._files)

    async def read(self, name: str) -> JournalFile | None:
        """Return a file, or None when there is none."""
        found = self._files.get(name)
        return None if found is None else JournalFile(found[0], time.monotonic() - found[1])

    async def write(self, name: str, body: bytes) -> None:
        """Write a file, or replace it."""
        self._files[name] = (body, time.monotonic())

    async def remove(self, names: Sequence[str]) -> None:
        """Remove files; one that is not there is no error."""
        for name in names:
            self._files.pop(name, None)
