"""Reasons of failures in SWF's history: at most 256 characters, what to mend first, the rest in the details."""

import asyncio
import traceback
from typing import Any

import pytest
from servers import FaultProxy, Hold, MotoServer, error_answer
from simpleflow import format as sf_format
from simpleflow.utils import format_exc
from swf_workflows import play

from asyncsteps import AccessDeniedError, EndpointUnreachableError, StepNameError
from asyncsteps.store._s3.store import S3Store
from asyncsteps.swf._sync import stores
from asyncsteps.swf._sync.stores import use_store
from asyncsteps.swf.constants import STEP_ACTIVITY_PARAMS_DEFAULT
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

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
