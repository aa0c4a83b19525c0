"""A model of an S3 bucket: its objects, and the pages that S3 would list. No I/O.

The model server serves it, and the tests of the listing read their pages from it directly.
"""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SEEDED_BODY = b'{"run_id": "seed", "workflow_id": "seed", "version": "1"}'
"""The content of every seeded object."""

PAGE_LIMIT = 1000
"""The most keys and common prefixes on one page, even if MaxKeys asks for more."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page.

    Attributes:
        keys: Keys, ascending.
        prefixes: Common prefixes, ascending.
        last: The last of both when the page is truncated, otherwise None.
    """

    keys: Sequence[str]
    prefixes: Sequence[str]
    last: str | None


def make_token(last: str) -> str:
    """Return the continuation token of a page that was truncated after ``last``."""
    return base64.urlsafe_b64encode(b"model:" + last.encode()).decode()


def read_token(token: str) -> str:
    """Return what the page of a continuation token was truncated after.

    Raises:
        ValueError: When `make_token` did not make it.
    """
    try:
        tag, _, last = base64.b64decode(token, altchars=b"-_", validate=True).partition(b":")
        if tag != b"model":
            raise ValueError("not a token")
        return last.decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a token") from error


def _after_all_with(prefix: str) -> str | None:
    """Return the least string above every string that starts with ``prefix``, or None when there is none."""
    while prefix:
        point = ord(prefix[-1])
        if point < 0x10FFFF:
            # Between U+D7FF and U+E000 lie the surrogates, which no key contains.
            return prefix[:-1] + chr(0xE000 if point == 0xD7FF else point + 1)
        prefix = prefix[:-1]
    return None


class Bucket:
    """Objects by key, in order of code points, which is the order of the keys' UTF-8."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = sorted(set(keys))
        self._unsorted: list[str] = []
        self._bodies: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._unsorted)

    def __contains__(self, key: str) -> bool:
        if key in self._bodies:
            return True
        place = bisect_left(self._keys, key)
        return place < len(self._keys) and self._keys[place] == key

    @property
    def all_seeded(self) -> bool:
        """Whether the content of every object is `SEEDED_BODY`."""
        return not self._bodies

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        if key not in self:
            self._unsorted.append(key)
        self._bodies[key] = body

    def get(self, key: str) -> bytes | None:
        """Return an object's content, or None when there is no such object."""
        return self._bodies.get(key, SEEDED_BODY) if key in self else None

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing keys are ignored, as S3 does."""
        self._sort()
        gone = {key for key in keys if key in self}
        if len(gone) > 16:
            self._keys = [key for key in self._keys if key not in gone]
        else:
            for key in gone:
                del self._keys[bisect_left(self._keys, key)]
        for key in gone:
            self._bodies.pop(key, None)

    def _sort(self) -> None:
        if self._unsorted:
            self._keys += self._unsorted
            self._unsorted = []
            self._keys.sort()

    def page(self, prefix: str, *, after: str = "", delimiter: str = "", limit: int = PAGE_LIMIT) -> Listing:
        """Return a page of the keys that start with ``prefix``.

        Args:
            prefix: The prefix.
            after: A key, or a common prefix of an earlier page: the page holds what is greater, and does not
                repeat that common prefix.
            delimiter: What ends a common prefix.
            limit: The most keys and common prefixes together.
        """
        self._sort()
        end = _after_all_with(prefix)
        stop = len(self._keys) if end is None else bisect_left(self._keys, end)
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after) if after else 0)
        if delimiter:
            return self._grouped(prefix, delimiter, after, range(start, stop), min(limit, PAGE_LIMIT))
        cut = start + max(0, min(limit, PAGE_LIMIT))
        keys = self._keys[start : min(cut, stop)]
        return Listing(keys, (), keys[-1] if keys and cut < stop else None)

    def _grouped(self, prefix: str, delimiter: str, after: str, span: range, limit: int) -> Listing:
        keys: list[str] = []
        prefixes: list[str] = []
        place, last = span.start, None
        while place < span.stop:
            key = self._keys[place]
            found = key.find(delimiter, len(prefix))
            group = key[: found + len(delimiter)] if found >= 0 else None
            shown = group is None or group != after
            if shown and len(keys) + len(prefixes) >= limit:
                return Listing(keys, prefixes, last)
            if group is None:
                keys.append(key)
                place, last = place + 1, key
                continue
            if shown:
                prefixes.append(group)
                last = group
            end = _after_all_with(group)
            place = span.stop if end is None else bisect_left(self._keys, end, place, span.stop)
        return Listing(keys, prefixes, None)
