"""The contract of stores; `tests/store/test_store_contract.py` runs against every store."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class DonePage:
    """The done names in one range of the name space, as one request returned them.

    Attributes:
        names: The done names in the range, ascending by code point.
        through: Where the range ends, inclusive; None when it reaches the end of the store. It may be an
            unrecognised key, so it need not be a valid name.
    """

    names: tuple[str, ...]
    through: str | None


@dataclass(frozen=True, slots=True)
class ListingProgress:
    """The progress of a listing.

    Attributes:
        pages: Pages used so far.
        names: Done names found so far.
        requests: Requests sent so far, including retries and those whose page was not used.
        concurrency: Requests in flight now.
    """

    pages: int
    names: int
    requests: int
    concurrency: int


OnForeign = Callable[[str], object]
"""Called with each unrecognised key: one below the prefix, given without it, that is not a step name."""

OnProgress = Callable[[ListingProgress], object]
"""Called after each page of a listing."""


@runtime_checkable
class StepStore(Protocol):
    """Records done steps under one prefix. A step is done if its name is stored, whatever its record.

    Use a store inside its ``async with`` block (see `asyncsteps.open_store`), in one event loop, from any number
    of tasks. Names and selectors are checked before anything is read or written: an invalid name raises
    `StepNameError`, an invalid selector `SelectorError`. Every failure of the storage raises a `StoreError`, use
    outside the block a `StoreClosedError`. Names are ordered by code point, which is their order in UTF-8 too.
    """

    @property
    def url(self) -> str:
        """The complete prefix, in the form that `asyncsteps.open_store` takes."""
        ...

    def check_name(self, name: str) -> None:
        """Check that ``name`` can be stored here.

        Raises:
            StepNameError: When it breaks a rule, the length of prefix and name among them.
        """
        ...

    async def list_done(
        self, under: str = "*", *, on_foreign: OnForeign | None = None, on_progress: OnProgress | None = None
    ) -> list[str]:
        """Return all done names that the selector ``under`` matches, sorted, each once.

        Args:
            under: The selector.
            on_foreign: Called with each unrecognised key. None: log one warning for all of them.
            on_progress: Called after each page.

        Raises:
            StoreError: When the listing cannot be completed; a part of it is never returned.
        """
        ...

    def iter_done(
        self, under: str = "*", *, on_foreign: OnForeign | None = None, on_progress: OnProgress | None = None
    ) -> AsyncIterator[list[str]]:
        """Yield the names of `list_done` in batches as they arrive, each name once, in no particular order."""
        ...

    async def done_page(self, start_after: str = "") -> DonePage:
        """Return one request's worth of done names greater than ``start_after`` (any string), in order."""
        ...

    async def is_done(self, name: str) -> bool:
        """Ask the storage whether ``name`` is done."""
        ...

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        """Record ``name`` as done; return once the mark is durable.

        Args:
            name: The step's name.
            record: A mapping of JSON values.
            first_wins: Whether a mark that exists is kept; otherwise the record replaces it.

        Returns:
            Whether this call's record is the stored one; always True without ``first_wins``.

        Raises:
            RecordError: When ``record`` is not a mapping of JSON values; nothing is stored.
        """
        ...

    async def read_done(self, name: str) -> dict[str, Any] | None:
        """Return the record of ``name``, or None when it is not done.

        Raises:
            RecordError: When the stored record is not a JSON object.
        """
        ...

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        """Withdraw done marks.

        A name that is not done is no error. Unrecognised keys are never touched.

        Args:
            names: The steps' names; one ``str`` is one name.

        Returns:
            The names that were done, sorted.
        """
        ...


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A file of a journal.

    Attributes:
        body: What it holds.
        age: How many seconds ago it was written, by the storage's own clock.
    """

    body: bytes
    age: float


@runtime_checkable
class JournalFiles(Protocol):
    """Keeps the journals of runs beside the done steps of a store, where no listing of done steps sees them.

    A store that keeps journals has this as its attribute ``journal_files``. One without it, or where it is None,
    works all the same; its runs leave no journal. Names are one folder and one file, joined by a slash, of ASCII
    letters, digits and ``.-_``. Every failure of the storage raises a `StoreError`.
    """

    @property
    def where(self) -> str:
        """Where they are, for messages."""
        ...

    @property
    def remote(self) -> bool:
        """Whether each call costs a request to a server."""
        ...

    async def names(self) -> list[str]:
        """Return the names of all files."""
        ...

    async def read(self, name: str) -> JournalFile | None:
        """Return a file, or None when there is none."""
        ...

    async def write(self, name: str, body: bytes) -> None:
        """Write a file, or replace it, so that a reader finds all of it or what was there before."""
        ...

    async def remove(self, names: Sequence[str]) -> None:
        """Remove files; one that is not there is no error."""
        ...


def journal_files(store: object) -> JournalFiles | None:
    """Return where a store keeps journals; None where it does not."""
    files = getattr(store, "journal_files", None)
    return files if isinstance(files, JournalFiles) else None
