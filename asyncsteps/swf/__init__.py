"""Steps on Amazon SWF, through simpleflow: the drop-in mixin, the bridge, and the async client.

Everything here needs the extra ``swf``. Names are imported at their first use, so that a service that only wants
`SwfClient` does not pay for (or configure the logging of) simpleflow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncsteps._errors import MissingExtraError
from asyncsteps.swf._logging import import_simpleflow

if TYPE_CHECKING:
    from asyncsteps.swf import tasks
    from asyncsteps.swf._bridge import SimpleflowBridge
    from asyncsteps.swf._client import SwfClient
    from asyncsteps.swf._convert import to_simpleflow
    from asyncsteps.swf._mixin import WorkflowStepMixin
    from asyncsteps.swf._step import Step

__all__ = ["SimpleflowBridge", "Step", "SwfClient", "WorkflowStepMixin", "tasks", "to_simpleflow"]

_MODULES = {
    "SimpleflowBridge": "asyncsteps.swf._bridge",
    "Step": "asyncsteps.swf._step",
    "SwfClient": "asyncsteps.swf._client",
    "WorkflowStepMixin": "asyncsteps.swf._mixin",
    "tasks": "asyncsteps.swf.tasks",
    "to_simpleflow": "asyncsteps.swf._convert",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        if name != "SwfClient":
            import_simpleflow()
        module = import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "simpleflow":
            raise
        raise MissingExtraError("swf", f"asyncsteps.swf.{name}") from error
    return module if name == "tasks" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
