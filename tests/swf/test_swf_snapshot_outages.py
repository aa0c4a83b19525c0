"""Snapshots of done steps that a decider cannot read: it waits, lists anew, or has the list come in parts."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.canvas import Chain, Group
from swf_simulator import SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, names, sequence, task, told

from asyncsteps import AccessDeniedError, EndpointUnreachableError, StoreError, ThrottledError
from asyncsteps.swf import DoneListError, WorkflowStepMixin
from asyncsteps.swf._constants import SNAPSHOT_WAITS
from asyncsteps.swf._done.payload import Snapshot, part_form, snapshot_form
from asyncsteps.swf._steps import done_list

BUCKET = "simulated-bucket"
TRANSIENT = [StoreError, ThrottledError, EndpointUnreachableError]
WANTED = ["step-00003", "new", "step-00097"]
TOLD = [("step-00003", "skipped"), ("new", "scheduled"), ("new", "completed"), ("step-00097", "skipped")]

Fault = Callable[[int], Exception | None]
"""What the n-th attempt to read a snapshot raises, n counting from 1."""


class Snapshots:
    """A bucket of snapshots in memory, which every listing writes, and which is read as ``fault`` lets it."""

    def __init__(self) -> None:
        self.fault: Fault = lambda attempt: None
        self.gone = False
        self.attempts = 0
        self._written: dict[str, list[str]] = {}

    async def read(self, bucket: str, snapshot: Snapshot) -> list[str] | None:
        self.attempts += 1
        error = self.fault(self.attempts)
        if error is not None:
            raise error
        return None if self.gone else self._written[snapshot.name]

    def play(self, swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name.endswith(LIST) and kwargs.get("or_count"):
            return len(swf.done)
        if not name.endswith(LIST) or not kwargs.get("compact"):
            return play_activity(swf, name, args, kwargs)
        done = [done for done in sorted(swf.done) if done > kwargs.get("after", "")]
        if kwargs.get("after"):
            return part_form(done, limit=150)
        snapshot = Snapshot("snapshots/", f"list-{len(self._written)}", len(done))
        self._written[snapshot.name] = done
        return snapshot_form(snapshot)


@pytest.fixture
def snapshots(monkeypatch: pytest.MonkeyPatch) -> Snapshots:
    snapshots = Snapshots()
    monkeypatch.setattr(done_list, "read_snapshot", snapshots.read)
    return snapshots


def start(snapshots: Snapshots, run: Any = None, **options: Any) -> SimulatedSwf:
    workflow = workflow_class(Workflow, WorkflowStepMixin, run=run or sequence(WANTED))
    return SimulatedSwf(workflow, done=set(names(100)), activities=ACTIVITIES, play=snapshots.play, **options)


def play(swf: SimulatedSwf) -> SimulatedSwf:
    """Play to the end, each decision in a process of its own, as a decider forks."""
    while swf.status == "open":
        done_list._snapshots.clear()
        swf.step()
        if swf.status == "open":
            assert swf.advance(), f"it hangs after {swf.event_types[-10:]}"
        assert swf.rounds < 100, "it does not end"
    return swf


def waits(swf: SimulatedSwf) -> list[int]:
    """The seconds of the timers that a decider waited for."""
    return [
        int(decision["startTimerDecisionAttributes"]["startToFireTimeout"])
        for response in swf.responses
        for decision in response
        if decision["decisionType"] == "StartTimer"
        and decision["startTimerDecisionAttributes"]["timerId"].startswith("asyncsteps-snapshot-")
    ]


def fail(times: int, error: type[Exception], *, first: int = 1) -> Fault:
    return lambda attempt: error("no answer today") if first <= attempt < first + times else None


class TestWhileS3DoesNotAnswer:
    @pytest.mark.parametrize("error", TRANSIENT)
    @pytest.mark.parametrize("times", [1, 2, len(SNAPSHOT_WAITS)])
    def test_the_decider_waits_and_the_result_is_the_same(
        self, snapshots: Snapshots, error: type[Exception], times: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        snapshots.fault = fail(times, error)
        swf = play(start(snapshots))
        assert swf.status == "completed"
        assert told(swf) == TOLD
        assert swf.scheduled.count(LIST) == 2  # the first one answers that there are too many
        assert waits(swf) == list(SNAPSHOT_WAITS[:times])
        warned = [record.getMessage() for record in caplog.records if record.name == "asyncsteps.swf"]
        assert len(warned) == times
        for said in warned:
            assert f"s3://{BUCKET}/snapshots/list-0" in said
            assert "no answer today" in said

    def test_it_costs_nothing_while_it_does(self, snapshots: Snapshots) -> None:
        swf = play(start(snapshots))
        assert waits(swf) == []
        assert swf.scheduled.count(LIST) == 2  # the first one answers that there are too many

    def test_after_the_last_attempt_the_list_comes_in_parts(
        self, snapshots: Snapshots, caplog: pytest.LogCaptureFixture
    ) -> None:
        snapshots.fault = fail(1_000, ThrottledError)
        swf = play(start(snapshots))
        assert swf.status == "completed"
        assert told(swf) == TOLD
        assert waits(swf) == list(SNAPSHOT_WAITS)
        assert swf.scheduled.count(LIST) > 2
        assert snapshots.attempts == len(SNAPSHOT_WAITS) + 1
        assert "comes in parts" in caplog.text

    def test_a_timer_that_fires_while_a_decision_is_under_way_counts(self, snapshots: Snapshots) -> None:
        """Its event comes before the completion of that decision, which has not seen it."""
        snapshots.fault = fail(1_000, ThrottledError)
        swf = start(snapshots)
        complete = swf.history.add_decision_task_completed

        def fire_and_complete() -> None:
            for event, timer_id in swf._take(swf._timers):
                swf._event("TimerFired", {"startedEventId": event, "timerId": timer_id})
            complete()

        swf.history.add_decision_task_completed = fire_and_complete
        while swf.status == "open" and swf.rounds < 100:
            done_list._snapshots.clear()
            swf.step()
            if swf.status == "open" and swf._timers:
                swf.signal("wake")
            elif swf.status == "open" and not swf.advance():
                swf.history.add_decision_task_scheduled()
                swf.history.add_decision_task_started(swf.history.last_id)
        assert swf.status == "completed"
        assert told(swf) == TOLD
        assert waits(swf) == list(SNAPSHOT_WAITS)

    def test_the_attempts_of_each_outage_count_apart(self, snapshots: Snapshots) -> None:
        faults = (fail(2, StoreError), fail(3, StoreError, first=4))
        snapshots.fault = lambda attempt: next((it for it in (fault(attempt) for fault in faults) if it), None)
        swf = play(start(snapshots))
        assert waits(swf) == [*SNAPSHOT_WAITS[:2], *SNAPSHOT_WAITS[:3]]
        assert told(swf) == TOLD

    def test_other_work_goes_on_and_nothing_is_read(self, snapshots: Snapshots) -> None:
        def run(self: Any) -> None:
            steps = [self.step(name, task(name)) for name in WANTED]
            futures.wait(self.submit(Group(*steps, Chain(task("before"), task("other"), task("more")))))

        snapshots.fault = fail(1, StoreError)
        swf = start(snapshots, run, one_at_a_time=True)
        for _ in "the count", "before", "the list":
            swf.step()
            swf.advance()
        swf.step()
        timers, swf._timers = swf._timers, []
        assert snapshots.attempts == 1
        for next_decisions in ["ScheduleActivityTask"], []:
            swf.advance()
            assert [it["decisionType"] for it in swf.step()] == next_decisions
        assert [args for name, args in swf.calls if name == "work"] == [["before"], ["other"], ["more"]]
        assert snapshots.attempts == 1
        swf._timers = timers
        swf.advance()
        play(swf)
        assert snapshots.attempts > 1
        assert sorted(told(swf)) == sorted(TOLD)

    def test_get_steps_done_waits_too(self, snapshots: Snapshots) -> None:
        def run(self: Any) -> Any:
            return len(self.get_steps_done())

        snapshots.fault = fail(3, EndpointUnreachableError)
        swf = play(start(snapshots, run))
        assert swf.result["result"] == "100"
        assert waits(swf) == list(SNAPSHOT_WAITS[:3])

    def test_each_prefix_waits_by_a_timer_of_its_own(self, snapshots: Snapshots) -> None:
        def run(self: Any) -> None:
            submitted = []
            for self.prefix in ("one/", "two/"):
                submitted.append(self.submit(self.step(f"new.{self.prefix[:3]}", task())))
            futures.wait(*submitted)

        snapshots.fault = fail(2, StoreError)
        workflow = workflow_class(
            Workflow, WorkflowStepMixin, run=run, get_step_path_prefix=lambda self: self.prefix
        )
        swf = play(SimulatedSwf(workflow, done=set(names(9)), activities=ACTIVITIES, play=snapshots.play))
        assert waits(swf) == [SNAPSHOT_WAITS[0]] * 2
        assert {name for name, status in told(swf) if status == "completed"} == {"new.one", "new.two"}

    def test_where_swf_refuses_timers_the_list_comes_in_parts(
        self, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        snapshots.fault = fail(1_000, StoreError)
        swf = start(snapshots)
        for _ in range(2):
            swf.step()
            swf.advance()
        done_list._snapshots.clear()

        def refuse(decision: dict[str, Any], completed: int, *, last: bool) -> None:
            timer_id = decision["startTimerDecisionAttributes"]["timerId"]
            refused = {"timerId": timer_id, "cause": "OPERATION_NOT_PERMITTED"}
            swf._event("StartTimerFailed", {**refused, "decisionTaskCompletedEventId": completed})

        with monkeypatch.context() as patched:
            patched.setattr(swf, "_apply", refuse)
            swf.step()
        swf.signal("wake up")
        play(swf)
        assert told(swf) == TOLD
        assert snapshots.attempts == 2


class TestWhatCannotBeRead:
    @pytest.mark.parametrize("error", [AccessDeniedError, DoneListError])
    def test_comes_in_parts_at_once_and_the_log_says_why(
        self, snapshots: Snapshots, error: type[Exception], caplog: pytest.LogCaptureFixture
    ) -> None:
        # Were it read again, the list would change between the snapshot and what was listed later.
        snapshots.fault = fail(1, error)
        swf = play(start(snapshots))
        assert swf.status == "completed"
        assert told(swf) == TOLD
        assert waits(swf) == []
        assert snapshots.attempts == 1
        warned = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert [f"s3://{BUCKET}/snapshots/list-0" in record.getMessage() for record in warned] == [True]
        assert "no answer today" in caplog.text

    def test_that_is_always_gone_is_listed_three_times(
        self, snapshots: Snapshots, caplog: pytest.LogCaptureFixture
    ) -> None:
        snapshots.gone = True
        swf = play(start(snapshots))
        assert swf.status == "completed"
        assert told(swf) == TOLD
        assert snapshots.attempts == 3
        scheduled = [it for it in swf.history.events if (it.type, it.state) == ("ActivityTask", "scheduled")]
        listings = [it.input["kwargs"] for it in scheduled if it.activity_type["name"].endswith(LIST)]
        assert [it.get("or_count") for it in listings] == [True] + [None] * (len(listings) - 1)
        assert [(it.get("again", 0), bool(it.get("after"))) for it in listings[1:5]] == [
            (0, False),
            (1, False),
            (2, False),
            (0, True),
        ]
        assert all(it.get("after") for it in listings[4:])
        assert "lifecycle rule" in caplog.text
        assert "endpoint" in caplog.text

    def test_is_listed_anew_once_and_the_new_list_stays(self, snapshots: Snapshots) -> None:
        snapshots.gone = True
        swf = start(snapshots)
        while swf.scheduled.count(LIST) < 2:
            done_list._snapshots.clear()
            swf.step()
            swf.advance()
        snapshots.gone = False
        attempts = snapshots.attempts
        play(swf)
        assert swf.scheduled.count(LIST) == 2
        assert told(swf) == TOLD
        assert snapshots.attempts > attempts

    def test_a_listing_that_is_gone_and_then_denied_keeps_its_order(self, snapshots: Snapshots) -> None:
        # Ids of activities that are not idempotent count submissions: every replay must ask in the same order.
        snapshots.gone = True
        snapshots.fault = fail(9, AccessDeniedError, first=2)
        swf = start(snapshots)
        swf.workflow.get_step_activity_params = lambda self: {"idempotent": False}
        play(swf)
        assert swf.status == "completed"
        assert told(swf) == TOLD
        assert snapshots.attempts == 2

    def test_ends_the_execution_where_a_worker_answers_with_a_snapshot_again(self, snapshots: Snapshots) -> None:
        def answer(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            return snapshots.play(swf, name, args, {"compact": True} if name.endswith(LIST) else kwargs)

        snapshots.fault = fail(1, AccessDeniedError)
        swf = start(snapshots)
        swf.play = answer
        assert swf.run().status == "failed"
        assert "DoneListError" in swf.result["reason"]


class TestAListThatComesLater:
    @pytest.mark.parametrize("reason", ["gone", "denied"])
    @pytest.mark.parametrize("decided", [1, 2, 3, 4])
    def test_has_what_was_done_at_first(self, snapshots: Snapshots, reason: str, decided: int) -> None:
        def run(self: Any) -> Any:
            self.add_forced_steps(["step-00001", "new.b"], "asked for")
            for name in ("new.a", "step-00001", "new.b", "new.b"):
                step = self.step(name, task(name), force=name == "new.b", force_steps_if_executed=["step-00007"])
                futures.wait(self.submit(step))
            return list(self.get_steps_done()) == names(100)

        swf = start(snapshots, run)
        while sum(status == "scheduled" for _, status in told(swf)) < decided:
            done_list._snapshots.clear()
            swf.step()
            swf.advance()
        if reason == "gone":
            snapshots.gone = True
        else:
            snapshots.fault = fail(1_000, AccessDeniedError, first=snapshots.attempts + 1)
        play(swf)
        assert swf.result == {"result": "true"}
        assert swf.scheduled.count(LIST) > 1
