"""Lists executions, with SWF's filters and page by page."""

import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from asyncsteps.swf._client.api import SwfApi
from asyncsteps.swf._client.errors import SwfInputError
from asyncsteps.swf._client.records import ExecutionInfo
from asyncsteps.swf._client.start import WorkflowType
from asyncsteps.swf._client.wire import read_info

OPEN = "list_open_workflow_executions"
CLOSED = "list_closed_workflow_executions"

LONGEST_KEPT = dt.timedelta(days=366 + 90)
"""An execution is open for at most a year, and kept for at most 90 days after that."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which executions to list; SWF accepts at most one of the three filters."""

    workflow_id: str | None
    kind: WorkflowType | None
    tag: str | None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.workflow_id, self.kind, self.tag)) > 1:
            raise SwfInputError("give at most one of workflow_id, workflow and tag: SWF filters by one of them")

    @property
    def parameters(self) -> dict[str, Any]:
        """The filter, as SWF's parameters."""
        if self.workflow_id is not None:
            return {"executionFilter": {"workflowId": self.workflow_id}}
        if self.kind is not None:
            return {"typeFilter": {"name": self.kind.name, "version": self.kind.version}}
        return {"tagFilter": {"tag": self.tag}} if self.tag is not None else {}

    def admits(self, info: ExecutionInfo) -> bool:
        """Whether an execution is selected; some servers accept a filter and ignore it."""
        return (
            self.workflow_id in {None, info.workflow_id}
            and (self.kind is None or (self.kind.name, self.kind.version) == (info.workflow, info.version))
            and (self.tag is None or self.tag in info.tags)
        )


async def list_executions(
    api: SwfApi, operation: str, selection: Selection, *, since: dt.datetime | None
) -> AsyncGenerator[ExecutionInfo, None]:
    """Yield the executions that an operation lists; each page is fetched when it is needed."""
    oldest = since if since is not None else dt.datetime.now(dt.UTC) - LONGEST_KEPT
    token: str | None = None
    while True:
        answer = await api.call(
            operation,
            expect="executionInfos",
            about={"workflow_id": selection.workflow_id},
            startTimeFilter={"oldestDate": oldest},
            **selection.parameters,
            **({"nextPageToken": token} if token else {}),
        )
        for item in answer["executionInfos"]:
            info = read_info(item)
            if selection.admits(info):
                yield info
        token = answer.get("nextPageToken")
        if token is None:
            return


async def newest_run(api: SwfApi, workflow_id: str, operation: str) -> str | None:
    """Return the run id of the newest execution with this workflow id that ``operation`` lists."""
    found = list_executions(api, operation, Selection(workflow_id, None, None), since=None)
    async with aclosing(found) as executions:
        async for info in executions:
            return info.run_id
    return None
