"""The blocking part of marking: makes several marks durable in one commit.

A commit keeps to this order, so each mark is whole or absent whenever a process is killed or power is lost:

1. Every mark is written to a temporary file.
2. Every temporary file is synchronised, several at once.
3. Every temporary file is moved to its final name.
4. Each directory that files were moved to is synchronised once, and each one above it up to the store's.

A mark is acknowledged after the last step. If its own file fails, the other marks are not affected. If a directory
cannot be synchronised, every mark in it fails.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncsteps.store._directory.filenames import encode_name
from asyncsteps.store._directory.files import (
    TEMPORARY,
    is_file,
    make_directories,
    parents_of,
    refuse_link_above,
    sync_parents,
    temporary_directory,
)

_MOVES = 100
"""How often to recreate a directory that other processes remove because it is empty."""

SyncFiles = Callable[[Sequence[int]], list[OSError | None]]
"""Synchronises open files, several at once; returns the error of each in the same order."""


class Mark:
    """A mark to be made, and its outcome.

    Args:
        name: The step's name.
        body: The content of its file.
        first_wins: Whether a file that exists is kept.

    Attributes:
        path: The path of its file, relative to the store's directory.
        stored: Whether its body is what the file holds.
        error: Why the mark failed. Its file may be there all the same.
    """

    __slots__ = ("body", "error", "first_wins", "path", "stored")

    def __init__(self, name: str, body: bytes, *, first_wins: bool) -> None:
        self.path = encode_name(name)
        self.body = body
        self.first_wins = first_wins
        self.stored = False
        self.error: OSError | None = None


@dataclass(frozen=True, slots=True)
class _Written:
    """The temporary file of a mark, and its open descriptor."""

    mark: Mark
    name: str
    descriptor: int


def commit(base: Path, marks: Sequence[Mark], sync_files: SyncFiles) -> None:
    """Make ``marks``, whole and durable, and set the outcome of each.

    Raises:
        OSError: When nothing can be written in the directory; no mark is made.
    """
    make_directories(base / TEMPORARY)
    directory = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with temporary_directory(base) as temporary:
            _write_and_move(base, marks, sync_files, temporary)
        made = [mark for mark in marks if mark.error is None]
        failed = sync_parents(base, [mark.path for mark in made], opened=directory)
        for mark in made if failed else ():
            mark.error = next((failed[parent] for parent in parents_of(mark.path) if parent in failed), None)
    finally:
        os.close(directory)


def sync_each(descriptors: Sequence[int]) -> list[OSError | None]:
    """Synchronise open files one after the other; return the error of each."""
    errors: list[OSError | None] = []
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            errors.append(error)
        else:
            errors.append(None)
    return errors


def _write_and_move(base: Path, marks: Sequence[Mark], sync_files: SyncFiles, temporary: int) -> None:
    """Bring the files of all marks to their final names, each synchronised before."""
    written: list[_Written] = []
    prefix = f"{os.getpid()}-{uuid.uuid4().hex}"
    try:
        try:
            for number, mark in enumerate(marks):
                try:
                    _write(base, mark, f"{prefix}-{number}", temporary, written)
                except OSError as error:
                    mark.error = error
            _sync_written(written, sync_files)
        finally:
            for file in written:
                try:
                    os.close(file.descriptor)
                except OSError as error:  # of a network file system
                    file.mark.error = file.mark.error or error
        for file in written:
            if file.mark.error is None:
                try:
                    file.mark.stored = _move(base, file)
                except OSError as error:
                    file.mark.error = error
    finally:
        for file in written:
            if file.mark.first_wins or not file.mark.stored:  # the others were moved
                with contextlib.suppress(OSError):  # it is removed when it is old
                    os.unlink(file.name, dir_fd=temporary)


def _write(base: Path, mark: Mark, name: str, temporary: int, written: list[_Written]) -> None:
    """Write the temporary file of a mark, unless an earlier mark wins."""
    there = is_file(base, mark.path)
    if there is False:  # a directory, a FIFO, a link: never replaced
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), f"{base}/{mark.path}")
    if there and mark.first_wins:
        return
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=temporary)
    written.append(_Written(mark, name, descriptor))
    rest = memoryview(mark.body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_written(written: Sequence[_Written], sync_files: SyncFiles) -> None:
    """Synchronise the temporary files, whose marks fail where that fails."""
    whole = [file for file in written if file.mark.error is None]
    if len(whole) > 1 and hasattr(os, "posix_fadvise"):
        # On this hint Linux starts writing without waiting, so that one commit of the file system's journal serves
        # all files, and not one for each. Errors of the writing are reported by fsync.
        for file in whole:
            with contextlib.suppress(OSError):
                os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for file, error in zip(whole, sync_files([file.descriptor for file in whole]), strict=True):
        file.mark.error = error


def _move(base: Path, file: _Written) -> bool:
    """Move a temporary file to its final name; return False when the first mark wins and there is one."""
    mark = file.mark
    source, target = f"{base}/{TEMPORARY}/{file.name}", f"{base}/{mark.path}"
    for attempt in range(_MOVES):
        try:
            _make_parents(base, mark.path)
            if mark.first_wins:
                os.link(source, target)
            else:
                os.replace(source, target)  # noqa: PTH105 -- os.link has its arguments in the same order
        except FileExistsError:
            if is_file(base, mark.path) is False:
                raise
            return False
        except FileNotFoundError:  # another process removed the empty directory meanwhile
            if attempt == _MOVES - 1 or not os.path.lexists(source):
                raise
        else:
            break
    return True


def _make_parents(base: Path, path: str) -> None:
    """Create the directories of a long name, which become durable with the mark."""
    refuse_link_above(base, path)  # before directories are made below one, and after
    for parent in reversed(parents_of(path)[:-1]):
        directory = f"{base}/{parent}"
        if not os.path.isdir(directory):  # noqa: PTH112 -- a str, as all of these
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory)  # noqa: PTH102
    refuse_link_above(base, path)
