"""Keeps reason and details of an execution's failure within the lengths of SWF: simpleflow makes them of an error.

Over longer ones it raises `JumboTooLargeError`, and the execution fails with that.
"""

import json
import re
import traceback
from types import SimpleNamespace
from typing import Any

from simpleflow.constants import MAX_DETAILS_LENGTH, MAX_REASON_LENGTH
from simpleflow.exceptions import TaskException, TaskFailed, WorkflowException

from asyncsteps._errors import AsyncstepsError
from asyncsteps.swf._errors import shorten

_FRAMES_CHARS = 8_000
"""Characters of the details that are left to the frames between simpleflow's replay and `run`."""

_NAME_CHARS = 100
"""The longest name of a failed task in a reason that is too long."""

_WRAPPED = re.compile(r'\A(?:Workflow execution error in .*?: "|Cannot replay the workflow: )*')
"""What each execution puts before the reason of the failure that ended it."""


def with_short_reason(error: Exception) -> Exception:
    """Return ``error``, or an error of the same name of which simpleflow makes a reason that SWF takes.

    What is left out of the reason is in the details.
    """
    if isinstance(error, TaskException | WorkflowException):
        return _of_task(error)
    if isinstance(error, AsyncstepsError):
        shorten(error)
    return _of_run(error)


def _of_run(error: Exception) -> Exception:
    kind, message = type(error).__name__, str(error)
    told = "".join(traceback.format_exception(error))
    room = MAX_REASON_LENGTH - len(f"Cannot replay the workflow: {kind}()")
    if len(message) <= room and len(told) <= MAX_DETAILS_LENGTH - _FRAMES_CHARS:
        return error
    short: Exception = type(kind, (Exception,), {"__module__": type(error).__module__})(_cut(message, room))
    half = (MAX_DETAILS_LENGTH - _FRAMES_CHARS) // 2
    short.add_note(told if len(told) <= 2 * half else f"{told[:half]}\n...\n{told[-half:]}")
    return short


def _of_task(error: Exception) -> Exception:
    raised: Any = error
    failure, name = raised.exception, raised.payload.name
    reason = str(failure.reason) if hasattr(failure, "reason") else repr(failure)
    if len(_reason(name, reason)) <= MAX_REASON_LENGTH:
        return error
    name = _cut(name, _NAME_CHARS)
    # Of a failure in a child workflow, what failed comes before where it did.
    inner = _WRAPPED.sub("", reason, count=1)
    short = TaskFailed(name, _cut(inner, MAX_REASON_LENGTH - len(_reason(name, ""))), _details(failure, reason))
    failed: Exception = type(raised)(SimpleNamespace(name=name), short)
    failed.__cause__ = error
    return failed


def _reason(name: str, reason: str) -> str:
    """What simpleflow makes of a failed task."""
    return f'Workflow execution error in {name}: "{reason}"'


def _details(failure: Any, reason: str) -> str | None:
    """The details of a failure with the whole reason, which takes its place among them where they are JSON."""
    details: str | None = getattr(failure, "details", None)
    try:
        known = json.loads(details or "{}")
    except ValueError:
        known = None
    is_object = isinstance(known, dict)
    whole = json.dumps({"whole_reason": reason, **known}) if is_object else f"{reason}\n{details}"
    return whole if len(whole) <= MAX_DETAILS_LENGTH else details


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
