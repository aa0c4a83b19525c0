"""Starts an execution, and settles what "already started" means."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import anyio

from asyncsteps.swf._client.api import SwfApi
from asyncsteps.swf._client.errors import ExecutionAlreadyStartedError, SwfError
from asyncsteps.swf._client.listing import CLOSED, OPEN, newest_run
from asyncsteps.swf._client.start import WorkflowType

_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each look for an execution that was just started: SWF's lists lag behind."""


async def start_execution(api: SwfApi, kind: WorkflowType, parameters: dict[str, Any], *, is_own_id: bool) -> str:
    """Start an execution and return its run id.

    Botocore sends a request again when the reply is lost, and the second attempt may find the execution of the
    first. With an id that nobody else uses, "already started" can mean nothing else, and is a success.

    Args:
        api: Where it is started.
        kind: The workflow type, for errors.
        parameters: Those of StartWorkflowExecution.
        is_own_id: Whether the workflow id was made for this start.

    Raises:
        ExecutionAlreadyStartedError: When an execution with the caller's id is open, or SWF does not list the run
            of an own id.
        SwfError: Whatever else SWF refuses.
    """
    workflow_id = parameters["workflowId"]
    about = {"workflow_id": workflow_id, "workflow_type": str(kind)}
    try:
        answer = await api.call("start_workflow_execution", expect="runId", about=about, **parameters)
    except ExecutionAlreadyStartedError as error:
        if is_own_id:
            run_id = await _find_run(api, workflow_id, (OPEN, CLOSED), pauses=_PAUSES)
            if run_id is not None:
                return run_id
            message = (
                "the execution was started, but the reply with its run id was lost, and SWF does not list it yet; "
                "`await swf.find_open(workflow_id)` finds it later"
            )
        else:
            run_id = await _find_run(api, workflow_id, (OPEN,), pauses=(0.0,))
            message = (
                "an execution with this workflow id is open: follow that one, or start with another workflow_id"
            )
        raise ExecutionAlreadyStartedError(
            message, domain=api.domain, workflow_id=workflow_id, run_id=run_id, endpoint=api.endpoint
        ) from error
    return str(answer["runId"])


async def _find_run(
    api: SwfApi, workflow_id: str, operations: Iterable[str], *, pauses: Iterable[float]
) -> str | None:
    for pause in pauses:
        await anyio.sleep(pause)
        for operation in operations:
            with suppress(SwfError):  # listing needs a permission of its own
                run_id = await newest_run(api, workflow_id, operation)
                if run_id is not None:
                    return run_id
    return None
