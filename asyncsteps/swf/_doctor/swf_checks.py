"""What SWF has of what deciders and workers need."""

import datetime as dt
from collections.abc import Sequence

from asyncsteps._aws.codes import CREDENTIALS_CODES, error_code
from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import SwfAccessDeniedError, SwfError
from asyncsteps.swf._client.records import Pending
from asyncsteps.swf._doctor.check import Check, Verdict, failed, ok, skipped, warning
from asyncsteps.swf._doctor.clock import check_clock
from asyncsteps.swf.constants import STEP_ACTIVITY_PARAMS_DEFAULT

_AREA = "swf"
_STEP_TYPES = tuple(
    (f"asyncsteps.swf.tasks.{name}", str(STEP_ACTIVITY_PARAMS_DEFAULT["version"]))
    for name in ("GetStepsDoneTask", "MarkStepDoneTask", "WithdrawStepsDoneTask")
)


async def check_swf(
    swf: SwfClient, *, task_lists: Sequence[str], workflow_types: Sequence[tuple[str, str]]
) -> list[Check]:
    """Check the domain and the clock, and then what is in the domain.

    Args:
        swf: The client.
        task_lists: The task lists that deciders and workers poll.
        workflow_types: Pairs of name and version that must be registered.
    """
    checks = await _domain(swf)
    if checks[0].verdict is Verdict.FAILED:
        return [*checks, skipped(_AREA, "types and task lists", "the domain cannot be used")]
    checks += [await _workflow_type(swf, name, version) for name, version in workflow_types]
    checks.append(await _activity_types(swf))
    return checks + [await _task_list(swf, task_list) for task_list in task_lists]


async def _domain(swf: SwfClient) -> list[Check]:
    try:
        domain = await swf.describe_domain()
    except SwfAccessDeniedError as error:
        return [_denied("domain", error, "swf:DescribeDomain")]
    except SwfError as error:
        return [failed(_AREA, "domain", str(error))]
    clock = check_clock(_AREA, domain.server_time, dt.datetime.now(dt.UTC))
    if not domain.is_registered:
        said = f"{domain.name} is deprecated: no execution can start in it; use another one"
        return [failed(_AREA, "domain", said), clock]
    days = domain.retention_days
    keeps = "no closed executions" if days in {"0", "NONE"} else f"closed executions for {_days(days)}"
    said = f"{domain.name} is registered, and keeps {keeps}"
    return [ok(_AREA, "domain", said), clock]


async def _workflow_type(swf: SwfClient, name: str, version: str) -> Check:
    what = f"workflow type {name} {version}"
    try:
        registered = await swf.is_registered(name, version=version)
    except SwfAccessDeniedError as error:
        return _denied(what, error, "swf:DescribeWorkflowType")
    except SwfError as error:
        return failed(_AREA, what, str(error))
    if registered:
        return ok(_AREA, what, "registered")
    return failed(
        _AREA,
        what,
        "not registered, or deprecated: `await swf.register(workflow)`, or a first start by simpleflow",
    )


async def _activity_types(swf: SwfClient) -> Check:
    what = "activity types of steps"
    try:
        registered = set(await swf.activity_types())
    except SwfAccessDeniedError as error:
        return _denied(what, error, "swf:ListActivityTypes")
    except SwfError as error:
        return failed(_AREA, what, str(error))
    missing = [f"{name} {version}" for name, version in _STEP_TYPES if (name, version) not in registered]
    if not missing:
        return ok(_AREA, what, f"registered, among {len(registered)} of the domain")
    return ok(
        _AREA,
        what,
        f"not registered yet: {', '.join(missing)}; deciders register them at their first use, and need "
        "swf:RegisterActivityType for it",
    )


async def _task_list(swf: SwfClient, task_list: str) -> Check:
    what = f"task list {task_list}"
    try:
        pending = await swf.pending(task_list)
    except SwfAccessDeniedError as error:
        return _denied(what, error, "swf:CountPendingDecisionTasks and swf:CountPendingActivityTasks")
    except SwfError as error:
        return failed(_AREA, what, str(error))
    decisions = _count(pending, pending.decisions, "decision", "decisions")
    activities = _count(pending, pending.activities, "activity", "activities")
    said = f"{decisions} and {activities} wait"
    if pending.decisions or pending.activities:
        return warning(_AREA, what, f"{said}: where these numbers stay, nobody polls it, or too few do")
    return ok(_AREA, what, said)


def _count(pending: Pending, number: int, one: str, more: str) -> str:
    least = " or more" if pending.truncated else ""
    return f"{number:,}{least} {one if number == 1 and not least else more}"


def _days(number: str) -> str:
    return "1 day" if number == "1" else f"{number} days"


def _denied(what: str, error: SwfAccessDeniedError, permission: str) -> Check:
    """What the credentials may not ask, which deciders and workers do without."""
    code = error_code(error.__cause__)
    if code is None or code in CREDENTIALS_CODES:
        return failed(_AREA, what, str(error))
    return warning(_AREA, what, f"not known: asking needs {permission}, which deciders and workers do not need")
