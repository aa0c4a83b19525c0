"""A listing against servers that fail, throttle, refuse, or do not do what S3 does."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from listing_model import LATENCY, SHAPES, ModelStore, random_keys
from listing_support import PREFIX, assert_lists, listed, store_of

from asyncsteps._errors import (
    AccessDeniedError,
    BucketNotFoundError,
    EndpointUnreachableError,
    ListingError,
    StoreError,
    ThrottledError,
)
from asyncsteps.store._listing.fetching import list_keys
from asyncsteps.store._listing.page import Page
from asyncsteps.store._protocol import ListingProgress
from asyncsteps.testing import run_virtually

# Failures.


def failing(
    share: float, error: Callable[[str], StoreError], draw: random.Random
) -> Callable[[dict[str, Any]], object]:
    def fail(_request: dict[str, Any]) -> None:
        if draw.random() < share:
            raise error("injected")

    return fail


@pytest.mark.parametrize("shape", SHAPES)
def test_pages_that_fail_occasionally_are_retried(shape: str) -> None:
    draw = random.Random(shape)
    fail = failing(0.05, EndpointUnreachableError, draw)

    def fail_after_the_first(request: dict[str, Any]) -> None:
        if len(store.requests) > 1:
            fail(request)

    store = store_of(
        SHAPES[shape](1500),
        page_size=10,
        before=fail_after_the_first,
        delay=lambda: draw.expovariate(1 / LATENCY),
    )
    assert_lists(store)


@pytest.mark.parametrize("shape", SHAPES)
def test_throttled_pages_are_retried(shape: str) -> None:
    store = store_of(SHAPES[shape](1500), page_size=10, before=failing(0.1, ThrottledError, random.Random(shape)))
    assert_lists(store)


def test_throttling_halves_the_concurrency_and_it_recovers() -> None:
    throttled = False

    def throttle(_request: dict[str, Any]) -> None:
        nonlocal throttled
        if store.in_flight == 32 and not throttled:
            throttled = True
            raise ThrottledError("slow down")

    concurrency: list[int] = []
    store = store_of(SHAPES["flat-padded"](20_000), page_size=10, before=throttle)

    async def watched() -> int:
        count = 0
        async for batch in list_keys(
            store, PREFIX, concurrency=32, on_progress=lambda progress: concurrency.append(progress.concurrency)
        ):
            count += len(batch)
        return count

    assert run_virtually(watched()) == 20_000
    assert throttled
    first_full = concurrency.index(32)
    halved = concurrency[first_full + 40 : first_full + 60]
    assert max(halved) <= 24
    assert 32 in concurrency[first_full + 60 :]


def test_a_page_that_keeps_failing_ends_the_listing() -> None:
    def fail(request: dict[str, Any]) -> None:
        if request["start_after"] is not None:
            raise EndpointUnreachableError("gone", endpoint="http://s3")

    with pytest.raises(ListingError, match="failed 5 times") as failure:
        run_virtually(listed(store_of(SHAPES["flat-padded"](500), page_size=10, before=fail)))
    assert failure.value.endpoint == "http://s3"
    assert isinstance(failure.value.__cause__, EndpointUnreachableError)


def test_a_first_page_that_keeps_failing_raises_its_own_error() -> None:
    store = store_of(["a"], before=failing(1, EndpointUnreachableError, random.Random(0)))
    with pytest.raises(EndpointUnreachableError):
        run_virtually(listed(store))
    assert len(store.requests) == 2, "the client has tried often enough to reach it"


def test_endless_throttling_fails_eventually() -> None:
    store = store_of(["a"], before=failing(1, ThrottledError, random.Random(0)))
    with pytest.raises(ThrottledError):
        run_virtually(listed(store))
    assert len(store.requests) == 8


def test_an_internal_error_is_retried_once_before_it_counts_as_a_refusal() -> None:
    failed: set[str] = set()

    def fail(request: dict[str, Any]) -> None:
        if request["start_after"] and request["start_after"] not in failed:
            failed.add(request["start_after"])
            raise StoreError("500 InternalError")

    store = store_of(SHAPES["tree"](1000), page_size=10, before=fail)
    assert_lists(store)
    assert store.peak > 1
    assert len(failed) > 20


@pytest.mark.parametrize("error", [BucketNotFoundError, AccessDeniedError])
def test_a_final_error_is_not_retried(error: Callable[[str], StoreError]) -> None:
    store = store_of(["a"], before=failing(1, error, random.Random(0)))
    with pytest.raises(StoreError) as failure:
        run_virtually(listed(store))
    assert type(failure.value) is error
    assert len(store.requests) == 1


def test_an_error_other_than_a_store_error_propagates() -> None:
    def fail(request: dict[str, Any]) -> None:
        if request["token"]:
            raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        run_virtually(listed(store_of(SHAPES["tree"](500), page_size=10, before=fail)))


def test_the_consumers_callback_may_fail() -> None:
    def fail(_progress: ListingProgress) -> None:
        raise LookupError("callback")

    async def main() -> None:
        async for _ in list_keys(store_of(["a"]), PREFIX, concurrency=4, on_progress=fail):
            pass

    with pytest.raises(LookupError, match="callback"):
        run_virtually(main())


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_concurrency_below_one_is_refused(concurrency: int) -> None:
    with pytest.raises(ValueError, match=f"concurrency of {concurrency} is refused"):
        run_virtually(listed(store_of(["a"]), concurrency=concurrency))


# Servers that cannot be trusted with ranges.


class WithoutStartAfter(ModelStore):
    """Ignores start_after, as some servers do."""

    def answer(self, prefix: str, *, start_after: str | None, delimiter: str | None, token: str | None) -> Page:
        return super().answer(prefix, start_after=None, delimiter=delimiter, token=token)


class Unordered(ModelStore):
    """Gives keys in no order, as directory buckets do, and has no start_after."""

    def answer(self, prefix: str, *, start_after: str | None, delimiter: str | None, token: str | None) -> Page:
        keys = [key for key in self.keys if key.startswith(prefix)]
        random.Random(7).shuffle(keys)
        first = int(token or 0)
        last = first + self.page_size
        return Page(keys[first:last], [], str(last) if last < len(keys) else None)


class UnorderedLater(ModelStore):
    """Gives keys in order at first, and later not."""

    def answer(self, prefix: str, *, start_after: str | None, delimiter: str | None, token: str | None) -> Page:
        page = super().answer(prefix, start_after=start_after, delimiter=delimiter, token=token)
        return page if len(self.requests) < 60 else Page(page.keys[::-1], page.prefixes, page.token)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [WithoutStartAfter, Unordered])
def test_a_server_without_start_after_is_listed_by_its_tokens(kind: type[ModelStore], shape: str) -> None:
    store = kind([PREFIX + name for name in SHAPES[shape](600)], page_size=20)
    assert_lists(store)
    assert len(store.requests) <= 30 + 10


def test_losing_the_order_midway_is_an_error() -> None:
    store = UnorderedLater([PREFIX + name for name in SHAPES["tree"](3000)], page_size=10)
    with pytest.raises(ListingError, match="concurrency of 1"):
        run_virtually(listed(store))


def refusing(*parameters: str) -> Callable[[dict[str, Any]], None]:
    def refuse(request: dict[str, Any]) -> None:
        if any(request[parameter] for parameter in parameters) or (
            "sub_prefix" in parameters and request["prefix"] != PREFIX
        ):
            raise AccessDeniedError(f"{parameters} refused")

    return lambda request: refuse({**request, "sub_prefix": False})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "refused", [("start_after",), ("delimiter",), ("sub_prefix",), ("start_after", "delimiter", "sub_prefix")]
)
def test_the_listing_does_without_what_a_policy_refuses(refused: tuple[str, ...], shape: str) -> None:
    assert_lists(store_of(SHAPES[shape](1500), page_size=10, before=refusing(*refused)))


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_stops_accepting_start_after_midway(seed: int) -> None:
    draw = random.Random(seed)

    def refuse(request: dict[str, Any]) -> None:
        if request["start_after"] and len(store.requests) > 20 * seed:
            raise StoreError("not implemented")

    store = store_of(random_keys(draw) * 2 + SHAPES["tree"](500), page_size=5, before=refuse)
    assert_lists(store)


def test_a_refused_token_chain_fails() -> None:
    with pytest.raises(AccessDeniedError):
        run_virtually(listed(store_of(SHAPES["tree"](500), page_size=10, before=refusing("token", "start_after"))))


def test_a_server_that_repeats_its_token_is_an_error() -> None:
    async def fetch(prefix: str, **_: Any) -> Page:
        return Page([], [], "again")

    with pytest.raises(ListingError, match="repeats a token"):
        run_virtually(listed(fetch))


def test_empty_pages_with_a_token_are_skipped() -> None:
    async def fetch(prefix: str, *, token: str | None = None, **_: Any) -> Page:
        number = int(token or 0)
        return Page([f"{PREFIX}{number}"] if number == 3 else [], [], str(number + 1) if number < 5 else None)

    assert run_virtually(listed(fetch)) == [f"{PREFIX}3"]
