"""Withdrawals of done marks that fail or are refused, while steps beside them are decided."""

from typing import Any

import pytest
from simpleflow import futures
from simpleflow.canvas import Chain, Group
from simpleflow.exceptions import TaskException
from simpleflow.task import TaskFailureContext
from swf_simulator import ActivityError, SimulatedSwf, play_activity
from swf_switches import doing, job
from swf_workflows import MARK, WITHDRAW, start, told

from asyncsteps.swf import Step

Decision = TaskFailureContext.Decision


def begin(run: Any, **options: Any) -> SimulatedSwf:
    swf = start(run, done=["b"], **options)
    swf.activities = {doing.name: doing}
    return swf


def beside(pauses: int, *, first: bool = True) -> Any:
    """A run in which ``a`` withdraws the mark of ``b``, which comes before it in the code, or after it."""

    def run(self: Any) -> list[Any]:
        slow = Chain(*(job(f"pause {n}") for n in range(pauses)), Step("b", job("b")))
        both = [slow, Step("a", job("a"), force_steps_if_executed=["b"])]
        both = self.submit(Group(*(both if first else reversed(both))))
        futures.wait(both)
        return [str(future.exception) for future in both.futures]

    return run


def failing(times: int) -> Any:
    """Plays the first withdrawals as failures, and the others as they are."""
    left = [times]

    def play(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name.endswith(WITHDRAW) and left[0]:
            left[0] -= 1
            raise ActivityError("no access today")
        return play_activity(swf, name, args, kwargs)

    return play


def handled(
    *decisions: Any, wait: int | None = None, asked: list[Any] | None = None, **params: Any
) -> dict[str, Any]:
    """The attributes of a workflow that answers each failure with the next decision; the last one stays."""

    def on_task_failure(self: Any, context: TaskFailureContext) -> TaskFailureContext:
        attempt = context.attempt_number
        if asked is not None:
            asked.append((attempt, self.executor.history.last_event_id))
        context.decision = decisions[min(attempt, len(decisions)) - 1]
        context.retry_wait_timeout = wait
        return context

    return {"on_task_failure": on_task_failure, "get_step_activity_params": lambda self: params}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("pauses", range(2, 8))
@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize(("decision", "wait"), [(Decision.retry_now, None), (Decision.retry_later, 5)])
def test_a_dependent_waits_for_as_long_as_it_is_retried(
    decision: Any, wait: int | None, one_at_a_time: bool, pauses: int, idempotent: bool, first: bool
) -> None:
    swf = begin(
        beside(pauses, first=first),
        play=failing(3),
        one_at_a_time=one_at_a_time,
        attributes=handled(decision, wait=wait, idempotent=idempotent),
    ).run()
    assert swf.status == "completed"
    assert swf.scheduled.count(WITHDRAW) == 4
    assert swf.scheduled.count(MARK) == 2
    assert swf.done == {"a", "b"}
    assert ("b", "skipped") not in told(swf)


@pytest.mark.parametrize("pauses", range(2, 6))
@pytest.mark.parametrize("decision", [Decision.none, Decision.abort, Decision.ignore])
def test_a_dependent_does_not_wait_for_one_that_is_given_up(decision: Any, pauses: int) -> None:
    swf = begin(
        beside(pauses),
        play=failing(2),
        one_at_a_time=True,
        attributes=handled(Decision.retry_now, decision, raises_on_failure=False, retry=1),
    ).run()
    assert swf.status == "completed"
    assert "b" in swf.done
    assert ("a" in swf.done) == (decision is Decision.ignore)


@pytest.mark.parametrize("pauses", range(2, 6))
def test_nor_for_one_that_is_given_up_before_its_retry_is_used_up(pauses: int) -> None:
    swf = begin(
        beside(pauses),
        play=failing(1),
        one_at_a_time=True,
        attributes=handled(Decision.abort, raises_on_failure=False, retry=5),
    ).run()
    assert swf.status == "completed"
    assert swf.scheduled.count(WITHDRAW) == 1
    assert swf.done == {"b"}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("pauses", range(2, 6))
def test_a_failure_is_asked_about_once_in_a_replay(pauses: int, first: bool) -> None:
    asked: list[Any] = []
    begin(
        beside(pauses, first=first),
        play=failing(2),
        one_at_a_time=True,
        attributes=handled(Decision.retry_now, asked=asked),
    ).run()
    assert [attempt for attempt, _ in asked] == [1, 2]


@pytest.mark.parametrize("pauses", range(2, 6))
def test_one_that_raises_ends_the_execution_from_the_step_that_withdraws(pauses: int) -> None:
    def run(self: Any) -> None:
        slow = self.submit(Chain(*(job(f"pause {n}") for n in range(pauses)), Step("b", job("b"))))
        try:
            first = self.submit(Step("a", job("a"), force_steps_if_executed=["b"]))
        except TaskException:
            first = self.submit(Step("c", job("c")))
        futures.wait(first, slow)

    swf = begin(run, play=failing(2), one_at_a_time=True).run()
    assert swf.status == "completed"
    assert swf.scheduled.count(WITHDRAW) == 2
    assert swf.done == {"b", "c"}


@pytest.mark.parametrize("pauses", range(2, 6))
@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_dependent_waits_for_one_that_swf_has_refused(pauses: int, one_at_a_time: bool) -> None:
    swf = begin(
        beside(pauses),
        one_at_a_time=one_at_a_time,
        refuse_first={f"asyncsteps.swf.tasks.{WITHDRAW}"},
    ).run()
    assert swf.status == "completed"
    assert swf.done == {"a", "b"}
    assert ("b", "skipped") not in told(swf)
