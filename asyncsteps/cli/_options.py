"""The options that commands share."""

from dataclasses import dataclass
from typing import Annotated, Final

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
"""An option without a value."""

Repeated = Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=False, show_default=False)]
"""An option that may be given several times."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """Options of every command.

    Attributes:
        endpoint_url: S3 endpoint; overrides the environment (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profiles).
        json: Write one JSON document to stdout.
        traceback: Show the tracebacks of errors.
    """

    endpoint_url: str | None = None
    json: Flag = False
    traceback: Flag = False


COMMON: Final = Common()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What to run or plan, and what to force and skip in it.

    Attributes:
        workflow_id: The workflow's id, recorded with every step that is marked done.
        store: The store of done steps; a Workflow class may leave it to its hooks.
        run_id: The run's id; made up when left out.
        force: SELECTOR[=REASON]: play these steps even if they are done. Repeatable.
        skip: SELECTOR[=REASON]: skip these steps, unless they are forced. Repeatable.
        until: SELECTOR: stop after these steps: nothing more is begun, and what has begun ends. Repeatable.
        param: NAME=VALUE: an argument of the target, typed by its annotation; JSON for lists and mappings.
            Repeatable.
    """

    workflow_id: str
    store: str | None = None
    run_id: str | None = None
    force: Repeated = ()
    skip: Repeated = ()
    until: Repeated = ()
    param: Repeated = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class SwfCommon:
    """Options of every command of SWF.

    Attributes:
        domain: The SWF domain; without it the environment variable SWF_DOMAIN.
        region: The AWS region; overrides the environment and profiles.
        swf_endpoint_url: SWF endpoint; overrides the environment (AWS_ENDPOINT_URL_SWF, AWS_ENDPOINT_URL,
            profiles).
        json: Write one JSON document to stdout.
        traceback: Show the tracebacks of errors.
    """

    domain: Annotated[str, Parameter(env_var="SWF_DOMAIN", show_env_var=False)]
    region: str | None = None
    swf_endpoint_url: str | None = None
    json: Flag = False
    traceback: Flag = False
