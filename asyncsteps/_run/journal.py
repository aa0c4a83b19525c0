"""Writes the journal of a run in batches, at most one request in two seconds, without holding it up."""

import asyncio
import logging
import os
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio

from asyncsteps._errors import FINAL_ERRORS, StoreError
from asyncsteps._journal.batches import Entry, merged
from asyncsteps._journal.keeping import clean
from asyncsteps._journal.lines import VERSION, Encoder
from asyncsteps._journal.places import folder_name, segment_name
from asyncsteps._journal.story import SILENT_AFTER
from asyncsteps._plan.model import Marker, Status
from asyncsteps._run.journal_facts import ending, of_process
from asyncsteps._run.on_loop import OwnLoop, begin_apart
from asyncsteps._tasks.shield import uninterrupted, until_done
from asyncsteps.store._protocol import JournalFiles, StepStore, journal_files

logger = logging.getLogger("asyncsteps")

SILENT_SECONDS = SILENT_AFTER / 3
"""A run that goes on writes at least this often, whether or not there is news."""

_LEAST = 2.0
"""Seconds between the beginnings of two requests."""

_FIRST = 1.0
"""Seconds after which a run first writes, unless something urgent happens or it has ended."""

_SOON = 5.0
_MANY = 1_000
"""Lines that are written before those seconds are over."""

_AT_MOST = 200_000
"""Events that wait to be written, at most: beyond that the oldest are lost, which a line tells."""

_SEGMENT = 2**20
"""The bytes after which a new file is begun."""

_UNSAVED = 16 * _SEGMENT
"""The bytes that are kept, at most, while nothing can be written."""

_AT_ONCE = 1_000
"""Events that are encoded before other tasks have a turn."""

_LAST = 5.0
"""Seconds that a run waits for its last batch, at most."""

_LONG_RUN = 10.0
_CLEANS = 10
"""One in so many short runs removes old journals, where each look costs a request."""

_URGENT = "withdrawing"
"""The event whose line should be there if the process is killed next."""


class Journal:
    """The journal of one run.

    Args:
        run_id: The run's id.
        workflow_id: The workflow's.
        store: Returns the store, once it is open.
        facts: What the first line tells.
        keep_runs: How many runs' journals are kept.
        timeout: Seconds that the run waits for its last batch, at most.
    """

    def __init__(
        self,
        run_id: str,
        workflow_id: str,
        *,
        store: Callable[[], StepStore | None],
        facts: Mapping[str, Any],
        keep_runs: int,
        timeout: float = _LAST,
    ) -> None:
        self._run_id = run_id
        self._encoder = Encoder(run_id, workflow_id)
        self._store = store
        self._facts = facts
        self._keep_runs = keep_runs
        self._timeout = min(timeout, _LAST)
        self._entries: list[Entry] = []
        self._counts: Counter[str] = Counter()
        self._folder = ""
        self._segment, self._body = 1, bytearray()
        self._began = datetime.now(UTC)
        self._task: asyncio.Task[None] | None = None
        self._own_loop = OwnLoop()
        self._news = asyncio.Event()
        self._urgent = self._closing = self._warned = self._off = self._unsaved = self._plans = False
        self._last_write: float | None = None

    def marker(self, marker: Marker) -> None:
        """Take a marker."""
        if not self._off:
            self._entries.append(marker)
            if len(self._entries) == _MANY:
                self._wake()

    def note(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take another event."""
        if not self._off:
            self._entries.append((event, datetime.now(UTC), fields))
            if event == _URGENT:
                self._urgent = True
            if self._urgent or len(self._entries) == _MANY:
                self._wake()

    def _wake(self) -> None:
        self._own_loop.call(self._news.set)

    def planned(self) -> None:
        """Leave no journal of a run that does nothing but plan."""
        self._plans = True

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._own_loop.enter()
        self._began = datetime.now(UTC)
        self._folder = folder_name("run", self._run_id, self._began)
        self._task = begin_apart(self._keep())

    async def close(
        self,
        error: BaseException | None,
        *,
        counts: Mapping[Status, int],
        failures: Sequence[Exception],
        stopped_after: str | None = None,
    ) -> None:
        """Write the last batch, and wait for it: a few seconds at most, whatever cancels the waiting."""
        task = self._task
        if task is None:
            return
        if isinstance(error, GeneratorExit):  # nothing can be awaited
            task.cancel()
            return
        seconds = (datetime.now(UTC) - self._began).total_seconds()
        self.note("ended", ending(error, failures, counts, seconds, stopped_after))
        self._closing = True
        self._news.set()
        await uninterrupted(asyncio.ensure_future(self._ended(task)))

    async def _ended(self, task: "asyncio.Task[None]") -> None:
        with anyio.move_on_after(self._timeout):
            await until_done(task)
            if not self._off:  # `asyncio.run` cancels all that is left, the run and this
                task = begin_apart(self._keep())
                await until_done(task)
        if not task.done():
            self._warn(f"its last batch took longer than {self._timeout:g} s")
            task.cancel()
        await asyncio.wait([task])
        self._off = True
        self._entries.clear()

    async def _keep(self) -> None:
        """Write batches until the run ends."""
        try:
            while not self._off:
                await self._until_due()
                last, store, self._urgent = self._closing, self._store(), False
                if store is not None:
                    await self._write_to(journal_files(store), last=last)
                elif len(self._entries) > _AT_MOST:
                    self._lose(len(self._entries) - _AT_MOST)
                self._off |= last
        except Exception:  # a fault of the journal is none of the run's
            logger.exception("the journal of run %s is broken off", self._run_id)
            self._off = True
        if self._off:
            self._entries.clear()

    async def _write_to(self, files: JournalFiles | None, *, last: bool) -> None:
        if files is None:  # this store keeps none
            self._off = True
            return
        if self._plans and not self._body and not any(isinstance(entry, Marker) for entry in self._entries):
            return
        self._last_write = asyncio.get_running_loop().time()
        await self._write(files, last=last)
        if last and not self._off:
            await self._clean(files)

    def _lose(self, events: int) -> None:
        """Let the oldest events go, and a line tell of it."""
        self._entries[:events] = [("lost", datetime.now(UTC), {"events": events})]

    async def _until_due(self) -> None:
        """Wait until a batch is due: at the end at once."""
        loop, last = asyncio.get_running_loop(), self._last_write
        while not self._closing and last is not None and (rest := last + _LEAST - loop.time()) > 0:
            await self._wait_for_news(rest)
        due = loop.time() + _FIRST if last is None else last + _SOON
        silent = due if last is None else last + SILENT_SECONDS
        while not self._closing and not self._urgent and len(self._entries) < _MANY:
            left = (due if self._entries else silent) - loop.time()
            if left <= 0:
                return
            await self._wait_for_news(min(left, _SOON))

    async def _wait_for_news(self, seconds: float) -> None:
        self._news.clear()
        if not self._closing:
            with anyio.move_on_after(seconds):
                await self._news.wait()

    async def _write(self, files: JournalFiles, *, last: bool) -> None:
        """Write what is new after what the file held before; after an error, with the next batch."""
        if last and not self._unsaved and self._body:
            self._next_segment()
        await self._encode()
        body = bytes(self._body)
        if not last:
            alive = {"counts": dict(self._counts), "seconds": (datetime.now(UTC) - self._began).total_seconds()}
            body += self._encoder.event("alive", datetime.now(UTC), alive).encode()
        self._unsaved = True  # also if it is cancelled
        try:
            await files.write(segment_name(self._folder, self._segment, last=last), body)
        except StoreError as error:
            self._warn(error)
            self._off = isinstance(error, FINAL_ERRORS)
            if len(self._body) > _UNSAVED:
                self._next_segment()
                self._encoder.forget_lists()
                self._entries.insert(0, ("lost", datetime.now(UTC), {"bytes": len(body)}))
        else:
            self._unsaved = False
            if len(self._body) > _SEGMENT:
                self._next_segment()

    def _next_segment(self) -> None:
        self._segment += 1
        self._body = bytearray()

    async def _encode(self) -> None:
        """Encode the events that wait; other tasks have turns meanwhile."""
        if len(self._entries) > _AT_MOST:
            self._lose(len(self._entries) - _AT_MOST)
        if not self._body:
            self._body += self._encoder.event("started", self._began, self._head()).encode()
        left = len(self._entries)
        while left > 0:
            part = self._entries[: min(left, _AT_ONCE)]
            del self._entries[: len(part)]
            self._body += self._encoded(part)
            left -= len(part)
            if left:
                await asyncio.sleep(0)

    def _encoded(self, entries: Sequence[Entry]) -> bytes:
        lines: list[str] = []
        for told in merged(entries, self._counts):
            if told is not None:
                entry, scheduled = told
                if isinstance(entry, Marker):
                    lines.append(self._encoder.marker(entry, scheduled))
                else:
                    lines.append(self._encoder.event(*entry))
        return "".join(lines).encode()

    def _head(self) -> dict[str, Any]:
        return {"journal": VERSION, "segment": self._segment, **self._facts, **of_process(os.getpid())}

    async def _clean(self, files: JournalFiles) -> None:
        """Remove the journals of runs beyond those that are kept; not those of runs that may still go on."""
        lasted = (datetime.now(UTC) - self._began).total_seconds()
        if files.remote and lasted < _LONG_RUN and zlib.crc32(self._folder.encode()) % _CLEANS:
            return
        try:
            await clean(files, keep=self._keep_runs)
        except StoreError as error:
            self._warn(error, "old journals stay")

    def _warn(self, error: object, what: str = "the journal of run %s is not written") -> None:
        """Warn, once."""
        if not self._warned:
            self._warned = True
            told = what % self._run_id if "%s" in what else what
            logger.warning("%s (%s); the run goes on; journal=False switches journals off", told, error)
