"""The blocking part of the directory store: atomic file operations, safe between processes.

The directory may itself be a link. Below it no link is followed, and nothing but regular files is read.
"""

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from asyncsteps._plan.names import is_step_name
from asyncsteps.store._directory.filenames import DEEPEST, decode_path, encode_name
from asyncsteps.store._records import MAX_RECORD_BYTES

TEMPORARY = ".asyncsteps-tmp"
"""The subdirectory for files being written. No encoded name starts with a dot, so it cannot collide."""

JOURNAL = ".asyncsteps-journal"
"""The subdirectory for the journals of runs; likewise."""

_STALE_SECONDS = 24 * 3600
"""The age after which a temporary file must have been left behind by a killed process."""

_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""What the operating system says of a path that leads to no file: ``ENXIO`` of a socket."""

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
                if entry.is_dir(follow_symlinks=False):
                    if entry.name.endswith("~") and above.count("/") < DEEPEST:
                        unread.append(f"{path}/")
                    elif path not in {TEMPORARY, JOURNAL}:
                        unrecognised.append(f"{path}/")
                elif (
                    (name := decode_path(path)) is not None
                    and is_step_name(name)
                    and entry.is_file(follow_symlinks=False)
                ):
                    names.append(name)
                else:
                    unrecognised.append(path)
    return names, unrecognised


def exists(base: Path, name: str) -> bool:
    """Whether the step's file is there."""
    return _is_file(base / encode_name(name), base) or _nothing_at(base)


def read(base: Path, name: str) -> bytes | None:
    """Return what the step's file holds, one byte more than a record may have at most; None when there is none."""
    if not exists(base, name):
        return None
    try:
        # Whatever has taken its place since: no link is followed, and a FIFO is not waited for.
        descriptor = os.open(base / encode_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_RECORD_BYTES + 1)
    finally:
        os.close(descriptor)


def _is_file(path: Path, base: Path) -> bool:
    """Whether a regular file is there, reached over no link below ``base``."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and _link_above(path, base) is None
    except OSError as error:
        if error.errno in _NO_FILE:
            return False
        raise


def _link_above(path: Path, base: Path) -> Path | None:
    """Return a directory between ``base`` and ``path`` that is a link; only long names have any between them."""
    between = takewhile(lambda above: above != base, path.parents)
    return next((above for above in between if above.is_symlink()), None)


def _nothing_at(base: Path) -> bool:
    """Return False, unless something other than a directory is in the place of the store's directory."""
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))
    return False


def write(base: Path, name: str, *, body: bytes, first_wins: bool) -> bool:
    """Write the step's file, whole and durable; return False when ``first_wins`` and there was one already."""
    target = base / encode_name(name)
    stored = False
    if os.path.lexists(target) and not _is_file(target, base):  # a directory, a FIFO, a link: never replaced
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if not first_wins or not os.path.lexists(target):
        _make_directories(base / TEMPORARY)
        temporary = base / TEMPORARY / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with _temporary_directory(base) as directory:
                _write_file(temporary.name, body, dir_fd=directory)
            stored = _move(temporary, target, base, replace=not first_wins)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    _sync_up(target.parent, base)  # the mark of another process too, which may not have come so far
    return stored


def _write_file(name: str, body: bytes, *, dir_fd: int) -> None:
    """Create a file in an open directory, whole and durable but for its name."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=dir_fd)
    try:
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary_directory(base: Path) -> Iterator[int]:
    """Open the subdirectory for temporary files, which must be none that a link leads to."""
    descriptor = os.open(base / TEMPORARY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _move(temporary: Path, target: Path, base: Path, *, replace: bool) -> bool:
    """Move a temporary file to its final name; return False when that exists and ``replace`` is False."""
    for attempt in range(_MOVES):
        try:
            _make_directories(target.parent)
            if (link := _link_above(target, base)) is not None:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(link))
            if replace:
                os.replace(temporary, target)  # noqa: PTH105 -- os.link has its arguments in the same order
            else:
                os.link(temporary, target)
        except FileExistsError:
            if os.path.lexists(target) and not _is_file(target, base):
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
    with contextlib.suppress(OSError), _temporary_directory(base) as temporary:
        for name in os.listdir(temporary):  # noqa: PTH208 -- by descriptor
            with contextlib.suppress(OSError):  # its process has ended meanwhile, or it is another user's
                if os.stat(name, dir_fd=temporary, follow_symlinks=False).st_mtime < oldest:
                    os.unlink(name, dir_fd=temporary)
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
