"""A model of S3's listing, key spaces of every shape to list with it, and an event loop in virtual time."""

import asyncio
import hashlib
import heapq
import random
import selectors
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Coroutine, Iterable
from datetime import date, timedelta
from typing import Any, TypeVar

from asyncsteps._errors import StoreError
from asyncsteps.store._listing.page import Page

T = TypeVar("T")

LATENCY = 0.05
LAST = "\U0010ffff"


class _NoWaiting(selectors.DefaultSelector):
    """Polls instead of waiting, and tells the loop how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("deadlock: nothing is ready and nothing is scheduled")
            self.waited += max(0.0, timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time passes only when every task waits, and then at once: an hour's sleep takes no time."""

    def __init__(self) -> None:
        self._virtual = _NoWaiting()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.waited


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a loop in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


class ModelStore:
    """Keys in order, given in pages: a `FetchPage` that counts.

    Attributes:
        requests: Requests so far.
        peak: The most that were under way at once.
        before: Called with each request before it is answered; what it raises is the answer.
        delay: Gives the seconds that a request takes.
    """

    def __init__(
        self,
        keys: Iterable[str],
        *,
        page_size: int = 1000,
        delay: Callable[[], float] = lambda: LATENCY,
        before: Callable[[dict[str, Any]], object] = lambda _request: None,
    ) -> None:
        self.keys = sorted(set(keys))
        self.page_size = page_size
        self.delay = delay
        self.before = before
        self.requests: list[dict[str, Any]] = []
        self.under_way = 0
        self.peak = 0

    async def __call__(
        self,
        prefix: str,
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        token: str | None = None,
    ) -> Page:
        request = {"prefix": prefix, "start_after": start_after, "delimiter": delimiter, "token": token}
        self.requests.append(request)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            await asyncio.sleep(self.delay())
            self.before(request)
            return self.answer(prefix, start_after=start_after, delimiter=delimiter, token=token)
        finally:
            self.under_way -= 1

    def answer(self, prefix: str, *, start_after: str | None, delimiter: str | None, token: str | None) -> Page:
        if delimiter is not None and start_after is not None:
            raise StoreError("Delimiter and StartAfter together lose common prefixes on some servers")
        after = token if token is not None else start_after
        first = bisect_left(self.keys, prefix)
        if after is not None:
            first = max(first, bisect_right(self.keys, after))
        if delimiter is None:
            end = bisect_left(self.keys, prefix + LAST * 300)
            keys = self.keys[first : min(end, first + self.page_size)]
            return Page(keys, [], keys[-1] if keys and first + len(keys) < end else None)
        return self._grouped(prefix, first, delimiter)

    def _grouped(self, prefix: str, at: int, delimiter: str) -> Page:
        keys: list[str] = []
        prefixes: list[str] = []
        last = ""
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            if len(keys) + len(prefixes) == self.page_size:
                return Page(keys, prefixes, last)
            cut = self.keys[at].find(delimiter, len(prefix))
            if cut < 0:
                last = self.keys[at]
                keys.append(last)
                at += 1
            else:
                prefixes.append(self.keys[at][: cut + 1])
                last = prefixes[-1] + LAST * 300
                at = bisect_right(self.keys, last)
        return Page(keys, prefixes, None)


def deep(count: int) -> list[str]:
    """Deep and balanced: 10 x 10 x ... groups of 100."""
    groups = count // 100
    width = max(1, len(str(groups - 1)))
    return [
        "".join(f"{'ghijkl'[at]}{digit}." for at, digit in enumerate(f"{number // 100:0{width}d}"))
        + f"step{number % 100:03d}"
        for number in range(count)
    ]


def skewed_hex(count: int) -> list[str]:
    """One group holds 99 %, by hashes; fifty small ones hold the rest."""
    small = count // 100
    big = [f"ingest.{hashlib.md5(str(number).encode()).hexdigest()}" for number in range(count - small)]
    return big + [f"{_WORDS[number % 50]}.part{number // 50}" for number in range(small)]


def skewed_sequential(count: int) -> list[str]:
    """One group holds 99 %, by running number; fifty small ones hold the rest."""
    small = count // 100
    big = [f"ingest.row{number}" for number in range(count - small)]
    return big + [f"{_WORDS[number % 50]}.part{number // 50}" for number in range(small)]


def flat_padded(count: int) -> list[str]:
    return [f"step-{number:06d}" for number in range(1, count + 1)]


def flat_unpadded(count: int) -> list[str]:
    return [f"step-{number}" for number in range(1, count + 1)]


def one_child_each(count: int) -> list[str]:
    """As many names at the top as keys, each with one child."""
    return [f"table{number:06d}.load" for number in range(count)]


def zipf_words(count: int, seed: int = 1) -> list[str]:
    """Words of three segments, drawn by Zipf's law, numbered where they repeat."""
    draw = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(_WORDS) + 1)]
    seen: dict[str, int] = {}
    keys: list[str] = []
    for first, second, third in zip(*(draw.choices(_WORDS, weights, k=count) for _ in range(3)), strict=True):
        name = f"{first}.{second}.{third}"
        seen[name] = seen.get(name, 0) + 1
        keys.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return keys


def dates(count: int) -> list[str]:
    """Days of some years, the same number of jobs each day."""
    days = min(1500, max(1, count // 60))
    start = date(2022, 1, 1)
    return [
        f"{start + timedelta(days=number % days):%Y-%m-%d}.job-{number // days}.load" for number in range(count)
    ]


def uuids(count: int, seed: int = 2) -> list[str]:
    draw = random.Random(seed)
    return [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(count)]


def unicode_names(count: int) -> list[str]:
    """Names in several scripts, beyond the basic plane too."""
    scripts = ["é", "ж", "日本", "数据", "ا", "😀", "ｆ", "z", "Ω"]  # noqa: RUF001 - a full-width letter
    return [
        f"{scripts[number % len(scripts)]}tape.{chr(0x4E00 + number // 9 % 500)}.{number // 4500}"
        for number in range(count)
    ]


def named_as_groups(count: int) -> list[str]:
    """Names that equal a group, and names that sort around the delimiter."""
    keys: list[str] = []
    number = 0
    while len(keys) < count:
        group = f"load{number:05d}"
        keys += [
            group,
            f"{group}-x",
            f"{group}.",
            f"{group}..",
            f"{group}/",
            f"{group}.a",
            f"{group}.a.b",
            f"{group}0",
        ]
        number += 1
    return keys[:count]


def with_foreign(count: int) -> list[str]:
    """Steps in groups with foreign keys between them: slashes, empty segments, control characters, long keys."""
    keys: list[str] = []
    number = 0
    while len(keys) < count:
        keys.append(f"etl.{number % 7}.row{number}")
        if number % 5 == 0:
            keys.append(f"etl.{number % 7}.")
            keys.append(f"logs/{number}.txt")
        if number % 11 == 0:
            keys.append(f"{number}..\x01{'long' * 200}")
        number += 1
    return list(dict.fromkeys(keys))[:count]


def tree(count: int) -> list[str]:
    """What a data team has: few words above, tables below, days and parts at the bottom."""
    stages = ["extract", "load", "transform", "validate", "publish", "report.weekly", "report.monthly"]
    tables = [f"{first}_{second}" for first in _WORDS[:12] for second in _WORDS[20:24]]
    start = date(2024, 1, 1)
    return [
        f"{stages[number % 7]}.{tables[number // 7 % 48]}.{start + timedelta(days=number // 336)}"
        for number in range(count)
    ]


def exact_thousands(count: int) -> list[str]:
    """Groups of exactly one page."""
    return [f"group{number // 1000}.step{number % 1000}" for number in range(count)]


def random_keys(draw: random.Random) -> list[str]:
    """A key space of any shape: words over a small alphabet, in groups, with holes."""
    alphabet = draw.choice(
        ["ab.", "01.", "a.-/0", "0123456789", "0123456789abcdef.", "é日😀.z", "\x01\x7f. a~", "aZ_.9"]
    )
    prefixes = ["", *("".join(draw.choices(alphabet, k=draw.randint(1, 4))) for _ in range(draw.randint(0, 4)))]
    keys = [
        draw.choice(prefixes) + "".join(draw.choices(alphabet, k=draw.randint(0, 6)))
        for _ in range(draw.choice([3, 30, 300]))
    ]
    if draw.random() < 0.4:
        start, width = draw.randint(0, 2000), draw.randint(0, 6)
        keys += [
            f"{draw.choice(prefixes)}{number:0{width}d}" for number in range(start, start + draw.randint(1, 300))
        ]
    return keys


SHAPES: dict[str, Callable[[int], list[str]]] = {
    shape.__name__: shape
    for shape in (
        deep,
        skewed_hex,
        skewed_sequential,
        flat_padded,
        flat_unpadded,
        one_child_each,
        zipf_words,
        dates,
        uuids,
        unicode_names,
        named_as_groups,
        with_foreign,
        tree,
        exact_thousands,
    )
}

FLAT = {"flat_padded", "flat_unpadded", "one_child_each", "uuids"}

_CONSONANTS, _VOWELS = "bcdfglmnprst", "aeiou"


def _words(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        length = heapq.nlargest(1, (draw.randint(1, 3), draw.randint(1, 3)))[0]
        found[
            "".join(draw.choice(_CONSONANTS) + draw.choice(_VOWELS) for _ in range(length)) + draw.choice("nrst")
        ] = None
    return list(found)


_WORDS = _words(2000)
