"""Where the done marks of child workflows lie on the local executor: simpleflow's keys, byte for byte.

simpleflow's executor knows one workflow, the outermost, and asks its hooks, whoever submits a step.
"""

from collections.abc import Callable
from typing import Any

import pytest
from servers import MotoServer
from simpleflow import Workflow, activity, futures
from simpleflow.canvas import Chain
from simpleflow.local import Executor
from simpleflow.step.submittable import Step as TheirStep
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_simulator import workflow_class

from asyncsteps.swf import Step, WorkflowStepMixin

SIDES = {"ours": (WorkflowStepMixin, Step), "theirs": (TheirMixin, TheirStep)}


@activity.with_attributes(task_list="test", version="1")
def work(number: int) -> int:
    return number


def prefix(path: str) -> dict[str, Any]:
    return {"get_step_path_prefix": lambda self: path}


def prefix_of_id(folder: str) -> dict[str, Any]:
    return {"get_step_path_prefix": lambda self: f"{folder}/{self.get_run_context()['workflow_id']}"}


@pytest.mark.usefixtures("at_moto")
@pytest.mark.parametrize(
    ("parent", "child", "grandchild"),
    [
        ({}, {}, {}),
        (prefix("parent/steps"), {}, {}),
        (prefix("parent/steps/"), prefix("child/steps"), prefix("grandchild")),
        ({}, prefix("child/steps"), {}),
        (prefix_of_id("parent"), prefix_of_id("child"), prefix("grandchild/")),
        ({}, {"get_step_bucket": lambda self: "no-such-bucket"}, {}),
    ],
)
def test_the_keys_are_simpleflows(
    parent: dict[str, Any], child: dict[str, Any], grandchild: dict[str, Any], moto_server: MotoServer, bucket: str
) -> None:
    keys: dict[str, list[str]] = {}
    for side, (mixin, step) in SIDES.items():
        mine = bucket + side
        moto_server.create_bucket(mine)

        def plays(name: str, step: Any = step, then: Any = None) -> Callable[[Any], None]:
            def run(self: Any) -> None:
                futures.wait(self.submit(step(f"{name}.before", (work, 1))))
                if then is not None:
                    futures.wait(self.submit(Chain(then)))
                futures.wait(self.submit(step(f"{name}.after", (work, 1))))

            return run

        def made(name: str, hooks: dict[str, Any], then: Any, *, mixin: Any = mixin, mine: str = mine) -> Any:
            hooks = {"name": name, "get_step_bucket": lambda self: mine, **hooks}
            return workflow_class(Workflow, mixin, run=plays(name, then=then), **hooks)

        inner = made("grandchild", grandchild, None)
        Executor(made("parent", parent, made("child", child, inner))).run()
        keys[side] = moto_server.keys(mine)
    assert keys["ours"] == keys["theirs"]
    assert len(keys["ours"]) == 6


@pytest.mark.usefixtures("at_moto")
def test_what_a_child_marks_under_its_parents_prefix_the_parent_finds_done(bucket: str) -> None:
    told = {}
    for side, (mixin, step) in SIDES.items():

        def play(self: Any, step: Any = step) -> None:
            futures.wait(self.submit(step("shared", (work, 1))), self.submit(step("before", (work, 1))))

        child = workflow_class(Workflow, mixin, run=play, get_step_bucket=lambda self: "no-such-bucket")

        def run(self: Any, step: Any = step, child: Any = child) -> None:
            futures.wait(self.submit(step("before", (work, 1))))
            futures.wait(self.submit(Chain(child)))
            futures.wait(self.submit(step("shared", (work, 1))))

        hooks = {"get_step_bucket": lambda self: bucket, **prefix(side)}
        executor: Any = Executor(workflow_class(Workflow, mixin, run=run, **hooks))
        executor.run()
        markers = executor.list_markers(all=True)
        told[side] = [(marker.details["step"], marker.details["status"]) for marker in markers]
    assert told["ours"] == told["theirs"]
    assert told["ours"][-1] == ("shared", "skipped")
