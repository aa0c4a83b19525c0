"""The in-memory store, for tests and for programs that need nothing durable."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from asyncsteps._plan.names import matches
from asyncsteps.store._common import BaseStore, KeyFilter
from asyncsteps.store._memory_journal import MemoryJournal
from asyncsteps.store._protocol import DonePage, ListingProgress, OnProgress
from asyncsteps.store._records import decode_record, encode_record

_BATCH = 1000


class MemoryStore(BaseStore):
    """Keeps done steps in memory, with the same checks of names, records and lifetime as the other stores.

    Args:
        records: Initial records, by step name.

    Attributes:
        journal_files: The journals of the runs.
    """

    def __init__(self, records: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        self.journal_files = MemoryJournal()
        self._bodies: dict[str, bytes] = {}
        for name, record in (records or {}).items():
            self.check_name(name)
            self._bodies[name] = encode_record(name, record)

    @property
    def url(self) -> str:
        """``memory:``, which opens a new, empty store and not this one."""
        return "memory:"

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """A copy of all records, sorted by name. Also available outside the block."""
        return {name: decode_record(name, self._bodies[name]) for name in sorted(self._bodies)}

    async def _batches(
        self, under: str, key_filter: KeyFilter, on_progress: OnProgress | None
    ) -> AsyncGenerator[list[str], None]:
        del key_filter  # only checked names are stored here
        await asyncio.sleep(0)
        names = [name for name in self._bodies if matches(under, name)]
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            if on_progress is not None:
                on_progress(ListingProgress(start // _BATCH + 1, start + len(batch), 0, 0))
            yield batch

    async def done_page(self, start_after: str = "") -> DonePage:
        """Return all done names greater than ``start_after``, in order."""
        self._require_open()
        await asyncio.sleep(0)
        names = sorted(self._bodies)
        return DonePage(tuple(names[bisect_right(names, start_after) :]), None)

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done."""
        self._checked(name)
        await asyncio.sleep(0)
        return name in self._bodies

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        """Record ``name`` as done; return whether this call's record is the stored one."""
        self._checked(name)
        body = encode_record(name, record)
        await asyncio.sleep(0)
        if first_wins and name in self._bodies:
            return False
        self._bodies[name] = body
        return True

    async def read_done(self, name: str) -> dict[str, Any] | None:
        """Return a copy of the record of ``name``, or None when it is not done."""
        self._checked(name)
        await asyncio.sleep(0)
        body = self._bodies.get(name)
        return None if body is None else decode_record(name, body)

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        """Withdraw done marks; return those that were there, sorted."""
        wanted = self._checked_names(names)
        await asyncio.sleep(0)
        return [name for name in wanted if self._bodies.pop(name, None) is not None]
