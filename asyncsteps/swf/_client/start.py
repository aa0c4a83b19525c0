"""The parameters that start an execution or register a type: the caller's, else the workflow class's.

SWF checks the values and botocore their types; what either refuses is raised as `SwfInputError`. This module
checks only what they would accept and misread, and what their errors would not explain.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncsteps.swf._client.errors import SwfInputError
from asyncsteps.swf._client.wire import encode

MAX_ID = 256
INHERIT_TAG_LIST = "INHERIT_TAG_LIST"


@dataclass(frozen=True, slots=True)
class WorkflowType:
    """A workflow type, and the class that it was taken from.

    Attributes:
        name: The type's name.
        version: The type's version.
        cls: The simpleflow `Workflow` class whose attributes are the defaults; None when only a name was given.
    """

    name: str
    version: str
    cls: type | None

    def __str__(self) -> str:
        return f"workflow type {self.name!r}, version {self.version!r}"

    def attribute(self, name: str) -> Any:
        """Return an attribute of the class, or None."""
        return getattr(self.cls, name, None)

    def computed(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what the class's ``get_{name}(...)`` gives for this input, else its attribute ``name``."""
        getter = self.attribute(f"get_{name}")
        return getter(self.cls, *args, **kwargs) if callable(getter) else self.attribute(name)


def workflow_type(workflow: object, version: str | None) -> WorkflowType:
    """Return the type that ``workflow`` names: a simpleflow `Workflow` class, or a name with ``version``.

    Raises:
        SwfInputError: When name or version is missing.
    """
    cls = workflow if isinstance(workflow, type) else None
    name = getattr(cls, "name", None) if cls is not None else workflow
    version = version if version is not None else getattr(cls, "version", None)
    if isinstance(name, str) and name and isinstance(version, str) and version:
        return WorkflowType(name, version, cls)
    what, found = ("version", version) if isinstance(name, str) and name else ("name", name)
    raise SwfInputError(
        f"workflow {cls.__qualname__ if cls is not None else repr(workflow)} has no {what} (found {found!r}): "
        "give a simpleflow Workflow class with `name` and `version`, or a name and version="
    )


def default_workflow_id(kind: WorkflowType) -> str:
    """Make a workflow id of name, version and something unique, within SWF's rules."""
    name = "".join("-" if char in ":/|" else char for char in f"{kind.name}-{kind.version}")
    return f"{name[: MAX_ID - 33]}-{uuid.uuid4().hex}"


def seconds(value: Any, what: str) -> str | None:
    """Write a timeout as SWF does: as whole seconds; a string, such as ``NONE``, stays as it is.

    Raises:
        SwfInputError: When it is a fraction, which SWF does not know.
    """
    if isinstance(value, float):
        if not value.is_integer():
            raise SwfInputError(f"{what} must be whole seconds, not {value!r}")
        value = int(value)
    return None if value is None else str(value)


def tag_list(given: Any) -> Any:
    """Return tags as SWF takes them; a ``str`` is one tag, and simpleflow's word for the parent's tags is none."""
    if given == INHERIT_TAG_LIST:
        return None
    return [given] if isinstance(given, str) else given


def workflow_input(kind: WorkflowType, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Any) -> str:
    """Encode the input from which simpleflow's decider calls ``run``: args, kwargs, and the class when known.

    Args:
        kind: The workflow's type.
        args: Arguments of ``run``.
        kwargs: Keyword arguments of ``run``.
        given: Replaces args and kwargs: a mapping with these keys.

    Raises:
        SwfInputError: When the decider could not read it (SWF takes any text), or it is too long.
    """
    if given is None:
        data: dict[str, Any] = {"args": list(args), "kwargs": dict(kwargs)}
    elif args or kwargs:
        raise SwfInputError("give the workflow's arguments either one by one or as input=, not both")
    elif not isinstance(given, Mapping) or not given.keys() <= {"args", "kwargs", "__extra"}:
        raise SwfInputError(f"input must be a mapping with 'args' and 'kwargs', simpleflow's form, not {given!r}")
    else:
        data = dict(given)
    if kind.cls is not None:
        data["__extra"] = {**data.get("__extra", {}), "class": f"{kind.cls.__module__}.{kind.cls.__qualname__}"}
    return encode(data, f"the input of {kind}")


def without_none(**parameters: Any) -> dict[str, Any]:
    """Return the parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def start_parameters(
    kind: WorkflowType,
    *,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    workflow_id: str | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the parameters of StartWorkflowExecution; what neither caller nor class gives is left to the type.

    Raises:
        SwfInputError: When a value cannot be sent.
    """

    def attribute(name: str) -> Any:
        value = given[name]
        return value if value is not None else kind.attribute(name)

    def computed(name: str, key: str) -> Any:
        value = given[key]
        return value if value is not None else kind.computed(name, args, kwargs)

    task_list, priority = computed("task_list", "task_list"), attribute("task_priority")
    return without_none(
        workflowId=workflow_id if workflow_id is not None else default_workflow_id(kind),
        workflowType={"name": kind.name, "version": kind.version},
        taskList={"name": task_list} if task_list else None,
        input=workflow_input(kind, args, kwargs, given["input"]),
        tagList=tag_list(computed("tag_list", "tags")),
        executionStartToCloseTimeout=seconds(attribute("execution_timeout"), "execution_timeout"),
        taskStartToCloseTimeout=seconds(attribute("decision_tasks_timeout"), "decision_tasks_timeout"),
        childPolicy=attribute("child_policy"),
        lambdaRole=given["lambda_role"],
        taskPriority=str(priority) if priority is not None else None,
    )


def registration(kind: WorkflowType, *, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of RegisterWorkflowType; timeouts default to simpleflow's 300 seconds."""

    def value(name: str, default: Any) -> Any:
        found = given[name] if given[name] is not None else kind.attribute(name)
        return found if found is not None else default

    task_list = value("task_list", None)
    return without_none(
        name=kind.name,
        version=kind.version,
        description=given["description"],
        defaultTaskList={"name": task_list} if task_list else None,
        defaultChildPolicy=value("child_policy", "TERMINATE"),
        defaultExecutionStartToCloseTimeout=seconds(value("execution_timeout", 300), "execution_timeout"),
        defaultTaskStartToCloseTimeout=seconds(value("decision_tasks_timeout", 300), "decision_tasks_timeout"),
    )
