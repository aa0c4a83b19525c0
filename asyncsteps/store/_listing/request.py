"""A request for a page, and what a page must be to answer it."""

from dataclasses import dataclass
from itertools import islice
from operator import lt

from asyncsteps.store._listing.page import Page
from asyncsteps.store._listing.ranges import KeyRange, Position


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request for a page.

    Attributes:
        prefix: As for `FetchPage`.
        start_after: As for `FetchPage`.
        delimiter: As for `FetchPage`; then the request is a probe, which finds groups and covers nothing.
        token: As for `FetchPage`.
        key_range: The range that it was made for; None for a probe, and in the token chain.
        begin: From where its page is complete.
        head: Whether it belongs to the token chain from the first page on.
        speculative: Whether it may turn out to be wasted.
    """

    prefix: str
    start_after: str | None = None
    delimiter: str | None = None
    token: str | None = None
    key_range: KeyRange | None = None
    begin: Position = ("", False)
    head: bool = False
    speculative: bool = False

    def disorder(self, page: Page) -> str | None:
        """Return how a page breaks the rule that its keys ascend and start with the prefix, or None."""
        keys = page.keys
        if not all(map(lt, keys, islice(keys, 1, None))):
            return "a page's keys are not in ascending order"
        if keys and not (keys[0].startswith(self.prefix) and keys[-1].startswith(self.prefix)):
            return f"a page for the prefix {self.prefix!r} holds other keys"
        return None

    def starts_early(self, page: Page) -> bool:
        """Return whether a page begins before where it was asked to."""
        return bool(page.keys) and page.keys[0] < self.begin[0]
