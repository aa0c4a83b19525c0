"""Starts executions, and recognises its own when SWF says "already started"."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import anyio

from asyncsteps.swf._client.api import SwfApi
from asyncsteps.swf._client.errors import ExecutionAlreadyStartedError, SwfError
from asyncsteps.swf._client.listing import CLOSED, OPEN, newest_run
from asyncsteps.swf._client.start import WorkflowType

_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each lookup of an execution that was just started: SWF's listings lag behind."""


async def start_execution(api: SwfApi, kind: WorkflowType, parameters: dict[str, Any], *, is_own_id: bool) -> str:
    """Start an execution and return its run id.

    When a reply is lost, botocore sends the request again, and the second attempt finds the execution that the
    first one started. With a workflow id that nobody else uses, "already started" can only mean this.

    Args:
        api: Sends the request.
        kind: The workflow type, for errors.
        parameters: The parameters of StartWorkflowExecution.
        is_own_id: Whether the workflow id was made for this start.

    Raises:
        ExecutionAlreadyStartedError: When an execution with the caller's id is open; with an own id, when SWF does
            not list the execution in time.
        SwfError: When SWF refuses for another reason, or cannot be reached.
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
            with suppress(SwfError):  # listing takes a separate permission
                run_id = await newest_run(api, workflow_id, operation)
                if run_id is not None:
                    return run_id
    return None
