"""Lines with colours: wrapped between words and coloured on a terminal, as they are elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Final, TextIO

from asyncsteps.cli import _output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Piece = str | tuple[str, str]
"""A text, or a text and its style: a colour of the terminal's own, ``bold``, ``dim``."""

STYLES: Final = {
    "played": "green",
    "forced": "cyan",
    "skipped": "blue",
    "failed": "bold red",
    "cancelled": "yellow",
    "running": "bold",
    "queued": "dim",
}
"""The style of each thing that happens to a step: of the sixteen colours, which suit light and dark terminals."""

_UNIT: Final = re.compile(r"(?<=\d) (?=(?:s|min|h)\b)")
"""The space between a number and its unit, at which no line is broken."""

_UNBREAKABLE: Final = "\ue000"

_MINUTE: Final = 60
_HOUR: Final = 3600
_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class Line:
    """A line of output.

    Attributes:
        pieces: What it says.
        hang: How far the lines that it is wrapped into are indented, after the first.
    """

    pieces: tuple[Piece, ...]
    hang: int = 4

    @property
    def plain(self) -> str:
        """The text."""
        return "".join(each if isinstance(each, str) else each[0] for each in self.pieces)

    def text(self) -> Text:
        """The text with its styles, for rich; what a terminal would obey is escaped."""
        from rich.text import Text

        return Text.assemble(
            *(
                _output.printable(each) if isinstance(each, str) else (_output.printable(each[0]), each[1])
                for each in self.pieces
            ),
            end="",
        )


def line(*pieces: Piece, hang: int = 4) -> Line:
    """Make a line of pieces."""
    return Line(pieces, hang)


def joined(parts: Iterable[Sequence[Piece]], separator: Piece = (" · ", "dim")) -> tuple[Piece, ...]:
    """Put a separator between the parts."""
    pieces: list[Piece] = []
    for part in parts:
        pieces += [separator, *part] if pieces else part
    return tuple(pieces)


def emit(given: Sequence[Line | str]) -> None:
    """Write lines to stdout."""
    lines = [line(each) if isinstance(each, str) else each for each in given]
    stream = sys.stdout
    if stream.closed or not is_capable(stream):
        _output.emit("\n".join(each.plain for each in lines))
        return
    console = console_like(stream)
    _output.emit_escaped("\n".join(rendered(wrapped(each, console), console) for each in lines))


def wrapped(given: Line, console: Console) -> list[Text]:
    """Wrap a line between its words, to the width of the console; what is longer than a line is broken."""
    from rich.text import Text

    text = given.text()
    if text.cell_len <= console.width:
        return [text]
    text.plain = _UNIT.sub(_UNBREAKABLE, text.plain)
    hang = given.hang if given.hang < console.width // 2 else 0
    first, *_ = text.wrap(console, console.width)
    rest = text[len(first) :]
    while rest.plain.startswith(" "):
        rest = rest[1:]
    below = rest.wrap(console, console.width - hang)
    lines = [first, *(Text.assemble(" " * hang, each) for each in below if each.plain.strip())]
    for each in lines:
        each.rstrip()
        each.plain = each.plain.replace(_UNBREAKABLE, " ")
    return lines


def rendered(lines: Iterable[Text], console: Console) -> str:
    """The lines with the escape sequences of their colours."""
    with console.capture() as captured:
        for each in lines:
            console.print(each, no_wrap=True, overflow="ignore", crop=False, end="\n")
    return captured.get().removesuffix("\n")


def lines_that_fit() -> int | None:
    """How many lines stdout shows at once; None where it is no terminal."""
    if sys.stdout.closed or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().lines


def is_capable(stream: TextIO) -> bool:
    """Whether a stream is a terminal that obeys escape sequences."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}


def console_like(stream: TextIO, *, width: int | None = None) -> Console:
    """A console that has the colours and the width of a terminal, and writes nothing itself."""
    from rich.console import Console

    like = Console(file=stream)
    return Console(
        file=StringIO(),
        force_terminal=True,
        color_system="standard" if like.color_system else None,
        no_color=like.no_color,
        width=width or like.width,
        legacy_windows=False,
        markup=False,
        highlight=False,
        emoji=False,
    )


def duration(seconds: float) -> str:
    """``0.12 s``, ``42.1 s``, ``1 min 42 s``, ``2 h 05 min``."""
    if seconds < _FEW:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < _MINUTE else whole(seconds)


def whole(seconds: float) -> str:
    """``0 s``, ``42 s``, ``1 min 42 s``, ``2 h 05 min``."""
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds) // _MINUTE} min {int(seconds) % _MINUTE:02} s"
    return f"{int(seconds) // _HOUR:,} h {int(seconds) % _HOUR // _MINUTE:02} min"
