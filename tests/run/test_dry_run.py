"""Planning: the code runs, nothing is played, nothing is written, and what is unknown ends the plan."""

import asyncio
import copy
import math
import operator
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from run_support import GatedStore, noop, run_over, story

from asyncsteps import (
    Chain,
    Group,
    MarkerTask,
    MemoryStore,
    Plan,
    SignalTask,
    Step,
    StepRun,
    WaitForSignal,
    activity,
)
from asyncsteps._run.dry_run import PlanEndsError, Unknown


@activity
async def never(*values: Any) -> Any:
    raise AssertionError("a plan plays nothing")


def decided(plan: Plan) -> list[tuple[str, str]]:
    return [(planned.step, planned.action) for planned in plan.decisions]


async def test_a_plan_decides_as_a_run_would_and_leaves_nothing_behind() -> None:
    store = GatedStore(["a", "b", "c.d"])
    async with run_over(store, force={"a": "why"}, skip=["e"]) as run:
        plan = await run.plan(
            [
                Step("a", never, force_steps_if_executed=["c"], emit_signal=True),
                Group(Step("b", never), Step("c.d", Chain(never, (never, 1), send_result=True))),
                Chain(WaitForSignal("step.a"), Step("e", never), SignalTask("s"), MarkerTask("m", {1})),
                Step("a", never),
            ]
        )
        assert plan.complete
        assert decided(plan) == [("a", "run"), ("b", "skip"), ("c.d", "run"), ("e", "skip"), ("a", "skip")]
        first, _, third, fourth, _ = plan.decisions
        assert (first.forced, first.reasons, first.withdraws) == (True, ("why",), ("a", "c.d"))
        assert (third.forced, third.reasons, third.withdraws) == (True, ("Dep of a",), ())
        assert (fourth.forced, fourth.withdraws) == (True, ())
        assert plan.unmatched_selectors == ()
        assert run.markers == []
        assert run.get_forced_steps() == ["a"]
        assert store.done == ["a", "b", "c.d"]
        assert not {"mark_done", "withdraw"} & set(store.calls)
        again = await run.plan([Step("c.d", noop)])
        assert decided(again) == [("c.d", "skip")]
        assert again.unmatched_selectors == ("a", "e")


async def test_a_plan_starts_from_what_the_run_has_done() -> None:
    async with run_over(MemoryStore(), force=["a"]) as run:
        await run.submit(Step("a", noop))
        await run.signal("go")
        plan = await run.plan(Chain(Step("a", never), WaitForSignal("go"), Step("b", never)))
        assert decided(plan) == [("a", "skip"), ("b", "run")]
        assert decided(await run.plan(never)) == []
        assert story(run) == [("a", "scheduled"), ("a", "completed")]


async def test_saved_results_are_known_and_others_are_not() -> None:
    store = MemoryStore({"a": {"result": ["x", "y"]}})

    async def main(run: StepRun) -> None:
        for name in (await run.submit(Step("a", never, save_result=True))).result:
            await run.submit(Step(f"each.{name}", never))
        replayed = await run.submit(Step("a", never, force=True, save_result=True))
        again = await run.submit(Step("a", never, save_result=True))
        await run.submit(Step("last", (never, replayed.result, again.result)))
        for name in again.result:
            await run.submit(Step(f"each.{name}", never))

    async with run_over(store) as run:
        plan = await run.plan(main)
    assert decided(plan) == [
        ("a", "skip"),
        ("each.x", "run"),
        ("each.y", "run"),
        ("a", "run"),
        ("a", "skip"),
        ("last", "run"),
    ]
    assert plan.incomplete == "the code needs the result of step a, which is known only once that is played"


async def test_what_is_awaited_alone_is_not_played_either() -> None:
    async def main(run: StepRun) -> None:
        value = await never(1)
        await run.submit(Step("a", (never, value)))
        if value > 1:
            await run.submit(Step("b", never))

    async with run_over(MemoryStore()) as run:
        plan = await run.plan(main)
    assert decided(plan) == [("a", "run")]
    assert plan.incomplete is not None
    assert "test_dry_run.never" in plan.incomplete


async def test_the_codes_own_handlers_do_not_take_the_end() -> None:
    async def main(run: StepRun) -> None:
        try:
            bool(await run.submit(never))
        except Exception:  # noqa: BLE001 - as users write it
            await run.submit(Step("handled", never))

    async with run_over(MemoryStore()) as run:
        assert decided(await run.plan(main)) == []


async def test_a_signal_that_is_not_sent_ends_the_plan() -> None:
    async with run_over(MemoryStore()) as run:
        plan = await run.plan(lambda shadow: shadow.wait_signal("go"))
        assert plan.incomplete == "the code waits for the signal 'go', which is not sent before"


async def test_an_end_within_groups_and_tasks_is_found() -> None:
    async def branch(run: StepRun) -> None:
        str(await run.submit(never))

    async def main(run: StepRun) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(branch, run)
            tasks.start_soon(branch, run)

    async def gathered(run: StepRun) -> None:
        await asyncio.gather(branch(run), run.submit(Step("a", never)))

    async with run_over(MemoryStore()) as run:
        assert not (await run.plan(main)).complete
        assert not (await run.plan(gathered)).complete


async def test_an_error_of_the_code_is_an_error() -> None:
    async def main(run: StepRun) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrong)

    async def wrong() -> None:
        raise KeyError("oops")

    async with run_over(MemoryStore()) as run:
        with pytest.raises(ExceptionGroup):
            await run.plan(main)
        with pytest.raises(KeyError):
            await run.plan(lambda _: wrong())
        await run.plan([])
        await anyio.lowlevel.checkpoint()
    assert await activity(max)(1, 2) == 2  # awaiting alone plays again


async def test_a_run_that_only_planned_does_not_warn_of_selectors(caplog: pytest.LogCaptureFixture) -> None:
    async with run_over(MemoryStore(), force=["nothing"]) as run:
        plan = await run.plan([Step("a", never)])
        assert plan.unmatched_selectors == ("nothing",)
        await run.refresh()
    assert caplog.text == ""


async def test_refresh_within_a_plan() -> None:
    store = MemoryStore()

    async def main(run: StepRun) -> None:
        await run.submit(Step("a", never))
        await store.mark_done("b", {})
        await run.refresh()
        await run.submit(Group(Step("a", never), Step("b", never)))

    async with run_over(store) as run:
        assert decided(await run.plan(main)) == [("a", "run"), ("a", "skip"), ("b", "skip")]


USES: list[Callable[[Any], Any]] = [
    bool,
    str,
    len,
    iter,
    next,
    reversed,
    hash,
    int,
    float,
    complex,
    round,
    math.trunc,
    math.floor,
    math.ceil,
    operator.index,
    operator.neg,
    operator.not_,
    lambda unknown: unknown.attribute,
    lambda unknown: setattr(unknown, "attribute", 1),
    lambda unknown: unknown["key"],
    lambda unknown: unknown(),
    lambda unknown: 1 in unknown,
    lambda unknown: f"{unknown}",
    lambda unknown: unknown == 1,
    lambda unknown: unknown != 1,
    lambda unknown: unknown < 1,
    lambda unknown: unknown + 1,
    lambda unknown: 1 + unknown,
    lambda unknown: 2**unknown,
    lambda unknown: unknown | {},
    lambda unknown: [*unknown],
    lambda unknown: unknown.__enter__(),
]


@pytest.mark.parametrize("use", USES)
def test_any_use_of_what_is_unknown_ends_the_plan(use: Callable[[Any], Any]) -> None:
    with pytest.raises(PlanEndsError, match="the result of load"):
        use(Unknown("load"))


async def test_awaiting_what_is_unknown_ends_the_plan() -> None:
    unknown: Any = Unknown("load")
    with pytest.raises(PlanEndsError):
        await unknown


def test_handing_on_what_is_unknown_is_no_use_of_it() -> None:
    unknown = Unknown("load")
    assert repr([unknown]) == "[<unknown result of load>]"
    assert unknown is not None
    assert copy.copy(unknown) is copy.deepcopy([unknown])[0] is unknown


async def test_each_submission_of_a_step_tells_its_own_withdrawals() -> None:
    async with run_over(MemoryStore({"a": {}, "b": {}})) as run:
        step = Step("a", never, force=True, force_steps_if_executed=["b"])
        plan = await run.plan([step, step])
        assert [planned.withdraws for planned in plan.decisions] == [("a", "b"), ("a",)]
