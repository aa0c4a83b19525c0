"""The intervals of a key space that no page has covered yet.

Together with what was covered they partition the key space, in order of code points, which is that of UTF-8. A
page covers the interval from where it was asked for to its last key, and its keys count where an interval is still
open: so every key counts exactly once, wherever the intervals were cut.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asyncsteps.store._listing.key_order import bump
from asyncsteps.store._listing.split_points import Run

Position = tuple[str, bool]
"""A place between keys: just before the string, or with True just past it."""


@dataclass(slots=True, eq=False)
class Piece:
    """An interval that is still open, and how it goes on.

    Attributes:
        lo: Where it begins.
        hi: Where it ends: just before this string.
        scope: The prefix to ask with.
        after: The start_after to ask with; its page is complete from there.
        token: The continuation token to ask with instead; its page is complete from ``after``, too.
        head: Whether all before it came by one token chain, from the first page on.
        busy: Whether a request for its beginning is under way.
        samples: Samples of the last page that ended here; empty before the first.
        each: How many keys each of them stands for.
        runs: What is supposed to be here, in order; None when that is to be estimated anew.
        size: How many keys are supposed to be here, roughly.
    """

    lo: Position
    hi: str
    scope: str
    after: str | None = None
    token: str | None = None
    head: bool = False
    busy: bool = False
    samples: Sequence[str] = ()
    each: float = 0
    runs: Sequence[Run] | None = ()
    size: float = 0


class Pieces:
    """All open intervals, ascending; at first one, of all that starts with ``prefix``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._pieces = [Piece((prefix, False), bump(prefix), prefix, head=True)]

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def clear(self) -> None:
        """Close all."""
        self._pieces.clear()

    def is_open(self, lo: str, hi: str) -> bool:
        """Whether anything from ``lo`` up to ``hi`` is still open."""
        at = bisect_left(self._pieces, (hi, False), key=_begin) - 1
        return at >= 0 and self._pieces[at].hi > lo

    def is_untouched(self, lo: str, hi: str) -> bool:
        """Whether all from ``lo`` up to ``hi`` is open, in one piece."""
        at = bisect_right(self._pieces, (lo, False), key=_begin) - 1
        return at >= 0 and self._pieces[at].hi >= hi

    def split(self, piece: Piece, pivots: Sequence[str]) -> list[Piece]:
        """Cut a piece before each of the pivots, which are ascending and inside it; the new pieces."""
        if not pivots:
            return []
        new = [
            Piece((pivot, False), hi, self._prefix)
            for pivot, hi in zip(pivots, (*pivots[1:], piece.hi), strict=True)
        ]
        piece.hi = pivots[0]
        at = bisect_right(self._pieces, piece.lo, key=_begin)
        self._pieces[at:at] = new
        return new

    def cover(self, begin: Position, end: Position, keys: list[str]) -> list[list[str]]:
        """Close what is open from ``begin`` to ``end``, where there are no keys but ``keys``; those that count."""
        # A piece that begins before the page is left to its own pages.
        first = stop = bisect_left(self._pieces, begin, key=_begin)
        counting: list[list[str]] = []
        left: list[Piece] = []
        for piece in self._pieces[first:]:
            if piece.lo >= end:
                break
            stop += 1
            start = bisect_right(keys, piece.lo[0]) if piece.lo[1] else bisect_left(keys, piece.lo[0])
            upto = bisect_left(keys, piece.hi, start)
            if start < upto:
                counting.append(keys if upto - start == len(keys) else keys[start:upto])
            if (piece.hi, False) > end:
                piece.lo = end
                if keys and (piece.after is None or keys[-1] > piece.after):
                    piece.after, piece.token, piece.scope = keys[-1], None, self._prefix
                left.append(piece)
        self._pieces[first:stop] = left
        return counting


def _begin(piece: Piece) -> Position:
    return piece.lo
