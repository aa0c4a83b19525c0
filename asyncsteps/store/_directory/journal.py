"""The journals of a directory store: files in a hidden folder of its directory."""

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from asyncsteps._errors import AccessDeniedError, StoreError
from asyncsteps.store._directory.files import JOURNAL
from asyncsteps.store._protocol import JournalFile

_TEMPORARY = ".tmp-"
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_LONGEST = 256 * 2**20
_T = TypeVar("_T")


class DirectoryJournal:
    """Keeps the journals of runs as files, which are replaced whole. No link is followed below the directory.

    Args:
        path: The store's directory, which the first mark, or the first journal, creates.
    """

    remote = False

    def __init__(self, path: Path) -> None:
        self._folder = path / JOURNAL
        self._limiter: CapacityLimiter | None = None

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    async def names(self) -> list[str]:
        """Return the names of all files."""
        return await self._call(partial(_names, self._folder))

    async def read(self, name: str) -> JournalFile | None:
        """Return a file, or None when there is none."""
        return await self._call(partial(_read, self._folder / name))

    async def write(self, name: str, body: bytes) -> None:
        """Write a file, or replace it; it need not survive a power failure."""
        await self._call(partial(_write, self._folder, name, body))

    async def remove(self, names: Sequence[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        await self._call(partial(_remove, self._folder, names))

    async def _call(self, function: Callable[[], _T]) -> _T:
        """Call a blocking function in a worker thread, which a cancellation leaves behind."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(4)
        try:
            return await to_thread.run_sync(function, limiter=self._limiter, abandon_on_cancel=True)
        except PermissionError as error:
            raise AccessDeniedError(
                f"the operating system denies it ({error.strerror}): give this user read and write permission in "
                f"{str(self._folder)!r}",
                key=None if error.filename is None else str(error.filename),
            ) from error
        except OSError as error:
            raise StoreError(f"the file system cannot do it: {error.strerror or error}", key=self.where) from error


def _open_folder(path: Path | str, dir_fd: int | None = None) -> int:
    """Open a folder, which must be none that a link leads to."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)


def _names(folder: Path) -> list[str]:
    found: list[str] = []
    if folder.is_symlink():
        return found
    try:
        runs = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _GONE:
            return found
        raise
    for run in runs:
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            found += [
                f"{run}/{entry.name}"
                for entry in os.scandir(folder / run)
                if not entry.name.startswith(_TEMPORARY) and entry.is_file(follow_symlinks=False)
            ]
    return found


def _read(path: Path) -> JournalFile | None:
    try:
        if path.parent.is_symlink() or path.parent.parent.is_symlink():
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return JournalFile(file.read(_LONGEST), max(0.0, time.time() - status.st_mtime))


def _write(folder: Path, name: str, body: bytes) -> None:
    inner, _, file_name = name.partition("/")
    folder.mkdir(parents=True, exist_ok=True)
    outer = _open_folder(folder)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(inner, dir_fd=outer)
        run = _open_folder(inner, dir_fd=outer)
    finally:
        os.close(outer)
    temporary = f"{_TEMPORARY}{uuid.uuid4().hex}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=run)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
            os.rename(temporary, file_name, src_dir_fd=run, dst_dir_fd=run)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=run)
            raise
    finally:
        os.close(run)


def _remove(folder: Path, names: Sequence[str]) -> None:
    if folder.is_symlink():
        return
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            if not (folder / name).parent.is_symlink():
                (folder / name).unlink()
    for run in {name.partition("/")[0] for name in names}:
        with contextlib.suppress(OSError):  # a killed process has left something in it, or another writes there
            for left in (folder / run).glob(f"{_TEMPORARY}*"):
                left.unlink()
            (folder / run).rmdir()
