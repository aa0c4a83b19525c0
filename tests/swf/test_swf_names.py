"""``step_names``: names and selectors as simpleflow takes them, where the key stays under the prefix."""

from collections.abc import Iterator
from typing import Any

import pytest
from servers import MotoServer
from simpleflow import Workflow, activity, futures
from simpleflow.canvas import Chain
from simpleflow.local import Executor
from simpleflow.step.submittable import Step as TheirStep
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_simulator import SimulatedSwf, workflow_class
from swf_workflows import ACTIVITIES, LIST, WITHDRAW, names, sequence, task, told

from asyncsteps import SelectorError, StepDefinitionError, StepNameError, StoreOptionError
from asyncsteps.store import open_bucket
from asyncsteps.swf import SimpleflowBridge, Step, WorkflowStepMixin
from asyncsteps.swf._done.payload import pack, unpack
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

NAMES = [
    "2026/users",
    "load..users",
    "load.",
    ".hidden",
    "a.*",
    "*",
    "a/",
    "a//b",
    "..a/b..",
    "%2e%2e/é",
    "a b/+c&d",
]
"""What simpleflow plays under a prefix, and our own rule refuses."""

REFUSED: list[Any] = ["", "/evil", "..", "../evil", "a/../../evil", "a/./b", "a\nb", 7, ".asyncsteps-doctor/a"]
"""What leaves the prefix, cannot be stored, or is a probe of the doctor."""

SIDES = {"ours": WorkflowStepMixin, "theirs": TheirMixin}


@activity.with_attributes(task_list="test", version="1")
def work(name: str) -> str:
    return name


def as_simpleflow(**attributes: Any) -> dict[str, Any]:
    return {"step_names": "simpleflow", **attributes}


def simulate(mixin: Any, run: Any, *, attributes: Any = None, done: Any = ()) -> SimulatedSwf:
    workflow = workflow_class(Workflow, mixin, run=run, **(attributes or {}))
    return SimulatedSwf(workflow, done=set(done), activities=ACTIVITIES)


# The keys, and who sees them.


@pytest.mark.usefixtures("at_moto")
@pytest.mark.parametrize("prefix", ["steps", "w/steps/", "deep//"])
def test_keys_and_decisions_are_simpleflows(prefix: str, moto_server: MotoServer, bucket: str) -> None:
    markers: dict[str, list[Any]] = {}
    for side, mixin in SIDES.items():

        def run(self: Any) -> None:
            for name in NAMES:
                futures.wait(self.submit(self.step(name, (work, name))))

        def where(self: Any, side: str = side) -> str:
            return f"{side}/{prefix}"

        hooks = {"get_step_bucket": lambda self: bucket, "get_step_path_prefix": where}
        markers[side] = []
        for _ in range(2):
            executor: Any = Executor(workflow_class(Workflow, mixin, run=run, **as_simpleflow(**hooks)))
            executor.run()
            markers[side] += [
                (marker.details["step"], marker.details["status"]) for marker in executor.list_markers(all=True)
            ]
    assert markers["ours"] == markers["theirs"]
    assert markers["ours"][-len(NAMES) :] == [(name, "skipped") for name in NAMES]
    keys = moto_server.keys(bucket)
    assert len(keys) == 2 * len(NAMES)
    assert {key.removeprefix("ours/") for key in keys if key.startswith("ours/")} == {
        key.removeprefix("theirs/") for key in keys if key.startswith("theirs/")
    }


@pytest.mark.usefixtures("at_moto")
def test_only_the_setting_makes_such_keys_steps(moto_server: MotoServer, bucket: str) -> None:
    for name in NAMES:
        MarkStepDoneTask(bucket, "steps", name).execute()
    MarkStepDoneTask(bucket, "steps", "plain").execute()
    moto_server.put(bucket, "steps/")  # a folder, as consoles make one
    moto_server.put(bucket, "steps2/other")
    assert sorted(moto_server.keys(bucket)) == sorted(
        [*(f"steps/{n}" for n in (*NAMES, "plain", "")), "steps2/other"]
    )
    assert GetStepsDoneTask(bucket, "steps").execute() == ["plain"]
    assert GetStepsDoneTask(bucket, "steps", step_names="simpleflow").execute() == sorted([*NAMES, "plain"])


@pytest.mark.usefixtures("at_moto")
def test_withdrawing_touches_such_keys_by_name_or_by_the_setting_alone(bucket: str) -> None:
    def left() -> list[str]:
        listed = GetStepsDoneTask(bucket, "steps", step_names="simpleflow").execute()
        assert isinstance(listed, list)
        return listed

    for name in ("a.b/c", "a.b", "a..", "b/"):
        MarkStepDoneTask(bucket, "steps", name).execute()
    assert WithdrawStepsDoneTask(bucket, "steps", under=["a"]).execute() == 1
    assert left() == ["a..", "a.b/c", "b/"]
    kept = pack(["a.."])
    assert WithdrawStepsDoneTask(bucket, "steps", under=["a"], keep=kept, step_names="simpleflow").execute() == 1
    assert WithdrawStepsDoneTask(bucket, "steps", ["b/"]).execute() == 1
    assert left() == ["a.."]


@pytest.mark.usefixtures("at_moto")
@pytest.mark.parametrize("name", REFUSED[:-1])
def test_a_worker_marks_nothing_outside_of_the_prefix(name: str, moto_server: MotoServer, bucket: str) -> None:
    with pytest.raises(StepNameError):
        MarkStepDoneTask(bucket, "steps", name).execute()
    assert moto_server.keys(bucket) == []


def test_a_packed_list_carries_such_names() -> None:
    assert unpack(pack(NAMES)) == sorted(NAMES)


@pytest.mark.usefixtures("at_moto")
async def test_a_store_by_the_setting(moto_server: MotoServer, bucket: str) -> None:
    async with open_bucket(bucket, "steps", step_names="simpleflow") as store:
        for name in NAMES:
            await store.mark_done(name, {})
        moto_server.put(bucket, "steps/")
        moto_server.put(bucket, "steps/load")
        assert sorted((await store.done_page()).names) == sorted([*NAMES, "load"])
        assert await store.list_done("load") == ["load", "load.", "load..users"]
        assert await store.list_done("") == ["..a/b..", ".hidden"]
        assert await store.is_done("2026/users")
        assert await store.withdraw(["2026/users", "*", "absent/"]) == ["*", "2026/users"]
        with pytest.raises(StepNameError):
            await store.withdraw(["../evil"])
    with pytest.raises(StoreOptionError, match="needs a prefix"):
        open_bucket(bucket, "", step_names="simpleflow")
    with pytest.raises(StoreOptionError, match="'strict' or 'simpleflow'"):
        open_bucket(bucket, "steps", step_names="lax")  # type: ignore[arg-type]


# Selectors and dependents, decided on SWF.


@pytest.mark.parametrize("given", [[""], ["load."], ["2026/users"], ["2026"], ["load"], ["*"], ["a."], [".."]])
@pytest.mark.parametrize("add", ["add_forced_steps", "add_skipped_steps"])
def test_selectors_match_as_in_simpleflow(given: list[str], add: str) -> None:
    def run(self: Any) -> None:
        getattr(self, add)(given, "asked for")
        for name in (*NAMES, "load.users"):
            futures.wait(self.submit(self.step(name, task(name))))

    attributes = as_simpleflow(withdraw_invalidated=False)
    ours, theirs = (simulate(mixin, run, attributes=attributes, done=NAMES[::2]).run() for mixin in SIDES.values())
    assert ours.markers == theirs.markers
    assert ours.done == theirs.done


def test_dependents_of_such_names_are_withdrawn_and_played(caplog: pytest.LogCaptureFixture) -> None:
    def run(self: Any) -> None:
        self.add_forced_steps(["2026/users", ""], "asked for")
        futures.wait(self.submit(self.step("2026/users", task(), force_steps_if_executed=["load.", "a/"])))
        for name in ("load..users", "a/"):
            futures.wait(self.submit(self.step(name, task())))

    swf = simulate(
        WorkflowStepMixin, run, attributes=as_simpleflow(), done=["2026/users", "load..users", "a/"]
    ).run()
    assert [name for name, status in told(swf) if status == "completed"] == ["2026/users", "load..users", "a/"]
    (withdrawal,) = [kwargs for name, kwargs in calls(swf) if name == WITHDRAW]
    assert withdrawal == {"names": ["2026/users", "a/", "load..users"]}
    assert "these selectors matched no step of the run: ''" in caplog.text


def calls(swf: SimulatedSwf) -> Iterator[tuple[str, dict[str, Any]]]:
    for event in swf.history.events:
        if event.type == "ActivityTask" and event.state == "scheduled":
            yield event.activity_type["name"].rpartition(".")[2], event.input["kwargs"]


def test_the_activities_are_told_of_the_setting_and_of_nothing_by_default() -> None:
    def run(self: Any) -> None:
        futures.wait(self.submit(self.step("a", task())))
        futures.wait(self.submit(self.get_steps_done_activity()))

    for attributes, expected in (({}, {}), (as_simpleflow(), {"step_names": "simpleflow"})):
        swf = simulate(WorkflowStepMixin, run, attributes=attributes).run()
        assert [kwargs for name, kwargs in calls(swf) if name == LIST] == [
            {"or_count": True, **expected},
            expected,
        ]
        long = simulate(WorkflowStepMixin, sequence(["a"]), attributes=attributes, done=names(3_000)).run()
        assert [kwargs for name, kwargs in calls(long) if name == LIST] == [
            {"or_count": True, **expected},
            {"compact": True, **expected},
        ]


@pytest.mark.usefixtures("at_moto")
def test_a_child_has_a_setting_of_its_own(moto_server: MotoServer, bucket: str) -> None:
    def play(self: Any) -> None:
        self.add_forced_steps([""], "asked for")
        futures.wait(self.submit(self.step("2026/users", (work, "users"), force_steps_if_executed=["a."])))

    child = workflow_class(Workflow, WorkflowStepMixin, run=play, **as_simpleflow())
    refused: list[str] = []

    def run(self: Any) -> None:
        futures.wait(self.submit(Chain(child)))
        for name in ("2026/mails", "a."):
            with pytest.raises(StepNameError):
                self.submit(Step(name, (work, "mails")))
            refused.append(name)

    hooks = {"get_step_bucket": lambda self: bucket, "get_step_path_prefix": lambda self: "parent"}
    Executor(workflow_class(Workflow, WorkflowStepMixin, run=run, **hooks)).run()
    assert moto_server.keys(bucket) == ["parent/2026/users"]
    assert refused == ["2026/mails", "a."]


# What is refused, when, and with which words.


@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_the_prefix_is_refused_when_the_step_is_made(name: Any) -> None:
    if isinstance(name, str):
        TheirStep(name, task())
    with pytest.raises(StepNameError):
        Step(name, task())


@pytest.mark.parametrize("name", NAMES)
def test_by_our_own_rule_the_error_comes_at_submission_and_names_the_setting(name: str) -> None:
    def run(self: Any) -> None:
        with pytest.raises(StepNameError, match=r"; step_names = 'simpleflow' on the workflow takes it"):
            self.step(name, task())
        self.submit(Step(name, task()))

    swf = simulate(WorkflowStepMixin, run).run()
    assert swf.status == "failed"
    assert "StepNameError" in swf.result["reason"]
    assert not swf.calls


@pytest.mark.parametrize("given", [[""], ["a."], ["2026/users"], "a..b"])
def test_by_our_own_rule_a_selector_is_refused_and_the_error_names_the_setting(given: Any) -> None:
    refused: list[str] = []

    def run(self: Any) -> None:
        for add in (self.add_forced_steps, self.add_skipped_steps):
            with pytest.raises(SelectorError, match="step_names = 'simpleflow' on the workflow takes it"):
                add(given)
        with pytest.raises(SelectorError, match="step_names = 'simpleflow' on the workflow takes it"):
            self.submit(Step("a", task(), force_steps_if_executed=given))
        refused.append("all")

    simulate(WorkflowStepMixin, run).run()
    assert refused


def test_what_no_rule_takes_is_refused_without_the_remedy() -> None:
    def run(self: Any) -> None:
        with pytest.raises(SelectorError, match="must be a str") as caught:
            self.add_forced_steps([7])
        assert "step_names" not in str(caught.value)
        with pytest.raises(StepNameError, match="begin with '/'"):
            self.step("/evil", task())

    for attributes in ({}, as_simpleflow()):
        assert simulate(WorkflowStepMixin, run, attributes=attributes).run().status == "completed"


def test_prefix_and_name_make_a_key_by_the_setting_too() -> None:
    def run(self: Any) -> None:
        self.submit(self.step("a/" + "x" * 1_020, task()))

    swf = simulate(WorkflowStepMixin, run, attributes=as_simpleflow()).run()
    assert "shorten one of them" in str(swf.result)
    assert not [name for name, _ in calls(swf) if name != LIST]


def test_a_setting_that_is_none_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(
        StepDefinitionError, match=r"step_names = 'lax' is refused: it is 'strict'.* or 'simpleflow'"
    ):
        workflow_class(Workflow, WorkflowStepMixin, run=lambda self: None, step_names="lax")


@pytest.mark.usefixtures("at_moto")
async def test_a_bridge_takes_the_selectors_of_its_workflow(moto_server: MotoServer, bucket: str) -> None:
    attributes = {"get_step_bucket": lambda self: bucket}
    strict, lenient = (
        workflow_class(Workflow, WorkflowStepMixin, run=lambda self: None, **attributes, **more)
        for more in ({}, as_simpleflow())
    )
    for given in ([""], {"2026/users": "why"}):
        with pytest.raises(SelectorError):
            SimpleflowBridge(strict, force=given)
        with pytest.raises(SelectorError):
            SimpleflowBridge(strict, skip=given)
    async with SimpleflowBridge(lenient, workflow_id="w", force=[""], skip={"2026/mails": "why"}) as bridge:
        for name in ("2026/users", "2026/mails"):
            await (await bridge.submit(Step(name, (work, name))))
    assert [(it.details["step"], it.details["status"]) for it in bridge.markers] == [
        ("2026/users", "scheduled"),
        ("2026/users", "completed"),
        ("2026/mails", "skipped"),
    ]
    assert moto_server.keys(bucket) == ["w/steps/2026/users"]
