"""The options of the commands of Amazon SWF."""

from dataclasses import dataclass
from typing import Annotated, Final

from cyclopts import App, Parameter

from asyncsteps.cli import _swf_doctor, _swf_execution

app = App(
    name="swf", help="Look at executions on Amazon SWF, and at what they need.", result_action="return_value"
)

_Flag = Parameter(negative=(), show_default=False)
_Repeated = Parameter(negative=(), consume_multiple=False, show_default=False)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """Options of every command of SWF.

    Attributes:
        domain: The SWF domain; without it the environment variable SWF_DOMAIN.
        region: The AWS region; without it the environment and profiles decide.
        swf_endpoint_url: SWF's endpoint; likewise (AWS_ENDPOINT_URL_SWF, AWS_ENDPOINT_URL, profiles).
        json: Write one JSON document to stdout.
        traceback: Show the tracebacks of errors.
    """

    domain: Annotated[str, Parameter(env_var="SWF_DOMAIN", show_env_var=False)]
    region: str | None = None
    swf_endpoint_url: str | None = None
    json: Annotated[bool, _Flag] = False
    traceback: Annotated[bool, _Flag] = False


_PATIENCE: Final = 300.0


def _target(common: Common, workflow_id: str, run_id: str | None, patience: float) -> _swf_execution.Target:
    return _swf_execution.Target(
        domain=common.domain,
        workflow_id=workflow_id,
        run_id=run_id,
        region=common.region,
        endpoint_url=common.swf_endpoint_url,
        patience=patience,
    )


@app.command
def doctor(
    *,
    store: str,
    task_list: Annotated[tuple[str, ...], _Repeated] = (),
    workflow_type: Annotated[tuple[str, ...], _Repeated] = (),
    endpoint_url: str | None = None,
    common: Common,
) -> int:
    """Check from this machine, with its credentials, what deciders and workers need.

    Args:
        store: The URL of the done steps, s3://bucket/prefix.
        task_list: A task list that deciders or workers poll. Repeatable.
        workflow_type: NAME:VERSION of a workflow type that must be registered. Repeatable.
        endpoint_url: S3 endpoint; overrides the environment (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profiles).
        common: Options of every command of SWF.
    """
    return _swf_doctor.doctor(
        domain=common.domain,
        store=store,
        task_lists=task_list,
        workflow_types=workflow_type,
        region=common.region,
        endpoint_url=endpoint_url,
        swf_endpoint_url=common.swf_endpoint_url,
        as_json=common.json,
    )


@app.command
def follow(
    workflow_id: str,
    /,
    *,
    run_id: str | None = None,
    patience: float = _PATIENCE,
    quiet: Annotated[bool, _Flag] = False,
    common: Common,
) -> int:
    """Show an execution's steps as they are recorded, until it closes; then a summary.

    Args:
        workflow_id: The workflow id.
        run_id: The run; without it the newest execution with this workflow id.
        patience: Seconds for which SWF may throttle or be out of reach.
        quiet: No progress; the summary is written all the same.
        common: Options of every command of SWF.
    """
    return _swf_execution.follow(
        _target(common, workflow_id, run_id, patience),
        quiet=quiet,
        as_json=common.json,
        with_traceback=common.traceback,
    )


@app.command
def history(workflow_id: str, /, *, run_id: str | None = None, common: Common) -> int:
    """Show the steps of an execution as its history has them by now: decisions, durations, reasons, failures.

    Args:
        workflow_id: The workflow id.
        run_id: The run; without it the newest execution with this workflow id.
        common: Options of every command of SWF.
    """
    return _swf_execution.history(_target(common, workflow_id, run_id, _PATIENCE), as_json=common.json)
