"""Two runs at once on one prefix, without claims: what holds, and what does not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from programs import told_by
from servers import MotoServer

from asyncsteps import MemoryStore, Step, StepRun, StepStore, open_store

Stores = tuple[StepStore, StepStore]
NAMES = ["b", "b" * 450]  # in a directory, the long one's directories come and go with it


@pytest.fixture(params=["memory", "directory", "s3"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path, s3_endpoint: str, bucket: str
) -> AsyncIterator[Stores]:
    """One prefix, as each run has it: opened by itself, but in memory, which two can only share."""
    async with AsyncExitStack() as stack:
        match request.param:
            case "memory":
                shared = await stack.enter_async_context(MemoryStore())
                yield shared, shared
            case "directory":
                first, second = [await stack.enter_async_context(open_store(tmp_path)) for _ in range(2)]
                yield first, second
            case _:
                url = f"s3://{bucket}/steps"
                opened = [open_store(url, endpoint_url=s3_endpoint) for _ in range(2)]
                first, second = [await stack.enter_async_context(each) for each in opened]
                yield first, second


def _runs(stores: Stores, *, force: str | tuple[str, ...] = ()) -> tuple[StepRun, StepRun]:
    one, two = (
        StepRun(store, workflow_id="w", run_id=run_id, force=force)
        for store, run_id in zip(stores, ("one", "two"), strict=True)
    )
    return one, two


class Data:
    """What steps a and b make: a version of a, and the version of it that b has read."""

    def __init__(self) -> None:
        self.a = 0
        self.b = 0

    async def make_a(self) -> None:
        self.a += 1

    async def make_b(self, before_end: Callable[[], Awaitable[object]] | None = None) -> None:
        read = self.a
        if before_end is not None:
            await before_end()
        self.b = read

    def step_a(self) -> Step:
        return Step("a", self.make_a, force_steps_if_executed=["b"])


async def _run_by_both(one: StepRun, two: StepRun) -> list[str]:
    """Submit one step to both runs at once, so that both play it; give who has."""
    played: list[str] = []
    met = asyncio.Barrier(2)

    async def work(who: str) -> None:
        await met.wait()
        played.append(who)

    async with one, two:
        outcomes = await asyncio.gather(one.submit(Step("a", (work, "one"))), two.submit(Step("a", (work, "two"))))
    assert [outcome.status for outcome in outcomes] == ["completed", "completed"]
    return sorted(played)


@pytest.mark.parametrize("force", ["a", ()])
async def test_a_step_may_be_played_by_both_and_is_marked_by_one(stores: Stores, force: str) -> None:
    if force:
        await stores[0].mark_done("a", {"run_id": "earlier"})
    assert await _run_by_both(*_runs(stores, force=force)) == ["one", "two"]
    record = await stores[0].read_done("a")
    assert record is not None
    assert record["run_id"] in {"one", "two"}


async def test_a_mark_that_the_other_run_makes_meanwhile_can_stay_stale(stores: Stores) -> None:
    """Documented in README.md and docs/reliability.md: a run knows the other's marks as of its own last look."""
    data = Data()
    one, two = _runs(stores)
    async with one, two:
        await one.submit(data.step_a())  # it has looked: b is undone
        await two.submit(Step("b", data.make_b))
        one.add_forced_steps("a", "the data has changed")
        await one.submit(data.step_a())  # and so it withdraws no mark of b
    assert (data.a, data.b) == (2, 1)  # b has read the first a
    assert await stores[0].list_done() == ["a", "b"]
    async with StepRun(stores[0], workflow_id="w") as later:
        assert (await later.submit(Step("b", data.make_b))).status == "skipped"


async def test_looking_again_before_it_plays_a_run_withdraws_the_mark(stores: Stores) -> None:
    data = Data()
    one, two = _runs(stores)
    async with one, two:
        await one.submit(data.step_a())
        await two.submit(Step("b", data.make_b))
        await one.refresh()
        one.add_forced_steps("a", "the data has changed")
        await one.submit(data.step_a())
        assert await stores[1].list_done() == ["a"]
        await one.submit(Step("b", data.make_b))
    assert (data.a, data.b) == (2, 2)


async def test_what_the_other_run_was_playing_is_marked_over_the_newer_mark(stores: Stores) -> None:
    data = Data()
    one, two = _runs(stores)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        reached.set()
        await go_on.wait()

    async with one, two:
        old = asyncio.create_task(two.submit(Step("b", (data.make_b, slowly))))  # reads no a
        await reached.wait()
        await one.submit(data.step_a())
        await one.submit(Step("b", data.make_b))
        assert (data.a, data.b) == (1, 1)
        go_on.set()
        await old
    assert (data.a, data.b) == (1, 0)  # the slower one has overwritten data and mark
    record = await stores[0].read_done("b")
    assert record is not None
    assert record["run_id"] == "two"


async def test_no_mark_is_lost_but_by_a_withdrawal_that_is_demanded(stores: Stores) -> None:
    one, two = _runs(stores)
    names = [f"s{number}" for number in range(20)]

    async def nothing() -> None:
        await asyncio.sleep(0)

    async def play(run: StepRun, order: list[str]) -> None:
        for name in order:
            await run.submit(Step(name, nothing))
            assert name in await stores[0].list_done()

    async with one, two:
        await asyncio.gather(play(one, names), play(two, names[::-1]))
    assert await stores[1].list_done() == sorted(names)


@pytest.mark.parametrize("name", NAMES, ids=["short", "long"])
async def test_one_run_withdraws_while_the_other_marks(stores: Stores, name: str) -> None:
    for number in range(15):
        record = {"run_id": "two", "number": number}
        _, marked = await asyncio.gather(
            stores[0].withdraw([name]), stores[1].mark_done(name, record, first_wins=bool(number % 2))
        )
        assert marked
        there = await stores[0].read_done(name)
        # The mark comes after the withdrawal, and stays, or before, and goes.
        assert there in (None, record)
        assert await stores[1].is_done(name) is (there is not None)
        assert await stores[1].list_done() == ([] if there is None else [name])
        await stores[0].withdraw([name])
        assert await stores[1].list_done() == []


def _check(told: dict[str, object]) -> None:
    assert told["problems"] == []
    assert isinstance(told["both"], int)
    assert told["both"] > 0


def test_two_processes_over_a_directory(tmp_path: Path) -> None:
    _check(told_by("paired_runs.py", tmp_path, "--pairs", 3))


def test_two_processes_over_s3(tmp_path: Path, moto_server: MotoServer, bucket: str) -> None:
    _check(told_by("paired_runs.py", tmp_path, "--pairs", 2, "--port", moto_server.port, "--bucket", bucket))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_pairs_over_a_directory(tmp_path: Path) -> None:
    _check(told_by("paired_runs.py", tmp_path, "--pairs", 30, "--seed", 1_000))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_pairs_over_s3(tmp_path: Path, moto_server: MotoServer, bucket: str) -> None:
    options = ("--port", moto_server.port, "--bucket", bucket)
    told = told_by("paired_runs.py", tmp_path, "--pairs", 40, "--seed", 2_000, *options, seconds=590)
    _check(told)
    assert told["kills"] > 0
