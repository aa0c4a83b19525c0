"""Shapes of key spaces: any number of step names as real workflows have them, the same ones every time."""

import hashlib
import random
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache

_WORDS = re.findall(
    r"\w+",
    "load clean join split train score export import report mail users orders items events sessions pages sites "
    "crawl index rank merge dedupe enrich geo tax price stock audit ledger batch stream raw staged final daily "
    "hourly weekly region europe asia africa north south east west alpha beta gamma delta model feature cache",
)
_UNICODE = ("étape", "données", "工程", "données-été", "шаг", "βήμα", "خطوة", "🙂", "naïve plan", "50 % + x")


def _deep(count: int) -> Iterable[str]:
    size = -(-count // 1000)
    for number in range(count):
        group, item = divmod(number, size)
        yield f"stage-{group // 100}.part-{group // 10 % 10}.unit-{group % 10}.item-{item:05d}"


def _skewed(count: int, item: Callable[[int], str]) -> Iterable[str]:
    for number in range(count):
        yield f"small-{number // 100 % 97:02d}.{number:07d}" if number % 100 == 0 else f"big.{item(number)}"


def _hex(number: int) -> str:
    return hashlib.sha256(number.to_bytes(8, "big")).hexdigest()[:16]


def _zipf(count: int) -> Iterable[str]:
    """Three words, whose frequency falls with their rank, and a number."""
    chance = random.Random(count)
    weights = [1 / rank for rank in range(1, len(_WORDS) + 1)]
    for number, words in enumerate(zip(*[iter(chance.choices(_WORDS, weights, k=3 * count))] * 3, strict=True)):
        yield f"{'.'.join(words)}.{number}"


def _dates(count: int) -> Iterable[str]:
    start = datetime(2019, 1, 1, tzinfo=UTC)
    for number in range(count):
        moment = start + timedelta(hours=number // 20)
        yield f"ingest.{moment:%Y-%m-%d}.{moment:%H}-00.table-{number % 20:02d}"


def _unicode(count: int) -> Iterable[str]:
    for number in range(count):
        yield f"{_UNICODE[number % len(_UNICODE)]}.{_UNICODE[number // 10 % len(_UNICODE)]} {number}"


@cache
def _vocabulary() -> list[str]:
    """2,000 made-up words of one to three syllables."""
    chance = random.Random(0)
    words: dict[str, None] = {}
    while len(words) < 2000:
        syllables = max(chance.randint(1, 3), chance.randint(1, 3))
        word = "".join(chance.choice("bcdfglmnprst") + chance.choice("aeiou") for _ in range(syllables))
        words[word + chance.choice("nrst")] = None
    return list(words)


def _words(count: int) -> Iterable[str]:
    """Three words, whose frequency falls with their rank; a number only where they repeat."""
    chance = random.Random(1)
    words = _vocabulary()
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    seen: dict[str, int] = {}
    for three in zip(*(chance.choices(words, weights, k=count) for _ in range(3)), strict=True):
        name = ".".join(three)
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}.{seen[name]}"


def _days(count: int) -> Iterable[str]:
    days = min(1500, max(1, count // 60))
    for number in range(count):
        day = date(2022, 1, 1) + timedelta(days=number % days)
        yield f"{day:%Y-%m-%d}.job-{number // days}.load"


def _tree(count: int) -> Iterable[str]:
    """What a data team has: few words above, tables below, days at the bottom."""
    stages = ("extract", "load", "transform", "validate", "publish", "report.weekly", "report.monthly")
    tables = [f"{first}_{second}" for first in _WORDS[:12] for second in _WORDS[20:24]]
    for number in range(count):
        day = date(2024, 1, 1) + timedelta(days=number // 336)
        yield f"{stages[number % 7]}.{tables[number // 7 % 48]}.{day}"


SHAPES: dict[str, tuple[str, Callable[[int], Iterable[str]]]] = {
    "flat-padded": ("one level, numbers with zeros before them", lambda n: (f"step-{i:07d}" for i in range(n))),
    "flat-unpadded": ("one level, numbers as they are", lambda n: (f"step-{i}" for i in range(n))),
    "deep": ("10 x 10 x 10 balanced groups", _deep),
    "skewed-hex": ("99 % in one group, hex names", lambda n: _skewed(n, _hex)),
    "skewed-sequential": ("99 % in one group, sequential names", lambda n: _skewed(n, "{:07d}".format)),
    "top": ("as many groups as names, one child each", lambda n: (f"user-{_hex(i)}.load" for i in range(n))),
    "zipf": ("three Zipf-distributed words and a number", _zipf),
    "dates": ("days, hours, tables", _dates),
    "uuid": (
        "random UUIDs",
        lambda n: (f"run.{uuid.UUID(hex=_hex(i) + _hex(~i & 0xFFFFFFFF))}" for i in range(n)),
    ),
    "unicode": ("words and signs of many scripts, spaces", _unicode),
    "words": ("three Zipf-distributed words of a large vocabulary", _words),
    "days": ("as many jobs on each day", _days),
    "tree": ("stages, tables, days", _tree),
    "thousands": ("groups of exactly a page", lambda n: (f"group-{i // 1000}.step-{i % 1000}" for i in range(n))),
}
"""By a shape's name: its description, and a function that makes its first n names."""


def make_names(shape: str, count: int) -> list[str]:
    """Return the ``count`` names of a shape, each once, sorted in order of code points.

    Raises:
        ValueError: When there is no such shape.
    """
    if shape not in SHAPES:
        raise ValueError(f"there is no shape {shape!r}; the shapes are {', '.join(SHAPES)}")
    names = sorted(set(SHAPES[shape][1](count)))
    if len(names) != count:
        raise ValueError(f"shape {shape!r} has only {len(names)} different names among {count}")
    return names


def digest(names: Iterable[str]) -> str:
    """Return a hash of a collection of names that does not depend on their order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
