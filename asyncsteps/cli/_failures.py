"""What failed: in which activity, with which arguments, at which line of the user's own code."""

from __future__ import annotations

import inspect
import linecache
import os
import re
import reprlib
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import leaves

_ACTIVITY: Final = re.compile(r"in activity (\S.*)")
"""The note that an activity's error carries."""

_TELLTALE: Final = "token|secret|signature|credential|passw|key|auth"
"""What the name of a credential holds."""

_SECRET: Final = re.compile(f"(?i){_TELLTALE}")
_NAMED_SECRET: Final = re.compile(
    rf"""(?i)(['"]?[\w-]*(?:{_TELLTALE})[\w-]*['"]?\s*[=:]\s*)"""
    r"""(?:'[^']*'?|"[^"]*"?|[^\s,)}\]]+)"""
)
"""In the representation of a value, what follows a name that may be a credential's."""

_URL_SECRET: Final = re.compile(r"(?<=//)[^/?#\s'\"]+@")

_ARGUMENTS_SHOWN: Final = 160
_VALUE_SHOWN: Final = 40
_SOURCE_SHOWN: Final = 200
_OURS: Final = f"{Path(asyncsteps.__file__).parent}{os.sep}"
_STDLIB: Final = f"{sysconfig.get_path('stdlib')}{os.sep}"
_INSTALLED: Final = re.compile(r"[/\\](?:site|dist)-packages[/\\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error was raised, as far as it can be told.

    Attributes:
        activity: The activity's name; None when it is not known.
        arguments: The arguments of the user's function that was called last from outside, shortened; credentials
            are left out by their names.
        where: The file and the line of the user's code, and the function.
        source: The line.
    """

    activity: str | None
    arguments: str | None
    where: str | None
    source: str | None


NOWHERE: Final = Place(None, None, None, None)
"""It cannot be told."""


def place_of(error: BaseException) -> Place:
    """Tell where an error was raised, of a group the first of its errors."""
    first = next(leaves(error))
    # The first note is the innermost activity's.
    notes = (_ACTIVITY.fullmatch(str(note)) for each in (first, error) for note in getattr(each, "__notes__", ()))
    activity = next((found[1] for found in notes if found), None)
    frames = _own_frames(first.__traceback__) or _own_frames(error.__traceback__)
    if not frames:
        return Place(activity, None, None, None)
    (frame, line), outermost = frames[-1], frames[0][0]
    path, function = frame.f_code.co_filename, frame.f_code.co_qualname
    source = linecache.getline(path, line, frame.f_globals).strip()
    where = f"{_short(path)}:{line}" + ("" if function == "<module>" else f" in {function}")
    return Place(activity, _arguments(outermost), where, _redacted(source)[:_SOURCE_SHOWN] or None)


def _own_frames(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    """The frames of the user's own code, or else of what is installed beside asyncsteps, with their lines."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(trace)
        if not frame.f_code.co_filename.startswith((_OURS, "<"))
    ]
    installed = [each for each in frames if not _is_of_the_library(each[0].f_code.co_filename)]
    return [each for each in installed if not _INSTALLED.search(each[0].f_code.co_filename)] or installed


def _is_of_the_library(path: str) -> bool:
    return path.startswith(_STDLIB) and not _INSTALLED.search(path)


def _short(path: str) -> str:
    """The path from here, where the file is below this folder."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def _arguments(frame: FrameType) -> str | None:
    """The arguments of the function that a frame is of."""
    names, varargs, keywords, values = inspect.getargvalues(frame)
    given = {name: values[name] for name in names if name in values and name not in {"self", "cls"}}
    shown = [f"{name}={_value(name, value)}" for name, value in given.items()]
    shown += [_value("", value) for value in values.get(varargs or "", ())]
    shown += [f"{name}={_value(str(name), value)}" for name, value in values.get(keywords or "", {}).items()]
    text = ", ".join(shown)
    return text if len(text) <= _ARGUMENTS_SHOWN else f"{text[: _ARGUMENTS_SHOWN - 1]}…"


class _Short(reprlib.Repr):
    """Representations that are short, whatever they are of."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _VALUE_SHOWN
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = 3
        self.maxlevel = 2

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Leave out what has the name of a credential."""
        return super().repr_dict({key: _Hidden() if _is_secret(key) else value for key, value in x.items()}, level)


class _Hidden:
    def __repr__(self) -> str:
        return "***"


def _is_secret(name: object) -> bool:
    return isinstance(name, str) and _SECRET.search(name) is not None


def _value(name: str, value: object) -> str:
    if _is_secret(name):
        return "***"
    try:
        return _redacted(_output.one_line(_Short().repr(value)))
    except Exception as error:  # noqa: BLE001 - users' objects may raise anything when they are shown
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def _redacted(text: str) -> str:
    return _NAMED_SECRET.sub(r"\1***", _URL_SECRET.sub("***@", text))
