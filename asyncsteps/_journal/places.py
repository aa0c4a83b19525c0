"""The names of a journal's files: a folder for each run, which sorts by time, and in it segments of lines."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["run", "hand"]
"""Whose journal it is: that of a run, or of a command that changed marks by hand."""

_FOLDER = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-(run|hand)-([0-9A-Za-z_-]{1,64})")
_SEGMENT = re.compile(r"(\d{6})(-end)?\.jsonl")
_PLAIN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one run's journal.

    Attributes:
        name: The folder's name.
        kind: Whose journal it is.
        begun: When the run began, by its own clock.
        segments: The names of the files to read, in order. A last one that has the number of another was written
            after it, with all that it holds, when it was not known whether that had been written.
        ended: Whether the last of them says how the run ended.
        files: The names of all files.
    """

    name: str
    kind: Kind
    begun: datetime
    segments: tuple[str, ...]
    ended: bool
    files: tuple[str, ...]


def folder_name(kind: Kind, run_id: str, at: datetime) -> str:
    """Return the name of the folder of a run that begins."""
    return f"{at.astimezone(UTC).strftime(_TIME)}-{kind}-{folder_id(run_id)}"


def folder_id(run_id: str) -> str:
    """Return what stands for a run's id in the name of its folder: the id itself if it can be in a file's name."""
    if _PLAIN_ID.fullmatch(run_id):
        return run_id
    sendable = run_id.encode("utf-8", "backslashreplace").decode()  # an id may hold lone surrogates
    return uuid.uuid5(uuid.NAMESPACE_URL, sendable).hex


def segment_name(folder: str, number: int, *, last: bool) -> str:
    """Return the name of a file of a run's journal; the ``last`` one tells the end of the run."""
    return f"{folder}/{number:06d}{'-end' if last else ''}.jsonl"


def folders(names: Iterable[str]) -> list[Folder]:
    """Return the journals among file names, the oldest first; other names are left alone."""
    found: dict[str, list[tuple[int, bool, str]]] = {}
    for name in names:
        folder, _, file = name.partition("/")
        segment = _SEGMENT.fullmatch(file)
        if segment is not None and _FOLDER.fullmatch(folder) is not None:
            found.setdefault(folder, []).append((int(segment[1]), segment[2] is not None, name))
    return [_folder(name, sorted(found[name])) for name in sorted(found)]


def _folder(name: str, segments: list[tuple[int, bool, str]]) -> Folder:
    match = _FOLDER.fullmatch(name)
    assert match is not None
    try:
        begun = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    except ValueError:  # digits that are no date
        begun = datetime.min.replace(tzinfo=UTC)
    kind: Kind = "run" if match[2] == "run" else "hand"
    by_number = {number: each for number, _, each in segments}  # the last one of a number is that of the end
    return Folder(
        name,
        kind,
        begun,
        segments=tuple(by_number.values()),
        ended=any(ended for _, ended, _ in segments),
        files=tuple(each for *_, each in segments),
    )
