"""The blocking work of the directory store: atomic files, in a way that is safe with several processes."""

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
"""The directory, inside the store's, of files that are being written; no encoded name starts with a dot."""

_STALE_SECONDS = 24 * 3600
"""The age after which a temporary file is what a killed process left behind."""


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
                # A link to a directory is unrecognised: it might lead in a circle.
                if entry.is_dir(follow_symlinks=False) and entry.name.endswith("~"):
                    unread.append(f"{path}/")
                elif entry.is_dir():
                    if path != TEMPORARY:
                        unrecognised.append(f"{path}/")
                elif (name := decode_path(path)) is not None and is_step_name(name) and entry.is_file():
                    names.append(name)
                else:
                    unrecognised.append(path)
    return names, unrecognised


def exists(base: Path, name: str) -> bool:
    """Whether the step's file is there."""
    return _is_file(base / encode_name(name)) or _nothing_at(base)


def read(base: Path, name: str) -> bytes | None:
    """What the step's file holds; None when there is none."""
    try:
        return (base / encode_name(name)).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        _nothing_at(base)
        return None


def _is_file(path: Path) -> bool:
    """`Path.is_file`, which from Python 3.14 on takes a missing permission for a missing file."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _nothing_at(base: Path) -> bool:
    """False, unless what should be the store's directory is something else."""
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))
    return False


def write(base: Path, name: str, *, body: bytes, first_wins: bool) -> bool:
    """Make the step's file, whole and durable; False when ``first_wins`` and there was one already."""
    target = base / encode_name(name)
    if first_wins and exists(base, name):
        return False
    _make_directories(base / TEMPORARY)
    _make_directories(target.parent)
    temporary = base / TEMPORARY / f"{os.getpid()}-{uuid.uuid4().hex}"
    try:
        with temporary.open("xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if first_wins:
            try:
                os.link(temporary, target)
            except FileExistsError:
                if os.path.lexists(target) and not _is_file(target):  # a directory, or a link to nothing
                    raise
                return False
        else:
            os.replace(temporary, target)  # noqa: PTH105 -- beside os.link, which pathlib spells the wrong way round
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    _sync(target.parent)
    return True


def remove(base: Path, names: Sequence[str]) -> list[str]:
    """Remove the steps' files, durably; the names of those that were there."""
    removed: list[str] = []
    parents: set[Path] = set()
    try:
        for name in names:
            if not exists(base, name):
                continue
            target = base / encode_name(name)
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                target.unlink()
                removed.append(name)
                parents.add(target.parent)
    finally:
        for parent in parents:
            _sync(parent)
    return removed


def remove_stale(base: Path) -> None:
    """Remove temporary files that a killed process left behind long ago, as far as this user may."""
    oldest = time.time() - _STALE_SECONDS
    with contextlib.suppress(OSError):
        for temporary in (base / TEMPORARY).iterdir():
            if temporary.stat().st_mtime < oldest:
                temporary.unlink(missing_ok=True)


def _make_directories(directory: Path) -> None:
    """Make a directory and what is missing above it, durably."""
    if directory.is_dir():
        return
    _make_directories(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
