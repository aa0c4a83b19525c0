"""The blocking part of the directory store: atomic file operations, safe between processes."""

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from asyncsteps._plan.names import is_step_name
from asyncsteps.store._directory.filenames import decode_path, encode_name

TEMPORARY = ".asyncsteps-tmp"
"""The subdirectory for files being written. No encoded name starts with a dot, so it cannot collide."""

_STALE_SECONDS = 24 * 3600
"""The age after which a temporary file must have been left behind by a killed process."""

_MOVES = 100
"""How often to recreate a directory that other processes remove because it is empty."""


def list_files(base: Path) -> tuple[list[str], list[str]]:
    """List the store: step names, then the paths of unrecognised files and directories (these end in a slash)."""
    names: list[str] = []
    unrecognised: list[str] = []
    unread = [""]
    while unread:
        above = unread.pop()
        try:
            entries = os.scandir(base / above)
        except FileNotFoundError:  # nothing was marked yet, or another process was quicker
            continue
        with entries:
            for entry in entries:
                path = above + entry.name
                # A link to a directory is unrecognised: following it might never end.
                if entry.is_dir(follow_symlinks=False) and entry.name.endswith("~"):
                    unread.append(f"{path}/")
                elif _type_of(entry) == stat.S_IFDIR:
                    if path != TEMPORARY:
                        unrecognised.append(f"{path}/")
                elif (name := decode_path(path)) is not None and is_step_name(name) and _type_of(entry):
                    names.append(name)
                else:
                    unrecognised.append(path)
    return names, unrecognised


def _type_of(entry: os.DirEntry[str]) -> int:
    """Return ``S_IFDIR`` or ``S_IFREG`` for what an entry is or links to, 0 for anything else."""
    try:
        if entry.is_dir():
            return stat.S_IFDIR
        return stat.S_IFREG if entry.is_file() else 0
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return 0


def exists(base: Path, name: str) -> bool:
    """Whether the step's file is there."""
    return _is_file(base / encode_name(name)) or _nothing_at(base)


def read(base: Path, name: str) -> bytes | None:
    """Return what the step's file holds; None when there is none."""
    if not exists(base, name):  # nor is anything but a regular file opened: a FIFO would block
        return None
    try:
        return (base / encode_name(name)).read_bytes()
    except FileNotFoundError:
        return None


def _is_file(path: Path) -> bool:
    """Like `Path.is_file`, which from Python 3.14 on also returns False when a permission is missing."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return False
        raise


def _nothing_at(base: Path) -> bool:
    """Return False, unless something other than a directory is in the place of the store's directory."""
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))
    return False


def write(base: Path, name: str, *, body: bytes, first_wins: bool) -> bool:
    """Write the step's file, whole and durable; return False when ``first_wins`` and there was one already."""
    target = base / encode_name(name)
    stored = False
    if os.path.lexists(target) and not _is_file(target):  # such as a directory, a FIFO or a dangling link
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if not first_wins or not os.path.lexists(target):
        _make_directories(base / TEMPORARY)
        temporary = base / TEMPORARY / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            _write_file(temporary, body)
            stored = _move(temporary, target, replace=not first_wins)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    _sync_up(target.parent, base)  # the mark of another process too, which may not have come so far
    return stored


def _write_file(path: Path, body: bytes) -> None:
    """Create a file, whole and durable but for its name."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(temporary: Path, target: Path, *, replace: bool) -> bool:
    """Move a temporary file to its final name; return False when that exists and ``replace`` is False."""
    for attempt in range(_MOVES):
        try:
            _make_directories(target.parent)
            if replace:
                os.replace(temporary, target)  # noqa: PTH105 -- os.link has its arguments in the same order
            else:
                os.link(temporary, target)
        except FileExistsError:
            if os.path.lexists(target) and not _is_file(target):
                raise
            return False
        except FileNotFoundError:  # another process removed the empty directory meanwhile
            if attempt == _MOVES - 1 or not temporary.exists():
                raise
        else:
            break
    return True


def remove(base: Path, names: Sequence[str]) -> list[str]:
    """Remove the steps' files and directories left empty, durably; return the names of those that were there."""
    removed: list[str] = []
    parents: set[Path] = set()
    try:
        for name in names:
            target = base / encode_name(name)
            parents.add(target.parent)  # of what is gone already too: who removed it may not have synchronised
            if exists(base, name):
                with contextlib.suppress(FileNotFoundError):  # another process was quicker
                    target.unlink()
                    removed.append(name)
    finally:
        for parent in parents:
            _remove_empty(parent, base)
            _sync_up(parent, base)
    return removed


def _remove_empty(directory: Path, base: Path) -> None:
    """Remove ``directory`` and its parents below ``base`` while they are empty."""
    while directory != base:
        try:
            directory.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # not empty, or not ours to remove
            break
        directory = directory.parent


def prepare(base: Path) -> None:
    """Prepare for the first mark: remove what killed processes left, and make durable what they may have created.

    Temporary files are removed once they are a day old, as far as this user may.
    """
    oldest = time.time() - _STALE_SECONDS
    with contextlib.suppress(OSError):
        for temporary in (base / TEMPORARY).iterdir():
            with contextlib.suppress(OSError):  # its process has ended meanwhile, or it is another user's
                if temporary.stat().st_mtime < oldest:
                    temporary.unlink()
    _make_directories(base)
    for directory in (base, *base.parents):
        if directory.is_mount():
            break
        with contextlib.suppress(OSError):  # not ours, so not created by us
            _sync(directory.parent)


def _make_directories(directory: Path) -> None:
    """Create a directory and its missing parents, durably."""
    if directory.is_dir():
        return
    _make_directories(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
        _sync(directory.parent)


def _sync_up(directory: Path, base: Path) -> None:
    """Make the entries of ``directory`` durable, and its own, up to those of ``base``; other processes' too."""
    while True:
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, which its parent tells
            _sync(directory)
        if directory == base:
            return
        directory = directory.parent


def _sync(directory: Path) -> None:
    """Make a directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
