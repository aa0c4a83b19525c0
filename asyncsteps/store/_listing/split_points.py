"""Where to split what is left of a key space: what the pages so far say about the keys to come.

Everything here is a guess that no correctness depends on: any split point is correct, a bad one only wastes a
request.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from asyncsteps.store._listing.key_model import Branching, KeyModel
from asyncsteps.store._listing.key_order import past_constant
from asyncsteps.store._listing.ranges import Estimate

WORTH_SPLITTING = 1.8
"""In pages: a range that is expected to hold more is split."""

_FEWEST_SAMPLES = 3
_OUTLIER = 2
_MOST_PARTS = 2
_MOST_GALLOPS = 3
_SLACK = 0.1
_WHOLE = 0.8
_MOSTLY = 0.75


def estimate_rest(
    model: KeyModel, samples: Sequence[str], keys_per_sample: float, *, end: str
) -> Sequence[Estimate]:
    """Estimate what is left of a range after a page, in order of keys.

    Args:
        model: What is known of the key space.
        samples: Samples of the page's keys, the last key among them.
        keys_per_sample: How many keys each sample stands for.
        end: Where the range ends.
    """
    last = samples[-1]
    estimates: list[Estimate] = []  # from the innermost branching outwards it would ascend: turned at the end
    for parent, branching, at in model.path(model.common_prefix(last, end), last):
        within = len(samples) - bisect_left(samples, parent)
        if within < min(_FEWEST_SAMPLES, len(samples)):
            break
        children = branching.children
        if len(children) > 1:
            size = _size_of_a_child(
                model, branching, at, samples[-within:], keys_per_sample, whole=within < len(samples)
            )
            rest = Estimate(children[at + 1 :], size * branching.share, branching.known, branching.share)
            estimates += reversed(list(clip(model, [rest], last, end)))
            current = len(samples) - bisect_left(samples, children[at]) if at >= 0 else 0
            if current < within and current * keys_per_sample < _OUTLIER * size:
                break  # a child like its siblings: they came whole within this page, and so will it
        elif at == 0 and within == len(samples):
            point = past_constant(parent, children[0], model.prefix)
            if point is not None and point < end:
                estimates.append(Estimate([point], 2 * keys_per_sample * within, known=False))
    return estimates[::-1]


def clip(
    model: KeyModel, estimates: Sequence[Estimate], lo: str, hi: str, depth: int = _MOST_PARTS
) -> Iterator[Estimate]:
    """Yield what of ``estimates`` lies from ``lo`` up to ``hi``."""
    for one in estimates:
        first, stop = bisect_left(one.children, lo), bisect_left(one.children, hi)
        if first > 0 and lo.startswith(one.children[first - 1]):
            yield from _clip_child(model, one, first - 1, lo, hi, depth)
        cut = first < stop and len(hi) > len(one.children[stop - 1]) and hi.startswith(one.children[stop - 1])
        if first < stop - cut:
            yield Estimate(one.children[first : stop - cut], one.size, one.known, one.share)
        if cut:
            yield from _clip_child(model, one, stop - 1, lo, hi, depth)


def _clip_child(model: KeyModel, one: Estimate, at: int, lo: str, hi: str, depth: int) -> Iterator[Estimate]:
    """Yield what of one child lies from ``lo`` up to ``hi``, by what is expected below it."""
    branching = model.branching(one.children[at])
    if depth and branching.children:
        size = one.size / len(branching.children)
        below = Estimate(branching.children, size, branching.known, branching.share)
        yield from clip(model, [below], lo, hi, depth - 1)


def _size_of_a_child(
    model: KeyModel, branching: Branching, at: int, samples: Sequence[str], keys_per_sample: float, *, whole: bool
) -> float:
    """Estimate the keys under a child, by what the page passed of them; ``whole`` if it passed the first whole."""
    children = branching.children
    first = bisect_left(samples, children[at]) if at >= 0 else len(samples)
    if first > 0:  # more than one child was passed; the last one, which is not whole yet, says nothing
        passed: float = at
        if not whole:
            before = bisect_right(children, samples[0]) - 1
            passed -= before + (model.fraction(children[before], samples[0]) if before >= 0 else 0)
        return keys_per_sample * first / max(passed, 0.1)
    passed = model.extent(children[at], None if whole else samples[0], samples[-1])
    return keys_per_sample * len(samples) / max(passed, 1e-4)


def choose_split_points(
    model: KeyModel, estimates: Sequence[Estimate], *, most: int, page_size: int, galloping: bool
) -> list[str]:
    """Choose up to ``most`` points to split what is left of a range at, ascending.

    Args:
        model: What is known of the key space.
        estimates: What is left, by `estimate_rest`.
        most: How many points, at most.
        page_size: How many keys a page holds.
        galloping: Whether to skip ahead to children that are only guessed, too.
    """
    points = list(islice(_gallops(estimates, page_size), min(most, _MOST_GALLOPS))) if galloping else []
    known = [one for one in estimates if one.known]
    keys = sum(one.keys for one in known)
    parts = min(most - len(points) + 1, int(keys / page_size) + 1)
    if parts > 1:
        points += islice(_equal_parts(model, known, page_size, keys / parts), parts - 1)
    return sorted(set(points))


def _gallops(estimates: Sequence[Estimate], page_size: int) -> Iterator[str]:
    """Yield points past each branching with only one child seen, beyond the page in flight; the widest first."""
    before = sum(one.keys for one in estimates)
    bound = math.inf
    for one in reversed(estimates):
        before -= one.keys
        if one.known:
            bound = min(bound, one.size)
            continue
        skipped = math.ceil(max(0.0, (1 - _SLACK) * page_size - before) / one.size)
        least = WORTH_SPLITTING * page_size if len(one.children) > 1 else math.inf
        if skipped < len(one.children) and bound >= least:
            yield one.children[skipped]


def _equal_parts(model: KeyModel, estimates: Sequence[Estimate], page: int, part: float) -> Iterator[str]:
    """Yield points that leave equal parts, each a little under a whole number of pages."""
    part = (max(1, int(part / page + _SLACK)) - _SLACK) * page
    passed, target = 0.0, part
    for one in estimates:
        step = part
        if part < page and _WHOLE * page <= one.size <= page:
            step = one.size  # each child is a page: asked for by its own prefix, it ends exactly
        elif one.share < _MOSTLY:
            # Where not every child exists, a point inside one or at each would mostly hit the same next key.
            step = max(part, one.size / one.share)
        while target < passed + one.keys:
            place = max(0.0, target - passed) / one.size
            at = min(int(place), len(one.children) - 1)
            if step > part or one.size < _SLACK * page:
                at = round(place)
                if at >= len(one.children):
                    break
                yield one.children[at]
            else:
                yield model.descend(one.children[at], place - at, _SLACK * page / one.size / 2)
            target += step
        passed += one.keys
