"""A listing gives every key once, costs little more than its pages, and leaves nothing behind."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing_model import FLAT, LATENCY, SHAPES, ModelStore, random_keys
from listing_support import PREFIX, assert_lists, listed, store_of

from asyncsteps.store._listing.fetching import list_keys
from asyncsteps.store._protocol import ListingProgress
from asyncsteps.testing import run_virtually

# The same keys as a plain listing.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("concurrency", "page_size"), [(1, 10), (2, 7), (8, 10), (32, 10), (32, 100)])
def test_every_shape_is_listed_completely(shape: str, concurrency: int, page_size: int) -> None:
    assert_lists(store_of(SHAPES[shape](1500), page_size=page_size), concurrency=concurrency)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21])
def test_sizes_around_a_small_page(shape: str, count: int) -> None:
    store = store_of(SHAPES[shape](1000)[:count], page_size=10)
    assert_lists(store)
    if count <= 10:
        assert len(store.requests) == 1


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize("shape", ["flat-padded", "uuid", "named-as-groups", "thousands"])
def test_sizes_around_a_full_page(shape: str, count: int) -> None:
    store = store_of(SHAPES[shape](3000)[:count])
    assert_lists(store)
    assert len(store.requests) <= (1 if count <= 1000 else 8 if count <= 2000 else 11)


@pytest.mark.parametrize("seed", range(4))
def test_random_key_spaces_with_random_latency(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(30):
        prefix = draw.choice(["", "p/", "steps", "etl."])
        keys = [prefix + key for key in random_keys(draw)]
        keys += ["o", "p", "q/x", "step", "steps2/a", "etl", "etl/x", "zz"] if draw.random() < 0.5 else []
        store = ModelStore(
            filter(None, keys),
            page_size=draw.choice([1, 2, 3, 7, 20]),
            delay=lambda: draw.expovariate(1 / LATENCY),
        )
        assert_lists(store, prefix, concurrency=draw.choice([1, 2, 3, 8, 32]))


@settings(max_examples=75, deadline=None)
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


@pytest.mark.parametrize("shape", ["deep", "skewed-hex", "words"])
def test_the_cost_holds_when_pages_take_their_time(shape: str) -> None:
    draw = random.Random(shape)
    store = store_of(SHAPES[shape](100_000), delay=lambda: LATENCY * draw.uniform(0.8, 1.6))
    assert_lists(store)
    assert len(store.requests) <= 1.8 * 100


def test_a_million_keys_cost_a_tenth_more_than_their_pages() -> None:
    store = store_of(SHAPES["flat-unpadded"](200_000), page_size=200)
    assert_lists(store)
    assert len(store.requests) <= 1100


def test_delimiter_and_start_after_are_never_combined() -> None:
    store = store_of(SHAPES["tree"](3000), page_size=10)
    assert_lists(store)
    assert any(request["delimiter"] for request in store.requests)
    assert not any(request["delimiter"] and request["start_after"] for request in store.requests)


# The consumer.


def test_a_slow_consumer_stops_the_fetching() -> None:
    store = store_of(SHAPES["flat-padded"](5000), page_size=10)

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


def test_a_consumer_that_stops_early_leaves_nothing_behind() -> None:
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
def test_cancelling_the_consumer_cancels_what_is_in_flight(after: float) -> None:
    store = store_of(SHAPES["tree"](5000), page_size=10)

    async def main() -> int:
        task = asyncio.create_task(listed(store, concurrency=8))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.in_flight == 0
        return await tasks_left()

    assert run_virtually(main()) == 0


def test_progress_is_reported_after_each_page() -> None:
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
