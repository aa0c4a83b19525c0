import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing_model import FLAT, LATENCY, SHAPES, ModelStore, random_keys, run_virtually

from asyncsteps._errors import (
    AccessDeniedError,
    BucketNotFoundError,
    EndpointUnreachableError,
    ListingError,
    StoreError,
    ThrottledError,
)
from asyncsteps.store._base import ListingProgress
from asyncsteps.store._listing import list_keys
from asyncsteps.store._page import FetchPage, Page

PREFIX = "people/42/steps/"


async def listed(fetch: FetchPage, prefix: str = PREFIX, *, concurrency: int = 32) -> list[str]:
    keys = [key async for batch in list_keys(fetch, prefix, concurrency=concurrency) for key in batch]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return keys


def store_of(names: list[str], **options: Any) -> ModelStore:
    return ModelStore([PREFIX + name for name in names], **options)


def assert_lists(store: ModelStore, prefix: str = PREFIX, *, concurrency: int = 32) -> None:
    keys = run_virtually(listed(store, prefix, concurrency=concurrency))
    expected = [key for key in store.keys if key.startswith(prefix)]
    assert len(keys) == len(expected), "each key exactly once"
    assert sorted(keys) == expected
    assert store.peak <= concurrency


# The same keys as a plain listing.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("concurrency", "page_size"), [(1, 10), (2, 7), (8, 10), (32, 10), (32, 100)])
def test_every_shape_is_listed_whole(shape: str, concurrency: int, page_size: int) -> None:
    assert_lists(store_of(SHAPES[shape](1500), page_size=page_size), concurrency=concurrency)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21])
def test_the_sizes_around_a_page(shape: str, count: int) -> None:
    store = store_of(SHAPES[shape](1000)[:count], page_size=10)
    assert_lists(store)
    if count <= 10:
        assert len(store.requests) == 1


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize("shape", ["flat_padded", "uuids", "named_as_groups", "exact_thousands"])
def test_the_sizes_around_a_real_page(shape: str, count: int) -> None:
    store = store_of(SHAPES[shape](3000)[:count])
    assert_lists(store)
    assert len(store.requests) <= (1 if count <= 1000 else 9)


@pytest.mark.parametrize("seed", range(4))
def test_random_key_spaces_in_random_time(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(60):
        prefix = draw.choice(["", "p/", "steps"])
        keys = [prefix + key for key in random_keys(draw)]
        keys += ["o", "p", "q/x", "step", "steps2/a", "zz"] if draw.random() < 0.5 else []
        store = ModelStore(
            filter(None, keys),
            page_size=draw.choice([1, 2, 3, 7, 20]),
            delay=lambda: draw.expovariate(1 / LATENCY),
        )
        assert_lists(store, prefix, concurrency=draw.choice([1, 2, 3, 8, 32]))


@settings(max_examples=150, deadline=None)
@given(
    keys=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=80
    ),
    page_size=st.integers(1, 9),
    concurrency=st.integers(1, 12),
)
def test_any_keys(keys: list[str], page_size: int, concurrency: int) -> None:
    assert_lists(store_of(keys, page_size=page_size), concurrency=concurrency)


# What it costs. Counts and round trips are exact in virtual time.


@pytest.mark.parametrize("shape", SHAPES)
def test_a_hundred_thousand_keys_cost_little_more_than_their_pages(shape: str) -> None:
    store = store_of(SHAPES[shape](100_000))
    pages = -(-len(store.keys) // 1000)

    async def timed() -> tuple[list[str], float]:
        keys = await listed(store)
        return keys, asyncio.get_running_loop().time()

    keys, seconds = run_virtually(timed())
    assert sorted(keys) == store.keys
    assert len(store.requests) <= (1.4 if shape in FLAT else 1.8) * pages
    assert seconds < 0.8


def test_a_million_keys_cost_a_tenth_more_than_their_pages() -> None:
    store = store_of(SHAPES["flat_unpadded"](200_000), page_size=200)
    assert_lists(store)
    assert len(store.requests) <= 1100


def test_delimiter_and_start_after_are_never_combined() -> None:
    store = store_of(SHAPES["tree"](3000), page_size=10)
    assert_lists(store)
    assert any(request["delimiter"] for request in store.requests)
    assert not any(request["delimiter"] and request["start_after"] for request in store.requests)


# Faults.


def failing(
    share: float, error: Callable[[str], StoreError], draw: random.Random
) -> Callable[[dict[str, Any]], object]:
    def fail(_request: dict[str, Any]) -> None:
        if draw.random() < share:
            raise error("injected")

    return fail


@pytest.mark.parametrize("shape", SHAPES)
def test_pages_that_fail_now_and_then_are_asked_for_again(shape: str) -> None:
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
def test_throttled_pages_are_asked_for_again(shape: str) -> None:
    store = store_of(SHAPES[shape](1500), page_size=10, before=failing(0.1, ThrottledError, random.Random(shape)))
    assert_lists(store)


def test_throttling_halves_the_concurrency_and_it_recovers() -> None:
    throttled = False

    def throttle(_request: dict[str, Any]) -> None:
        nonlocal throttled
        if store.under_way == 32 and not throttled:
            throttled = True
            raise ThrottledError("slow down")

    concurrency: list[int] = []
    store = store_of(SHAPES["flat_padded"](20_000), page_size=10, before=throttle)

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
        run_virtually(listed(store_of(SHAPES["flat_padded"](500), page_size=10, before=fail)))
    assert failure.value.endpoint == "http://s3"
    assert isinstance(failure.value.__cause__, EndpointUnreachableError)


def test_a_first_page_that_keeps_failing_fails_as_it_failed() -> None:
    store = store_of(["a"], before=failing(1, EndpointUnreachableError, random.Random(0)))
    with pytest.raises(EndpointUnreachableError):
        run_virtually(listed(store))
    assert len(store.requests) == 2, "the client has tried often enough to reach it"


def test_an_endless_throttling_fails_after_some_patience() -> None:
    store = store_of(["a"], before=failing(1, ThrottledError, random.Random(0)))
    with pytest.raises(ThrottledError):
        run_virtually(listed(store))
    assert len(store.requests) == 8


def test_an_internal_error_is_asked_again_once_before_it_counts_as_a_refusal() -> None:
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
def test_a_final_error_is_not_tried_again(error: Callable[[str], StoreError]) -> None:
    store = store_of(["a"], before=failing(1, error, random.Random(0)))
    with pytest.raises(StoreError) as failure:
        run_virtually(listed(store))
    assert type(failure.value) is error
    assert len(store.requests) == 1


def test_an_error_that_is_not_the_stores_comes_through() -> None:
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


# Servers that cannot be trusted with pieces.


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
    """In order at first, and then not."""

    def answer(self, prefix: str, *, start_after: str | None, delimiter: str | None, token: str | None) -> Page:
        page = super().answer(prefix, start_after=start_after, delimiter=delimiter, token=token)
        return page if len(self.requests) < 60 else Page(page.keys[::-1], page.prefixes, page.token)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [WithoutStartAfter, Unordered])
def test_a_server_without_start_after_is_listed_by_its_tokens(kind: type[ModelStore], shape: str) -> None:
    store = kind([PREFIX + name for name in SHAPES[shape](600)], page_size=20)
    assert_lists(store)
    assert len(store.requests) <= 30 + 10


def test_order_that_is_lost_on_the_way_is_an_error() -> None:
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
def test_what_a_policy_refuses_is_done_without(refused: tuple[str, ...], shape: str) -> None:
    assert_lists(store_of(SHAPES[shape](1500), page_size=10, before=refusing(*refused)))


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_stops_to_take_start_after_on_the_way(seed: int) -> None:
    draw = random.Random(seed)

    def refuse(request: dict[str, Any]) -> None:
        if request["start_after"] and len(store.requests) > 20 * seed:
            raise StoreError("not implemented")

    store = store_of(random_keys(draw) * 2 + SHAPES["tree"](500), page_size=5, before=refuse)
    assert_lists(store)


def test_a_chain_that_is_refused_too_fails() -> None:
    with pytest.raises(AccessDeniedError):
        run_virtually(listed(store_of(SHAPES["tree"](500), page_size=10, before=refusing("token", "start_after"))))


def test_a_server_that_repeats_its_token_does_not_keep_us_for_ever() -> None:
    async def fetch(prefix: str, **_: Any) -> Page:
        return Page([], [], "again")

    with pytest.raises(ListingError, match="repeats a token"):
        run_virtually(listed(fetch))


def test_empty_pages_with_a_token_are_gone_past() -> None:
    async def fetch(prefix: str, *, token: str | None = None, **_: Any) -> Page:
        number = int(token or 0)
        return Page([f"{PREFIX}{number}"] if number == 3 else [], [], str(number + 1) if number < 5 else None)

    assert run_virtually(listed(fetch)) == [f"{PREFIX}3"]


# The consumer.


def test_a_slow_consumer_stops_the_fetching() -> None:
    store = store_of(SHAPES["flat_padded"](5000), page_size=10)

    async def main() -> int:
        count = 0
        async for batch in list_keys(store, PREFIX, concurrency=8):
            count += len(batch)
            await asyncio.sleep(10)
            assert len(store.requests) <= 1.8 * count / 10 + 2 * 8 + 16
        return count

    assert run_virtually(main()) == 5000


async def tasks_left() -> int:
    await asyncio.sleep(0)
    return len(asyncio.all_tasks()) - 1


def test_a_consumer_that_breaks_off_leaves_nothing_behind() -> None:
    async def main() -> int:
        batches = list_keys(store_of(SHAPES["tree"](5000), page_size=10), PREFIX, concurrency=8)
        count = 0
        async for _ in batches:
            count += 1
            if count == 5:
                break
        assert isinstance(batches, AsyncIterator)
        await batches.aclose()  # type: ignore[attr-defined] # an async generator
        return await tasks_left()

    assert run_virtually(main()) == 0


def test_a_generator_that_is_forgotten_leaves_nothing_behind() -> None:
    async def begin() -> None:
        async for _ in list_keys(store_of(SHAPES["tree"](5000), page_size=10), PREFIX, concurrency=8):
            break

    async def main() -> int:
        await begin()
        gc.collect()
        for _ in range(100):  # turns of the loop, for what the collected generator has to end
            if await tasks_left() == 0:
                break
        return await tasks_left()

    assert run_virtually(main()) == 0


@pytest.mark.parametrize("after", [0, 0.01, 0.05, 0.12, 0.3])
def test_cancelling_the_consumer_cancels_what_is_under_way(after: float) -> None:
    store = store_of(SHAPES["tree"](5000), page_size=10)

    async def main() -> int:
        task = asyncio.create_task(listed(store, concurrency=8))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.under_way == 0
        return await tasks_left()

    assert run_virtually(main()) == 0


def test_progress_is_told_after_each_page() -> None:
    seen: list[ListingProgress] = []
    store = store_of(SHAPES["tree"](1000), page_size=10)

    async def main() -> None:
        async for _ in list_keys(store, PREFIX, concurrency=8, on_progress=seen.append):
            pass

    run_virtually(main())
    assert seen[-1].names == 1000
    assert seen[-1].requests == len(store.requests) == len(seen)
    assert seen[-1].pages >= 100
    assert all(1 <= progress.concurrency <= 8 for progress in seen)
    assert [progress.names for progress in seen] == sorted(progress.names for progress in seen)
