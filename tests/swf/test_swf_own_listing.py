"""A workflow that overrides `get_steps_done_activity`: what its listing may answer, and what it may not."""

from typing import Any

import pytest
from simpleflow import Workflow, activity, futures
from simpleflow.local import Executor
from simpleflow.task import ActivityTask
from swf_simulator import workflow_class
from swf_workflows import play, sequence, told

from asyncsteps.swf import DoneListError, WorkflowStepMixin

NONSENSE = (None, 7, "a.b", {"a": 1}, ["a", 7], [["a"]], [None])
NAMES = (["a"], ("a",), {"a"}, frozenset(["a"]))

_answer: list[Any] = [None]


@activity.with_attributes(name="test.listing", task_list="test", version="1")
def listing() -> Any:
    return _answer[0]


def own_listing(answer: Any) -> dict[str, Any]:
    _answer[0] = answer
    return {"get_steps_done_activity": lambda self: ActivityTask(listing)}


def locally(run: Any, answer: Any) -> Any:
    executor: Any = Executor(workflow_class(Workflow, WorkflowStepMixin, run=run, **own_listing(answer)))
    executor.run()
    return executor


def list_done(self: Any) -> Any:
    return self.get_steps_done()


@pytest.mark.parametrize("answer", NONSENSE)
@pytest.mark.parametrize("run", [sequence(["a"]), list_done])
class TestNonsense:
    def test_on_swf(self, run: Any, answer: Any) -> None:
        swf = play(run, attributes=own_listing(answer), activities={"test.listing": listing})
        assert swf.status == "failed"
        assert swf.result["reason"].startswith("Cannot replay the workflow: DoneListError(")
        assert "get_steps_done_activity" in swf.result["details"]
        assert repr(answer[-1] if isinstance(answer, list) else answer) in swf.result["details"]

    def test_on_the_local_executor(self, run: Any, answer: Any) -> None:
        with pytest.raises(DoneListError, match="get_steps_done_activity"):
            locally(run, answer)


@pytest.mark.parametrize("answer", NAMES)
def test_names_of_any_collection(answer: Any) -> None:
    def run(self: Any) -> Any:
        futures.wait(self.submit(self.step("a", ActivityTask(listing))))
        return self.get_steps_done()

    markers = locally(run, answer).list_markers()
    assert [marker.details["status"] for marker in markers] == ["skipped"]
    if isinstance(answer, list):
        swf = play(sequence(["a"]), attributes=own_listing(answer), activities={"test.listing": listing})
        assert told(swf) == [("a", "skipped")]
