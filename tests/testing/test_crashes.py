"""Runs that crash: nothing of them reaches the store afterwards, and the run after them makes it good."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.from_thread
import pytest

from asyncsteps import (
    DirectoryStore,
    Group,
    Marker,
    MemoryStore,
    Step,
    StepDefinitionError,
    StepRun,
    StepStore,
    Workflow,
    journal,
    open_store,
)
from asyncsteps.testing import CrashPoint, FaultyStore, SimulatedCrash, crash_and_rerun, every_crash, virtual_time

played: list[str] = []


@pytest.fixture(autouse=True)
def _none_played() -> None:
    played.clear()


async def work(name: str) -> str:
    played.append(name)
    await asyncio.sleep(0)
    return name


def step(name: str, **options: Any) -> Step[str]:
    return Step(name, (work, name), **options)


async def chain(run: StepRun) -> None:
    for name in ("a", "b", "c"):
        await run.submit(step(name))


class Nightly(Workflow[int]):
    async def run(self, tables: int = 3) -> int:
        await self.submit(step("extract", force_steps_if_executed=["load", "report"]))
        await self.submit(Group(*(step(f"load.t{number}") for number in range(tables))))
        await self.submit(step("report"))
        return tables


@pytest.mark.parametrize(
    ("at", "crashed", "acknowledged", "again", "activities"),
    [
        (CrashPoint.request(1), [], [], ["a", "b", "c"], "abc"),
        (CrashPoint.request(2), ["a"], [], ["a", "b", "c"], "aabc"),
        (CrashPoint.request(2, applied=True), ["a"], [], ["b", "c"], "abc"),
        (CrashPoint.request(3), ["a", "b"], ["a"], ["b", "c"], "abbc"),
        (CrashPoint.start("b"), ["a", "b"], ["a"], ["b", "c"], "abc"),
        (CrashPoint.mark("b"), ["a", "b"], ["a"], ["b", "c"], "abbc"),
        (CrashPoint.mark("b", applied=True), ["a", "b"], ["a"], ["c"], "abc"),
    ],
    ids=str,
)
async def test_a_run_crashes_there_and_the_next_goes_on(
    at: CrashPoint, crashed: list[str], acknowledged: list[str], again: list[str], activities: str
) -> None:
    runs = await crash_and_rerun(chain, at)
    runs.crashed.assert_played(*crashed)
    runs.again.assert_played(*again)
    assert runs.acknowledged == tuple(acknowledged)
    assert "".join(played) == activities


async def test_nothing_of_the_run_reaches_the_store_after_the_crash() -> None:
    """Not from blocks that end, not from tasks beside it, not its journal; the second run begins after that."""
    told: list[str] = []

    async def code(run: StepRun) -> None:
        if told:
            told.append("again")
            return
        beside: Any = None
        try:
            beside = asyncio.ensure_future(run.submit(Group(step("d"), step("e"))))
            await run.submit(step("a"))
            await asyncio.sleep(10)
            await asyncio.gather(run.submit(step("b")), run.submit(step("c")))
        except BaseException:
            for name in ("late", "later"):
                with contextlib.suppress(BaseException):
                    await run.submit(step(name))
            await asyncio.sleep(1)
            with contextlib.suppress(BaseException):
                await beside
            told.append("ended")
            raise

    async with MemoryStore() as inner:
        watched = FaultyStore(inner)
        with virtual_time():
            runs = await crash_and_rerun(code, CrashPoint.mark("b"), watched, run_id="first")
        assert told == ["ended", "again"]
        assert sorted(inner.records) == ["a", "d", "e"]
        assert sorted(runs.acknowledged) == ["a", "d", "e"]
        asked = {name for call in watched.calls for name in call.names}
        assert asked == {"a", "d", "e"}
        assert not {"late", "later"} & {*played, *runs.crashed.played}
        by_id = {run.run_id: run.outcome for run in await journal.runs(inner)}
        assert by_id.pop("first") == "running"  # for all that its journal tells: it was cut off
        assert [*by_id.values()] == ["completed"]


async def test_a_crash_beside_the_code_ends_the_code() -> None:
    async def code(run: StepRun) -> None:
        if not played:
            beside = asyncio.ensure_future(run.submit(step("a")))
            try:
                await asyncio.Event().wait()  # for ever, unless it is cancelled
            finally:
                await asyncio.wait([beside])
                assert isinstance(beside.exception(), SimulatedCrash)

    with virtual_time():
        runs = await crash_and_rerun(code, CrashPoint.mark("a"))
    runs.crashed.assert_played("a")
    runs.again.assert_played()


async def test_a_request_under_way_at_the_crash_is_not_acknowledged() -> None:
    async with FaultyStore(MemoryStore()) as store:
        store.delay("mark_done", 5, under="b", times=1)
        with virtual_time():
            runs = await crash_and_rerun([Group(step("a"), step("b"))], CrashPoint.mark("a", applied=True), store)
    assert runs.acknowledged == ()
    runs.again.assert_skipped("a", "b")  # the run had to wait for what it had sent


async def test_a_mark_that_is_withdrawn_is_acknowledged_no_more() -> None:
    async def code(run: StepRun) -> None:
        await run.submit(step("a"))
        await run.submit(step("b"))
        await run.submit(step("a", force=True))

    runs = await crash_and_rerun(code, CrashPoint.request(5))
    assert [str(call) for call in runs.requests[3:]] == ["withdraw('a')", "mark_done('a')"]
    assert runs.acknowledged == ("b",)


async def test_what_is_forced_again_may_be_played_again() -> None:
    async def code(run: StepRun) -> None:
        await run.submit(step("b"))
        await run.submit(step("a", force_steps_if_executed=["b"]))
        await run.submit(step("b"))

    tried = await every_crash(code)
    (runs,) = [runs for runs in tried if runs.at == CrashPoint.request(3)]
    assert runs.acknowledged == ("b",)
    runs.again.assert_forced("b")


async def test_a_thread_that_submits_is_cut_off_too() -> None:
    def submits(run: StepRun) -> None:
        anyio.from_thread.run(run.submit, step("inner"))

    async def code(run: StepRun) -> None:
        await run.submit(Step("outer", (submits, run)))

    runs = await crash_and_rerun(code, CrashPoint.mark("inner"))
    assert runs.acknowledged == ()
    runs.again.assert_played("outer", "inner")


async def test_force_is_for_the_run_that_crashes() -> None:
    runs = await crash_and_rerun(
        Nightly,
        CrashPoint.mark("extract", applied=True),
        force="extract",
        run_id="first",
        done=["extract", "load.t0", "load.t1", "load.t2", "report"],
    )
    runs.crashed.assert_forced("extract")
    runs.again.assert_played("load.t0", "load.t1", "load.t2", "report")  # their marks were withdrawn before
    runs.again.assert_skipped("extract")
    assert {marker.run_id for marker in runs.crashed.markers} == {"first"}
    assert {marker.run_id for marker in runs.again.markers}.isdisjoint({"first", None})


async def test_a_crash_that_does_not_happen_is_an_error_that_shows_the_requests() -> None:
    with pytest.raises(AssertionError) as raised:
        await crash_and_rerun(chain, CrashPoint.request(9))
    told = str(raised.value)
    assert told.startswith("the run ended before it crashed before request 9. Its requests:\n   1 done_page()\n")
    assert "   4 mark_done('c')" in told
    assert "c     run       was not done  completed" in told


async def test_what_the_code_raises_is_raised() -> None:
    calls: list[int] = []

    async def code(run: StepRun) -> None:
        calls.append(1)
        await run.submit(step("a"))
        if len(calls) > 1:
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck") as raised:
        await crash_and_rerun(code, CrashPoint.start("a"))
    assert raised.value.__notes__ == ["in the run after a crash at the start of step 'a'"]
    with pytest.raises(ValueError, match="no luck"):
        await crash_and_rerun(code, CrashPoint.start("b"))


async def test_markers_go_to_the_callers_too_and_requests_are_counted_from_one() -> None:
    markers: list[Marker] = []
    await crash_and_rerun(chain, CrashPoint.start("b"), on_marker=markers.append)
    assert [marker.details["step"] for marker in markers if marker.details["status"] == "scheduled"] == [*"abbc"]
    for refused in (0, True, "1"):
        with pytest.raises(StepDefinitionError, match="is refused: it is an int of at least 1"):
            CrashPoint.request(refused)  # type: ignore[arg-type]


async def test_cancelling_it_cancels_the_run() -> None:
    ended: list[bool] = []

    async def hangs(run: StepRun) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with anyio.move_on_after(0.01):
        await crash_and_rerun(hangs, CrashPoint.request(1))
    assert ended == [True]


@pytest.mark.parametrize("done", [(), ("extract", "load.t0", "load.t1", "load.t2", "report")])
async def test_every_crash_of_a_workflow_is_made_good(done: tuple[str, ...]) -> None:
    tried = await every_crash(Nightly, done=done, force="extract")
    moments = [str(runs.at) for runs in tried]
    assert len(moments) == len(set(moments))
    assert "before request 1" in moments
    assert "at the start of step 'report'" in moments
    marks = sum(call.operation == "mark_done" for call in tried[-1].requests)
    assert marks >= 4
    assert sum(moment.startswith("after") for moment in moments) >= marks


async def test_every_crash_over_a_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    def opener() -> DirectoryStore:
        return DirectoryStore(tmp_path_factory.mktemp("store") / "steps")

    assert len(await every_crash([step("a")], opener)) == 4


@pytest.mark.long
async def test_every_crash_over_s3(bucket: str, s3_endpoint: str) -> None:
    prefixes = iter(range(1000))

    def opener() -> contextlib.AbstractAsyncContextManager[StepStore]:
        return open_store(f"s3://{bucket}/{next(prefixes)}", endpoint_url=s3_endpoint)

    assert len(await every_crash(Nightly, opener, force="extract", done=["extract", "report"])) >= 15


async def test_what_is_stale_after_a_crash_is_found() -> None:
    """Without withdrawal, as in simpleflow, what depends on a step stays as it was if the run crashes after it."""
    done = ["extract", "load.t0", "load.t1", "load.t2", "report"]
    with pytest.raises(AssertionError) as raised:
        await every_crash(Nightly, done=done, force="extract", withdraw_invalidated=False)
    told = str(raised.value)
    assert told.startswith("after a crash after request ")
    assert "step 'report' is stale: the mark of 'extract' was stored, and 'report' not played since" in told
    assert "the run after it:\n  step     decision  why " in told


async def test_what_is_played_twice_is_found() -> None:
    @contextlib.asynccontextmanager
    async def forgets() -> AsyncIterator[StepStore]:
        class Forgetful(MemoryStore):
            async def done_page(self, start_after: str = "") -> Any:
                page = await super().done_page(start_after)
                return type(page)(tuple(name for name in page.names if name != "a"), None)

        async with Forgetful() as store:
            yield store

    with pytest.raises(AssertionError, match="step 'a' was played again, though its mark was acknowledged"):
        await every_crash(chain, forgets)


async def test_what_is_not_done_in_the_end_and_what_fails_then_are_found() -> None:
    async def gives_up(run: StepRun) -> None:
        await run.submit(step("a"))
        if (await run.submit(step("b"))).status == "completed":
            await run.submit(step("c"))

    with pytest.raises(AssertionError, match="step 'c' is not done in the end"):
        await every_crash(gives_up)

    async def fails_again() -> None:
        played.append("x")
        if len(played) == 4:
            raise ValueError("no luck")

    played.clear()
    with pytest.raises(AssertionError, match="failed: StepFailedError: step 'x' failed: ValueError: no luck"):
        await every_crash([Step("x", fails_again)])

    async def raises(run: StepRun) -> None:
        await run.submit(step("a"))
        if len(played) == 4:
            raise ValueError("no luck")

    played.clear()
    with pytest.raises(AssertionError, match="the run after a crash before request 2 failed: ValueError: no luck"):
        await every_crash(raises)
