"""What is known of which names are done: intervals of the ordered name space, and the done names in them. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

_LAST = "\U0010ffff"


def just_before(name: str) -> str:
    """A string below ``name`` with next to nothing between them, to start a page after.

    It is as long as ``name`` and one more character at most, so that it stays within what S3 takes as a key.
    """
    head, last = name[:-1], ord(name[-1])
    if last == 0 or len(name.encode()) + len(_LAST.encode()) > 1024:  # noqa: PLR2004 - S3's longest key
        return head
    below = last - 1
    return f"{head}{chr(0xD7FF if 0xD800 <= below <= 0xDFFF else below)}{_LAST}"  # noqa: PLR2004 - surrogates


class KnownNames:
    """A set of names, known on some intervals ``(low, high]`` of the name space and unknown elsewhere.

    ``high`` is None where an interval reaches the end. What is learnt later replaces what was known.
    """

    def __init__(self) -> None:
        self._lows: list[str] = []
        self._highs: list[str | None] = []
        self._sorted: list[str] = []
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def covers(self, name: str) -> bool:
        """Whether it is known of ``name`` if it is in the set."""
        return self.reach(name, inclusive=True) != name

    def reach(self, position: str, *, inclusive: bool = False) -> str | None:
        """How far the names above ``position`` are known without a gap; ``position`` itself where they are not.

        Args:
            position: Any string.
            inclusive: Whether ``position`` itself must be known too.

        Returns:
            The highest known string, or None when all up to the end are known.
        """
        index = (bisect_left if inclusive else bisect_right)(self._lows, position) - 1
        if index < 0:
            return position
        high = self._highs[index]
        if high is None or high > position:
            return high
        if inclusive and high == position:
            return position + "\0"  # known, though nothing above it is
        return position

    def between(self, low: str, high: str | None) -> Sequence[str]:
        """The known names in ``(low, high]``, ascending."""
        start = bisect_right(self._sorted, low)
        return self._sorted[start : None if high is None else bisect_right(self._sorted, high)]

    def learn(self, low: str, high: str | None, names: Iterable[str]) -> None:
        """Take ``names``, which ascend, as all that there are in ``(low, high]``."""
        start = bisect_right(self._sorted, low)
        end = len(self._sorted) if high is None else bisect_right(self._sorted, high)
        fresh = list(names)
        self._names.difference_update(self._sorted[start:end])
        self._names.update(fresh)
        self._sorted[start:end] = fresh
        self._merge(low, high)

    def _merge(self, low: str, high: str | None) -> None:
        first = bisect_left(self._lows, low)
        if first and _reaches(self._highs[first - 1], low):
            first -= 1
            low = self._lows[first]
        last = len(self._lows) if high is None else bisect_right(self._lows, high)
        highs = [*self._highs[first:last], high]
        self._lows[first:last] = [low]
        self._highs[first:last] = [None if None in highs else max(h for h in highs if h is not None)]


def _reaches(high: str | None, position: str) -> bool:
    return high is None or high >= position
