"""A terminal: a pseudo-terminal, and the screen that a terminal would show for what is written to it."""

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pyte


class Terminal:
    """A terminal of so many columns and lines, as a block.

    Attributes:
        theirs: The file descriptor for what runs on the terminal.
        screen: What it shows.
    """

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._ours, self.theirs = os.openpty()
        self.screen = pyte.HistoryScreen(columns, lines, history=1_000)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.resize(columns, lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        os.close(self._ours)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size; what it shows is cut, not wrapped anew."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def hang_up(self) -> None:
        """Close the side of what runs on it."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def read(self, *, seconds: float = 0.0) -> bool:
        """Show what has been written to it; return whether more may come."""
        while select.select([self._ours], [], [], seconds)[0]:
            try:
                written = os.read(self._ours, 65_536)
            except OSError:  # Linux says so when the other side is closed
                return False
            if not written:
                return False
            self.written += written
            self._stream.feed(written)
            seconds = 0.0
        return True

    def read_until(self, holds: Callable[[str], bool], *, seconds: float = 60.0) -> str:
        """Show what is written until ``holds`` of the text that is shown."""
        deadline = time.monotonic() + seconds
        while not holds(self.text):
            assert time.monotonic() < deadline, self.text
            assert self.read(seconds=0.1) or holds(self.text), self.text
        return self.text

    def read_to_the_end(self) -> str:
        """Show all that is written until the other side is closed everywhere."""
        while self.read(seconds=60):
            pass
        return self.text

    @property
    def lines(self) -> list[str]:
        """The lines that are shown, those above that were scrolled away too; less empty ones at the end."""
        above = ["".join(row[each].data for each in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in (*above, *self.screen.display)).rstrip().split("\n")

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)
