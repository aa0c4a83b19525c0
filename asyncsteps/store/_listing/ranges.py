"""The ranges of a key space that no page has covered yet.

Together with what was covered they partition the key space, in order of code points, which is that of UTF-8. A
page covers the range from where it starts to its last key, and its keys count where a range is still open: so
every key counts exactly once, wherever the ranges were split.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from asyncsteps._plan.order import prefix_end

Position = tuple[str, bool]
"""A position between keys: just before the string, or with True just after it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What part of a range is expected to hold: neighbouring key prefixes with about as many keys each.

    Attributes:
        children: The key prefixes, ascending.
        size: The keys expected under each, on average.
        known: Whether the children are known; otherwise only the first is worth a request.
        share: The fraction of the children that are expected to exist, from 0 to 1.
    """

    children: Sequence[str]
    size: float
    known: bool
    share: float = 1

    @property
    def keys(self) -> float:
        """The keys expected under all children together."""
        return self.size * len(self.children)


@dataclass(slots=True, eq=False)
class KeyRange:
    """A range that is still open, and how to continue it.

    Attributes:
        lo: Where it begins.
        hi: Where it ends: just before this string.
        scope: The prefix of its next request.
        after: The ``start_after`` of its next request; the page is complete from there.
        token: The continuation token to send instead; the page is complete from ``after`` here too.
        head: Whether everything before it was listed by one token chain, from the first page on.
        busy: Whether a request for its beginning is in flight.
        samples: Samples of the last page that ended here; empty before the first.
        keys_per_sample: How many keys each sample stands for.
        estimates: What it is expected to hold, in order; None when that is to be estimated again.
        size: Roughly how many keys it is expected to hold.
    """

    lo: Position
    hi: str
    scope: str
    after: str | None = None
    token: str | None = None
    head: bool = False
    busy: bool = False
    samples: Sequence[str] = ()
    keys_per_sample: float = 0
    estimates: Sequence[Estimate] | None = ()
    size: float = 0


class KeyRanges:
    """All open ranges, ascending. At first there is one: everything that starts with ``prefix``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._ranges = [KeyRange((prefix, False), prefix_end(prefix), prefix, head=True)]

    def __iter__(self) -> Iterator[KeyRange]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def clear(self) -> None:
        """Close all ranges."""
        self._ranges.clear()

    def is_open(self, lo: str, hi: str) -> bool:
        """Return whether anything from ``lo`` up to ``hi`` is still open."""
        at = bisect_left(self._ranges, (hi, False), key=_begin) - 1
        return at >= 0 and self._ranges[at].hi > lo

    def split(self, key_range: KeyRange, split_points: Sequence[str]) -> list[KeyRange]:
        """Split a range before each of the split points, which ascend and lie inside it; return the new ranges."""
        if not split_points:
            return []
        new = [
            KeyRange((point, False), hi, self._prefix)
            for point, hi in zip(split_points, (*split_points[1:], key_range.hi), strict=True)
        ]
        key_range.hi = split_points[0]
        at = bisect_right(self._ranges, key_range.lo, key=_begin)
        self._ranges[at:at] = new
        return new

    def cover(self, begin: Position, end: Position, keys: list[str]) -> list[list[str]]:
        """Close what is open from ``begin`` to ``end``, which holds exactly ``keys``; return those that count."""
        # A range that begins before the page is left to its own pages.
        first = stop = bisect_left(self._ranges, begin, key=_begin)
        counting: list[list[str]] = []
        left: list[KeyRange] = []
        for key_range in self._ranges[first:]:
            if key_range.lo >= end:
                break
            stop += 1
            lo, is_after = key_range.lo
            start = bisect_right(keys, lo) if is_after else bisect_left(keys, lo)
            upto = bisect_left(keys, key_range.hi, start)
            if start < upto:
                counting.append(keys if upto - start == len(keys) else keys[start:upto])
            if (key_range.hi, False) > end:
                key_range.lo = end
                if keys and (key_range.after is None or keys[-1] > key_range.after):
                    key_range.after, key_range.token, key_range.scope = keys[-1], None, self._prefix
                left.append(key_range)
        self._ranges[first:stop] = left
        return counting


_begin = attrgetter("lo")
