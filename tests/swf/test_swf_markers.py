"""Markers that piggyback on decisions, on simulated SWF: their cost, their order, and that none is lost."""

import json
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.canvas import Group
from simpleflow.swf.executor import Executor as SwfExecutor
from simpleflow.task import ActivityTask
from swf_simulator import SimulatedSwf, workflow_class
from swf_workflows import ACTIVITIES, LIST, MARK, WITHDRAW, names, play, sequence, start, strict, task, told

from asyncsteps.swf import Step, WorkflowStepMixin


class TestCosts:
    def test_a_step_takes_14_events_and_2_rounds(self) -> None:
        few, more = play(sequence(names(5))), play(sequence(names(25)))
        assert (len(more.history.events) - len(few.history.events)) / 20 == 14
        assert (more.rounds - few.rounds) / 20 == 2
        assert few.scheduled == [LIST, *["work", MARK] * 5]

    def test_a_skipped_step_takes_its_marker_and_each_hundredth_a_decision_more(self) -> None:
        few, some, more = (play(sequence(names(count)), done=names(count)) for count in (10, 90, 585))
        assert (len(some.history.events) - len(few.history.events)) / 80 == 1
        assert some.rounds == few.rounds
        # A response holds 99 markers, and the decision after it takes 5 events, with its timer.
        assert len(more.history.events) - len(some.history.events) == 495 + 5 * 5
        assert more.rounds - some.rounds == 5
        assert few.scheduled == some.scheduled == more.scheduled == [LIST]

    def test_the_done_steps_are_listed_once(self) -> None:
        swf = play(sequence(names(6)), done=names(6)[::2])
        assert swf.scheduled.count(LIST) == 1
        assert told(swf) == [
            (name, status)
            for index, name in enumerate(names(6))
            for status in (["scheduled", "completed"] if index % 2 else ["skipped"])
        ]

    def test_no_replay_scans_the_markers_of_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def scan(self: Any, a_task: Any, history: Any) -> None:
            raise AssertionError(a_task)

        monkeypatch.setattr(SwfExecutor, "find_marker_event", scan)
        assert play(sequence(names(5)), done=names(3)).status == "completed"


class TestMarkers:
    def test_each_is_recorded_once_in_order_whatever_the_replays(self) -> None:
        swf = play(sequence(names(30)), done=names(30)[10:20])
        expected: list[tuple[str, str]] = []
        for index, name in enumerate(names(30)):
            expected += [(name, "skipped")] if 10 <= index < 20 else [(name, "scheduled"), (name, "completed")]
        assert told(swf) == expected

    def test_more_than_one_response_holds_go_out_in_several(self) -> None:
        swf = play(sequence(names(450)), done=names(450))
        assert told(swf) == [(name, "skipped") for name in names(450)]
        markers = [sum(it["decisionType"] == "RecordMarker" for it in response) for response in swf.responses]
        assert markers == [0, 99, 99, 99, 99, 54, 0]
        assert max(len(response) for response in swf.responses) == 100

    @pytest.mark.parametrize("count", range(96, 103))
    def test_a_withdrawal_and_its_marker_never_part(self, count: int) -> None:
        def run(self: Any) -> None:
            for name in names(count):
                futures.wait(self.submit(Step(name, task())))
            self.add_forced_steps("last")
            futures.wait(self.submit(Step("last", task())))

        swf = play(run, done=[*names(count), "last"])
        for response in swf.responses:
            kinds = [it["decisionType"] for it in response]
            assert ("ScheduleActivityTask" in kinds) or not any(
                '"step":"last"' in it["recordMarkerDecisionAttributes"]["details"]
                and '"scheduled"' in it["recordMarkerDecisionAttributes"]["details"]
                for it in response
                if it["decisionType"] == "RecordMarker"
            )
        assert swf.scheduled == [LIST, WITHDRAW, "work", MARK]
        assert told(swf)[-2:] == [("last", "scheduled"), ("last", "completed")]

    def test_side_by_side_they_come_in_order_of_submission(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Group(*(Step(name, task()) for name in names(4)))))

        for one_at_a_time in (False, True):
            swf = play(run, one_at_a_time=one_at_a_time)
            assert told(swf)[:4] == [(name, "scheduled") for name in names(4)]
            assert sorted(told(swf)[4:]) == [(name, "completed") for name in names(4)]

    @pytest.mark.parametrize("reasons", [["x" * 40_000], [f"reason {number:04}" for number in range(3_000)]])
    def test_name_as_many_reasons_as_they_can_hold(self, reasons: list[str]) -> None:
        def run(self: Any) -> None:
            for reason in reasons:
                self.add_forced_steps("a", reason)
            futures.wait(self.submit(Step("a", task(), force=True)))

        swf = play(run)
        assert told(swf) == [("a", "scheduled"), ("a", "completed")]
        for marker in swf.markers:
            *told_of, rest = marker["reasons"]
            assert told_of == reasons[: len(told_of)]
            assert rest == f"and {len(reasons) + 1 - len(told_of)} more"
        assert len(reasons) == 1 or 32_700 < max(map(len, swf.marker_texts)) <= 32_768

    def test_a_users_markers_are_as_ever(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(self.record_marker("mine", {"a": 1})))
            for foreign in ("not one of ours", None, {"step": 7}, {"step": "a", "status": "other"}):
                futures.wait(self.submit(self.record_marker("log.step", foreign)))
            futures.wait(self.submit(Step("a", task())))
            futures.wait(self.submit(self.record_marker("mine", {"a": 2})))

        swf = play(run)
        assert swf.marker_texts[0] == '{"a":1}'
        assert swf.marker_texts[1] == '"not one of ours"'
        assert [json.loads(text).get("status") for text in swf.marker_texts[4:]] == [
            "scheduled",
            "completed",
            None,
        ]

    def test_a_workflow_may_record_markers_its_own_way(self) -> None:
        seen: list[Any] = []

        def record_marker(self: Any, name: str, details: Any = None) -> Any:
            seen.append((name, details))
            return Workflow.record_marker(self, name, details)

        swf = play(sequence(["a"]), attributes={"record_marker": record_marker})
        assert told(swf) == [("a", "scheduled"), ("a", "completed")]
        assert [name for name, _ in seen] == ["log.step"] * 2


class TestFlush:
    def test_before_completion(self) -> None:
        swf = play(sequence(["a"]))
        *_, flush, closing = swf.responses
        assert [it["decisionType"] for it in flush] == ["RecordMarker", "StartTimer"]
        assert [it["decisionType"] for it in closing] == ["CompleteWorkflowExecution"]

    def test_before_failure(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", task())))
            raise ValueError("no more")

        swf = play(run)
        assert swf.status == "failed"
        assert "no more" in swf.result["reason"]
        assert told(swf) == [("a", "scheduled"), ("a", "completed")]

    def test_before_the_failure_of_an_activity_that_raises(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", task())))
            futures.wait(self.submit(Step("b", ActivityTask(strict, "fail"))))

        swf = play(run)
        assert swf.status == "failed"
        assert told(swf) == [("a", "scheduled"), ("a", "completed"), ("b", "scheduled")]
        assert swf.done == {"a"}

    def test_before_the_workflow_fails_itself(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", task())))
            self.fail("on purpose")

        swf = play(run)
        assert swf.status == "failed"
        assert told(swf) == [("a", "scheduled"), ("a", "completed")]

    def test_before_it_continues_as_new(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", task())))
            futures.wait(self.submit(self.continue_as_new()))

        swf = play(run)
        assert swf.status == "continued"
        assert told(swf) == [("a", "scheduled"), ("a", "completed")]
        again = play(sequence(["a", "b"]), done=swf.done)
        assert told(again) == [("a", "skipped"), ("b", "scheduled"), ("b", "completed")]

    def test_what_nobody_waits_for_is_dropped_as_in_simpleflow(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", task())))
            self.submit(task("never"))

        swf = play(run)
        assert swf.scheduled == [LIST, "work", MARK]

    def test_is_not_tried_for_ever_when_swf_refuses_markers(self, caplog: pytest.LogCaptureFixture) -> None:
        swf = start(sequence(["a"]), done=["a"])
        swf.step()
        swf.advance()
        swf._apply = lambda *a, **k: swf._event(  # type: ignore[method-assign,assignment]
            "RecordMarkerFailed",
            {"markerName": "log.step", "cause": "OPERATION_NOT_PERMITTED", "decisionTaskCompletedEventId": 1},
        )
        swf.step()
        del swf._apply
        swf.signal("wake up")
        swf.run()
        assert swf.status == "completed"
        assert "swf:RecordMarker" in caplog.text

    def test_happens_once_where_run_calls_the_base_class(self) -> None:
        base = workflow_class(Workflow, WorkflowStepMixin, run=sequence(["a"]))

        class Derived(base):  # type: ignore[misc,valid-type]
            def run(self, *args: Any, **kwargs: Any) -> None:
                super().run(*args, **kwargs)
                futures.wait(self.submit(Step("b", task())))

        class Same(Derived):
            pass

        for workflow in (Derived, Same):
            swf = SimulatedSwf(workflow, activities=ACTIVITIES).run()
            assert told(swf) == [
                ("a", "scheduled"),
                ("a", "completed"),
                ("b", "scheduled"),
                ("b", "completed"),
            ]
            assert swf.count()["Timer:started"] == 1

    def test_needs_no_run_of_its_own_class(self) -> None:
        base = workflow_class(Workflow, run=sequence(["a"]))
        derived = type("Derived", (base, WorkflowStepMixin), {})
        swf = SimulatedSwf(derived, activities=ACTIVITIES).run()
        assert told(swf) == [("a", "scheduled"), ("a", "completed")]


def test_outside_of_a_wrapped_run_markers_wait_as_in_simpleflow() -> None:
    workflow = workflow_class(Workflow, WorkflowStepMixin, run=sequence(["a"]))
    workflow.run = sequence(["x", "y"], force_steps_if_executed=["z"])
    swf = SimulatedSwf(workflow, done={"y", "z"}, activities=ACTIVITIES).run()
    assert told(swf) == [("x", "scheduled"), ("x", "completed"), ("y", "skipped")]
    assert swf.scheduled == [LIST, WITHDRAW, "work", MARK]
    assert swf.done == {"x", "y"}
