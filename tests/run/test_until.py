"""Where a run stops before its code ends: after the steps that its ``until`` selects."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from journals import journals, of
from run_support import noop, run_over, story

from asyncsteps import (
    Chain,
    Group,
    MemoryStore,
    RunStopped,
    SelectorError,
    SignalTask,
    Step,
    StepRun,
    WaitForSignal,
    Workflow,
    WorkflowOutcome,
    activity,
    current_step,
)
from asyncsteps.testing import run_virtually


def played(run: StepRun) -> list[str]:
    return [name for name, status in story(run) if status == "completed"]


def cancelled(run: StepRun) -> list[str]:
    return [name for name, status in story(run) if status == "cancelled"]


def play(body: Callable[[StepRun], Awaitable[Any]], until: str | Iterable[str], **options: Any) -> StepRun:
    """Play a run in virtual time, in which a run that hangs is an error."""

    async def main() -> StepRun:
        task = asyncio.current_task()
        assert task is not None
        hangs = asyncio.get_running_loop().call_later(10_000, task.cancel)  # no timeout: that would go on
        async with run_over(MemoryStore(), until=until, **options) as run:
            await body(run)
        hangs.cancel()
        assert run.under_way == run.queued == ()
        assert run._parts.limiter.free == options.get("max_parallel", 100)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        return run

    return run_virtually(main())


def step(name: str, seconds: float = 0.0) -> Step:
    return Step(name, (anyio.sleep, seconds))


def test_steps_after_the_one_that_is_selected_are_not_begun() -> None:
    reached: list[str] = []

    async def body(run: StepRun) -> None:
        await run.submit(step("a"))
        await run.submit(step("b"))
        reached.append("b has ended")
        try:
            await run.submit(step("c"))
        except Exception:  # noqa: BLE001 - code that handles errors is not to go on
            reached.append("an error")
        reached.append("after c")

    run = play(body, "b")
    assert played(run) == ["a", "b"]
    assert run.stopped_after == "b"
    assert reached == ["b has ended"]
    assert run.failures == []
    stopped = run.markers[-1]
    assert (stopped.name, stopped.details) == ("log.stopped", {"after": "b", "until": ["b"]})


def test_a_group_of_steps_is_played_before_the_run_stops() -> None:
    async def body(run: StepRun) -> None:
        for name in ("a", "load.x", "load.y", "load", "b", "load.z"):
            await run.submit(step(name))

    assert played(play(body, "load")) == ["a", "load.x", "load.y", "load"]
    assert played(play(body, "=load.y")) == ["a", "load.x", "load.y"]
    assert played(play(body, "*")) == ["a", "load.x", "load.y", "load", "b", "load.z"]


@pytest.mark.parametrize("last", ["done", "skipped", "failed"])
def test_a_step_that_is_skipped_or_fails_is_reached_too(last: str) -> None:
    def fail() -> None:
        raise ValueError("no luck")

    async def body(run: StepRun) -> None:
        if last == "done":
            await run.submit(step("a"))
        await run.submit(Step("a", fail if last == "failed" else noop))
        await run.submit(step("b"))

    run = play(body, "=a" if last == "done" else "a", skip=["a"] if last == "skipped" else [])
    assert run.stopped_after == "a"
    assert "b" not in played(run)
    assert len(run.failures) == (last == "failed")


def test_what_runs_beside_it_ends_with_what_it_submits() -> None:
    async def body(run: StepRun) -> None:
        async def beside() -> None:
            await anyio.sleep(2)
            await run.submit(Step("beside.nested", (anyio.sleep, 2)))
            await run.submit(anyio.sleep, 1)

        await run.submit(
            Group(
                Chain(step("a", 1), step("c", 1)),
                Chain(Step("beside", beside), step("d", 1)),
                Chain(step("e", 3), step("f")),
            )
        )

    run = play(body, "a")
    assert sorted(played(run)) == ["a", "beside", "beside.nested", "e"]
    assert cancelled(run) == []


@pytest.mark.parametrize("by", ["asyncio", "anyio", "gather"])
def test_tasks_of_the_code_end_what_they_have_begun(by: str) -> None:
    async def body(run: StepRun) -> None:
        async def one() -> None:
            await run.submit(step("a", 1))
            await run.submit(step("b", 1))

        async def other() -> None:
            await run.submit(step("x", 5))
            await run.submit(step("y", 5))

        if by == "gather":
            await asyncio.gather(one(), other())
        elif by == "anyio":
            async with anyio.create_task_group() as group:
                group.start_soon(one)
                group.start_soon(other)
        else:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(one())
                tasks.create_task(other())

    run = play(body, "a")
    assert played(run) == ["a", "x"]
    assert run.stopped_after == "a"


def test_a_step_around_it_is_not_done_and_what_it_has_begun_beside_ends() -> None:
    async def body(run: StepRun) -> None:
        async def etl() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(run.submit, Chain(step("etl.load", 1), step("etl.report")))
                group.start_soon(run.submit, Chain(step("etl.beside", 3), step("etl.later")))

        await run.submit(Chain(Step("etl", etl), step("mail")))

    run = play(body, "etl.load")
    assert played(run) == ["etl.load", "etl.beside"]
    assert cancelled(run) == ["etl"]


def test_a_chain_in_a_step_around_it_goes_no_further() -> None:
    ran: list[str] = []

    async def body(run: StepRun) -> None:
        async def after() -> None:
            ran.append("after")

        await run.submit(Step("etl", Chain(step("etl.load"), after)))

    run = play(body, "etl.load")
    assert (played(run), cancelled(run), ran) == (["etl.load"], ["etl"], [])


def test_steps_within_the_selected_one_are_played() -> None:
    async def body(run: StepRun) -> None:
        async def load() -> None:
            await run.submit(Group(step("load.x"), step("other")))
            await run.submit(step("another"))

        await run.submit(Chain(Step("load", load), step("b")))

    assert sorted(played(play(body, "load"))) == ["another", "load", "load.x", "other"]


def test_activities_outside_steps_are_not_begun_and_signals_are_sent() -> None:
    ran: list[str] = []

    async def body(run: StepRun) -> None:
        async def after() -> None:
            ran.append("after")

        await run.submit(Chain(step("a"), SignalTask("go"), after))

    run = play(body, "a")
    assert ran == []
    assert "go" in run._parts.signals.sent


def test_waits_for_what_is_not_begun_end() -> None:
    async def body(run: StepRun) -> None:
        waits = Step("waits", Chain(WaitForSignal("step.b"), (anyio.sleep, 1)))
        sends = Step("b", noop, emit_signal=True)
        await run.submit(Group(waits, WaitForSignal("never"), Chain(step("a", 1), sends)))

    run = play(body, "a")
    assert (played(run), cancelled(run)) == (["a"], ["waits"])


def test_what_waits_not_begun_gives_its_slots_to_what_has_begun() -> None:
    async def body(run: StepRun) -> None:
        async def etl() -> None:
            await run.submit(step("etl.load", 1))
            await run.submit(step("etl.report", 1))

        await run.submit(Group(Step("etl", etl), step("beside", 2)))

    run = play(body, "etl.load", max_parallel=1)
    assert played(run) == ["etl.load", "beside"]


@pytest.mark.parametrize("within", [True, False])
async def test_a_thread_is_told_at_once(within: bool) -> None:
    told: list[object] = []

    def work() -> None:
        anyio.from_thread.run(run.submit, step("load"))
        try:
            anyio.from_thread.run(run.submit, step("report"))
        except BaseException as error:
            told.append(error)
            raise

    async with run_over(MemoryStore(), until="load") as run:
        first = Step("etl", work) if within else Chain(work)
        await run.submit(Group(Chain(first, step("b")), step("beside", 0.05)))
    assert sorted(played(run)) == ["beside", "load"]
    assert cancelled(run) == ["etl"] * within
    assert [str(each) for each in told] == ["the run stops after step 'load', as its until= says"]


@pytest.mark.parametrize("how", ["group", "activity", "step"])
async def test_a_thread_that_waits_for_others_is_told_too(how: str) -> None:
    async def reports() -> None:
        await run.submit(step("report"))

    following = {"group": Group(step("x"), step("y")), "activity": Chain(reports), "step": Step("last", reports)}

    def work() -> None:
        anyio.from_thread.run(run.submit, step("load"))
        anyio.from_thread.run(run.submit, following[how])

    with anyio.fail_after(5):
        async with run_over(MemoryStore(), until="load") as run:
            await run.submit(Group(Step("etl", work), step("beside", 0.05)))
    assert sorted(played(run)) == ["beside", "load"]
    assert cancelled(run) == ["etl"]
    assert run.stopped_after == "load"


@pytest.mark.parametrize("how", ["asyncio", "anyio", "stack", "workflow"])
def test_a_timeout_around_the_run_does_not_put_its_stop_off(how: str) -> None:
    async def body(run: Any) -> None:
        submit = run.submit  # a method of the run, beside the one that leaves its block
        await submit(step("a"))
        await submit(step("b"))

    class Body(Workflow):
        async def run(self) -> None:
            await body(self)

    async def main() -> float:
        if how == "workflow":
            async with asyncio.timeout(3600), MemoryStore() as store:
                await Body.start(store, workflow_id="w", until="a")
        elif how == "stack":
            async with AsyncExitStack() as stack:
                stack.enter_context(anyio.fail_after(3600))
                await body(await stack.enter_async_context(run_over(MemoryStore(), until="a")))
        else:
            with anyio.fail_after(3600 if how == "anyio" else None):
                async with asyncio.timeout(3600), run_over(MemoryStore(), until="a") as run:
                    await body(run)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) < 60


def test_a_timeout_within_the_run_is_waited_for() -> None:
    caught: list[bool] = []

    async def following(submit: Callable[[Step], Awaitable[object]]) -> None:
        await submit(step("b"))

    async def body(run: StepRun) -> None:
        await run.submit(step("a"))
        with anyio.move_on_after(60) as scope:
            await following(run.submit)
        caught.append(scope.cancelled_caught)

    assert played(play(body, "a")) == ["a"]
    assert caught == [True]


@pytest.mark.parametrize("retry", [0, 2])
@pytest.mark.parametrize("timeout", ["start_to_close_timeout", "schedule_to_close_timeout", "heartbeat_timeout"])
def test_a_timeout_that_only_what_is_not_begun_overruns_is_no_failure(timeout: str, retry: int) -> None:
    attributes: dict[str, Any] = {timeout: 2, "retry": retry}
    begun: list[str] = []

    async def body(run: StepRun) -> None:
        @activity(**attributes)
        async def loads() -> None:
            begun.append("loads")
            current_step().heartbeat()
            await run.submit(step("etl.load", 1))
            await run.submit(step("etl.report"))

        await run.submit(Group(Step("etl", loads), step("beside", 60)))

    run = play(body, "etl.load")
    assert (played(run), cancelled(run), run.failures) == (["etl.load", "beside"], ["etl"], [])
    assert begun == ["loads"]


def test_errors_beside_it_are_raised() -> None:
    async def body(run: StepRun) -> None:
        async def other() -> None:
            try:
                await run.submit(step("c"))
            except RunStopped:
                raise ValueError("at the end") from None

        await run.submit(step("a"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run.submit(step("b")))
            tasks.create_task(other())

    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        play(body, "a")
    assert [str(each) for each in caught.value.exceptions] == ["at the end"]


def test_the_run_takes_nothing_once_it_has_stopped() -> None:
    async def body(run: StepRun) -> None:
        await run.submit(step("a"))
        for refused in (lambda: run.submit(step("b")), lambda: run.submit(noop), lambda: run.signal("go")):
            with pytest.raises(RunStopped) as caught:
                await refused()
            assert (caught.value.after, caught.value.run_id) == ("a", run.run_id)
        with pytest.raises(RunStopped):
            run.record_marker("m")

    assert played(play(body, "a")) == ["a"]


def test_the_code_may_go_on_without_submitting() -> None:
    async def body(run: StepRun) -> None:
        await run.submit(step("a"))
        waiting = asyncio.ensure_future(run.submit(step("b")))
        await anyio.sleep(5)
        with pytest.raises(RunStopped):
            await waiting

    assert played(play(body, "a")) == ["a"]


def test_a_submission_that_is_cancelled_while_it_waits_leaves_the_rest_alone() -> None:
    async def body(run: StepRun) -> None:
        beside = asyncio.ensure_future(run.submit(step("beside", 3)))
        await run.submit(step("a", 1))
        with anyio.move_on_after(1) as scope:
            await run.submit(step("b"))
        assert scope.cancelled_caught
        await beside

    run = play(body, "a")
    assert played(run) == ["a", "beside"]
    assert run.stopped_after is None


def test_a_step_whose_task_only_waits_at_the_end_of_the_block_is_not_begun() -> None:
    async def body(run: StepRun) -> None:
        async def later() -> None:
            await run.submit(step("a", 2))
            with pytest.raises(RunStopped):
                await run.submit(step("b"))

        async def beside() -> None:
            await run.submit(step("c", 4))

        run.tasks = [asyncio.ensure_future(later()), asyncio.ensure_future(beside())]  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    run = play(body, "a")
    assert played(run) == ["a", "c"]
    assert run.stopped_after == "a"


@pytest.mark.parametrize("how", ["error", "cancel"])
def test_leaving_the_block_meanwhile_cancels_all(how: str) -> None:
    async def main() -> None:
        async with run_over(MemoryStore(), until="a") as run:
            await run.submit(step("a"))
            beside = asyncio.ensure_future(run.submit(step("=beside", 60)))
            waiting = asyncio.ensure_future(run.submit(step("b")))
            for task in (beside, waiting):
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
            await anyio.sleep(1)
            if how == "error":
                raise ValueError("left")
            me = asyncio.current_task()
            assert me is not None
            me.cancel()
            await anyio.sleep(1)

    with pytest.raises(ValueError if how == "error" else asyncio.CancelledError):
        run_virtually(main())


def test_a_run_whose_last_step_it_is_ends_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def body(run: StepRun) -> None:
        await run.submit(Chain(step("a"), step("b")))

    run = play(body, "b")
    assert (played(run), run.stopped_after) == (["a", "b"], None)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_what_matches_no_step_stops_nothing_and_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def body(run: StepRun) -> None:
        await run.submit(Chain(step("a"), step("b")))

    run = play(body, "bb")
    assert (played(run), run.stopped_after, run.unmatched_selectors) == (["a", "b"], None, ["bb"])
    assert [record.args[0] for record in caplog.records if record.levelname == "WARNING"] == ["bb"]  # type: ignore[index]


def test_a_malformed_selector_is_refused() -> None:
    with pytest.raises(SelectorError, match=r"'a\.'"):
        StepRun(MemoryStore(), workflow_id="w", until="a.")


async def test_a_plan_stops_there_too() -> None:
    async def code(run: StepRun) -> None:
        await run.submit(Group(Chain(step("a"), step("b")), step("c")))
        await run.submit(step("d"))

    async with run_over(MemoryStore(), until="a") as run:
        plan = await run.plan(code)
        assert sorted(each.step for each in plan.decisions) == ["a", "c"]
        assert (plan.complete, plan.stopped_after) == (True, "a")
        unlimited = await run.plan([step("a")])
        assert unlimited.stopped_after is None
        assert run.stopped_after is None


class Loads(Workflow):
    async def run(self) -> str:
        await self.submit(step("a"))
        await self.submit(step("b"))
        return "through"


async def test_a_workflow_has_no_result_then_and_its_journal_tells_why() -> None:
    async with MemoryStore() as store:
        outcome: WorkflowOutcome[Any] = await Loads.start(store, workflow_id="w", until="a")
        assert (outcome.result, outcome.stopped_after) == (None, "a")
        (events,) = await journals(store)
        assert of(events, "started")[0]["until"] == ["a"]
        (end,) = of(events, "ended")
        assert (end["outcome"], end["error"], end["stopped_after"]) == ("completed", None, "a")
        plan = await Loads.plan(store, workflow_id="w", until="a")
        assert plan.stopped_after == "a"
        outcome = await Loads.start(store, workflow_id="w")
        assert (outcome.result, outcome.stopped_after) == ("through", None)


async def test_of_two_runs_each_stops_by_its_own() -> None:
    async with run_over(MemoryStore()) as outer:

        async def inner() -> str:
            async with run_over(MemoryStore(), until="a") as run:
                await run.submit(step("a"))
                await run.submit(step("b"))
            assert run.stopped_after == "a"
            return "inner"

        assert await outer.submit(inner) == "inner"
        assert outer.stopped_after is None


def test_the_end_of_the_block_takes_no_news_from_what_waits_to_stop_the_run() -> None:
    async def body(run: StepRun) -> None:
        async def reaches() -> None:
            await run.submit(Step("a", noop))
            await run.submit(Step("b", noop))

        async def submits(*what: Any) -> None:
            with contextlib.suppress(RunStopped):
                await run.submit(*what)

        tasks.extend(asyncio.create_task(submits(each)) for each in (reaches, partial(asyncio.sleep, 5)))
        await asyncio.sleep(1)

    tasks: list[asyncio.Task[None]] = []
    run = play(body, "a")
    assert played(run) == ["a"]
    assert all(task.done() for task in tasks)
