"""The workflow run of a bridge, in the bridge's thread: its `run` plays what is submitted."""

from collections.abc import Callable
from typing import Any, NamedTuple

from simpleflow.local.executor import Executor as LocalExecutor
from simpleflow.task import MarkerTask
from simpleflow.workflow import Workflow

from asyncsteps.swf._convert.convert import refuse_unawaited


class _Identity(NamedTuple):
    """What the local executor needs to know of a workflow that it enters."""

    id: str


class BridgeExecutor(LocalExecutor):
    """simpleflow's local executor with a workflow id, which reports the markers that it records.

    Args:
        workflow_class: The workflow.
        workflow_id: Its id; None: simpleflow's ``local``.
        on_marker: Called with the name and the details of each marker, in order of recording.
    """

    def __init__(
        self,
        workflow_class: type[Workflow],
        *,
        workflow_id: str | None,
        on_marker: Callable[[str, Any], object],
    ) -> None:
        super().__init__(workflow_class)
        self._on_marker = on_marker
        if workflow_id is not None:
            # get_run_context() reads workflow id and run id from that stack.
            self.on_new_workflow(_Identity(workflow_id))

    def submit(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Submit to simpleflow, and refuse what it would not await, wherever that comes from."""
        refuse_unawaited(func)
        future = super().submit(func, *args, **kwargs)
        if isinstance(func, MarkerTask):
            self._on_marker(func.name, func.details)
        return future


def workflow_that_plays(workflow_class: type[Workflow], play: Callable[[Workflow], None]) -> type[Workflow]:
    """Make a subclass of ``workflow_class`` whose `run` is ``play``."""

    def run(self: Workflow, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        play(self)

    namespace = {"run": run, "__module__": workflow_class.__module__, "__doc__": workflow_class.__doc__}
    return type(workflow_class.__name__, (workflow_class,), namespace)
