"""The workflow run of a bridge, in the bridge's thread: a workflow whose `run` plays what is submitted."""

from collections.abc import Callable
from typing import Any, NamedTuple

from simpleflow.local.executor import Executor as LocalExecutor
from simpleflow.task import MarkerTask
from simpleflow.workflow import Workflow

from asyncsteps.swf._convert.convert import refuse_unawaited


class _Identity(NamedTuple):
    """What the local executor asks of the task of a workflow that it enters."""

    id: str


class BridgeExecutor(LocalExecutor):
    """simpleflow's local executor under a workflow id, telling of the markers it records, in their order.

    Args:
        workflow_class: The workflow.
        workflow_id: Its id; None: simpleflow's ``local``.
        on_marker: Called with name and details of each marker.
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
            # The stack that get_run_context() reads its workflow id and run id from.
            self.on_new_workflow(_Identity(workflow_id))

    def submit(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Submit to simpleflow; what it would leave unawaited is refused, wherever it comes from."""
        refuse_unawaited(func)
        future = super().submit(func, *args, **kwargs)
        if isinstance(func, MarkerTask):
            self._on_marker(func.name, func.details)
        return future


def workflow_that_plays(workflow_class: type[Workflow], play: Callable[[Workflow], None]) -> type[Workflow]:
    """A subclass of ``workflow_class`` whose `run` is ``play``."""

    def run(self: Workflow, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        play(self)

    namespace = {"run": run, "__module__": workflow_class.__module__, "__doc__": workflow_class.__doc__}
    return type(workflow_class.__name__, (workflow_class,), namespace)
