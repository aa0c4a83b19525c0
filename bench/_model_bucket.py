"""The model server's bucket: keys in a sorted list, and the pages that S3 would cut from it. No I/O."""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SEEDED_BODY = b'{"run_id": "seed", "workflow_id": "seed", "version": "1"}'
"""The content of every object that was seeded."""

PAGE_LIMIT = 1000
"""The most keys and common prefixes on one page, whatever MaxKeys says."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page.

    Attributes:
        keys: Keys, ascending.
        prefixes: Common prefixes, ascending.
        last: The last of both, where the page was cut; None when it was not.
    """

    keys: Sequence[str]
    prefixes: Sequence[str]
    last: str | None


def make_token(last: str) -> str:
    """The continuation token of a page that was cut after ``last``."""
    return base64.urlsafe_b64encode(b"model:" + last.encode()).decode()


def read_token(token: str) -> str:
    """What a page was cut after.

    Raises:
        ValueError: When the token is none of ours.
    """
    try:
        tag, _, last = base64.b64decode(token, altchars=b"-_", validate=True).partition(b":")
        if tag != b"model":
            raise ValueError("not a token")
        return last.decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a token") from error


def _after_all_with(prefix: str) -> str | None:
    """The least string above every string that starts with ``prefix``; None when there is none."""
    while prefix:
        point = ord(prefix[-1])
        if point < 0x10FFFF:
            # Between U+D7FF and U+E000 lie the surrogates, which no key contains.
            return prefix[:-1] + chr(0xE000 if point == 0xD7FF else point + 1)
        prefix = prefix[:-1]
    return None


class Bucket:
    """Objects by key; order is that of code points, which is that of the keys' UTF-8."""

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
        """Whether all objects have `SEEDED_BODY` as content."""
        return not self._bodies

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        if key not in self:
            self._unsorted.append(key)
        self._bodies[key] = body

    def get(self, key: str) -> bytes | None:
        """An object's content; None when there is none."""
        return self._bodies.get(key, SEEDED_BODY) if key in self else None

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a key that is not there is no error."""
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
        """A page of what starts with ``prefix``.

        Args:
            prefix: The prefix.
            after: A key, or a common prefix of an earlier page: what follows is greater than it, and what a
                common prefix stood for is not shown again.
            delimiter: What ends a common prefix.
            limit: The most keys and common prefixes.
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
