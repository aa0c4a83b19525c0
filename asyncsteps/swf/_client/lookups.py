"""What a client looks up in its domain: executions, types, task lists, the domain itself."""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from email.utils import parsedate_to_datetime
from typing import Any

from asyncsteps.swf._client.api import SwfApi
from asyncsteps.swf._client.errors import ExecutionNotFoundError, WorkflowTypeNotFoundError
from asyncsteps.swf._client.execution import Execution
from asyncsteps.swf._client.listing import CLOSED, OPEN, Selection, list_executions, newest_run
from asyncsteps.swf._client.polling import Poller
from asyncsteps.swf._client.records import DomainInfo, ExecutionInfo, Pending
from asyncsteps.swf._client.start import workflow_type
from asyncsteps.swf._client.wire import reading

_REGISTERED = "REGISTERED"


class Lookups(ABC):
    """The part of `SwfClient` that asks and changes nothing."""

    domain: str

    @abstractmethod
    def _open(self) -> tuple[SwfApi, Poller]: ...

    @abstractmethod
    def get(self, workflow_id: str, run_id: str) -> Execution:
        """Return a handle on an execution that was started elsewhere, without a request."""

    async def find_open(self, workflow_id: str) -> Execution:
        """Find the open execution with this workflow id.

        SWF's listings may lag some seconds behind.

        Raises:
            ExecutionNotFoundError: When SWF lists none.
        """
        return await self._find(
            workflow_id, OPEN, missing="no open execution has this workflow id (yet, or any more)"
        )

    def list_open(
        self,
        *,
        workflow_id: str | None = None,
        workflow: object = None,
        version: str | None = None,
        tag: str | None = None,
        since: dt.datetime | None = None,
    ) -> AsyncGenerator[ExecutionInfo, None]:
        """Iterate over open executions, newest first. SWF's listings may lag some seconds behind.

        Args:
            workflow_id: Only the execution with this workflow id; give at most one of this, ``workflow``, ``tag``.
            workflow: Only executions of this type: a simpleflow `Workflow` class, or a name with ``version``.
            version: See ``workflow``.
            tag: Only executions with this tag.
            since: Only executions started since then; None: all.
        """
        return self._list(OPEN, workflow_id, workflow, version, tag, since)

    def list_closed(
        self,
        *,
        workflow_id: str | None = None,
        workflow: object = None,
        version: str | None = None,
        tag: str | None = None,
        since: dt.datetime | None = None,
    ) -> AsyncGenerator[ExecutionInfo, None]:
        """Iterate over closed executions, as far back as the domain keeps them; see `list_open`."""
        return self._list(CLOSED, workflow_id, workflow, version, tag, since)

    def _list(
        self,
        operation: str,
        workflow_id: str | None,
        workflow: object,
        version: str | None,
        tag: str | None,
        since: dt.datetime | None,
    ) -> AsyncGenerator[ExecutionInfo, None]:
        api, _ = self._open()
        kind = workflow_type(workflow, version) if workflow is not None else None
        return list_executions(api, operation, Selection(workflow_id, kind, tag), since=since)

    async def find(self, workflow_id: str) -> Execution:
        """Find the newest execution with this workflow id, open or closed.

        SWF's listings may lag some seconds behind, and a closed execution is kept for a number of days.

        Raises:
            ExecutionNotFoundError: When SWF lists none.
        """
        missing = "no execution has this workflow id, open or closed: check the id and the domain"
        return await self._find(workflow_id, OPEN, CLOSED, missing=missing)

    async def _find(self, workflow_id: str, *operations: str, missing: str) -> Execution:
        api, _ = self._open()
        for operation in operations:
            run_id = await newest_run(api, workflow_id, operation)
            if run_id is not None:
                return self.get(workflow_id, run_id)
        raise ExecutionNotFoundError(missing, domain=self.domain, workflow_id=workflow_id)

    async def describe_domain(self) -> DomainInfo:
        """Describe the domain.

        Raises:
            SwfDomainNotFoundError: When there is none of this name.
        """
        api, _ = self._open()
        answer = await api.call("describe_domain", expect="domainInfo", domain_as="name")
        with reading("domain"):
            return DomainInfo(
                name=answer["domainInfo"]["name"],
                is_registered=answer["domainInfo"]["status"] == _REGISTERED,
                retention_days=str(answer["configuration"]["workflowExecutionRetentionPeriodInDays"]),
                server_time=_date_of(answer),
            )

    async def is_registered(self, workflow: object, *, version: str | None = None) -> bool:
        """Whether a workflow type is registered, and not deprecated.

        Args:
            workflow: A simpleflow `Workflow` class, or a name with ``version``.
            version: See ``workflow``.
        """
        api, _ = self._open()
        kind = workflow_type(workflow, version)
        try:
            answer = await api.call(
                "describe_workflow_type",
                expect="typeInfo",
                about={"workflow_type": str(kind)},
                workflowType={"name": kind.name, "version": kind.version},
            )
        except WorkflowTypeNotFoundError:
            return False
        with reading("workflow type"):
            return bool(answer["typeInfo"]["status"] == _REGISTERED)

    async def activity_types(self) -> list[tuple[str, str]]:
        """List the registered activity types, as pairs of name and version."""
        api, _ = self._open()
        found: list[tuple[str, str]] = []
        more: dict[str, Any] = {}
        while True:
            answer = await api.call(
                "list_activity_types", expect="typeInfos", registrationStatus=_REGISTERED, **more
            )
            with reading("activity type"):
                found += [
                    (it["activityType"]["name"], it["activityType"]["version"]) for it in answer["typeInfos"]
                ]
            if "nextPageToken" not in answer:
                return found
            more = {"nextPageToken": answer["nextPageToken"]}

    async def pending(self, task_list: str) -> Pending:
        """Count the tasks that wait in a task list; SWF counts about, and not all of very many."""
        api, _ = self._open()
        counts = [
            await api.call(operation, expect="count", taskList={"name": task_list})
            for operation in ("count_pending_decision_tasks", "count_pending_activity_tasks")
        ]
        truncated = any(bool(count.get("truncated")) for count in counts)
        return Pending(task_list, counts[0]["count"], counts[1]["count"], truncated)


def _date_of(answer: Any) -> dt.datetime | None:
    """The server's time, from the headers of its answer."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(dt.UTC)
    except (KeyError, TypeError, ValueError):
        return None
