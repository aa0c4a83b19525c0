"""The lines at the bottom of a terminal that are drawn again and again, by a thread of their own.

Whatever else is to be written is handed over and appears above them. Handing over never waits for the terminal, so
one that is held up (Ctrl-S, a slow connection) does not hold up the event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from io import TextIOBase
from typing import TYPE_CHECKING, Final, TextIO

from asyncsteps.cli import _output, _styled
from asyncsteps.cli._styled import Line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

REFRESH: Final = 0.2
"""Seconds from one drawing to the next, at least."""

_SHARE: Final = 0.02
"""The share of one core that drawing may take."""

_HIDE_CURSOR: Final = "\x1b[?25l"
_SHOW_CURSOR: Final = "\x1b[?25h"
_ERASE_BELOW: Final = "\x1b[J"

Draw = Callable[[int, int], Sequence[Line]]
"""Returns the lines for a terminal of so many columns and lines; may hand over what shall appear above them."""


class Region:
    """Lines at the bottom of the terminal that stderr is, inside a block. They are erased at its end.

    Args:
        draw: Makes the lines.
        refresh: Seconds from one drawing to the next.
    """

    def __init__(self, draw: Draw, *, refresh: float = REFRESH) -> None:
        self._draw = draw
        self._refresh = refresh
        self._stream = sys.stderr
        self._descriptor = self._stream.fileno()
        self._above: deque[Line | str] = deque()
        self._widths: list[int] = []
        self._over = threading.Event()
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._keep_drawing, name="asyncsteps-display", daemon=True)
        self._redirects = contextlib.ExitStack()
        self._lost = False

    def above(self, text: Line | str) -> None:
        """Hand over a line, or a text of several, to appear above. Does not wait; signal handlers may call it."""
        self._above.append(text)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the region inside the block; what is printed to the terminal meanwhile appears above."""
        self._write(_HIDE_CURSOR)
        self._thread.start()
        self._redirects.enter_context(_redirected(self.above))
        with _output.displayed_by(self):
            try:
                yield
            finally:
                self.end()

    def end(self) -> None:
        """Erase the region, write what was handed over, and leave the terminal as it was. Done once."""
        if self._ending.acquire(blocking=False):
            self._over.set()
            self._thread.join()
            self._redirects.close()
            self._redraw(last=True)

    def _keep_drawing(self) -> None:
        rest = 0.0
        while not self._over.wait(rest):
            began = time.thread_time()
            self._redraw()
            rest = max(self._refresh, (time.thread_time() - began) / _SHARE)

    def _redraw(self, *, last: bool = False) -> None:
        """Draw the region anew, below what was handed over; at last only that."""
        width, height = _size(self._descriptor)
        try:
            drawn = self._draw(width, height)[: height - 1]
        except Exception as error:  # noqa: BLE001 - a fault here must not keep what was handed over from being shown
            self._draw, drawn = _nothing, []
            self.above(f"asyncsteps: warning: there is no live display from here on: {error!r}")
        console = _styled.console_like(self._stream, width=width)
        above = [line for _ in range(len(self._above)) for line in _shown(self._above.popleft(), console)]
        region = [] if last else [_cut(each, width) for each in drawn]
        text = self._to_its_top(width) + _ERASE_BELOW
        text += "".join(f"{_styled.rendered([each], console)}\n" for each in above)
        text += _styled.rendered(region, console)
        self._widths = [each.cell_len for each in region]
        self._write(text + (_SHOW_CURSOR if last else ""))

    def _to_its_top(self, width: int) -> str:
        """Move the cursor from the end of what was drawn to its beginning.

        A terminal that has become narrower has wrapped the lines.
        """
        lines = sum(max(1, -(-each // width)) for each in self._widths) - 1
        return "\r" + (f"\x1b[{lines}A" if lines > 0 else "")

    def _write(self, text: str) -> None:
        """Write to the terminal; when it is gone, write no more."""
        data = text.encode(self._stream.encoding or "utf-8", errors="backslashreplace")
        while data and not self._lost:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody has made the terminal non-blocking
                time.sleep(self._refresh)
            except OSError:
                self._lost = True


def _nothing(_width: int, _height: int) -> Sequence[Line]:
    return []


def _shown(given: Line | str, console: Console) -> list[Text]:
    """The lines of what was handed over; the colours of what the target prints are kept."""
    if isinstance(given, Line):
        return _styled.wrapped(given, console)
    from rich.text import Text

    return [Text.from_ansi(each) for each in given.split("\n")]


def _cut(line: Line, width: int) -> Text:
    text = line.text()
    text.truncate(width, overflow="crop")
    return text


def _size(descriptor: int) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:  # it is gone
        return 80, 24
    return size.columns or 80, size.lines or 24


class _Above(TextIOBase):
    """A stream that hands over each line that is written to it.

    Args:
        stream: What it stands for.
        hand_over: Takes lines.
    """

    def __init__(self, stream: TextIO, hand_over: Callable[[str], object]) -> None:
        super().__init__()
        self._stream = stream
        self._hand_over = hand_over
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal."""
        return self._stream.encoding

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """What is written ends on a terminal."""
        return True

    def fileno(self) -> int:
        """The file descriptor of the terminal."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Hand over the lines that ``text`` ends. A process that was forked has no display, and writes itself."""
        if os.getpid() != self._process:
            return self._stream.write(text)
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for each in lines:
                self._hand_over(each)
        return len(text)

    def flush(self) -> None:
        """Hand over a line that was begun."""
        if os.getpid() != self._process:
            self._stream.flush()
            return
        with self._lock:
            begun, self._begun = self._begun, ""
        if begun:
            self._hand_over(begun)


@contextlib.contextmanager
def _redirected(hand_over: Callable[[str], object]) -> Iterator[None]:
    """Hand over what Python code, logging included, writes to those standard streams that are terminals."""
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    ours = {
        name: _Above(stream, hand_over) for name, stream in before.items() if not stream.closed and stream.isatty()
    }
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    logged = [(each, name) for each in handlers for name in ours if each.stream is before[name]]
    for name, stream in ours.items():
        setattr(sys, name, stream)
    for handler, name in logged:
        handler.setStream(ours[name])
    try:
        yield
    finally:
        for handler, name in logged:
            if handler.stream is ours[name]:
                handler.setStream(before[name])
        for name, stream in ours.items():
            stream.flush()
            if getattr(sys, name) is stream:  # else the target has set one of its own
                setattr(sys, name, before[name])
