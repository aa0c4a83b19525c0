"""A sorted sample of the keys that a listing has seen, and questions about it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from asyncsteps._plan.order import prefix_end
from asyncsteps.store._listing.key_order import common_prefix

_MOST_CHARACTERS = 128


class KeySamples:
    """Some of the keys seen, ascending."""

    def __init__(self) -> None:
        self._keys: list[str] = []

    def add(self, keys: Sequence[str]) -> None:
        """Remember ``keys``, which ascend and lie next to each other; they replace those remembered in between."""
        at = bisect_left(self._keys, keys[0])
        self._keys[at : bisect_right(self._keys, keys[-1], at)] = keys

    def has(self, key_prefix: str) -> bool:
        """Return whether keys longer than ``key_prefix`` that start with it were seen."""
        at = bisect_right(self._keys, key_prefix)
        return at < len(self._keys) and self._keys[at].startswith(key_prefix)

    def ends(self, key_prefix: str) -> tuple[str, str] | None:
        """Return the first and the last key seen that are longer than ``key_prefix`` and start with it."""
        start, stop = self._range(key_prefix)
        return (self._keys[start], self._keys[stop - 1]) if start < stop else None

    def following(self, key_prefix: str) -> set[str]:
        """Return the characters that were seen to follow ``key_prefix``."""
        found: set[str] = set()
        start, stop = self._range(key_prefix)
        size = len(key_prefix)
        while start < stop and len(found) < _MOST_CHARACTERS:
            char = self._keys[start][size]
            found.add(char)
            start = bisect_left(self._keys, prefix_end(key_prefix + char), start, stop)
        return found

    def beside(self, key_prefix: str) -> list[str]:
        """Return the last key seen before, and the first one after, those that start with ``key_prefix``."""
        below = bisect_left(self._keys, key_prefix) - 1
        above = bisect_left(self._keys, prefix_end(key_prefix), below + 1)
        return self._keys[max(0, below) : below + 1] + self._keys[above : above + 1]

    def fork(self, key_prefix: str) -> int:
        """Return the last index in ``key_prefix`` where another key seen continues differently, or -1."""
        return max((len(common_prefix(key_prefix, key)) for key in self.beside(key_prefix)), default=-1)

    def _range(self, key_prefix: str) -> tuple[int, int]:
        start = bisect_right(self._keys, key_prefix)
        return start, bisect_left(self._keys, prefix_end(key_prefix), start)
