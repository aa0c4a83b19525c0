"""What starts an execution: a simpleflow workflow's attributes and the caller's, checked, as SWF's parameters."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asyncsteps.swf._client.errors import SwfInputError
from asyncsteps.swf._client.wire import encode

CHILD_POLICIES = ("TERMINATE", "REQUEST_CANCEL", "ABANDON")
"""What becomes of an execution's children when it is terminated or times out."""

MAX_TAGS = 5
MAX_ID = 256
INHERIT_TAG_LIST = "INHERIT_TAG_LIST"


@dataclass(frozen=True, slots=True)
class WorkflowType:
    """A workflow type, and where it comes from.

    Attributes:
        name: Its name.
        version: Its version.
        cls: The simpleflow `Workflow` class whose attributes are the defaults; None when only a name was given.
    """

    name: str
    version: str
    cls: type | None

    def __str__(self) -> str:
        return f"workflow type {self.name!r}, version {self.version!r}"

    def attribute(self, name: str) -> Any:
        """An attribute of the class, or None."""
        return getattr(self.cls, name, None)

    def computed(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """``get_{name}(...)`` of the class, which sees the input, else the attribute, as simpleflow has it."""
        getter = self.attribute(f"get_{name}")
        return getter(self.cls, *args, **kwargs) if callable(getter) else self.attribute(name)


def workflow_type(workflow: object, version: str | None) -> WorkflowType:
    """The type that ``workflow`` names: a simpleflow `Workflow` class, or a name with ``version``.

    Raises:
        SwfInputError: When name or version is missing.
    """
    cls = workflow if isinstance(workflow, type) else None
    name = getattr(cls, "name", None) if cls is not None else workflow
    version = version if version is not None else getattr(cls, "version", None)
    label = cls.__qualname__ if cls is not None else repr(workflow)
    for value, what in ((name, "name"), (version, "version")):
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID:
            raise SwfInputError(
                f"workflow {label} has no {what} (found {value!r}): give a simpleflow Workflow class with `name` "
                "and `version`, or a name and version="
            )
    assert isinstance(name, str)
    assert isinstance(version, str)
    return WorkflowType(name, version, cls)


def check_workflow_id(workflow_id: object) -> str:
    """Return ``workflow_id`` when SWF takes it: 1 to 256 characters, no ``: / |`` or control ones, not ``arn``."""
    rule = None
    if not isinstance(workflow_id, str):
        rule = f"it must be a str, not {type(workflow_id).__name__}"
    elif not 1 <= len(workflow_id) <= MAX_ID:
        rule = f"it must have 1 to {MAX_ID} characters, not {len(workflow_id)}"
    elif any(char in ":/|" or ord(char) <= 0x1F or 0x7F <= ord(char) <= 0x9F for char in workflow_id):  # noqa: PLR2004  SWF's own ranges
        rule = "it must not contain ':', '/', '|' or control characters"
    elif workflow_id == "arn":
        rule = "it must not be 'arn'"
    if rule is not None:
        raise SwfInputError(f"workflow id {workflow_id!r} is refused: {rule}")
    assert isinstance(workflow_id, str)
    return workflow_id


def default_workflow_id(kind: WorkflowType) -> str:
    """Name, version and something unique, fit for SWF."""
    name = "".join("-" if char in ":/|" else char for char in f"{kind.name}-{kind.version}")
    return f"{name[: MAX_ID - 33]}-{uuid.uuid4().hex}"


def seconds(value: Any, what: str, *, unlimited: bool = False) -> str | None:
    """A timeout as SWF writes it: whole seconds, or with ``unlimited`` the word ``NONE`` for no limit."""
    if value is None:
        return None
    if unlimited and value == "NONE":
        return "NONE"
    number: object = int(value) if isinstance(value, str) and value.isdecimal() else value
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not float(number).is_integer()
        or number < 0
    ):
        or_none = ", or 'NONE'" if unlimited else ""
        raise SwfInputError(f"{what} must be whole seconds, 0 or more{or_none}, not {value!r}")
    return str(int(number))


def tag_list(given: object) -> list[str] | None:
    """Tags as SWF takes them: at most 5, of 1 to 256 characters each; one str is one tag."""
    if given is None or given == INHERIT_TAG_LIST:
        return None
    if not isinstance(given, str | Iterable):
        raise SwfInputError(f"tags must be a str or an iterable of str, not {given!r}")
    tags = [given] if isinstance(given, str) else list(given)
    for tag in tags:
        if not isinstance(tag, str) or not 1 <= len(tag) <= MAX_ID:
            raise SwfInputError(f"tag {tag!r} is refused: a tag is a str of 1 to {MAX_ID} characters")
    if len(tags) > MAX_TAGS:
        raise SwfInputError(f"{len(tags)} tags are refused: SWF takes at most {MAX_TAGS} an execution")
    return tags


def child_policy(given: Any) -> str | None:
    """A child policy that SWF knows."""
    if given is None:
        return None
    if given not in CHILD_POLICIES:
        raise SwfInputError(f"child_policy {given!r} is refused: it is one of {', '.join(CHILD_POLICIES)}")
    return str(given)


def workflow_input(kind: WorkflowType, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Any) -> str:
    """The input that simpleflow's decider hands to ``run``: args and kwargs, and the class where it is known.

    ``given`` replaces args and kwargs: a mapping with these keys, for keywords that `start` takes itself.
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
    """The parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def start_parameters(
    kind: WorkflowType,
    *,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    workflow_id: str | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """The parameters of StartWorkflowExecution: what is given, else what the class says, else left to the type.

    Raises:
        SwfInputError: Naming the value that is refused, and the rule.
    """

    def attribute(name: str) -> Any:
        value = given[name]
        return value if value is not None else kind.attribute(name)

    def computed(name: str, key: str) -> Any:
        value = given[key]
        return value if value is not None else kind.computed(name, args, kwargs)

    task_list, priority = computed("task_list", "task_list"), attribute("task_priority")
    return without_none(
        workflowId=check_workflow_id(workflow_id) if workflow_id is not None else default_workflow_id(kind),
        workflowType={"name": kind.name, "version": kind.version},
        taskList={"name": task_list} if task_list else None,
        input=workflow_input(kind, args, kwargs, given["input"]),
        tagList=tag_list(computed("tag_list", "tags")),
        executionStartToCloseTimeout=seconds(attribute("execution_timeout"), "execution_timeout"),
        taskStartToCloseTimeout=seconds(
            attribute("decision_tasks_timeout"), "decision_tasks_timeout", unlimited=True
        ),
        childPolicy=child_policy(attribute("child_policy")),
        lambdaRole=given["lambda_role"],
        taskPriority=str(priority) if priority is not None else None,
    )


def registration(kind: WorkflowType, *, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of RegisterWorkflowType; timeouts that nobody gives are simpleflow's 300 seconds."""

    def value(name: str, default: Any) -> Any:
        found = given[name] if given[name] is not None else kind.attribute(name)
        return found if found is not None else default

    task_list = value("task_list", None)
    return without_none(
        name=kind.name,
        version=kind.version,
        description=given["description"],
        defaultTaskList={"name": task_list} if task_list else None,
        defaultChildPolicy=child_policy(value("child_policy", "TERMINATE")),
        defaultExecutionStartToCloseTimeout=seconds(value("execution_timeout", 300), "execution_timeout"),
        defaultTaskStartToCloseTimeout=seconds(
            value("decision_tasks_timeout", 300), "decision_tasks_timeout", unlimited=True
        ),
    )
