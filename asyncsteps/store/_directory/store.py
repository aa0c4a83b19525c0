"""The directory store: one readable file for each done step."""

import errno
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from asyncsteps._errors import AccessDeniedError, StoreError, StoreURLError
from asyncsteps._plan.names import matches
from asyncsteps.store._common import BaseStore, KeyFilter
from asyncsteps.store._directory import files
from asyncsteps.store._directory.commit import Mark
from asyncsteps.store._directory.filenames import decode_path
from asyncsteps.store._directory.group import CommitGroup
from asyncsteps.store._directory.journal import DirectoryJournal
from asyncsteps.store._location import check_path, most_alike
from asyncsteps.store._protocol import DonePage, ListingProgress, OnProgress
from asyncsteps.store._records import decode_record, encode_record

_BATCH = 1000

_LOOKED_AT = 200
"""How many entries of a directory beside this one are looked at."""

_T = TypeVar("_T")


class DirectoryStore(BaseStore):
    """Keeps each done step as a file named after it, which holds an indented JSON object.

    Ordinary names are file names as they are; `asyncsteps.store._directory.filenames` describes how others are
    encoded. The first mark creates the directory. A mark is written to a temporary file, synchronised and renamed,
    and the directory synchronised: readers in any process see the whole mark or none, and it survives a loss of
    power once `mark_done` has returned. Marks under way together share the synchronisation of the directory. Other
    files in the directory are reported as unrecognised and never touched.

    Args:
        path: The directory.
        concurrency: The most worker threads for marks, and as many for everything else.

    Attributes:
        journal_files: Where runs leave their journals.

    Raises:
        StoreURLError: When ``path`` is no path of a directory.
    """

    def __init__(self, path: str | os.PathLike[str], *, concurrency: int = 16) -> None:
        super().__init__()
        if not isinstance(path, (str, os.PathLike)):
            raise StoreURLError(f"a store's directory must be a str or a path, not {type(path).__name__}")
        text = os.fsdecode(path)
        check_path(text, given=path)
        self._path = Path(text).absolute()
        self._concurrency = concurrency
        self._limiter: CapacityLimiter | None = None
        self._commits: CommitGroup | None = None
        self.journal_files = DirectoryJournal(self._path)

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @property
    def url(self) -> str:
        """The directory as a file URL."""
        return self._path.as_uri()

    async def _batches(
        self, under: str, key_filter: KeyFilter, on_progress: OnProgress | None
    ) -> AsyncGenerator[list[str], None]:
        found, unrecognised = await self._call(None, partial(files.list_files, self._path))
        for path in unrecognised:
            if matches(under, path):
                key_filter.unrecognised(path)
        names = [name for name in found if matches(under, name)]
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            if on_progress is not None:
                on_progress(ListingProgress(start // _BATCH + 1, start + len(batch), 1, 0))
            yield batch

    async def nearby(self) -> list[str]:
        """Return the URLs of a few directories beside this one that hold done steps, the most alike first."""
        self._require_open()
        return [path.as_uri() for path in await self._call(None, partial(_holding_beside, self._path))]

    async def done_page(self, start_after: str = "") -> DonePage:
        """Return all done names greater than ``start_after``, in order, from one pass over the directory."""
        self._require_open()
        names, _ = await self._call(None, partial(files.list_files, self._path))
        return DonePage(tuple(sorted(name for name in names if name > start_after)), None)

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done, that is, its file exists."""
        return await self._call(self._checked(name), partial(files.exists, self._path, name))

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        """Record ``name`` as done, durably; return whether this call's record is the stored one."""
        self._checked(name)
        mark = Mark(name, encode_record(name, record, indent=2) + b"\n", first_wins=first_wins)
        if self._commits is None:
            self._commits = CommitGroup(self._path, threads=self._concurrency)
            self._stack.push_async_callback(self._commits.aclose)
        await self._commits.make(mark)
        if mark.error is not None:
            raise self._mapped(mark.error, step=name, path=mark.path) from mark.error
        return mark.stored

    async def read_done(self, name: str) -> dict[str, Any] | None:
        """Return the record of ``name``, or None when it is not done."""
        body = await self._call(self._checked(name), partial(files.read, self._path, name))
        return None if body is None else decode_record(name, body, url=self.url)

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        """Withdraw done marks; return those that were there, sorted."""
        wanted = self._checked_names(names)
        return await self._call(None, partial(files.remove, self._path, wanted))

    async def _call(self, step: str | None, function: Callable[[], _T]) -> _T:
        """Run a blocking function in a worker thread, to its end, and map its errors."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._concurrency)
        try:
            return await to_thread.run_sync(function, limiter=self._limiter)
        except OSError as error:
            raise self._mapped(error, step=step) from error

    def _mapped(self, error: OSError, *, step: str | None, path: str = "") -> StoreError:
        """Return the error to raise for one of the operating system, which may not name a file by itself."""
        file = error.filename2 or error.filename  # of a move: the target, not the temporary file
        if path and not (file and os.path.isabs(file)):  # noqa: PTH117 -- a str, or the name of a temporary file
            file = path
        where = None if file is None else str(self._path / file)
        if isinstance(error, PermissionError):
            return AccessDeniedError(
                f"the operating system denies it ({error.strerror}): give this user read and write permission "
                "in the directory",
                url=self.url,
                key=where,
                step=step,
            )
        reason = error.strerror or str(error)
        if error.errno == errno.EMFILE:
            reason += f"; this process may have {_most_open_files()}: raise the limit (ulimit -n), or close some"
        return StoreError(f"the file system cannot do it: {reason}", url=self.url, key=where, step=step)


def _most_open_files() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "no more"
    return f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} (RLIMIT_NOFILE)"


def _holding_beside(path: Path) -> list[Path]:
    """The directories beside one that hold done steps."""
    with os.scandir(path.parent) as entries:
        beside = [entry.name for entry in islice(entries, _LOOKED_AT) if entry.is_dir(follow_symlinks=False)]
    return [found for name in most_alike(path.name, beside) if _holds_steps(found := path.parent / name)]


def _holds_steps(path: Path) -> bool:
    with os.scandir(path) as entries:
        return any(
            entry.is_file(follow_symlinks=False) and decode_path(entry.name) is not None and _is_record(entry.path)
            for entry in islice(entries, _LOOKED_AT)
        )


def _is_record(path: str) -> bool:
    """Whether a file begins as a done mark does; another's file seldom does."""
    with open(path, "rb") as file:  # noqa: PTH123 - of a path that is a str
        return file.read(1) == b"{"
