"""What a run has done so far, in numbers, for the live display: as a whole, and for each group of its steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

ENDS: Final = ("played", "forced", "skipped", "failed", "cancelled")
"""How a step ends. ``forced`` was played because it was forced."""

_WINDOW: Final = 10
"""The seconds over which rates are measured."""

_MEASURED: Final = 2.0
"""A rate over fewer seconds than this is not told."""

_ENOUGH: Final = 5
"""The time left is not estimated from fewer steps than this."""

_DEEPEST: Final = 4
_MOST_GROUPS: Final = 2_000
"""Steps of groups that lie deeper, or come after so many groups, count in the group above."""


@dataclass(slots=True, eq=False)
class Group:
    """A group of steps: those that lie in it and in no group below it.

    Attributes:
        name: Its name; empty for the steps that lie in no group.
        ends: How many steps have ended, by how.
        under_way: How many steps are scheduled and have not ended.
        active: When something last happened in it.
        below: The groups below by their last segment.
    """

    name: str
    ends: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    active: float = 0.0
    below: dict[str, Self] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown of a group and all below it, or of several groups together.

    Attributes:
        label: The group's name, or what tells of several.
        ends: How many steps have ended, by how.
        running: How many steps run.
        under_way: How many are scheduled and have not ended; those that do not run are queued.
        active: When something last happened in it.
    """

    label: str
    ends: Mapping[str, int]
    running: int
    under_way: int
    active: float = 0.0

    @property
    def ended(self) -> int:
        """How many steps have ended."""
        return sum(self.ends.values())

    @property
    def known(self) -> int:
        """How many steps have been decided."""
        return self.ended + self.under_way


class Tally:
    """Counts the steps of a run from their markers.

    Args:
        began: When the run was begun.
    """

    def __init__(self, began: datetime) -> None:
        self._began = began
        self._root = Group("")
        self._groups = {"": self._root}
        self._under_way: dict[str, datetime] = {}
        self._ended: Counter[int] = Counter()
        self._played: Counter[int] = Counter()
        self._running: dict[str, datetime] = {}
        self._looked: datetime | None = None
        self.ends: Counter[str] = Counter()

    def take(self, details: Mapping[str, Any], at: datetime) -> None:
        """Count a step's marker, given its details and when it was recorded."""
        name, status = details["step"], details["status"]
        group = self._group_of(name)
        group.active = at.timestamp()
        self._began = min(self._began, at)  # on SWF, of what was recorded before it was followed
        if status == "scheduled":
            group.under_way += name not in self._under_way
            self._under_way[name] = at
            return
        if self._under_way.pop(name, None) is not None:
            group.under_way -= 1
        end = ("forced" if details["forced"] else "played") if status == "completed" else status
        group.ends[end] += 1
        self.ends[end] += 1
        second = int(group.active)
        self._ended[second] += 1
        self._played[second] += end != "skipped"

    def look(self, running: Iterable[str], now: datetime) -> None:
        """Take the names of the steps that run now.

        Each began to run after it was scheduled, and after it was last seen not to run.
        """
        before, looked = self._running, self._looked
        self._running = {}
        for name in running:
            began = before.get(name)
            if began is None:
                scheduled = self._under_way.get(name, now)
                began = scheduled if looked is None else max(scheduled, looked)
            self._running[name] = began
        self._looked = now

    @property
    def running(self) -> int:
        """How many steps run."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """How many steps are scheduled and do not run."""
        return max(0, len(self._under_way) - len(self._running))

    def elapsed(self, now: datetime) -> float:
        """The seconds since the run began."""
        return max(0.0, (now - self._began).total_seconds())

    def rate(self, now: datetime) -> float | None:
        """How many steps end a second, over the last ten; None while it cannot be told."""
        return self._rate(self._ended, now, at_least=1)

    def left(self, now: datetime) -> float | None:
        """The seconds in which all steps that are scheduled have ended, at the rate of those that are played.

        None where nothing is queued, as more may come, and while too few have ended to tell the rate.
        """
        rate = self._rate(self._played, now, at_least=_ENOUGH) if self.queued else None
        return len(self._under_way) / rate if rate else None

    def _rate(self, ended: Counter[int], now: datetime, *, at_least: int) -> float | None:
        second = int(now.timestamp())
        for old in [each for each in ended if each <= second - 2 * _WINDOW]:
            del ended[old]
        window = min(self.elapsed(now), now.timestamp() - (second - _WINDOW + 1))
        count = sum(ended[each] for each in range(second - _WINDOW + 1, second + 1) if each in ended)
        return count / window if window >= _MEASURED and count >= at_least else None

    def slowest(self, at_most: int, now: datetime) -> list[tuple[str, float]]:
        """The steps that have run for longest, and the seconds."""
        longest = sorted(self._running.items(), key=lambda item: item[1])[:at_most]
        return [(name, max(0.0, (now - began).total_seconds())) for name, began in longest]

    def rows(self, at_most: int) -> list[Row]:
        """The groups: as many levels as fit in so many rows, else the most active ones and the rest in one."""
        shown = _opened((self._root, True))
        while (opened := [part for each in shown for part in _opened(each)]) != shown:
            if len(shown) > 1 and len(opened) > at_most:
                break
            shown = opened
        running = Counter(self._group_of(name).name for name in self._running)
        rows = [row for group, deep in shown if (row := _row(group, running, deep=deep)).known]
        if len(rows) <= at_most:
            return rows
        ranked = sorted(rows, key=lambda row: (row.under_way > 0, row.active), reverse=True)
        most_active = {row.label for row in ranked[: at_most - 1]}
        rest = [row for row in rows if row.label not in most_active]
        return [*(row for row in rows if row.label in most_active), _sum(rest, f"{len(rest):,} more groups")]

    def _group_of(self, name: str) -> Group:
        above = name.rpartition(".")[0]
        found = self._groups.get(above)
        if found is None:
            found = self._root
            for segment in above.split(".")[:_DEEPEST]:
                if (below := found.below.get(segment)) is None:
                    if len(self._groups) >= _MOST_GROUPS:
                        break
                    below = found.below[segment] = Group(f"{found.name}.{segment}" if found.name else segment)
                    self._groups[below.name] = below
                found = below
        return found


_Part = tuple[Group, bool]
"""A group, and whether all below it counts in it."""


def _opened(part: _Part) -> list[_Part]:
    """The group's own steps, if there are any, and each group below."""
    group, deep = part
    if not deep or not group.below:
        return [part]
    own = [(group, False)] if group.ends or group.under_way else []
    return [*own, *((each, True) for each in group.below.values())]


def _row(group: Group, running: Mapping[str, int], *, deep: bool) -> Row:
    label = group.name or "(no group)"
    own = Row(label, group.ends, running.get(group.name, 0), group.under_way, group.active)
    below = group.below.values() if deep else ()
    return _sum([own, *(_row(each, running, deep=True) for each in below)], label) if below else own


def _sum(rows: Sequence[Row], label: str) -> Row:
    ends: Counter[str] = Counter()
    for row in rows:
        ends.update(row.ends)
    running, under_way = sum(row.running for row in rows), sum(row.under_way for row in rows)
    return Row(label, ends, running, under_way, max(row.active for row in rows))
