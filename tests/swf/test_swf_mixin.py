"""`WorkflowStepMixin`: its hooks and their defaults, what overriding does, and steps on the local executor."""

import logging
from typing import Any

import pytest
from servers import MotoServer
from simpleflow import Workflow, activity, futures, settings
from simpleflow.canvas import Chain
from simpleflow.exceptions import TaskFailed
from simpleflow.local import Executor
from simpleflow.step import constants as simpleflow_constants
from simpleflow.step.submittable import Step as TheirStep
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from simpleflow.task import ActivityTask
from swf_simulator import SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, MARK, sequence, start, task, told

from asyncsteps import SelectorError, StepDefinitionError
from asyncsteps.swf import Step, WorkflowStepMixin
from asyncsteps.swf.constants import STEP_ACTIVITY_PARAMS_DEFAULT, UNKNOWN_CONTEXT


@activity.with_attributes(task_list="test", version="1")
def double(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return number * 2


@pytest.fixture
def at_moto(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)


def entered(mixin: Any = WorkflowStepMixin, **attributes: Any) -> Any:
    """A workflow object on the local executor, outside of its run."""
    executor: Any = Executor(workflow_class(Workflow, mixin, run=lambda self: None, **attributes))
    executor.create_workflow()
    executor.initialize_history({})
    return executor.workflow


class TestDropIn:
    HOOKS = (
        "get_step_bucket",
        "get_step_path_prefix",
        "get_step_activity_params",
        "add_forced_steps",
        "get_forced_steps",
        "add_skipped_steps",
        "get_skipped_steps",
        "step",
        "get_steps_done_activity",
        "get_steps_done",
        "_get_step_activity_params",
    )

    @pytest.mark.parametrize("hook", HOOKS)
    def test_has_the_hooks_with_their_parameters(self, hook: str) -> None:
        import inspect

        ours = inspect.signature(getattr(WorkflowStepMixin, hook)).parameters.values()
        theirs = inspect.signature(getattr(TheirMixin, hook)).parameters.values()
        assert [(it.name, it.default, it.kind) for it in ours] == [(it.name, it.default, it.kind) for it in theirs]

    def test_has_the_same_defaults(self) -> None:
        assert STEP_ACTIVITY_PARAMS_DEFAULT == simpleflow_constants.STEP_ACTIVITY_PARAMS_DEFAULT
        assert UNKNOWN_CONTEXT == simpleflow_constants.UNKNOWN_CONTEXT
        ours, theirs = entered(), entered(TheirMixin)
        for attribute in ("get_step_path_prefix", "get_step_activity_params", "get_forced_steps"):
            assert getattr(ours, attribute)() == getattr(theirs, attribute)()
        assert ours._get_step_activity_params() == theirs._get_step_activity_params()
        assert WorkflowStepMixin.get_step_bucket(ours) == TheirMixin.get_step_bucket(theirs)

    def test_the_listing_activity_is_simpleflows_but_for_its_name(self) -> None:
        ours, theirs = (entered(mixin).get_steps_done_activity() for mixin in (WorkflowStepMixin, TheirMixin))
        assert (ours.args, ours.kwargs, ours.idempotent) == (theirs.args, theirs.kwargs, theirs.idempotent)
        mine, other = dict(vars(ours.activity)), dict(vars(theirs.activity))
        assert mine.pop("_callable") is not other.pop("_callable")
        assert mine == other
        assert ours.activity.name == "asyncsteps.swf.tasks.GetStepsDoneTask"
        assert ours.activity.task_list == "simulated-list"

    def test_the_settings_make_the_bucket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "SIMPLEFLOW_S3_HOST", "s3.eu-west-1.amazonaws.com")
        monkeypatch.setattr(settings, "STEP_BUCKET", "mine")
        workflow = entered()
        assert WorkflowStepMixin.get_step_bucket(workflow) == "s3.eu-west-1.amazonaws.com/mine"

    def test_sse_is_asked_for_as_the_settings_say(
        self, at_moto: None, bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import boto3

        from asyncsteps.swf.tasks import MarkStepDoneTask

        client: Any = boto3.client("s3", endpoint_url=s3_endpoint)
        for wanted in (False, True):
            monkeypatch.setattr(settings, "SIMPLEFLOW_S3_SSE", wanted)
            MarkStepDoneTask(bucket, "steps", "a").execute()
            stored = client.head_object(Bucket=bucket, Key="steps/a").get("ServerSideEncryption")
            assert (stored == "AES256") == wanted

    def test_step_makes_a_step(self) -> None:
        made = entered().step("a", (double, 1), True, emit_signal=True)
        assert isinstance(made, Step)
        assert (made.step_name, made.force, made.emit_signal) == ("a", True, True)


class TestSelectors:
    def test_a_bare_string_is_one_selector(self) -> None:
        ours, theirs = entered(), entered(TheirMixin)
        for workflow in (ours, theirs):
            workflow.add_forced_steps("abc")
            workflow.add_skipped_steps("xyz")
        assert ours.get_forced_steps() == ["abc"]
        assert ours.get_skipped_steps() == ["xyz"]
        assert sorted(theirs.get_forced_steps()) == ["a", "b", "c"]

    def test_they_keep_their_order(self) -> None:
        workflow = entered()
        workflow.add_forced_steps(["c", "a"])
        workflow.add_forced_steps(["b", "a"])
        assert workflow.get_forced_steps() == ["c", "a", "b"]

    @pytest.mark.parametrize("selector", ["a.*", "a.", "", "/"])
    def test_malformed_ones_are_refused(self, selector: str) -> None:
        for add in (entered().add_forced_steps, entered().add_skipped_steps):
            with pytest.raises(SelectorError):
                add([selector])

    def test_two_workflows_share_none(self) -> None:
        one, other = entered(), entered()
        one.add_forced_steps("a")
        assert other.get_forced_steps() == []

    def test_those_added_before_run_count(self) -> None:
        def init(self: Any, executor: Any) -> None:
            Workflow.__init__(self, executor)
            self.add_forced_steps("a", "init")

        def before_replay(self: Any, history: Any) -> None:
            self.add_forced_steps("a", "before")

        swf = start(sequence(["a"]), attributes={"__init__": init, "before_replay": before_replay}).run()
        assert swf.markers[0]["reasons"] == ["init", "before"]

    def test_in_vain_they_are_warned_about_at_the_end(self, caplog: pytest.LogCaptureFixture) -> None:
        start(
            sequence(["a.b"], force_steps_if_executed=["later"]), kwargs={"force": ["a", "c"], "skip": ["d"]}
        ).run()
        warnings = [record.message for record in caplog.records if "matched no step" in record.message]
        assert warnings == ["these selectors matched no step of the run: 'c', 'd'"]


class TestOverriding:
    def test_add_forced_steps_sees_the_dependents(self) -> None:
        seen: list[Any] = []

        def add_forced_steps(self: Any, steps: Any, reason: str | None = None) -> None:
            seen.append((steps, reason))
            WorkflowStepMixin.add_forced_steps(self, [*steps, "b"] if reason == "Dep of a" else steps, reason)

        swf = start(
            sequence(["a", "b"], force_steps_if_executed=["x"]),
            done=["b"],
            attributes={"add_forced_steps": add_forced_steps},
        ).run()
        assert (["x"], "Dep of a") in seen
        assert ("b", "scheduled") in told(swf)

    def test_get_forced_and_get_skipped_steps_count(self) -> None:
        swf = start(
            sequence(["a", "b"]),
            done=["a"],
            attributes={"get_forced_steps": lambda self: ["a"], "get_skipped_steps": lambda self: ["b"]},
        ).run()
        assert [(it["step"], it["status"], it["forced"]) for it in swf.markers] == [
            ("a", "scheduled", True),
            ("a", "completed", True),
            ("b", "skipped", True),
        ]

    def test_get_step_activity_params_reach_all_of_them(self) -> None:
        params = {"task_list": "other", "start_to_close_timeout": 7, "version": "9"}
        swf = start(
            sequence(["a"]),
            done=["a"],
            kwargs={"force": ["a"]},
            attributes={"get_step_activity_params": lambda self: params},
        ).run()
        scheduled = [
            event for event in swf.history.events if event.state == "scheduled" and event.type != "DecisionTask"
        ]
        ours = [event for event in scheduled if event.activity_type["name"].startswith("asyncsteps")]
        assert len(ours) == 3
        assert {event.task_list["name"] for event in ours} == {"other"}
        assert {event.start_to_close_timeout for event in ours} == {"7"}
        assert {event.schedule_to_start_timeout for event in ours} == {str(4 * 3600)}
        assert {event.activity_type["version"] for event in ours} == {"9"}

    def test_a_prefix_made_inside_of_run_is_used(self) -> None:
        def run(self: Any, who: str) -> None:
            self.who = who
            futures.wait(self.submit(Step("a", task())))

        swf = start(
            run, kwargs={"who": "me"}, attributes={"get_step_path_prefix": lambda self: f"{self.who}/s"}
        ).run()
        assert [args[1] for name, args in swf.calls if name in {LIST, MARK}] == ["me/s", "me/s"]


class TestPlaces:
    def test_each_prefix_has_its_own_done_steps(self) -> None:
        def run(self: Any) -> None:
            self.add_forced_steps("load.users", "asked for")
            for self.who in ("me", "you"):
                for name in ("load.users", "load.mails"):
                    futures.wait(self.submit(Step(name, task(f"{self.who} {name}"))))

        listed = {"me": ["load.users", "load.mails"], "you": ["load.users"]}

        def play(swf: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            return listed[args[1]] if name.endswith(LIST) else play_activity(swf, name, args, kwargs)

        swf = start(run, play=play, attributes={"get_step_path_prefix": lambda self: self.who}).run()
        assert [args[0] for name, args in swf.calls if name == "work"] == [
            "me load.users",
            "you load.users",
            "you load.mails",
        ]
        assert [args[1:] for name, args in swf.calls if name == MARK] == [
            ["me", "load.users"],
            ["you", "load.users"],
            ["you", "load.mails"],
        ]

    def test_a_step_within_itself_is_refused(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", Chain(Step("b", Step("a", task()))))))

        swf = start(run).run()
        assert swf.status == "failed"
        assert "StepDeadlockError" in swf.result["details"]
        assert "'a' -> b -> a" in swf.result["details"] or "a -> b -> a" in swf.result["details"]


class TestLocally:
    def run(self, bucket: str, run: Any, **attributes: Any) -> Any:
        executor: Any = Executor(
            workflow_class(Workflow, WorkflowStepMixin, run=run, get_step_bucket=lambda self: bucket, **attributes)
        )
        executor.run()
        return [
            (marker.details["step"], marker.details["status"], marker.details["forced"], marker.details["reasons"])
            for marker in executor.list_markers(all=True)
        ]

    def test_dependents_are_played_and_withdrawn_first(
        self, at_moto: None, moto_server: MotoServer, bucket: str
    ) -> None:
        for name in ("a", "b", "c"):
            moto_server.put(bucket, f"local/steps/{name}")
        keys: list[Any] = []

        @activity.with_attributes()
        def look() -> None:
            keys.append(moto_server.keys(bucket))

        def run(self: Any) -> None:
            self.submit(Step("a", look, force=True, force_steps_if_executed=["b"]))
            self.submit(Step("b", (double, 1)))
            self.submit(Step("c", (double, 1)))

        assert self.run(bucket, run) == [
            ("a", "scheduled", True, ["Step is forced"]),
            ("a", "completed", True, ["Step is forced"]),
            ("b", "scheduled", True, ["Dep of a"]),
            ("b", "completed", True, ["Dep of a"]),
            ("c", "skipped", False, ["Step was already played"]),
        ]
        assert keys == [["local/steps/c"]]
        assert moto_server.keys(bucket) == [f"local/steps/{name}" for name in "abc"]

    def test_a_failing_step_is_not_marked(self, at_moto: None, moto_server: MotoServer, bucket: str) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("a", (double, -1))))
            self.submit(Chain(Step("b", (double, -1), bubbles_exception_on_failure=True), Step("c", (double, 1))))

        assert [told[:2] for told in self.run(bucket, run)] == [("a", "scheduled"), ("b", "scheduled")]
        assert moto_server.keys(bucket) == []

    def test_the_done_steps_are_listed_once(
        self, at_moto: None, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from asyncsteps.swf.tasks import GetStepsDoneTask

        listed: list[Any] = []
        execute = GetStepsDoneTask.execute

        def counted(self: Any) -> Any:
            listed.append(self)
            return execute(self)

        monkeypatch.setattr(GetStepsDoneTask, "execute", counted)

        def run(self: Any) -> None:
            for name in ("a", "b", "a"):
                self.submit(Step(name, (double, 1)))
            assert len(listed) == 1
            assert self.get_steps_done() == ["a", "b"]

        assert [told[:2] for told in self.run(bucket, run)][-1] == ("a", "skipped")

    def test_a_prefix_that_others_share_is_warned_about(
        self, at_moto: None, bucket: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def run(self: Any) -> None:
            self.submit(Step("a", (double, 1)))
            self.submit(Step("b", (double, 1)))

        self.run(bucket, run)
        assert (
            sum("local/steps/" in record.message for record in caplog.records if record.levelno == logging.WARNING)
            == 1
        )
        caplog.clear()
        self.run(bucket, run, get_step_path_prefix=lambda self: "mine")
        assert "local/steps/" not in caplog.text

    def test_a_childs_steps_are_its_own(self, at_moto: None, moto_server: MotoServer, bucket: str) -> None:
        def play(self: Any) -> None:
            futures.wait(self.submit(Step("of.child", (double, 1))))

        child = workflow_class(Workflow, WorkflowStepMixin, run=play, get_step_bucket=lambda self: bucket)

        def run(self: Any) -> None:
            self.add_skipped_steps("of")
            self.submit(Chain(child))
            self.submit(Step("of.parent", (double, 1)))

        assert [told[:2] for told in self.run(bucket, run)] == [
            ("of.child", "scheduled"),
            ("of.child", "completed"),
            ("of.parent", "skipped"),
        ]
        assert moto_server.keys(bucket) == [f"local_{child.name}/steps/of.child"]

    def test_a_workflow_that_is_played_again_starts_anew(self, at_moto: None, bucket: str) -> None:
        def run(self: Any) -> None:
            self.add_forced_steps("a", "again")
            self.submit(Step("a", (double, 1)))

        executor: Any = Executor(
            workflow_class(Workflow, WorkflowStepMixin, run=run, get_step_bucket=lambda self: bucket)
        )
        executor.run()
        executor.run()
        assert [marker.details["reasons"] for marker in executor.list_markers(all=True)] == [["again"]] * 4

    def test_a_bucket_that_is_missing_is_said(self, at_moto: None) -> None:
        def run(self: Any) -> None:
            self.submit(Step("a", (double, 1)))

        with pytest.raises(TaskFailed, match="BucketNotFoundError"):
            self.run("no-such-bucket", run)


def test_a_workflow_without_the_mixin_is_told_what_to_do() -> None:
    def run(self: Any) -> None:
        self.submit(Step("a", task()))

    executor: Any = Executor(workflow_class(Workflow, run=run))
    with pytest.raises(StepDefinitionError, match=r"asyncsteps\.swf\.WorkflowStepMixin"):
        executor.run()


def test_simpleflows_own_step_finds_what_it_needs() -> None:
    # Some steps of a workflow may still come from code that has not changed its import.
    def run(self: Any) -> None:
        futures.wait(self.submit(TheirStep("a", ActivityTask(double, 1))))
        futures.wait(self.submit(Step("b", task())))

    workflow = workflow_class(Workflow, WorkflowStepMixin, run=run)
    swf = SimulatedSwf(workflow, activities={**ACTIVITIES, double.name: double}).run()
    assert told(swf) == [(name, status) for name in "ab" for status in ("scheduled", "completed")]
    assert swf.done == {"a", "b"}
