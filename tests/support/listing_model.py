"""The bench's model of an S3 bucket as what a listing fetches its pages from, and key spaces to list with it."""

import asyncio
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from asyncsteps._errors import StoreError
from asyncsteps.store._listing.page import Page
from bench._model_bucket import Bucket, make_token, read_token
from bench._shapes import SHAPES as STEP_NAMES
from bench._shapes import make_names

LATENCY = 0.05


class ModelStore:
    """Keys in order, given in pages: a `FetchPage` that counts.

    Attributes:
        keys: All keys, ascending.
        requests: The requests so far.
        in_flight: How many requests are in flight.
        peak: The most that were in flight at once.
        before: Called with each request before it is answered; what it raises is the answer.
        delay: Returns the seconds that the next request takes.
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
        self.in_flight = 0
        self.peak = 0
        self._bucket = Bucket(self.keys)

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
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(self.delay())
            self.before(request)
            return self.answer(prefix, start_after=start_after, delimiter=delimiter, token=token)
        finally:
            self.in_flight -= 1

    def answer(self, prefix: str, *, start_after: str | None, delimiter: str | None, token: str | None) -> Page:
        if delimiter is not None and start_after is not None:
            raise StoreError("Delimiter and StartAfter together lose common prefixes on some servers")
        after = start_after if token is None else read_token(token)
        page = self._bucket.page(prefix, after=after or "", delimiter=delimiter or "", limit=self.page_size)
        return Page(list(page.keys), list(page.prefixes), None if page.last is None else make_token(page.last))


def named_as_groups(count: int) -> list[str]:
    """Names that equal a group, and keys that sort around the delimiter."""
    around = ("", "-x", ".", "..", "/", ".a", ".a.b", "0")
    return [f"load{number // len(around):05d}{around[number % len(around)]}" for number in range(count)]


def with_unrecognised(count: int) -> list[str]:
    """Steps in groups between keys that are none: slashes, empty segments, control characters, long keys."""
    keys: dict[str, None] = {}
    number = 0
    while len(keys) < count:
        keys[f"etl.{number % 7}.row{number}"] = None
        if number % 5 == 0:
            keys[f"etl.{number % 7}."] = None
            keys[f"logs/{number}.txt"] = None
        if number % 11 == 0:
            keys[f"{number}..\x01{'long' * 200}"] = None
        number += 1
    return list(keys)[:count]


SHAPES: dict[str, Callable[[int], list[str]]] = {
    **{shape: partial(make_names, shape) for shape in STEP_NAMES},
    "named-as-groups": named_as_groups,
    "with-unrecognised": with_unrecognised,
}

FLAT = {"flat-padded", "flat-unpadded", "top", "uuid"}


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
