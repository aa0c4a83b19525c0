"""Reasons of failures in SWF's history: at most 256 characters, what to mend first, the rest in the details."""

import asyncio
import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from servers import FaultProxy, Hold, MotoServer, error_answer
from simpleflow import Workflow, activity, futures
from simpleflow import format as sf_format
from simpleflow.canvas import Group
from simpleflow.constants import MAX_DETAILS_LENGTH, MAX_REASON_LENGTH
from simpleflow.exceptions import TaskCanceled, TaskException
from simpleflow.task import ActivityTask
from simpleflow.utils import format_exc
from swf_family import FamilySwf
from swf_simulator import ActivityError, workflow_class
from swf_workflows import play

from asyncsteps import AccessDeniedError, EndpointUnreachableError, SelectorError, StepNameError
from asyncsteps.store._s3.store import S3Store
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._done.payload import pack
from asyncsteps.swf._errors import DoneListError
from asyncsteps.swf._sync import stores
from asyncsteps.swf._sync.stores import use_store
from asyncsteps.swf.constants import STEP_ACTIVITY_PARAMS_DEFAULT
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask


@activity.with_attributes(name="test.fails", task_list="test", version="1", raises_on_failure=True)
def fails() -> None: ...


@activity.with_attributes(name="test.fails", task_list="test", version="1")
def fails_quietly(number: int) -> None: ...


SAID = f"User: arn:aws:sts::123456789012:assumed-role/{'worker' * 20} is not authorized"


@pytest.mark.parametrize(
    ("task", "arguments", "permission"),
    [
        (GetStepsDoneTask, (), "s3:ListBucket"),
        (MarkStepDoneTask, ("load.users",), "s3:PutObject"),
        (WithdrawStepsDoneTask, (["load.users"],), "s3:DeleteObject"),
    ],
)
async def test_a_worker_that_lacks_a_permission_names_it_in_the_reason(
    task: Any,
    arguments: tuple[Any, ...],
    permission: str,
    bucket: str,
    moto_server: MotoServer,
    fault_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", fault_proxy.endpoint)
    moto_server.put(bucket, "people/steps/load.users")
    denied = error_answer(403, "AccessDenied", SAID)
    fault_proxy.inject(denied, times=99, when=lambda request: request.method != "HEAD")
    with pytest.raises(AccessDeniedError) as caught:
        await asyncio.to_thread(task(bucket, "people/steps", *arguments).execute)
    reason = format_exc(caught.value)
    assert reason.startswith(f"AccessDeniedError: {permission}")
    assert f"bucket {bucket!r}" in reason
    # What simpleflow makes of it when the failure ends the workflow still fits.
    name = f"activity-{task.__module__}.{task.__name__}"
    assert sf_format.reason(f'Workflow execution error in {name}: "{reason}"')
    details = "".join(traceback.format_exception(caught.value))
    assert SAID in details
    assert fault_proxy.endpoint in details


async def test_a_request_that_is_not_answered_is_told_before_the_activity_times_out(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of an activity that SWF times out nobody learns which bucket did not answer. A first page is asked for twice.
    async with use_store(bucket, "people/steps") as store:
        assert isinstance(store, S3Store)
        assert 2 * store._options.seconds < STEP_ACTIVITY_PARAMS_DEFAULT["start_to_close_timeout"]
    monkeypatch.setattr(stores, "STORE_SECONDS", 0.2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", fault_proxy.endpoint)
    fault_proxy.inject(Hold(asyncio.Event()), times=99)
    with pytest.raises(EndpointUnreachableError, match=bucket):
        await asyncio.to_thread(MarkStepDoneTask(bucket, "people/steps", "load.users").execute)


def test_a_decider_that_fails_says_why() -> None:
    def run(self: Any) -> None:
        raise StepNameError("a" * 300, "it is too long for the reason")

    result = play(run).result
    assert result["reason"].startswith("Cannot replay the workflow: StepNameError")
    assert "it is too long for the reason" in result["details"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"under": ["a" * 300 + "/"]}, SelectorError), ({"keep": pack(["\x1f" + "a" * 300])}, DoneListError)],
)
def test_a_task_that_cannot_be_made_says_why(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        WithdrawStepsDoneTask("bucket", "people/steps", **arguments)
    assert sf_format.reason(format_exc(caught.value))


class TestOfExecutions:
    """What ends an execution, in a child workflow or in its own code, is named in the reason of each above it."""

    FAILED = f"AccessDeniedError: s3:PutObject, bucket 'people', step 'load.users': {'put_object was denied ' * 4}"

    def family(
        self, *names: str, reason: str, details: str | None, run: Callable[[Any], Any] | None = None
    ) -> list[FamilySwf]:
        """The executions of workflows of these names, each but the first the child of the one before it.

        The last one plays ``run``, by default an activity that fails with reason and details.
        """

        def fail(_number: int = 1) -> None:
            raise ActivityError(reason, details)

        def submit_failing(self: Any) -> None:
            futures.wait(self.submit(ActivityTask(fails)))

        kin: dict[str, Any] = {}
        child: Any = None
        for name in reversed(names):

            def submit_child(self: Any, child: Any = child) -> None:
                futures.wait(self.submit(child))

            plays = submit_child if child is not None else run or submit_failing
            options = {"name": name, "raises_on_failure": True}
            child = workflow_class(Workflow, WorkflowStepMixin, run=plays, **options)
            kin[f"{child.__module__}.{child.__name__}"] = child
        executions = [FamilySwf(child, kin=kin, activities={fails.name: fail})]
        executions[0].run()
        while executions[-1].children:
            executions += executions[-1].children
        assert len(executions) == len(names)
        return executions

    @pytest.mark.parametrize("name", ["child", "company.product.workflows.ingest.people" * 2, "n" * 255])
    def test_a_childs_failure(self, name: str) -> None:
        names = [f"{name}{level}" for level in range(3)]
        executions = self.family(*names, reason=self.FAILED, details='{"message": "the whole"}')
        for level, execution in enumerate(executions):
            assert execution.status == "failed"
            told = execution.result
            assert len(told["reason"]) <= MAX_REASON_LENGTH
            assert told["reason"].startswith("Workflow execution error in ")
            assert "AccessDeniedError: s3:PutObject, bucket 'people', step 'load.users'" in told["reason"], level
            details = json.loads(told["details"])
            assert details["message"] == "the whole"
            assert self.FAILED in told["reason"] + details.get("whole_reason", ""), level

    def test_a_reason_that_fits_is_left_as_it_is(self) -> None:
        told = self.family("parent", "child", reason="short", details="no JSON")[0].result
        child = 'Workflow execution error in activity-test.fails: "short"'
        assert told["reason"] == f'Workflow execution error in workflow-child: "{child}"'
        assert told["details"] == "no JSON"

    @pytest.mark.parametrize(
        "details", [None, "no JSON", "[1]", '{"whole_reason": "told before"}', "x" * MAX_DETAILS_LENGTH]
    )
    def test_details_of_any_form(self, details: str | None) -> None:
        told = self.family("alone", reason="E: " + "r" * 250, details=details)[0].result
        assert told["reason"].startswith('Workflow execution error in activity-test.fails: "E: rrr')
        assert len(told["details"]) <= MAX_DETAILS_LENGTH
        assert (details or "") in told["details"]
        whole = details in {None, "no JSON", "[1]"}
        assert ("r" * 250 in told["details"]) == whole

    def test_a_child_that_was_canceled_with_long_details(self) -> None:
        def run(self: Any) -> None:
            canceled: Any = TaskCanceled("c" * 1_000)
            raise TaskException(ActivityTask(fails), canceled)

        told = play(run).result
        assert told["reason"].startswith('Workflow execution error in activity-test.fails: "TaskCanceled(ccc')
        assert "c" * 1_000 in told["details"]

    @pytest.mark.parametrize("length", [300, 50_000])
    def test_errors_of_the_workflows_own_code(self, length: int) -> None:
        def run(self: Any) -> None:
            raise LookupError("no such table: " + "t" * length)

        told = play(run).result
        assert told["reason"].startswith("Cannot replay the workflow: LookupError(no such table: ttt")
        assert "in run" in told["details"]
        assert "LookupError: no such table: " + "t" * 300 in told["details"]

    def test_a_long_traceback_has_its_beginning_and_its_end(self) -> None:
        def odd(depth: int) -> None:
            even(depth - 1)

        def even(depth: int) -> None:
            if depth <= 0:
                raise LookupError("at the end")
            odd(depth - 1)

        def run(self: Any) -> None:
            odd(400)

        told = play(run).result
        assert told["reason"] == "Cannot replay the workflow: LookupError(at the end)"
        assert "in run" in told["details"]
        assert told["details"].rstrip().endswith("LookupError: at the end")

    def test_results_of_what_failed(self) -> None:
        """Their errors quote all details."""

        def run(self: Any) -> None:
            future = self.submit(Group(ActivityTask(fails_quietly, 1), ActivityTask(fails_quietly, 2)))
            futures.wait(future)
            raise future.exception

        (alone,) = self.family("alone", reason="E: one", details="d" * 9_000, run=run)
        assert alone.result["reason"].startswith("Cannot replay the workflow: ")
        assert "E: one" in alone.result["reason"]

    def test_an_error_leaves_the_local_executor_as_it_is(self) -> None:
        from simpleflow.local import Executor

        def run(self: Any) -> None:
            raise error

        error = StepNameError("a" * 300, "it is too long for a reason")
        executor: Any = Executor(workflow_class(Workflow, WorkflowStepMixin, run=run))
        with pytest.raises(StepNameError) as caught:
            executor.run()
        assert caught.value is error
        assert "it is too long for a reason" in str(error)
