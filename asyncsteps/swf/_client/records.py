"""The records that the SWF client returns: executions, and how they closed."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class JumboField:
    """A payload that simpleflow stored on S3, its "jumbo field". The client does not fetch it.

    Attributes:
        bucket: The S3 bucket.
        key: The S3 key.
        size: Its length in characters.
    """

    bucket: str
    key: str
    size: int


class CloseStatus(StrEnum):
    """How an execution closed, with SWF's names."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    TERMINATED = "TERMINATED"
    TIMED_OUT = "TIMED_OUT"
    CONTINUED_AS_NEW = "CONTINUED_AS_NEW"


@dataclass(frozen=True, slots=True)
class Closure:
    """How an execution closed.

    Attributes:
        status: Completed, failed, canceled, terminated, timed out, or continued as a new run.
        at: When it closed, in UTC.
        result: What the workflow returned: decoded JSON, or a `JumboField`; None unless completed.
        reason: The reason that the workflow, or whoever terminated it, gave; the timeout's type when it timed out.
        details: Further details: decoded JSON, the text when it is not JSON, or a `JumboField`.
        new_run_id: The run that it continued as.
    """

    status: CloseStatus
    at: dt.datetime
    result: Any = None
    reason: str | None = None
    details: Any = None
    new_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """What SWF knows about an execution, without its history.

    Attributes:
        workflow_id: Its workflow id.
        run_id: Its run id.
        workflow: The workflow type's name.
        version: The workflow type's version.
        started: When it started, in UTC.
        closed: When it closed, in UTC; None while it is open.
        status: How it closed; None while it is open.
        tags: Its tags.
        cancel_requested: Whether it was asked to cancel.
        task_list: The task list of its decisions; None in listings, which do not contain it.
        open_counts: The numbers of open activity tasks, timers and so on, by SWF's names; empty in listings.
    """

    workflow_id: str
    run_id: str
    workflow: str
    version: str
    started: dt.datetime
    closed: dt.datetime | None
    status: CloseStatus | None
    tags: tuple[str, ...]
    cancel_requested: bool
    task_list: str | None
    open_counts: Mapping[str, int]

    @property
    def is_open(self) -> bool:
        """Whether it was open at the time of the answer."""
        return self.status is None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """An event of an execution's history, as SWF recorded it.

    Attributes:
        run_id: The run whose history it is in.
        id: Its number in that history, from 1.
        type: Its type, by SWF's name, such as ``ActivityTaskFailed``.
        at: When it was recorded, in UTC.
        attributes: Its attributes, by SWF's names, payloads not decoded.
    """

    run_id: str
    id: int
    type: str
    at: dt.datetime
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DomainInfo:
    """What SWF knows about a domain.

    Attributes:
        name: Its name.
        is_registered: Whether it is in use; False: deprecated.
        retention_days: For how many days closed executions are kept, as SWF says it: a number, or ``NONE``.
        server_time: The time of the answer by SWF's clock, in UTC; None where the answer had none.
    """

    name: str
    is_registered: bool
    retention_days: str
    server_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Pending:
    """How many tasks wait in a task list.

    Attributes:
        task_list: The task list.
        decisions: Decision tasks that no decider has taken yet.
        activities: Activity tasks that no worker has taken yet.
        truncated: Whether there are more than SWF counts.
    """

    task_list: str
    decisions: int
    activities: int
    truncated: bool
