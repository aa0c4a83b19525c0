"""A set of names that is known on some ranges of the ordered name space. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence


class KnownNames:
    """A set of names, known on some ranges ``(low, high]`` of the name space and unknown elsewhere.

    ``high`` is None where a range reaches the end. What is learnt later replaces what was known.
    """

    def __init__(self) -> None:
        self._lows: list[str] = []
        self._highs: list[str | None] = []
        self._sorted: list[str] = []
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def covers(self, name: str) -> bool:
        """Whether ``name`` lies in a known range."""
        index = bisect_left(self._lows, name) - 1
        return index >= 0 and _reaches(self._highs[index], name)

    def reach(self, position: str) -> str | None:
        """Return how far the names above ``position`` are known without a gap; ``position`` where they are not.

        Args:
            position: Any string.

        Returns:
            The highest known string, or None when all up to the end are known.
        """
        index = bisect_right(self._lows, position) - 1
        if index < 0:
            return position
        high = self._highs[index]
        return high if high is None or high > position else position

    def between(self, low: str, high: str | None) -> Sequence[str]:
        """The known names in ``(low, high]``, ascending."""
        start = bisect_right(self._sorted, low)
        return self._sorted[start : None if high is None else bisect_right(self._sorted, high)]

    def learn(self, low: str, high: str | None, names: Iterable[str]) -> None:
        """Learn that ``names``, ascending, are all the names of ``(low, high]``."""
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
