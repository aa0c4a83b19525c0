"""Where to cut what is left of a key space: what the pages so far tell about the keys to come.

Everything here is a guess that no correctness hangs on: any pivot is correct, a bad one only wastes a request.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from asyncsteps.store._listing.key_model import Atlas, Level
from asyncsteps.store._listing.key_order import past_constant

WORTH_SPLITTING = 1.8
"""In pages: what a piece is supposed to hold when it is split."""

_FEWEST_SAMPLES = 3
_OUTLIER = 2
_MOST_PARTS = 2
_MOST_GALLOPS = 3
_SLACK = 0.1
_WHOLE = 0.8
_MOSTLY = 0.75


@dataclass(frozen=True, slots=True)
class Run:
    """A part of what is left of a piece: neighbours that are supposed to hold about as many keys each.

    Attributes:
        children: The stems, ascending.
        size: How many keys each is supposed to hold, on average.
        known: As `Level.known`; otherwise only the first is worth a request.
        share: As `Level.share`.
    """

    children: Sequence[str]
    size: float
    known: bool
    share: float = 1

    @property
    def keys(self) -> float:
        """How many keys all of them are supposed to hold."""
        return self.size * len(self.children)


def outline(atlas: Atlas, samples: Sequence[str], each: float, below: str) -> list[Run]:
    """What is left after a page, in order of keys.

    Args:
        atlas: What is known.
        samples: Samples of the page's keys, the last one among them.
        each: How many keys each sample stands for.
        below: Where the piece ends.
    """
    last = samples[-1]
    runs: list[Run] = []
    for parent, level, at in atlas.path(atlas.start(last, below), last):
        within = len(samples) - bisect_left(samples, parent)
        if within < min(_FEWEST_SAMPLES, len(samples)):
            break
        if len(level.children) > 1:
            size = _size_of_a_child(atlas, level, at, samples[-within:], each, whole=within < len(samples))
            above = Run(level.children[at + 1 :], size * level.share, level.known, level.share)
            runs += reversed(list(between(atlas, [above], last, below)))
            current = len(samples) - bisect_left(samples, level.children[at]) if at >= 0 else 0
            if current < within and current * each < _OUTLIER * size:
                break  # a child like its neighbours: they came whole within this page, and so will it
        elif at == 0 and within == len(samples):
            pivot = past_constant(parent, level.children[0], atlas.prefix)
            if pivot is not None and pivot < below:
                runs.append(Run([pivot], 2 * each * within, known=False))
    runs.reverse()
    return runs


def between(atlas: Atlas, runs: Sequence[Run], lo: str, hi: str, depth: int = _MOST_PARTS) -> Iterator[Run]:
    """What of ``runs`` lies from ``lo`` up to ``hi``."""
    for run in runs:
        first, stop = bisect_left(run.children, lo), bisect_left(run.children, hi)
        if first > 0 and lo.startswith(run.children[first - 1]):
            yield from _part(atlas, run, first - 1, lo, hi, depth)
        cut = first < stop and len(hi) > len(run.children[stop - 1]) and hi.startswith(run.children[stop - 1])
        if first < stop - cut:
            yield Run(run.children[first : stop - cut], run.size, run.known, run.share)
        if cut:
            yield from _part(atlas, run, stop - 1, lo, hi, depth)


def _part(atlas: Atlas, run: Run, at: int, lo: str, hi: str, depth: int) -> Iterator[Run]:
    """What of one child lies from ``lo`` up to ``hi``, by what is supposed below it."""
    level = atlas.level(run.children[at])
    if depth and level.children:
        below = Run(level.children, run.size / len(level.children), level.known, level.share)
        yield from between(atlas, [below], lo, hi, depth - 1)


def _size_of_a_child(
    atlas: Atlas, level: Level, at: int, samples: Sequence[str], each: float, *, whole: bool
) -> float:
    """How many keys a child holds, by what the page passed of them; ``whole`` if it came in before the first."""
    first = bisect_left(samples, level.children[at]) if at >= 0 else len(samples)
    if first > 0:  # more than one child was passed: the last one, not yet whole, tells nothing
        passed: float = at
        if not whole:
            before = bisect_right(level.children, samples[0]) - 1
            passed -= before + (atlas.place(level.children[before], samples[0]) if before >= 0 else 0)
        return each * first / max(passed, 0.1)
    child = level.children[at]
    passed = atlas.extent(child, None if whole else samples[0], samples[-1])
    return each * len(samples) / max(passed, 1e-4)


def pivots_of(atlas: Atlas, runs: Sequence[Run], *, most: int, page_size: int, galloping: bool) -> list[str]:
    """Up to ``most`` places to cut what is left of a piece at, ascending.

    Args:
        atlas: What is known.
        runs: What is left, by `outline`.
        most: How many, at most.
        page_size: How many keys a page holds.
        galloping: Whether to go past what is only guessed, too.
    """
    pivots = list(islice(_gallops(runs, page_size), min(most, _MOST_GALLOPS))) if galloping else []
    known = [run for run in runs if run.known]
    keys = sum(run.keys for run in known)
    parts = min(most - len(pivots) + 1, int(keys / page_size) + 1)
    if parts > 1:
        pivots += islice(_cuts(atlas, known, page_size, keys / parts), parts - 1)
    return sorted(set(pivots))


def _gallops(runs: Sequence[Run], page_size: int) -> Iterator[str]:
    """Past each level where but one child was seen: what the page under way will not reach; widest view first."""
    before = sum(run.keys for run in runs)
    bound = math.inf
    for run in reversed(runs):
        before -= run.keys
        if run.known:
            bound = min(bound, run.size)
            continue
        skipped = math.ceil(max(0.0, (1 - _SLACK) * page_size - before) / run.size)
        least = WORTH_SPLITTING * page_size if len(run.children) > 1 else math.inf
        if skipped < len(run.children) and bound >= least:
            yield run.children[skipped]


def _cuts(atlas: Atlas, runs: Sequence[Run], page: int, part: float) -> Iterator[str]:
    """Pivots that leave equal parts, each a little under a whole number of pages."""
    part = (max(1, int(part / page + _SLACK)) - _SLACK) * page
    passed, target = 0.0, part
    for run in runs:
        step = part
        if part < page and _WHOLE * page <= run.size <= page:
            step = run.size  # each child is a page: asked for by its own prefix, it ends exactly
        elif run.share < _MOSTLY:
            # Where not every child exists, a cut inside one or at each would mostly hit the same next key.
            step = max(part, run.size / run.share)
        while target < passed + run.keys:
            place = max(0.0, target - passed) / run.size
            at = min(int(place), len(run.children) - 1)
            if step > part or run.size < _SLACK * page:
                at = round(place)
                if at >= len(run.children):
                    break
                yield run.children[at]
            else:
                yield atlas.at_place(run.children[at], place - at, _SLACK * page / run.size / 2)
            target += step
        passed += run.keys
