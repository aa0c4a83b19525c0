"""The exceptions of the SWF client, and the mapping of botocore's exceptions to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import botocore.exceptions as aws

from asyncsteps._aws.codes import (
    BAD_PROFILE,
    CREDENTIALS_CODES,
    DENIED_CODES,
    NO_CREDENTIALS,
    THROTTLED_CODES,
    error_code,
    error_message,
    error_status,
)
from asyncsteps._aws.redaction import redacted
from asyncsteps._errors import AsyncstepsError
from asyncsteps.swf._client.records import Closure


class SwfError(AsyncstepsError):
    """Amazon SWF could not do what it was asked.

    Attributes:
        domain: The SWF domain.
        workflow_id: The execution's workflow id, where one is concerned.
        run_id: The execution's run id, where known.
        endpoint: The endpoint.
    """

    def __init__(
        self,
        message: str,
        *,
        domain: str | None = None,
        workflow_id: str | None = None,
        run_id: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        where = ", ".join(
            f"{label} {value!r}"
            for label, value in (
                ("domain", domain),
                ("workflow id", workflow_id),
                ("run id", run_id),
                ("endpoint", endpoint),
            )
            if value is not None
        )
        super().__init__(f"{message} ({where})" if where else message)
        self.domain = domain
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.endpoint = endpoint


class SwfInputError(SwfError, ValueError):
    """An argument breaks a rule of SWF, or of simpleflow's input format."""


class SwfClientClosedError(SwfError):
    """The client is used outside its ``async with`` block."""


class SwfDomainNotFoundError(SwfError):
    """The domain is not registered in this region or at this endpoint."""


class WorkflowTypeNotFoundError(SwfError):
    """The workflow type is not registered in the domain, or is deprecated."""


class WorkflowTypeExistsError(SwfError):
    """The workflow type is registered already (or deprecated: SWF never registers a version twice)."""


class ExecutionNotFoundError(SwfError):
    """SWF knows no such execution, or none that is open when the request needs an open one."""


class ExecutionAlreadyStartedError(SwfError):
    """An execution with this workflow id is already open; ``run_id`` is set when SWF lists it."""


class SwfLimitError(SwfError):
    """A limit of the account or the domain is reached, such as the number of open executions."""


class SwfAccessDeniedError(SwfError):
    """The credentials are missing, wrong, or lack a permission."""


class SwfUnreachableError(SwfError):
    """The endpoint gave no usable answer, also when botocore retried."""


class SwfThrottledError(SwfError):
    """SWF throttled the request, also when botocore retried."""


class ExecutionError(SwfError):
    """An execution closed without a result.

    Attributes:
        closure: How it closed, with the reason and the details.
    """

    def __init__(
        self, message: str, closure: Closure, *, domain: str | None, workflow_id: str | None, run_id: str | None
    ) -> None:
        super().__init__(message, domain=domain, workflow_id=workflow_id, run_id=run_id)
        self.closure = closure

    @property
    def reason(self) -> str | None:
        """The reason that the workflow, or whoever closed it, gave."""
        return self.closure.reason

    @property
    def details(self) -> object:
        """The details that the workflow, or whoever closed it, gave: decoded JSON, else the text."""
        return self.closure.details


class ExecutionFailedError(ExecutionError):
    """The workflow failed."""


class ExecutionTimedOutError(ExecutionError, TimeoutError):
    """The execution overran its start-to-close timeout."""


class ExecutionTerminatedError(ExecutionError):
    """The execution was terminated, without the workflow's consent."""


class ExecutionCanceledError(ExecutionError):
    """The workflow cancelled itself on request."""


class ExecutionContinuedAsNewError(ExecutionError):
    """The run continued as a new run, ``closure.new_run_id``, which was not followed."""


_Refusal = tuple[type[SwfError], str]

_THROTTLED: _Refusal = (SwfThrottledError, "ask less often, or raise the account's SWF quota")
_DENIED: _Refusal = (SwfAccessDeniedError, "the credentials need the permission {permission}")
_NOT_ACCEPTED: _Refusal = (
    SwfAccessDeniedError,
    "the credentials are not accepted: check them, and their session token",
)
_INVALID: _Refusal = (SwfInputError, "")
_FAILED: _Refusal = (SwfUnreachableError, "the service failed; try again later")

_REFUSALS: dict[str, _Refusal] = {
    **dict.fromkeys(THROTTLED_CODES, _THROTTLED),
    **dict.fromkeys(DENIED_CODES, _DENIED),
    **dict.fromkeys(CREDENTIALS_CODES, _NOT_ACCEPTED),
    "OperationNotPermittedFault": _DENIED,
    "ValidationException": _INVALID,
    "ValidationError": _INVALID,
    "SerializationException": _INVALID,
    "DomainDeprecatedFault": (SwfDomainNotFoundError, "the domain is deprecated: use another one"),
    "TypeDeprecatedFault": (
        WorkflowTypeNotFoundError,
        "the type is deprecated: start another version, or undeprecate it",
    ),
    "TypeAlreadyExistsFault": (
        WorkflowTypeExistsError,
        "nothing is to be done, or register another version",
    ),
    "WorkflowExecutionAlreadyStartedFault": (
        ExecutionAlreadyStartedError,
        "follow that execution, or give another workflow_id",
    ),
    "DefaultUndefinedFault": (
        SwfInputError,
        "the workflow type was registered without this default: give it to start()",
    ),
    "LimitExceededFault": (
        SwfLimitError,
        "wait for executions to close, or raise the account's SWF quota",
    ),
}


@contextmanager
def mapped(
    operation: str,
    *,
    domain: str,
    endpoint: str | None,
    workflow_id: str | None = None,
    run_id: str | None = None,
    workflow_type: str | None = None,
) -> Iterator[None]:
    """Raise this module's exceptions from those that botocore raises in the block."""

    def fail(kind: type[SwfError], message: str, cause: BaseException) -> NoReturn:
        raise kind(
            f"{operation}: {redacted(message)}",
            domain=domain,
            workflow_id=workflow_id,
            run_id=run_id,
            endpoint=endpoint,
        ) from cause

    try:
        yield
    except aws.ClientError as error:
        kind, message = _refusal(error, domain, workflow_type)
        fail(kind, message.replace("{permission}", f"swf:{operation.title().replace('_', '')}"), error)
    except aws.ParamValidationError as error:
        fail(SwfInputError, str(error), error)
    except NO_CREDENTIALS as error:
        fail(SwfAccessDeniedError, f"{error}; give AWS credentials by environment, profile or role", error)
    except (aws.NoRegionError, *BAD_PROFILE) as error:
        fail(SwfInputError, f"{error}; give region_name=, or AWS_DEFAULT_REGION, or a valid profile", error)
    except SwfError:
        raise
    except Exception as error:  # noqa: BLE001  botocore raises anything over an answer that is not SWF's
        fail(SwfUnreachableError, f"no usable answer: {type(error).__name__}: {error}", error)


def _refusal(error: aws.ClientError, domain: str, workflow_type: str | None) -> _Refusal:
    """Return the class and the message for a refusal by the service."""
    code, message = error_code(error) or "", error_message(error)
    said = f"{code}: {message}" if message else code
    if code == "UnknownResourceFault":
        kind, remedy = _unknown(message, domain, workflow_type)
    elif code in _REFUSALS:
        kind, remedy = _REFUSALS[code]
    else:
        kind, remedy = _FAILED if error_status(error) >= 500 else (SwfError, "")  # noqa: PLR2004  HTTP's own number
    return kind, f"{said}; {remedy}" if remedy else said


def _unknown(message: str, domain: str, workflow_type: str | None) -> _Refusal:
    if "domain" in message.lower():
        return SwfDomainNotFoundError, (
            f"register it (aws swf register-domain --name {domain} "
            "--workflow-execution-retention-period-in-days 30), or ask another region"
        )
    if workflow_type is not None:
        return WorkflowTypeNotFoundError, (
            f"register {workflow_type} with `await swf.register(workflow)`, as simpleflow does at its first start"
        )
    return ExecutionNotFoundError, (
        "no execution has these ids (SWF forgets closed ones after the domain's retention period), or it is closed"
    )
