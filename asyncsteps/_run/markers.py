"""Where a run's markers go: its list, callbacks, the logger, a JSON-lines file."""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from io import FileIO
from os import PathLike
from pathlib import Path
from typing import Any

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import STEP_MARKER, Marker, RecordStatus, Status

logger = logging.getLogger("asyncsteps")

OnMarker = Callable[[Marker], object]
"""Called with each marker as it is recorded."""


class MarkerLog:
    """Records markers, in one order for all sinks.

    Args:
        on_marker: Callbacks. One that raises is logged, and called again with the next marker.
        markers_file: A file that gets one line of JSON a marker, ``{"name", "details", "at"}``, appended;
            None: none.
        silent: Whether nothing is logged and details are not checked, as for a plan.
    """

    def __init__(
        self,
        *,
        on_marker: tuple[OnMarker, ...] = (),
        markers_file: str | PathLike[str] | None = None,
        silent: bool = False,
    ) -> None:
        self.markers: list[Marker] = []
        self.counts: Counter[Status] = Counter()
        self._on_marker = on_marker
        self._path = None if markers_file is None else Path(markers_file)
        self._file: FileIO | None = None
        self._silent = silent

    def open(self) -> None:
        """Open the file.

        Raises:
            OSError: When it cannot be written to.
            StepDefinitionError: When it is a FIFO, which would hold the event loop until somebody reads it.
        """
        if self._path is None:
            return
        if self._path.is_fifo():
            raise StepDefinitionError(f"markers_file={str(self._path)!r} is a FIFO: give a file, or use on_marker")
        # Unbuffered: a line is in the file when its marker is recorded, and nothing is left for the end.
        self._file = self._path.open("ab", buffering=0)

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
            except (TypeError, ValueError, RecursionError) as error:
                raise StepDefinitionError(f"the details of marker {name!r} are no JSON: {error}") from error
            logger.info("marker %s: %s", name, details)
        return self._add(name, details)

    def record_step(
        self, phase: RecordStatus, *, started: datetime | None = None, error: BaseException | None = None
    ) -> Marker:
        """Record a step's marker as the planner made it; an error is logged with its trace."""
        details, status = phase.details, phase.status
        self.counts[status] += 1
        if not self._silent:
            if error is not None:
                logger.error("step %s: %s: %s", details["step"], status, details["error"], exc_info=error)
            elif logger.isEnabledFor(logging.INFO):
                why = f" ({', '.join(details['reasons'])})" if details["reasons"] else ""
                forced = "forced, " if details["forced"] else ""
                logger.info("step %s: %s%s%s", details["step"], forced, status, why)
        return self._add(STEP_MARKER, details, started)

    def _add(self, name: str, details: Any, started: datetime | None = None) -> Marker:
        marker = Marker(name, details, datetime.now(UTC), started)
        self.markers.append(marker)
        self._write(marker)
        for callback in self._on_marker:
            try:
                callback(marker)
            except Exception:
                logger.exception("on_marker callback %r failed at marker %s", callback, name)
        return marker

    def _write(self, marker: Marker) -> None:
        if self._file is None:
            return
        line = json.dumps({"name": marker.name, "details": marker.details, "at": marker.at.isoformat()})
        data = f"{line}\n".encode()
        try:
            written = self._file.write(data)
            if written < len(data):  # a full disk: a line is in the file whole or not at all
                self._file.truncate(os.fstat(self._file.fileno()).st_size - written)
                self._stop(f"only {written} of {len(data)} bytes could be written")
        except OSError as error:
            self._stop(error)

    def _stop(self, why: object) -> None:
        logger.error("no more markers are written to %s: %s", self._path, why)
        self.close()
