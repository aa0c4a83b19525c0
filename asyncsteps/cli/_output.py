"""Where the command writes: data to stdout, talk to stderr, and neither ever ends it."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


def prepare() -> None:
    """Let every name be written whatever the encoding of the terminal."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def emit(text: str) -> None:
    """Write data: a line, or several, to stdout."""
    _write(sys.stdout, text)


def emit_json(value: Any) -> None:
    """Write data as JSON to stdout; what is no JSON is written as its ``repr``."""
    indent = 2 if sys.stdout.isatty() else None
    emit(json.dumps(value, ensure_ascii=False, indent=indent, default=repr))


def say(text: str) -> None:
    """Write talk: a line, or several, to stderr."""
    _write(sys.stderr, text)


def error(text: str) -> None:
    """Say what went wrong, in the form that every error of the command has."""
    say(f"asyncsteps: error: {text}")


def warning(text: str) -> None:
    """Say what the user should know although the command goes on."""
    say(f"asyncsteps: warning: {text}")


@contextlib.contextmanager
def data_only() -> Iterator[None]:
    """Keep stdout for our own data: inside the block, what user code and its processes print goes to stderr."""
    sys.stdout.flush()
    try:
        ours = os.dup(1)
    except OSError:  # stdout is closed: nothing to keep
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)


def one_line(text: str, *, at_most: int | None = None) -> str:
    """A text of several lines, such as an error's, on one; cut to ``at_most`` characters."""
    line = " ".join(text.split())
    return line if at_most is None or len(line) <= at_most else f"{line[:at_most]}…"


def count(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        # Nobody reads on (``asyncsteps ls … | head``). What was asked for is done all the same, and its exit
        # code holds; the null device takes the rest, Python's last flush included.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
