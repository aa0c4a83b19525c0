"""The interface between a listing and what it lists: one page, and the callable that fetches one."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        keys: Complete keys, ascending in order of code points.
        prefixes: Complete common prefixes, delimiter included, when a delimiter was given.
        token: The continuation token; None on the last page.
    """

    keys: list[str]
    prefixes: list[str]
    token: str | None


class FetchPage(Protocol):
    """Fetches one page, of at most 1,000 keys and common prefixes together."""

    async def __call__(
        self,
        prefix: str,
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        token: str | None = None,
    ) -> Page:
        """Fetch a page of the keys that start with ``prefix`` and are greater than ``start_after``.

        Raises:
            StoreError: When all retries have failed; `ThrottledError` when the server asks to slow down.
        """
        ...
