"""What a listing has learnt of the shape of a key space: which characters follow which stems."""

import string
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncsteps.store._listing.key_order import (
    DELIMITER,
    LAST_CHARACTER,
    bump,
    closure,
    constant_part,
    just_before,
    shared,
)

_SAMPLES_A_PAGE = 32
_REMEMBERED = 4
"""One sample of so many is remembered."""
_MOST_CHILDREN = 128
_MOST_LEVELS = 48
_MOST_TAIL = 12
_MOST_ANALOGUES = 4
_FEWEST_PRESENT = 2
_COARSEST, _FINEST, _ACCURACY = 0.05, 1e-6, 0.1
_LONGEST = 1000
"""In bytes: a string this long is not made longer still; S3 takes 1,024."""


@dataclass(frozen=True, slots=True)
class Level:
    """What follows a stem.

    Attributes:
        children: The stems below, ascending, those that are only supposed among them.
        known: Whether two or more of them were seen, so that the others may be supposed.
        share: How many of them there are likely to be, from 0 to 1.
    """

    children: Sequence[str]
    known: bool
    share: float = 1


class Territory(Protocol):
    """What is still to be listed."""

    def is_open(self, lo: str, hi: str) -> bool:
        """Whether anything from ``lo`` up to ``hi`` is."""
        ...

    def is_untouched(self, lo: str, hi: str) -> bool:
        """Whether all from ``lo`` up to ``hi`` is, in one piece."""
        ...


class Atlas:
    """What is known of the shape of a key space: samples of its keys, and the groups that probes showed.

    Attributes:
        prefix: What every key starts with.
    """

    def __init__(self, prefix: str, territory: Territory) -> None:
        self.prefix = prefix
        self._territory = territory
        self._samples: list[str] = []
        self._groups: dict[str, Sequence[str]] = {}
        self._probed: set[str] = set()
        self._patterns: dict[int, list[Sequence[str]]] = {}
        self._known_groups: set[str] = set()
        self._levels: dict[str, Level] = {}
        self._ascii = True

    def learn(self, keys: Sequence[str]) -> list[str]:
        """Remember some of a page's keys (neighbours, ascending); those, the last one among them."""
        samples = list(keys[:: max(1, len(keys) // _SAMPLES_A_PAGE)])
        if samples[-1] != keys[-1]:
            samples.append(keys[-1])
        few = samples[:-1:_REMEMBERED] + samples[-1:]
        at = bisect_left(self._samples, few[0])
        self._samples[at : bisect_right(self._samples, few[-1], at)] = few
        self._ascii = self._ascii and all(map(str.isascii, samples))
        for sample in (few[0], few[-1]):  # what lies between is listed: old guesses about it do no harm
            for end in range(len(self.prefix), len(sample)):
                self._levels.pop(sample[:end], None)
        return samples

    def learn_groups(self, parent: str, groups: Sequence[str]) -> None:
        """Remember all groups of ``parent``, each with its delimiter."""
        self._groups[parent] = groups
        self._known_groups.update(groups)
        patterns = self._patterns.setdefault(parent.count(DELIMITER), [])
        patterns.append([group[len(parent) :] for group in groups])
        patterns.sort(key=len, reverse=True)
        self._levels.clear()

    def probe_target(self, samples: Sequence[str]) -> str | None:
        """The outermost group (or the whole) that a page lies within and whose groups are worth a probe.

        They are where words name them; running numbers are found without.
        """
        first, last = samples[0], samples[-1]
        parent = self.prefix
        while first.startswith(parent):
            segment, delimiter, _ = last[len(parent) :].partition(DELIMITER)
            if not delimiter:
                return None
            if parent not in self._probed and (parent == self.prefix or self._is_worth_a_probe(parent, segment)):
                self._probed.add(parent)
                return parent
            parent += segment + delimiter
        return None

    def _is_worth_a_probe(self, parent: str, segment: str) -> bool:
        return not any(map(str.isdigit, segment)) and self._pattern(parent, segment + DELIMITER) is None

    def _pattern(self, parent: str, rest: str) -> Sequence[str] | None:
        """The segments of a group of the same depth, if ``rest`` begins with one; any, if nothing is known."""
        if not parent.endswith(DELIMITER) or (not rest and parent not in self._known_groups):
            return None
        for pattern in self._patterns.get(parent.count(DELIMITER), ()):
            at = bisect_right(pattern, rest) - 1
            if not rest or (at >= 0 and rest.startswith(pattern[at])):
                return pattern
        return None

    def parent(self, text: str) -> str:
        """The group (or the whole) that a key is in directly."""
        end = text.rfind(DELIMITER, len(self.prefix)) + 1
        return text[:end] if end else self.prefix

    def just_before(self, text: str) -> str:
        """A string that sorts before ``text``, with as little as possible between the two."""
        if len(text.encode()) > _LONGEST:
            return just_before(text, top="")
        # No key of ASCII characters sorts between; for others the tilde would not be enough.
        return just_before(text, top="~" if self._ascii else LAST_CHARACTER)

    def level(self, stem: str) -> Level:
        """What follows ``stem``."""
        level = self._levels.get(stem)
        if level is None:
            level = self._levels[stem] = self._find_level(stem)
        return level

    def _find_level(self, stem: str) -> Level:
        if stem in self._groups:
            return Level(self._groups[stem], known=True)
        size = len(stem)
        start, stop = self._range(stem)
        if start < stop and self._samples[start] == stem:
            start += 1
        pattern = self._pattern(stem, self._samples[start][size:] if start < stop else "")
        if pattern is not None:
            return Level([stem + segment for segment in pattern], known=True)
        if start >= stop:
            return self._borrowed(stem)
        first, last = self._samples[start], self._samples[stop - 1]
        run = shared(first[size:], last[size:])
        if run and run[0] not in string.digits:
            return Level([stem + constant_part(run)], known=False)
        seen = {run[0]} if run else self._seen(stem, start, stop)
        closed = closure(seen, first[size:])
        present, lacking = self._elsewhere(stem, seen, closed)
        unseen = (closed | present) - seen
        absent = self._absent(stem, unseen)
        unseen -= absent | lacking
        share = len(seen) / (len(seen) + len(absent))
        known = not run or not present <= seen
        return Level([stem + char for char in sorted(seen | unseen)], known=known, share=share)

    def _borrowed(self, stem: str) -> Level:
        """Nothing below ``stem`` was seen: suppose what a neighbour has at the same place."""
        analogues = self._analogues(stem, 1) or self._analogues(stem, 0)
        if not analogues:
            return Level((), known=False)
        level = self.level(analogues[0])
        return Level([stem + child[len(stem) :] for child in level.children], level.known, level.share)

    def _absent(self, stem: str, chars: set[str]) -> set[str]:
        """Which of ``chars`` are known not to follow ``stem``."""
        if not chars or self._territory.is_untouched(stem, bump(stem)):
            return set()
        unseen = {char for char in chars if not self._has(stem + char)}
        if not self._territory.is_open(stem, bump(stem)):
            return unseen
        return {char for char in unseen if not self._territory.is_open(stem + char, bump(stem + char))}

    def _elsewhere(self, stem: str, seen: set[str], chars: set[str]) -> tuple[set[str], set[str]]:
        """What follows stems like this one, and which of ``chars`` do not: no month begins with a 2."""
        alike = self._analogues(stem, 1)
        cousins = alike or self._cousins(stem)
        present = {char for cousin in cousins for char in self._seen(cousin, *self._range(cousin))}
        if 2 * len(present & seen) < len(seen):
            present = set()  # another kind of names
        if not alike:
            # A next-door neighbour tells of letters; of running numbers it may be the last and not full.
            alike = self._analogues(stem, 0)
            chars = chars.difference(string.digits)
        theirs = {char for char in chars if any(self._has(other + char) for other in alike)}
        if len(theirs) < _FEWEST_PRESENT:
            return present, set()  # they may be mere stumps
        return present, {char for other in alike for char in self._absent(other, chars - theirs - present)}

    def _cousins(self, stem: str) -> list[str]:
        """Stems that were seen, and differ from ``stem`` in the name of its group."""
        end = stem.rfind(DELIMITER, len(self.prefix)) + 1
        if not end:
            return []
        group, rest = stem[:end], stem[end:]
        parent = self.parent(group[:-1])
        start, stop = self._range(group)
        first, _ = self._range(parent)
        found: dict[str, None] = {}
        for at in (first, start - 1, stop):
            neighbour = self._samples[at] if 0 <= at < len(self._samples) else ""
            cut = neighbour.find(DELIMITER, len(parent)) + 1
            if cut and neighbour.startswith(parent) and self._has(neighbour[:cut] + rest):
                found[neighbour[:cut] + rest] = None
        found.pop(stem, None)
        return list(found)

    def _analogues(self, stem: str, tail: int) -> list[str]:
        """Stems that were seen, and differ from ``stem`` in one character, at least ``tail`` before its end."""
        head = stem[: len(stem) - tail]
        while (at := self._branching(head)) >= max(len(self.prefix), len(stem) - _MOST_TAIL):
            head = stem[:at]
            others = self._seen(head, *self._range(head)) - {stem[at]}
            found = [head + other + stem[at + 1 :] for other in sorted(others, reverse=True)[:_MOST_ANALOGUES]]
            found = [analogue for analogue in found if self._has(analogue)]
            if found:
                return found
        return []

    def _branching(self, stem: str) -> int:
        """The last place in ``stem`` where some key goes on in another way; -1 when there is none."""
        below = bisect_left(self._samples, stem) - 1
        above = bisect_left(self._samples, bump(stem), below + 1)
        neighbours = self._samples[max(0, below) : below + 1] + self._samples[above : above + 1]
        return max((len(shared(stem, neighbour)) for neighbour in neighbours), default=-1)

    def _range(self, stem: str) -> tuple[int, int]:
        """Where the samples that start with ``stem`` are."""
        start = bisect_left(self._samples, stem)
        return start, bisect_left(self._samples, bump(stem), start)

    def _has(self, stem: str) -> bool:
        """Whether keys below ``stem`` were seen."""
        at = bisect_right(self._samples, stem)
        return at < len(self._samples) and self._samples[at].startswith(stem)

    def _seen(self, stem: str, start: int, stop: int) -> set[str]:
        """The characters that follow ``stem`` in the samples from ``start`` to ``stop``."""
        seen: set[str] = set()
        size = len(stem)
        while start < stop and len(seen) < _MOST_CHILDREN:
            char = self._samples[start][size : size + 1]
            if not char:
                start += 1
                continue
            seen.add(char)
            start = bisect_left(self._samples, bump(stem + char), start, stop)
        return seen

    def start(self, last: str, below: str) -> str:
        """The stem of what lies between a key and a piece's end; or their group, if its groups are known."""
        stem = shared(last, below)
        if not stem.startswith(self.prefix):
            return self.prefix
        parent = self.parent(stem)
        if parent in self._groups or self._pattern(parent, last[len(parent) :]) is not None:
            return parent
        return stem

    def path(self, stem: str, text: str) -> Iterator[tuple[str, Level, int]]:
        """The levels that ``text`` passes below ``stem``, and which child it is in or past at each."""
        for _ in range(_MOST_LEVELS):
            level = self.level(stem)
            if not level.children:
                return
            at = bisect_right(level.children, text) - 1
            yield stem, level, at
            if at < 0 or not text.startswith(level.children[at]):
                return
            stem = level.children[at]

    def extent(self, stem: str, first: str | None, last: str) -> float:
        """How much of ``stem`` lies between two keys, from 0 to 1; None stands for where it begins."""
        finest = _COARSEST
        while True:
            begin = 0 if first is None else self.place(stem, first, finest)
            extent = self.place(stem, last, finest) - begin
            if extent > finest / _ACCURACY or finest < _FINEST:
                return extent
            finest *= _ACCURACY

    def place(self, stem: str, text: str, finest: float = _COARSEST) -> float:
        """How far into ``stem`` ``text`` is, from 0 to 1, give or take ``finest``."""
        place, width = 0.0, 1.0
        for _, level, at in self.path(stem, text):
            width /= len(level.children)
            place += width * max(at, 0)
            if width < finest:
                break
        return place

    def at_place(self, stem: str, place: float, resolution: float) -> str:
        """The stem that is ``place`` (from 0 to 1) into ``stem``, at least as fine as ``resolution``."""
        width = 1.0
        for _ in range(_MOST_LEVELS):
            level = self.level(stem)
            if width <= resolution or not level.children:
                break
            count = len(level.children)
            at = min(int(place * count), count - 1)
            place = place * count - at
            width /= count
            stem = level.children[at]
        return stem
