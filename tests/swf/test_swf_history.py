"""Decisions that the history fixes, outcomes and listings, on simulated SWF."""

import json
import logging
from typing import Any

import pytest
from simpleflow import futures
from simpleflow.canvas import Chain, Group
from simpleflow.task import ActivityTask
from swf_simulator import ActivityError, SimulatedSwf, play_activity
from swf_workflows import LIST, WITHDRAW, play, sequence, start, strict, task, told, work

from asyncsteps import StepNameError
from asyncsteps.swf import Step
from asyncsteps.swf._steps.submission import step_future


class TestFixedDecisions:
    def test_later_selectors_do_not_change_what_is_decided(self) -> None:
        def run_with_signal(self: Any) -> None:
            if self.get_event_details("signal", "force"):
                self.add_forced_steps("*", "signalled")
            futures.wait(self.submit(Step("a", task())), self.submit(task("slow")))
            futures.wait(self.submit(Step("b", task())))

        swf = start(run_with_signal, done=["a", "b"], one_at_a_time=True)
        swf.step()
        swf.advance()
        swf.step()  # a is skipped
        swf.signal("force")
        swf.run()
        assert [(it["step"], it["status"], it["forced"]) for it in swf.markers] == [
            ("a", "skipped", False),
            ("b", "scheduled", True),
            ("b", "completed", True),
        ]

    def test_the_second_submission_of_a_name_waits_for_the_first(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Group(Step("a", task(1)), Step("a", task(2)), Step("a", task(3)))))

        for one_at_a_time in (False, True):
            swf = play(run, one_at_a_time=one_at_a_time)
            assert told(swf) == [("a", "scheduled"), ("a", "completed"), ("a", "skipped"), ("a", "skipped")]
            assert [args for name, args in swf.calls if name == "work"] == [[1]]

    def test_the_second_plays_when_the_first_failed(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Group(Step("a", task("fail")), Step("a", task("well")))))

        swf = play(run)
        assert told(swf) == [("a", "scheduled"), ("a", "scheduled"), ("a", "completed")]
        assert swf.done == {"a"}

    def test_the_second_plays_when_the_first_raised_and_was_caught(self) -> None:
        def run(self: Any) -> None:
            from simpleflow.exceptions import TaskException

            try:
                futures.wait(self.submit(Step("a", ActivityTask(strict, "fail"))))
            except TaskException:
                futures.wait(self.submit(Step("a", task("well"))))

        swf = play(run)
        assert swf.status == "completed"
        assert told(swf) == [("a", "scheduled"), ("a", "scheduled"), ("a", "completed")]

    def test_a_forced_second_submission_plays_again(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", task(1))))
            futures.wait(self.submit(Step("a", task(2), force=True)))

        swf = play(run)
        assert [it["reasons"] for it in swf.markers] == [[], [], ["Step is forced"], ["Step is forced"]]
        assert [args for name, args in swf.calls if name == "work"] == [[1], [2]]
        assert swf.scheduled.count(WITHDRAW) == 1  # of the first's mark: a failure of the second leaves it undone
        assert swf.done == {"a"}

    def test_what_the_run_played_is_not_forced_again_by_what_came_before(self) -> None:
        swf = play(sequence(["a", "a"]), kwargs={"force": "a"})
        assert told(swf) == [("a", "scheduled"), ("a", "completed"), ("a", "skipped")]


class TestOutcomes:
    @pytest.mark.parametrize("state", ["set_running", "set_cancelled"])
    def test_the_state_of_the_chain_is_the_state_of_the_step(self, state: str) -> None:
        inner = futures.Future()
        getattr(inner, state)()
        assert step_future(inner).state == inner.state

    def test_a_failing_step_is_logged_once_and_holds_nothing_up(self, caplog: pytest.LogCaptureFixture) -> None:
        def run(self: Any) -> Any:
            failing = self.submit(Step("a", task("fail")))
            futures.wait(failing)
            assert failing.exception is None
            futures.wait(self.submit(Step("b", task())))

        swf = play(run)
        assert told(swf) == [("a", "scheduled"), ("b", "scheduled"), ("b", "completed")]
        assert swf.done == {"b"}
        assert sum("step 'a' failed" in record.message for record in caplog.records) == 1

    def test_a_failure_bubbles_where_asked(self) -> None:
        def run(self: Any) -> Any:
            inner = Step("a", task("fail"), bubbles_exception_on_failure=True)
            future = self.submit(Chain(inner, Step("b", task())))
            futures.wait(future)
            return type(future.exception).__name__

        swf = play(run)
        assert swf.result["result"] == '"AggregateException"'
        assert told(swf) == [("a", "scheduled")]

    def test_the_result_has_simpleflows_shape(self) -> None:
        def run(self: Any) -> Any:
            future = self.submit(Step("a", task("result"), emit_signal=True))
            futures.wait(future)
            return future.result[-1][1]

        assert play(run).result["result"] == '"result"'

    def test_a_skipped_step_plays_its_alternative_before_its_marker(self) -> None:
        def run(self: Any) -> Any:
            step = Step("a", task("not played"), activities_if_step_already_done=task("instead"))
            futures.wait(self.submit(step))

        swf = play(run, done=["a"])
        assert [args for name, args in swf.calls if name == "work"] == [["instead"]]
        events = swf.event_types
        assert events.index("Marker:recorded") > len(events) - events[::-1].index("ActivityTask:completed") - 1

    def test_the_signal_is_sent_once_after_the_marker(self) -> None:
        swf = play(sequence(["a", "b"], emit_signal=True), done=["b"])
        signals = [event for event in swf.history.events if event.state == "signal_execution_initiated"]
        assert [event.signal_name for event in signals] == ["step.a", "step.b"]
        assert [event.input["__propagate"] for event in signals] == [False, False]
        kinds = swf.event_types
        assert kinds.index("ExternalWorkflowExecution:signal_execution_initiated") > kinds.index("Marker:recorded")

    def test_a_key_that_would_be_too_long_is_refused_before_the_work(self) -> None:
        swf = play(sequence(["a" * 1020]))
        assert swf.status == "failed"
        assert StepNameError.__name__ in swf.result["details"]
        assert swf.scheduled == []


class TestListing:
    def test_that_fails_fails_the_step_where_it_does_not_end_the_workflow(self) -> None:
        def fail_to_list(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith(LIST):
                raise ActivityError("no list today")
            return play_activity(swf, name, args, kwargs)

        def run(self: Any) -> Any:
            future = self.submit(Step("a", task()))
            futures.wait(future)
            return str(future.exception), self.get_steps_done()

        lenient = {"raises_on_failure": False, "retry": 0}
        swf = play(run, play=fail_to_list, attributes={"get_step_activity_params": lambda self: lenient})
        error, names = json.loads(swf.result["result"])
        assert "no list today" in error
        assert names == []
        assert swf.markers == []
        assert play(run, play=fail_to_list).status == "failed"

    def test_a_workflows_own_listing_is_used(self) -> None:
        def get_steps_done_activity(self: Any) -> Any:
            return ActivityTask(work, ["a"])

        swf = play(sequence(["a", "b"]), attributes={"get_steps_done_activity": get_steps_done_activity})
        assert told(swf)[0] == ("a", "skipped")
        assert LIST not in swf.scheduled

    def test_get_steps_done_gives_the_list_that_decides(self) -> None:
        def run(self: Any) -> Any:
            futures.wait(self.submit(Step("x", task())))
            names = self.get_steps_done()
            return [names[0], names[-1], len(names)]

        swf = play(run, done=["x", *(f"a.{number:05d}" for number in range(20_000))])
        assert swf.scheduled == [LIST, LIST]  # the first one answers that there are too many
        assert json.loads(swf.result["result"]) == ["a.00000", "x", 20_001]

    def test_the_whole_list_activity_gives_plain_names(self) -> None:
        def run(self: Any) -> Any:
            return self.submit(self.get_steps_done_activity()).result

        assert json.loads(play(run, done=["x", "y"]).result["result"]) == ["x", "y"]


def test_a_long_history_is_warned_about_once_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    swf = start(sequence(["a"]), done=["a"])
    with caplog.at_level(logging.WARNING, "asyncsteps.swf"):
        swf.step()
        assert caplog.records == []
        while len(swf.history.events) < 20_000:
            swf._event("WorkflowExecutionSignaled", {"signalName": "filler", "input": "{}"})
        swf.advance()
        count = len(swf.history.events)
        swf.step()
        assert [str(count) in record.message for record in caplog.records] == [True]
        assert "25000" in caplog.text
        assert "continue as new" in caplog.text
        swf.run()
        assert len(caplog.records) == 1
