"""The limit of requests at once, against models of servers in virtual time."""

import asyncio
import random
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from s3_store_support import RECORD, s3_store
from servers import FaultProxy, slow_down

from asyncsteps.store._s3.concurrency import LEAST, AdaptiveLimit, Watch
from asyncsteps.store._s3.options import ClientOptions
from asyncsteps.testing import run_virtually

ROUND_TRIP = 0.05
SECONDS = 12.0


class ThrottledError(Exception):
    """The model server's 503."""


@dataclass
class ModelServer:
    """Answers after a latency.

    Attributes:
        rate: The most requests a second.
        refuses: Whether it refuses what exceeds that; otherwise it queues.
        latency: Draws the latency of a request, from how many are under way.
        work: Seconds for which sending a request, and handling its answer, hold up the client's event loop.
    """

    latency: Callable[[int], float] = lambda _: ROUND_TRIP
    rate: float | None = None
    refuses: bool = False
    work: float = 0
    answered: int = 0
    refused: int = 0
    under_way: int = 0
    _free_at: float = 0
    limits: list[tuple[float, int]] = field(default_factory=list)

    async def answer(self) -> None:
        loop: Any = asyncio.get_running_loop()
        if self.work:
            loop.clock.shift(self.work)
        now = loop.time()
        self.under_way += 1
        try:
            queued = 0.0
            if self.rate is not None:
                ahead = max(0.0, self._free_at - now)
                if self.refuses and ahead > ROUND_TRIP:
                    await asyncio.sleep(ROUND_TRIP)
                    self.refused += 1
                    raise ThrottledError
                self._free_at = now + ahead + 1 / self.rate
                queued = 0.0 if self.refuses else ahead
            await asyncio.sleep(self.latency(self.under_way) + queued)
            if self.work:
                loop.clock.shift(self.work)
            self.answered += 1
        finally:
            self.under_way -= 1


async def load(
    server: ModelServer, limit: AdaptiveLimit, seconds: float, *, workers: int = 300, operation: str = "put_object"
) -> None:
    """Keep as many workers as that busy: each sends again what was refused, after a pause."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    draw = random.Random(7)

    async def work() -> None:
        while loop.time() < ends:
            if not limit.turns.take():
                await limit.turns.wait()
            watch = Watch(limit)
            for attempt in range(9):
                try:
                    await server.answer()
                except ThrottledError:
                    watch.throttled()
                    await asyncio.sleep(draw.uniform(0, 2**attempt) / 10)
                    watch.begins()
                else:
                    watch.answered(operation)
                    break
            limit.turns.give_back()
            server.limits.append((loop.time(), limit.now))

    await asyncio.gather(*(work() for _ in range(workers)))


def played(server: ModelServer, *, most: int = 256, seconds: float = SECONDS, workers: int = 300) -> list[int]:
    """Play a load; return the limits of its second half."""

    async def main() -> None:
        await load(server, AdaptiveLimit(most), seconds, workers=workers)

    run_virtually(main())
    return [limit for at, limit in server.limits if at > seconds / 2]


def steady(seconds: float) -> Callable[[int], float]:
    return lambda _: seconds


def noisy(seed: int, sigma: float = 0.5) -> Callable[[int], float]:
    """Draw latencies around a round trip whose logarithm is normal: one in a hundred takes three times as long."""
    draw = random.Random(seed)
    return lambda _: ROUND_TRIP * draw.lognormvariate(0, sigma)


@pytest.mark.long
def test_where_nothing_speaks_against_it_the_limit_is_the_callers_bound() -> None:
    server = ModelServer()
    assert set(played(server)) == {256}
    assert server.answered > 0.97 * SECONDS * 256 / ROUND_TRIP


@pytest.mark.parametrize("most", [1, 3, 8, 32, 100])
def test_the_callers_bound_is_never_exceeded(most: int) -> None:
    server = ModelServer(rate=2000)
    assert max(played(server, most=most)) == most
    assert max(limit for _, limit in server.limits) == most


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_noise_is_no_sign_of_load(seed: int) -> None:
    server = ModelServer(latency=noisy(seed))
    assert set(played(server)) == {256}


@pytest.mark.parametrize("rate", [300, 1000, pytest.param(3500, marks=pytest.mark.long)])
def test_a_server_that_throttles_is_used_to_the_full_and_seldom_refuses(rate: int) -> None:
    server = ModelServer(rate=rate, refuses=True)
    limits = played(server)
    knee = rate * ROUND_TRIP
    assert LEAST <= min(limits) <= max(limits) <= 3 * knee + 8
    assert server.answered > 0.7 * SECONDS * rate
    assert server.refused < 0.1 * server.answered


@pytest.mark.parametrize("rate", [300, 1000, pytest.param(3500, marks=pytest.mark.long)])
def test_a_server_that_queues_is_used_to_the_full_and_its_queue_stays_short(rate: int) -> None:
    server = ModelServer(rate=rate)
    limits = played(server)
    knee = max(64, rate * ROUND_TRIP)  # it begins with 64, and what these meet is the lowest latency it knows
    assert min(limits) >= LEAST
    assert sum(limits) / len(limits) < 3 * knee
    assert max(limits) <= 4 * knee
    assert server.answered > 0.9 * SECONDS * rate


@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_slows_down_with_its_load_is_not_overloaded(seed: int) -> None:
    """Its latency grows with the square of what is under way."""
    noise = noisy(seed, sigma=0.2)
    server = ModelServer(latency=lambda under_way: noise(under_way) * (1 + (under_way / 64) ** 2))
    limits = played(server)
    assert max(limits) < 256
    assert sum(limits) / len(limits) > 32


def test_latency_that_is_not_ours_does_not_starve() -> None:
    """The way to the server becomes ten times as long, whatever this client does."""

    async def main() -> None:
        server, limit = ModelServer(), AdaptiveLimit(256)
        await load(server, limit, 2)
        server.latency = steady(10 * ROUND_TRIP)
        await load(server, limit, 12)
        assert limit.now == 256
        assert min(limit for _, limit in server.limits) >= 64

    run_virtually(main())


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_latency_that_comes_in_bursts_does_not_starve(seed: int) -> None:
    """For half of the time all takes four times as long, as in a process that gets little of a busy processor."""
    draw = random.Random(seed)

    async def main() -> None:
        server, limit = ModelServer(), AdaptiveLimit(256)
        loading = asyncio.create_task(load(server, limit, 4 * SECONDS))
        while not loading.done():
            for factor in (1, 4):
                server.latency = steady(factor * ROUND_TRIP)
                await asyncio.wait([loading], timeout=draw.uniform(0.2, 1.5))
        limits = [now for _, now in server.limits]
        assert sum(limits) / len(limits) > 128

    run_virtually(main())


@pytest.mark.parametrize("work", [0.0002, 0.0005])
def test_a_busy_event_loop_is_no_sign_of_load(work: float) -> None:
    """The client cannot do more: at 256 at once, an answer waits there for up to a quarter of a second."""
    server = ModelServer(work=work)
    assert set(played(server, seconds=6)) == {256}
    assert server.answered > 0.9 * 6 / max(2 * work, ROUND_TRIP / 256)


@pytest.mark.parametrize("work", [0.0002, 0.0005])
def test_a_server_that_queues_is_not_overloaded_by_a_busy_client(work: float) -> None:
    server = ModelServer(rate=600, work=work)
    limits = played(server)
    assert sum(limits) / len(limits) < 3 * 64
    assert max(limits) <= 4 * 64
    assert server.answered > 0.9 * SECONDS * 600


def test_a_stall_of_the_loop_does_not_halve_the_limit() -> None:
    async def main() -> None:
        server, limit = ModelServer(), AdaptiveLimit(256)
        await load(server, limit, 2)
        loading = asyncio.create_task(load(server, limit, 5))
        for _ in range(4):
            await asyncio.sleep(1)
            asyncio.get_running_loop().clock.shift(0.4)  # type: ignore[attr-defined]
        await loading
        assert {now for _, now in server.limits[-1000:]} == {256}

    run_virtually(main())


def test_a_limit_that_is_not_reached_does_not_rise() -> None:
    server = ModelServer()
    assert set(played(server, workers=20)) == {64}


def test_many_refusals_of_one_round_trip_halve_the_limit_once() -> None:
    async def main() -> None:
        limit = AdaptiveLimit(64)
        watches = [Watch(limit) for _ in range(64)]
        await asyncio.sleep(ROUND_TRIP)
        for watch in watches:
            watch.throttled()
        assert limit.now == 32
        watches[0].begins()  # sent again at once, by another way
        watches[0].throttled()
        assert limit.now == 32
        await asyncio.sleep(1)
        for expected in (16, 8, 8):
            watches[0].begins()
            watches[0].throttled()
            assert limit.now == expected
            await asyncio.sleep(1)

    run_virtually(main())


def test_a_server_that_recovers_is_used_again() -> None:
    async def main() -> None:
        server, limit = ModelServer(rate=200, refuses=True), AdaptiveLimit(256)
        await load(server, limit, 12)
        assert limit.now < 40
        server.rate = None
        await load(server, limit, 8)
        assert limit.now == 256

    run_virtually(main())


@pytest.mark.parametrize("transport", [None, "botocore"])
@pytest.mark.usefixtures("no_retry_pauses")
async def test_a_throttled_mark_halves_the_limit_of_its_store(
    bucket: str, fault_proxy: FaultProxy, transport: str | None
) -> None:
    """The store has both succeed: what it was answered meanwhile is seen inside the client's retries."""
    async with s3_store(bucket, fault_proxy.endpoint, transport=transport) as store:
        assert not await store.is_done("a")
        assert store._client.concurrency == 64
        fault_proxy.inject(slow_down())
        await store.mark_done("a", RECORD)
        assert store._client.concurrency == 32
        assert await store.is_done("a")


async def test_a_throttled_page_halves_the_limit_of_its_store(bucket: str, fault_proxy: FaultProxy) -> None:
    async with s3_store(bucket, fault_proxy.endpoint) as store:
        await store.mark_done("a", RECORD)
        fault_proxy.inject(slow_down())
        assert await store.list_done() == ["a"]
        assert store._client.concurrency == 32


def test_the_default_bound_leaves_half_of_the_files_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, expected in ((1024, 256), (256, 128), (1, 1), (resource.RLIM_INFINITY, 256)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=files: (soft, resource.RLIM_INFINITY))
        assert ClientOptions().connections == expected
    assert ClientOptions(concurrency=700).connections == 700
