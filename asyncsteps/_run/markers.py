"""Where a run's markers go: its list, callbacks, the logger, a JSON-lines file."""

import asyncio
import contextlib
import errno
import json
import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import FileIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncsteps._errors import RunStopped, StepDefinitionError
from asyncsteps._journal.texts import collapsed
from asyncsteps._plan.model import STEP_MARKER, Marker, RecordStatus, Status

if TYPE_CHECKING:
    from asyncsteps._run.events import Events
    from asyncsteps._run.journal import Journal

logger = logging.getLogger("asyncsteps")

OnMarker = Callable[[Marker], object]
"""Called with each marker as it is recorded."""


class _StepMarker(NamedTuple):
    """What is kept of a step's marker: a third of its memory."""

    step: str
    status: str
    forced: bool
    reasons: tuple[str, ...]
    at: datetime
    started: datetime | None
    queued: datetime | None
    attempts: int
    was_done: bool | None

    def marker(self, run_id: str | None, workflow_id: str | None) -> Marker:
        details = {"step": self.step, "status": self.status, "forced": self.forced, "reasons": list(self.reasons)}
        times = (self.at, self.started, self.queued, self.attempts)
        return Marker(STEP_MARKER, details, *times, run_id, workflow_id, self.was_done)


def _compact(marker: Marker) -> Marker | _StepMarker:
    """Return what to keep of a marker: of a step's that tells no error, less."""
    details = marker.details
    if marker.queued is None or "error" in details:  # a user's own, or longer
        return marker
    reasons = tuple(details["reasons"])
    times = (marker.at, marker.started, marker.queued, marker.attempts)
    return _StepMarker(details["step"], details["status"], details["forced"], reasons, *times, marker.was_done)


class MarkerLog:
    """Records markers, in one order for all sinks.

    Args:
        on_marker: Callbacks. One that raises is logged, and called again with the next marker.
        markers_file: A file that gets one line of JSON a marker, appended; None: none.
        identity: ``run_id`` and ``workflow_id``, which each marker carries.
        journal: Gets each marker, and what else happens; None: none.
        events: Likewise.
        silent: Whether nothing is logged and details are not checked, as for a plan.
    """

    def __init__(
        self,
        *,
        on_marker: tuple[OnMarker, ...] = (),
        markers_file: str | PathLike[str] | None = None,
        identity: Mapping[str, Any] | None = None,
        journal: "Journal | None" = None,
        events: "Events | None" = None,
        silent: bool = False,
    ) -> None:
        self._run_id, self._workflow_id = (identity or {}).get("run_id"), (identity or {}).get("workflow_id")
        self._journal, self._events = journal, events
        self._recorded: list[Marker | _StepMarker] = []
        self.counts: Counter[Status] = Counter()
        self._on_marker = on_marker
        self._path = None if markers_file is None else Path(markers_file)
        self._file: FileIO | None = None
        self._silent = silent

    def __len__(self) -> int:
        """How many markers are recorded."""
        return len(self._recorded)

    @property
    def markers(self) -> list[Marker]:
        """The markers recorded so far, in order."""
        ids = (self._run_id, self._workflow_id)
        return [each if isinstance(each, Marker) else each.marker(*ids) for each in self._recorded]

    def open(self) -> None:
        """Open the file.

        Raises:
            OSError: When it cannot be written to.
            StepDefinitionError: When it is a FIFO, which would hold the event loop until somebody reads it.
        """
        if self._path is not None:
            self._file = _opened(self._path)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def record(self, name: str, details: Any) -> Marker:
        """Record a user's marker.

        Raises:
            StepDefinitionError: When the details are no JSON.
        """
        if not self._silent:
            try:
                json.dumps(details, allow_nan=False)
            except Exception as error:  # a mapping of the caller's own may raise anything
                raise StepDefinitionError(f"the details of marker {name!r} are no JSON: {error}") from error
            logger.info("marker %s: %s", name, details)
        return self._add(name, details)

    def record_step(
        self,
        phase: RecordStatus,
        *,
        started: datetime | None = None,
        queued: datetime | None = None,
        attempts: int = 0,
        was_done: bool | None = None,
        error: BaseException | None = None,
    ) -> Marker:
        """Record a step's marker as the planner made it; an error is logged with its trace."""
        details, status = phase.details, phase.status
        self.counts[status] += 1
        if not self._silent:
            if error is not None:
                logger.error("step %s: %s: %s", details["step"], status, details["error"], exc_info=error)
            elif logger.isEnabledFor(logging.INFO):
                why = f" ({', '.join(collapsed(details['reasons']))})" if details["reasons"] else ""
                forced = "forced, " if details["forced"] else ""
                logger.info("step %s: %s%s%s", details["step"], forced, status, why)
        return self._add(STEP_MARKER, details, started, queued, attempts, was_done)

    def note(self, event: str, **fields: Any) -> None:
        """Tell the journal and the subscribers of something that is no marker."""
        if self._journal is not None:
            self._journal.note(event, fields)
        if self._events is not None:
            self._events.note(event, fields)

    def _add(
        self,
        name: str,
        details: Any,
        started: datetime | None = None,
        queued: datetime | None = None,
        attempts: int = 0,
        was_done: bool | None = None,
    ) -> Marker:
        at = datetime.now(UTC)
        ids = (self._run_id, self._workflow_id)
        marker = Marker(name, details, at, started, queued, attempts, *ids, was_done)
        self._recorded.append(_compact(marker))
        if self._journal is not None:
            self._journal.marker(marker)
        if self._events is not None:
            self._events.marker(marker)
        if self._file is not None:
            self._write(marker, self._file)
        for callback in self._on_marker:
            try:
                callback(marker)
            except (Exception, asyncio.CancelledError, RunStopped):  # neither of the two is meant for the step
                logger.exception("on_marker callback %r failed at marker %s", callback, name)
        return marker

    def _write(self, marker: Marker, file: FileIO) -> None:
        data = f"{json.dumps(_told(marker))}\n".encode()
        try:
            written = file.write(data)
            if written < len(data):  # a full disk: a line is in the file whole or not at all
                file.truncate(os.fstat(file.fileno()).st_size - written)
                self._stop(f"only {written} of {len(data)} bytes could be written")
        except OSError as error:
            self._stop(error)

    def _stop(self, why: object) -> None:
        logger.error("no more markers are written to %s: %s", self._path, why)
        self.close()


def _told(marker: Marker) -> dict[str, Any]:
    """Return what the file tells of a marker."""
    told: dict[str, Any] = {"name": marker.name, "details": marker.details, "at": marker.at.isoformat()}
    told |= {"run_id": marker.run_id, "workflow_id": marker.workflow_id}
    if marker.queued is not None:
        details = {**marker.details, "reasons": collapsed(marker.details["reasons"])}
        started = None if marker.started is None else marker.started.isoformat()
        told |= {"details": details, "queued": marker.queued.isoformat(), "started": started}
        told |= {"attempts": marker.attempts, "queue_seconds": marker.queue_seconds, "seconds": marker.seconds}
    return told


def _opened(path: Path) -> FileIO:
    """Open a file to append to, unbuffered: a line is in it when its marker is recorded."""
    refusal = f"markers_file={str(path)!r} is a FIFO or a socket: give a file, or use on_marker"
    try:
        # What is there is told from the open file: a path may change its meaning at any time.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads it
            raise StepDefinitionError(refusal) from error
        raise
    file = FileIO(descriptor, "ab")
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        file.close()
        raise StepDefinitionError(refusal)
    os.set_blocking(descriptor, True)
    if _is_cut_short(path, os.fstat(descriptor)):
        file.write(b"\n")
    return file


def _is_cut_short(path: Path, status: os.stat_result) -> bool:
    """Whether a file ends within a line, which the next one must not be glued to."""
    if stat.S_ISREG(status.st_mode) and status.st_size:
        with contextlib.suppress(OSError), path.open("rb") as file:  # it may be written to and not read
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    return False
