"""The blocking part of the directory store: atomic file operations, safe between processes.

The directory may itself be a link. Below it no link is followed, and nothing but regular files is read.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
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
    return is_file(base, encode_name(name)) or _nothing_at(base)


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


def is_file(base: Path, path: str) -> bool | None:
    """Whether a regular file is at ``path`` below ``base``, reached over no link; None when nothing is there."""
    try:
        mode = os.lstat(f"{base}/{path}").st_mode
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    return stat.S_ISREG(mode) and link_above(base, path) is None


def link_above(base: Path, path: str) -> str | None:
    """Return a directory between ``base`` and ``path`` that is a link; only long names have any between them."""
    between = (f"{base}/{parent}" for parent in parents_of(path)[:-1])
    return next(filter(os.path.islink, between), None)


def refuse_link_above(base: Path, path: str) -> None:
    """Raise NotADirectoryError where a link is between ``base`` and ``path``."""
    if (link := link_above(base, path)) is not None:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), link)


def parents_of(path: str) -> list[str]:
    """Return the directories above a relative path, the nearest first; the last is ``""``, the store's."""
    parents = []
    while path:
        path = path.rpartition("/")[0]
        parents.append(path)
    return parents


def _nothing_at(base: Path) -> bool:
    """Return False, unless something other than a directory is in the place of the store's directory."""
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))
    return False


@contextlib.contextmanager
def temporary_directory(base: Path) -> Iterator[int]:
    """Open the subdirectory for temporary files, which must be none that a link leads to."""
    descriptor = os.open(base / TEMPORARY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def remove(base: Path, names: Sequence[str]) -> list[str]:
    """Remove the steps' files and directories left empty, durably; return the names of those that were there."""
    removed: list[str] = []
    paths: list[str] = []
    try:
        for name in names:
            path = encode_name(name)
            if link_above(base, path) is None:
                paths.append(path)  # of what is gone already too: who removed it may not have synchronised
            if exists(base, name):
                with contextlib.suppress(FileNotFoundError):  # another process was quicker
                    (base / path).unlink()
                    removed.append(name)
    finally:
        for parent in {(base / path).parent for path in paths}:
            _remove_empty(parent, base)
        failed = sync_parents(base, paths)
    for error in failed.values():
        raise error
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
    with contextlib.suppress(OSError), temporary_directory(base) as temporary:
        for name in os.listdir(temporary):  # noqa: PTH208 -- by descriptor
            with contextlib.suppress(OSError):  # its process has ended meanwhile, or it is another user's
                if os.stat(name, dir_fd=temporary, follow_symlinks=False).st_mtime < oldest:
                    os.unlink(name, dir_fd=temporary)
    make_directories(base)
    for directory in (base, *base.parents):
        if directory.is_mount():
            break
        with contextlib.suppress(OSError):  # not ours, so not created by us
            _sync(directory.parent)


def make_directories(directory: Path) -> None:
    """Create a directory and its missing parents, durably."""
    if directory.is_dir():
        return
    make_directories(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
        _sync(directory.parent)


def sync_parents(base: Path, paths: Iterable[str], *, opened: int | None = None) -> dict[str, OSError]:
    """Make durable what the directories above ``paths`` hold, other processes' files too, and these directories.

    Each directory is synchronised once, for all paths, the deepest first.

    Args:
        base: The store's directory.
        paths: Paths below it.
        opened: An open descriptor of ``base``. Errors since it was opened are reported to it.

    Returns:
        The errors, by the directory's path relative to ``base``.
    """
    failed: dict[str, OSError] = {}
    for parent in sorted({parent for path in paths for parent in parents_of(path)}, key=len, reverse=True):
        directory = f"{base}/{parent}" if parent else str(base)
        try:
            if not parent and opened is not None:
                os.fsync(opened)
            else:
                _sync(directory)
        except (FileNotFoundError, NotADirectoryError):  # removed meanwhile, which its parent tells
            pass
        except OSError as error:
            error.filename = directory
            failed[parent] = error
    return failed


def _sync(directory: Path | str) -> None:
    """Make a directory's entries durable. What is none, such as a FIFO, is not opened."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
