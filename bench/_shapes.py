"""Shapes of key spaces: step names as real workflows have them, any number of them, the same ones every time."""

import hashlib
import random
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

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
    """Names of three words each, a word's frequency falling with its rank, and a number."""
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
}
"""What it is, and what makes the first n names of it, by the shape's name."""


def make_names(shape: str, count: int) -> list[str]:
    """The ``count`` names of a shape, sorted in order of code points, each once.

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
    """What two equal collections of names have in common, in whatever order they are."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
