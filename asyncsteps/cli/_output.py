"""Output: data to stdout, messages to stderr. A stream that nobody reads never ends the command."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol, TextIO
from urllib.parse import quote, unquote

import asyncsteps
from asyncsteps.cli._json import is_asked_for, to_json

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for tab and newline, C1 included, and those that reorder or break a line."""

_URL: Final = re.compile(r"(?:--(?:store|(?:swf-)?endpoint-url)=)?\w+://")
_CREDENTIALS: Final = re.compile(
    r"""(?<=://)[^/?#\s"\\]+@|(?<=[?&])[\w-]*(?:token|secret|signature|credential|passw|key)[\w-]*=[^&#\s"\\]+""",
    re.IGNORECASE,
)
"""The user and password of a URL, and what its query names a credential."""

_FREE_TEXT: Final = {"--param", "--force", "--skip", "--limit", "--until", "--reason"}
"""Options whose values are data, even where they are URLs."""


ERROR_SHOWN: Final = 500
"""How many characters of an error are shown in a line."""


class OutputError(asyncsteps.AsyncstepsError):
    """Stdout cannot be written, for instance to a full disk."""


@dataclass(slots=True)
class _State:
    """The state of one command's output.

    Attributes:
        secrets: Parts of URLs that are not printed.
        wants_json: Whether the JSON document is to be written.
        has_json: Whether it was written.
        stdout: The file descriptor that stdout has inside `data_only`.
        display: The live display; None while there is none.
    """

    secrets: tuple[str, ...] = ()
    wants_json: bool = False
    has_json: bool = False
    stdout: int | None = None
    display: "Display | None" = None


_state: Final = _State()


def prepare(tokens: Sequence[str]) -> None:
    """Prepare the standard streams for one command line.

    Closed streams become the null device, so that no file opened later takes their place. Characters outside the
    encoding are escaped. Credentials in URLs of stores and endpoints are hidden in all output.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    _state.has_json, _state.wants_json = False, is_asked_for(tokens)
    urls = [token for before, token in pairwise(("", *tokens)) if before not in _FREE_TEXT and _URL.match(token)]
    urls += [value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL")]
    found = [secret for url in urls for secret in _CREDENTIALS.findall(url)]
    forms = {
        form
        for secret in found
        for form in (secret, quote(secret, safe="@"), quote(secret, safe=""), unquote(secret))
    }
    # In JSON, too, they are found as they are written there: no quote or backslash stands for itself.
    forms |= {to_json(form)[1:-1] for form in forms}
    _state.secrets = tuple(sorted(forms, key=len, reverse=True))


def emit(text: str, *, raw: bool = False) -> None:
    """Write data to stdout: one line or several.

    Args:
        text: The lines.
        raw: Whether to escape nothing, for programs to read, unless stdout is a terminal.

    Raises:
        OutputError: When it cannot be written, except after the reader has stopped.
    """
    _write(1, text if raw and not _on_terminal() else printable(text))


def emit_escaped(text: str) -> None:
    """Write data to stdout in which everything is escaped that has to be, as `printable` does.

    Raises:
        OutputError: As `emit`.
    """
    _write(1, text)


def emit_json(value: Any) -> None:
    """Write the JSON document of the command to stdout, as `to_json` converts it."""
    utf8 = (sys.stdout.encoding or "").lower() in {"utf-8", "utf8"}
    text = to_json(value, ensure_ascii=not utf8, indent=2 if _on_terminal() else None)
    _write(1, printable(text, but='"'))
    _state.has_json = True


def ensure_json(errors: Sequence[str], code: int) -> None:
    """Write the JSON document of a command that has nothing to report but errors, where one is due."""
    if _state.wants_json and not _state.has_json:
        with contextlib.suppress(OutputError):
            emit_json({"errors": errors, "exit_code": code})


def _on_terminal() -> bool:
    return not sys.stdout.closed and sys.stdout.isatty()


def say(text: str) -> None:
    """Write a message to stderr: one line or several."""
    with contextlib.suppress(OutputError):
        _write(2, printable(text))


def error(text: str) -> None:
    """Write an error to stderr."""
    say(f"asyncsteps: error: {text}")


def warning(text: str) -> None:
    """Write a warning to stderr."""
    say(f"asyncsteps: warning: {text}")


class Display(Protocol):
    """A live display, above which messages appear."""

    def above(self, text: str, /) -> None:
        """Take a message, without waiting."""

    def end(self) -> None:
        """Write the messages that were taken, and remove the display."""


@contextlib.contextmanager
def displayed_by(display: Display) -> Iterator[None]:
    """Hand messages of signal handlers to ``display`` inside the block."""
    _state.display = display
    try:
        yield
    finally:
        _state.display = None


def alert(text: str) -> None:
    """Write a message to stderr at once, from a signal handler: it may have interrupted any other writing."""
    if _state.display is not None:
        _state.display.above(text)
    else:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{text}\n".encode())


def end_display() -> None:
    """Remove the live display, if there is one: the process is about to end."""
    if _state.display is not None:
        _state.display.end()


def printable(text: str, *, but: str | None = None) -> str:
    r"""Escape what a terminal would obey, as ``\uXXXX``, which JSON reads too, and hide credentials.

    Args:
        text: What will be printed.
        but: What begins and ends the texts in it: credentials that hold it unescaped are in none of them.
    """
    for secret in _state.secrets:
        if but is None or but not in secret.replace(f"\\{but}", ""):
            text = text.replace(secret, "***@" if secret.endswith("@") else "***")
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


@contextlib.contextmanager
def data_only() -> Iterator[None]:
    """Send what user code and its subprocesses print inside the block to stderr, to keep stdout for data."""
    sys.stdout.flush()
    _state.stdout = ours = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _state.stdout = None
        os.dup2(ours, 1)
        os.close(ours)


def one_line(text: str, *, at_most: int | None = None) -> str:
    """Join the lines of a text, such as an error's, into one; cut it to ``at_most`` characters."""
    line = " ".join(text.split())
    return line if at_most is None or len(line) <= at_most else f"{line[:at_most]}…"


def unbroken(text: str) -> str:
    r"""Escape the tabs and ends of lines in a text that is part of a line, as ``\t`` and ``\n``."""
    return text.replace("\t", r"\t").replace("\n", r"\n")


def count(number: int, noun: str) -> str:
    """Return ``1 step``, ``2 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def discard(number: int) -> None:
    """Have the null device take the rest of what is written to a file descriptor, Python's last flush included."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def _write(number: int, text: str) -> None:
    """Write to the stream whose file descriptor is ``number``."""
    stream: TextIO = sys.stdout if number == 1 else sys.stderr
    try:
        if number == 1 and _state.stdout is not None:  # the process ends inside `data_only`
            with open(_state.stdout, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as ours:
                ours.write(f"{text}\n")
        elif stream.closed:  # by user code
            os.write(number, f"{text}\n".encode(errors="backslashreplace"))
        else:
            stream.write(f"{text}\n")
            stream.flush()
    except OSError as error:
        discard(number)
        # A reader that stops reading (``asyncsteps ls … | head``) is no error: the command did what it was to do.
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"stdout cannot be written: {error.strerror}") from error
