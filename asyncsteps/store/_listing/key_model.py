"""What a listing has learnt of the shape of a key space: which characters follow which key prefixes."""

import string
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asyncsteps._plan.order import prefix_end
from asyncsteps.store._listing.key_order import DELIMITER, common_prefix, constant_part, expected_characters
from asyncsteps.store._listing.ranges import KeyRanges
from asyncsteps.store._listing.samples import KeySamples

_SAMPLES_A_PAGE = 32
_REMEMBERED = 4
"""One sample in this many is remembered."""
_MOST_LEVELS = 48
_MOST_ANALOGUES = 4
_COARSEST, _FINEST, _ACCURACY = 0.05, 1e-6, 0.1


@dataclass(frozen=True, slots=True)
class Branching:
    """How keys continue after a key prefix.

    Attributes:
        children: The longer key prefixes below it, ascending, including those that are only expected.
        known: Whether two or more of them were seen, so that the others may be expected.
        share: The fraction of them that are likely to exist, from 0 to 1.
    """

    children: Sequence[str]
    known: bool
    share: float = 1


class KeyModel:
    """What is known of the shape of a key space: samples of its keys, and the groups that probes found.

    Attributes:
        prefix: What every key starts with.
    """

    def __init__(self, prefix: str, ranges: KeyRanges) -> None:
        self.prefix = prefix
        self._ranges = ranges
        self._samples = KeySamples()
        self._groups: dict[str, Sequence[str]] = {}
        self._probed: set[str] = set()
        self._patterns: dict[int, list[Sequence[str]]] = {}
        self._known_groups: set[str] = set()
        self._branchings: dict[str, Branching] = {}

    # Learning.

    def learn(self, keys: Sequence[str]) -> list[str]:
        """Remember some of a page's keys, which ascend; return a larger sample with the last key in it."""
        samples = list(keys[:: max(1, len(keys) // _SAMPLES_A_PAGE)])
        if samples[-1] != keys[-1]:
            samples.append(keys[-1])
        few = samples[:-1:_REMEMBERED] + samples[-1:]
        self._samples.add(few)
        for sample in (few[0], few[-1]):  # what lies between is listed: old guesses about it do no harm
            for end in range(len(self.prefix), len(sample)):
                self._branchings.pop(sample[:end], None)
        return samples

    def learn_groups(self, parent: str, groups: Sequence[str]) -> None:
        """Remember all groups of ``parent``, each with its delimiter."""
        self._groups[parent] = groups
        self._known_groups.update(groups)
        patterns = self._patterns.setdefault(parent.count(DELIMITER), [])
        patterns.append([group[len(parent) :] for group in groups])
        patterns.sort(key=len, reverse=True)
        self._branchings.clear()

    def probe_target(self, samples: Sequence[str]) -> str | None:
        """Return the outermost group (or the whole) that contains a page and whose groups are not known yet."""
        first, last = samples[0], samples[-1]
        parent = self.prefix
        while first.startswith(parent):
            segment, delimiter, _ = last[len(parent) :].partition(DELIMITER)
            if not delimiter:
                return None
            if parent not in self._probed and self._pattern(parent, segment + delimiter) is None:
                self._probed.add(parent)
                return parent
            parent += segment + delimiter
        return None

    def _pattern(self, parent: str, rest: str) -> Sequence[str] | None:
        """Return the segments of a group of the same depth if ``rest`` begins with one of them.

        If nothing is known of ``rest``, those of any such group do.
        """
        if not parent.endswith(DELIMITER) or (not rest and parent not in self._known_groups):
            return None
        for pattern in self._patterns.get(parent.count(DELIMITER), ()):
            at = bisect_right(pattern, rest) - 1
            if not rest or (at >= 0 and rest.startswith(pattern[at])):
                return pattern
        return None

    # Expecting.

    def branching(self, key_prefix: str) -> Branching:
        """Return how keys continue after ``key_prefix``."""
        branching = self._branchings.get(key_prefix)
        if branching is None:
            branching = self._branchings[key_prefix] = self._find_branching(key_prefix)
        return branching

    def _find_branching(self, key_prefix: str) -> Branching:
        if key_prefix in self._groups:
            return Branching(self._groups[key_prefix], known=True)
        ends = self._samples.ends(key_prefix)
        size = len(key_prefix)
        pattern = self._pattern(key_prefix, ends[0][size:] if ends else "")
        if pattern is not None:
            return Branching([key_prefix + segment for segment in pattern], known=True)
        if ends is None:
            return self._borrowed(key_prefix)
        first, last = ends
        constant = common_prefix(first[size:], last[size:])
        if constant and constant[0] not in string.digits:
            return Branching([key_prefix + constant_part(constant)], known=False)
        seen = {constant[0]} if constant else self._samples.following(key_prefix)
        expected = expected_characters(seen, first[size:])
        alike = self._analogues(key_prefix, tail=1)
        elsewhere = set() if alike else self._after_cousins(key_prefix)
        unseen = (expected | elsewhere) - seen
        absent = self._absent(key_prefix, unseen)
        unseen -= absent | self._absent_after(alike, unseen)
        share = len(seen) / (len(seen) + len(absent))
        known = not constant or not elsewhere <= seen
        return Branching([key_prefix + char for char in sorted(seen | unseen)], known=known, share=share)

    def _borrowed(self, key_prefix: str) -> Branching:
        """Nothing below ``key_prefix`` was seen: expect what its neighbour has there."""
        analogues = self._analogues(key_prefix, tail=0)
        if not analogues:
            return Branching((), known=False)
        theirs = self.branching(analogues[0])
        children = [key_prefix + child[len(key_prefix) :] for child in theirs.children]
        return Branching(children, theirs.known, theirs.share)

    def _absent(self, key_prefix: str, chars: set[str]) -> set[str]:
        """Return which of ``chars``, unseen there, cannot follow ``key_prefix``: what they begin was listed."""
        longer = [key_prefix + char for char in chars]
        return {begin[-1] for begin in longer if not self._ranges.is_open(begin, prefix_end(begin))}

    def _absent_after(self, alike: Sequence[str], chars: set[str]) -> set[str]:
        """Return which of ``chars`` follow none of the similar key prefixes: no month begins with a 2."""
        nowhere = {char for char in chars if not any(self._samples.has(other + char) for other in alike)}
        return {char for other in alike for char in self._absent(other, nowhere)}

    def _after_cousins(self, key_prefix: str) -> set[str]:
        """Return the characters that follow key prefixes that differ from this one in the name of their group."""
        end = key_prefix.rfind(DELIMITER, len(self.prefix)) + 1
        if not end:
            return set()
        group, rest = key_prefix[:end], key_prefix[end:]
        parent = self._parent(group[:-1])
        first, _ = self._samples.ends(parent) or ("", "")
        found: set[str] = set()
        for neighbour in (first, *self._samples.beside(group)):
            cut = neighbour.find(DELIMITER, len(parent)) + 1
            if cut and neighbour.startswith(parent):
                found |= self._samples.following(neighbour[:cut] + rest)
        return found

    def _analogues(self, key_prefix: str, *, tail: int) -> list[str]:
        """Return key prefixes that were seen and differ in one character, at least ``tail`` before the end."""
        at = self._samples.fork(key_prefix[: len(key_prefix) - tail])
        if at < len(self.prefix):
            return []
        head, rest = key_prefix[:at], key_prefix[at + 1 :]
        others = self._samples.following(head) - {key_prefix[at]}
        found = [head + other + rest for other in sorted(others, reverse=True)[:_MOST_ANALOGUES]]
        return [analogue for analogue in found if self._samples.has(analogue)]

    # Measuring.

    def _parent(self, text: str) -> str:
        """Return the group (or the whole) that directly contains a key."""
        end = text.rfind(DELIMITER, len(self.prefix)) + 1
        return text[:end] if end else self.prefix

    def common_prefix(self, last: str, below: str) -> str:
        """Return the key prefix of what lies between a key and a range's end; its group, if groups are known."""
        key_prefix = common_prefix(last, below)
        if not key_prefix.startswith(self.prefix):
            return self.prefix
        parent = self._parent(key_prefix)
        if parent in self._groups or self._pattern(parent, last[len(parent) :]) is not None:
            return parent
        return key_prefix

    def path(self, key_prefix: str, text: str) -> Iterator[tuple[str, Branching, int]]:
        """Yield the key prefixes that ``text`` passes below ``key_prefix``, with their branching and its child."""
        for _ in range(_MOST_LEVELS):
            branching = self.branching(key_prefix)
            if not branching.children:
                return
            at = bisect_right(branching.children, text) - 1
            yield key_prefix, branching, at
            if at < 0 or not text.startswith(branching.children[at]):
                return
            key_prefix = branching.children[at]

    def extent(self, key_prefix: str, first: str | None, last: str) -> float:
        """Return which fraction of ``key_prefix`` lies between two keys; None stands for its beginning."""
        finest = _COARSEST
        while True:
            begin = 0 if first is None else self.fraction(key_prefix, first, finest)
            extent = self.fraction(key_prefix, last, finest) - begin
            if extent > finest / _ACCURACY or finest < _FINEST:
                return extent
            finest *= _ACCURACY

    def fraction(self, key_prefix: str, text: str, finest: float = _COARSEST) -> float:
        """Return how far into ``key_prefix`` ``text`` is, from 0 to 1, accurate to about ``finest``."""
        place, width = 0.0, 1.0
        for _, branching, at in self.path(key_prefix, text):
            width /= len(branching.children)
            place += width * max(at, 0)
            if width < finest:
                break
        return place

    def descend(self, key_prefix: str, place: float, resolution: float) -> str:
        """Return the key prefix that is ``place`` (from 0 to 1) into another, to within ``resolution``."""
        width = 1.0
        for _ in range(_MOST_LEVELS):
            branching = self.branching(key_prefix)
            if width <= resolution or not branching.children:
                break
            count = len(branching.children)
            at = min(int(place * count), count - 1)
            place = place * count - at
            width /= count
            key_prefix = branching.children[at]
        return key_prefix
