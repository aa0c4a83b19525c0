import logging
from typing import Any

import anyio
import pytest
from run_support import fails, noop, run_over, story

from asyncsteps import (
    Activity,
    ActivityTask,
    Chain,
    Group,
    MarkerTask,
    MemoryStore,
    SignalTask,
    Step,
    StepDeadlockError,
    StepDefinitionError,
    StepFailedError,
    WaitForSignal,
    activity,
)
from asyncsteps.testing import run_virtually


def add(left: int, right: int) -> int:
    return left + right


@activity
async def echo(value: Any = None) -> Any:
    return value


class Doubling:
    def __init__(self, number: int) -> None:
        self.number = number

    def execute(self) -> int:
        return 2 * self.number


async def test_every_form_is_a_member() -> None:
    async with run_over(MemoryStore()) as run:
        assert await run.submit(
            Group(echo, (add, 1, 2), echo("task"), (Doubling, 4), Chain(echo(1), echo(2)), (Group(echo(3)),))
        ) == [None, 3, "task", 8, [1, 2], [3]]
        assert await run.submit((add, 3, 4)) == 7
        assert await run.submit(add, 3, right=5) == 8
        assert await run.submit(Doubling, 5) == 10
        assert await run.submit(Group()) == []
        assert await run.submit(Chain()) == []


async def test_members_may_be_added() -> None:
    group = Group()
    group.append(add, 1, right=2)
    group += [echo(5), (add, 2, 2)]
    assert len(group) == 3
    async with run_over(MemoryStore()) as run:
        assert await run.submit(group) == [3, 5, 4]


@pytest.mark.parametrize(
    ("bad", "remedy"),
    [
        ([noop, noop], "Chain"),
        ({noop}, "Group"),
        ((each for each in [noop]), "Chain"),
        ((), "empty tuple"),
        ((5, 6), "not callable"),
        ((Group(), 6), "only a callable takes arguments"),
        (5, "a callable, a tuple"),
        (None, "a callable, a tuple"),
        (Step, "make an instance"),
    ],
)
def test_what_cannot_be_submitted_is_refused_with_the_remedy(bad: Any, remedy: str) -> None:
    for make in (Group, Chain, lambda given: Step("a", given)):
        with pytest.raises(StepDefinitionError, match=remedy):
            make(bad)


def test_a_coroutine_is_refused_and_closed() -> None:
    with pytest.raises(StepDefinitionError, match="not a call of it"):
        Group(noop())  # type: ignore[arg-type] # a warning that nobody awaited it would fail this test


async def test_a_recorded_marker_is_refused_with_the_remedy() -> None:
    async with run_over(MemoryStore()) as run:
        with pytest.raises(StepDefinitionError, match="MarkerTask"):
            await run.submit(run.record_marker("mine"))  # type: ignore[call-overload]


def test_bad_options_are_refused() -> None:
    for bad in (0, -1, True, "two"):
        with pytest.raises(StepDefinitionError, match="max_parallel"):
            Group(max_parallel=bad)  # type: ignore[arg-type] # that is the point
    with pytest.raises(StepDefinitionError, match="break_on_failure"):
        Chain(send_result=True, break_on_failure=False)
    with pytest.raises(StepDefinitionError, match="takes no arguments"):
        Group().append(Group(), 1)  # type: ignore[call-overload] # likewise
    for bad_receiver in (Group(), Step("a", noop), MarkerTask("m"), WaitForSignal("s")):
        with pytest.raises(StepDefinitionError, match="send_result"):
            Chain(noop, bad_receiver, send_result=True)


async def test_a_chain_sends_each_result_to_the_next() -> None:
    async with run_over(MemoryStore()) as run:
        chain = Chain((add, 1, 2), (add, 10), (add, 100), send_result=True)
        assert await run.submit(chain) == [3, 13, 113]
        assert await run.submit(chain) == [3, 13, 113]  # its tasks are as they were
        first_a_step = Chain(Step("a", (add, 1, 1)), (add, 5), SignalTask("told"), send_result=True)
        assert (await run.submit(first_a_step))[1] == 7
        assert (await run.wait_signal("told")).args == (7,)


async def test_a_chain_plays_in_order_and_ends_at_the_first_failure() -> None:
    played: list[int] = []
    async with run_over(MemoryStore()) as run:
        with pytest.raises(ValueError, match="no luck") as caught:
            await run.submit(Chain((played.append, 1), fails, (played.append, 2)))
        assert played == [1]
        assert any("fails" in note for note in caught.value.__notes__)
        assert run.failures == []  # the caller has it


async def test_a_chain_that_goes_on_raises_all_its_failures_together() -> None:
    played: list[int] = []
    async with run_over(MemoryStore()) as run:
        with pytest.raises(ExceptionGroup, match="2 of the 3 members of a chain failed") as caught:
            await run.submit(Chain(fails, (played.append, 1), fails, break_on_failure=False))
    assert played == [1]
    assert [str(error) for error in caught.value.exceptions] == ["no luck", "no luck"]


async def test_a_group_lets_siblings_finish_and_raises_the_failures_together() -> None:
    played: list[int] = []
    started = anyio.Event()

    async def after_the_failure() -> None:
        await started.wait()
        await anyio.wait_all_tasks_blocked()
        played.append(1)

    async def fails_first() -> None:
        started.set()
        raise ValueError("no luck")

    async with run_over(MemoryStore()) as run:
        with pytest.raises(ExceptionGroup) as caught:
            await run.submit(Group(after_the_failure, fails_first))
    assert played == [1]
    assert [type(error) for error in caught.value.exceptions] == [ValueError]


async def test_a_container_that_does_not_bubble_logs_and_lists_its_failures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    played: list[int] = []
    async with run_over(MemoryStore()) as run:
        quiet = Group(fails, echo(2), bubbles_exception_on_failure=False)
        assert await run.submit(Chain(quiet, (played.append, 1))) == [[None, 2], None]
        assert [str(error) for error in run.failures] == ["no luck"]
        with pytest.raises(ExceptionGroup, match="1 failures"):
            run.raise_for_failures()
    assert played == [1]
    assert "no luck" in caplog.text


async def test_raises_on_failure_false() -> None:
    quiet: Activity[[], Any] = activity(raises_on_failure=False)(fails)
    async with run_over(MemoryStore()) as run:
        assert await run.submit(Chain(Chain(quiet, bubbles_exception_on_failure=False))) == [[None]]
        assert await run.submit(quiet) is None
        assert len(run.failures) == 2
        with pytest.raises(ValueError, match="no luck"):
            await run.submit(Chain(quiet))  # it still counts as a failure of what surrounds it
        assert await run.submit(Group(fails, echo(1), raises_on_failure=False)) == [None, 1]
        assert await run.submit(Chain(Chain(fails, raises_on_failure=False), echo(1))) == [[None], 1]
        assert len(run.failures) == 4
        bubbling = Chain(fails, raises_on_failure=False, bubbles_exception_on_failure=True)
        with pytest.raises(ExceptionGroup):
            await run.submit(Group(bubbling))


async def test_propagated_attributes_reach_all_activities_and_alternatives() -> None:
    inner, alternative = echo(1), echo(2)
    step = Step("a", Chain(Group(inner)), activities_if_step_already_done=alternative)
    Chain(step, SignalTask("s"), raises_on_failure=False)
    assert inner.attributes.raises_on_failure is False
    assert alternative.attributes.raises_on_failure is False
    bare = Step("b", noop)
    bare.propagate_attribute("retry", 3)
    assert isinstance(bare.activities, ActivityTask)
    assert bare.activities.attributes.retry == 3


def test_max_parallel_bounds_a_groups_members() -> None:
    under_way = peak = 0

    async def counted(number: int) -> int:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await anyio.sleep(1)
        under_way -= 1
        return number

    async def main() -> None:
        nonlocal peak
        async with run_over(MemoryStore()) as run:
            assert await run.submit(Group(*((counted, n) for n in range(20)), max_parallel=3)) == list(range(20))
            assert peak == 3
            peak = 0
            await run.submit(Group(*((counted, n) for n in range(5)), max_parallel=1))
            assert peak == 1
        async with run_over(MemoryStore(), max_parallel=2) as run:
            peak = 0
            await run.submit(Group(*(Group(*((counted, n) for n in range(5))) for _ in range(5))))
            assert peak == 2

    run_virtually(main())


async def test_steps_in_containers() -> None:
    async with run_over(MemoryStore()) as run:
        outcomes = await run.submit(Chain(Step("a", fails), Step("b", echo("fine"))))
        assert [outcome.status for outcome in outcomes] == ["failed", "completed"]
        assert outcomes[1].result == "fine"
        with pytest.raises(StepFailedError, match="step 'c' failed: ValueError: no luck"):
            await run.submit(Chain(Step("c", fails, bubbles_exception_on_failure=True), Step("d", noop)))
        with pytest.raises(ExceptionGroup) as caught:
            await run.submit(Group(Step("e", fails, bubbles_exception_on_failure=True), Step("f", noop)))
        assert [type(error) for error in caught.value.exceptions] == [StepFailedError]
        assert ("d", "scheduled") not in story(run)
        assert ("f", "completed") in story(run)


async def test_a_step_within_its_own_activities_is_a_clear_error() -> None:
    async with run_over(MemoryStore()) as run:
        with pytest.raises(StepDeadlockError, match="a -> a"):
            await run.submit(Step("a", Chain(Step("a", noop))))

        async def submits_itself() -> None:
            await run.submit(Step("b", noop))

        outcome = await run.submit(Step("b", submits_itself))
        assert isinstance(outcome.error, StepDeadlockError)


async def test_steps_that_wait_for_each_other_are_a_clear_error() -> None:
    async with run_over(MemoryStore()) as run:
        begun = {name: anyio.Event() for name in "ab"}

        async def then(own: str, other: str) -> Any:
            begun[own].set()
            await begun[other].wait()
            return await run.submit(Step(other, noop))

        outcomes = await run.submit(Group(Step("a", (then, "a", "b")), Step("b", (then, "b", "a"))))
        statuses = sorted(outcome.status for outcome in outcomes)
        assert statuses == ["completed", "failed"]
        failed = next(outcome for outcome in outcomes if outcome.error)
        assert isinstance(failed.error, StepDeadlockError)


async def test_markers_and_signals_in_a_chain_come_in_their_turn(caplog: pytest.LogCaptureFixture) -> None:
    async with run_over(MemoryStore()) as run:
        with caplog.at_level(logging.INFO, "asyncsteps"):
            results = await run.submit(
                Chain(
                    SignalTask("go", 1, key=2), WaitForSignal("go"), MarkerTask("mine", {"n": 1}), Step("a", noop)
                )
            )
        assert results[0] is None
        assert (results[1].args, results[1].kwargs) == ((1,), {"key": 2})
        assert results[2].details == {"n": 1}
        assert [marker.name for marker in run.markers] == ["mine", "log.step", "log.step"]
        assert repr([SignalTask("a"), WaitForSignal("b"), MarkerTask("c"), Step("d", noop), Group(), Chain()]) == (
            "[<signal a>, <wait for signal b>, <marker c>, <step d>, <group of 0>, <chain of 0>]"
        )
    with pytest.raises(StepDefinitionError, match="no JSON"):
        async with run_over(MemoryStore()) as run:
            await run.submit(Group(MarkerTask("mine", {1, 2})))
    for make in (SignalTask, WaitForSignal, MarkerTask):
        with pytest.raises(StepDefinitionError, match="name"):
            make("")
