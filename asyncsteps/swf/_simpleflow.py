"""The one module that touches private attributes of simpleflow; `tests/swf/test_swf_private.py` guards them.

Why it must: the future of a `MarkerTask` waits for the next replay, for which the executor adds a wake-up timer.
Markers that piggyback on other decisions need neither. When `run` ends, `Executor.replay` returns the closing
decision alone, so pending markers are flushed before that.
"""

import json
from typing import Any

import simpleflow
from simpleflow import futures
from simpleflow.activity import Activity
from simpleflow.exceptions import ExecutionBlocked
from simpleflow.executor import Executor
from simpleflow.history import History
from simpleflow.step.tasks import GetStepsDoneTask, MarkStepDoneTask
from simpleflow.swf import constants
from simpleflow.swf.executor import Executor as SwfExecutor
from simpleflow.swf.task import ActivityTask as SwfActivityTask
from simpleflow.swf.task import MarkerTask as SwfMarkerTask
from simpleflow.swf.task import TimerTask as SwfTimerTask
from simpleflow.task import ActivityTask, MarkerTask

from asyncsteps.swf._errors import SimpleflowVersionError

SUPPORTED = "0.36"
"""The minor version of simpleflow whose private attributes these are."""

REQUEST_MARGIN = 5_000 + 32_000
"""Characters of a request that simpleflow keeps free for headers and context."""


def check_version(version: str) -> None:
    """Check that ``version`` of simpleflow is one that this module was written for.

    Raises:
        SimpleflowVersionError: When it is another. A checkout without metadata (``unknown``) is accepted.
    """
    if version != "unknown" and version.split(".")[:2] != SUPPORTED.split("."):
        raise SimpleflowVersionError(
            f"asyncsteps works with simpleflow {SUPPORTED}.x, and {version} is installed: "
            f"pip install 'simpleflow>={SUPPORTED},<0.37'"
        )


check_version(simpleflow.__version__)


def runs_on_swf(executor: Executor) -> bool:
    """Whether the executor decides from an SWF history, not in process."""
    return isinstance(executor, SwfExecutor)


def swf_history(executor: Executor) -> History | None:
    """The parsed history of the current replay; None on other executors, and before the first replay."""
    return executor.history if isinstance(executor, SwfExecutor) else None


def finished(result: Any = None, error: BaseException | None = None) -> futures.Future:
    """Make a finished future."""
    future = futures.Future()
    future.set_exception(error)
    future.set_finished(result)
    return future


def piggyback(executor: SwfExecutor, marker: MarkerTask, marker_id: str) -> None:
    """Add the decision to record a marker, without the wake-up timer of a marker that something waits for.

    Args:
        executor: The executor of the replay.
        marker: The marker.
        marker_id: Its id, unique in the replay: simpleflow drops a second task with the same id.

    Raises:
        ExecutionBlocked: When the decisions of one response are full; a timer is set then.
    """
    task: Any = marker if isinstance(marker, SwfMarkerTask) else SwfMarkerTask.from_generic_task(marker)
    task.id = marker_id
    timer = executor._append_timer  # noqa: SLF001 - see the module's docstring
    executor.schedule_task(task)
    executor._append_timer = timer  # noqa: SLF001 - see the module's docstring


def start_timer(executor: SwfExecutor, timer_id: str, seconds: int) -> None:
    """Start a timer, though one with this id has fired before.

    Raises:
        ExecutionBlocked: When the decisions of one response are full.
    """
    timer: Any = SwfTimerTask(timer_id, seconds, None)
    executor.schedule_task(timer)


def wake_up(executor: SwfExecutor) -> None:
    """Make sure that another replay follows this one, by a timer."""
    executor._append_timer = True  # noqa: SLF001 - see the module's docstring


def make_room(executor: SwfExecutor, *, decisions: int, chars: int) -> None:
    """Make sure that the response still has room for some decisions that belong together.

    Args:
        executor: The executor of the replay.
        decisions: How many they are.
        chars: Their length, in characters of JSON.

    Raises:
        ExecutionBlocked: When it has not. The decisions taken so far go out, and a timer brings the next replay.
    """
    taken = executor._decisions_and_context.decisions  # noqa: SLF001 - see the module's docstring
    fits = (
        len(taken) + decisions < constants.MAX_DECISIONS
        and len(json.dumps(taken)) + chars < constants.MAX_REQUEST_SIZE - REQUEST_MARGIN
    )
    if taken and not fits:
        wake_up(executor)
        raise ExecutionBlocked


def flush_markers(executor: SwfExecutor) -> None:
    """End the replay with its markers and a wake-up timer, in place of what `run` ended with.

    Other decisions are dropped, as simpleflow drops them when `run` ends without waiting for them.

    Raises:
        ExecutionBlocked: Always.
    """
    context = executor._decisions_and_context  # noqa: SLF001 - see the module's docstring
    context.decisions = [decision for decision in context.decisions if decision["decisionType"] == "RecordMarker"]
    wake_up(executor)
    raise ExecutionBlocked


def activity_task(executor: Executor, activity: Any, task_id: str, *args: Any, **kwargs: Any) -> Any:
    """Make an activity task, on SWF with the id ``task_id``."""
    if not isinstance(executor, SwfExecutor):
        return ActivityTask(activity, *args, **kwargs)
    task = SwfActivityTask(activity, *args, **kwargs)
    task.id = task_id
    return task


def task_id(executor: SwfExecutor, activity: Any, *args: Any, **kwargs: Any) -> str:
    """The id that simpleflow gives an activity with these arguments where it is idempotent."""
    task: Any = SwfActivityTask(Activity(activity.callable, activity.name, idempotent=True), *args, **kwargs)
    executor.make_task_id(task, *args, **kwargs)
    return str(task.id)


def activity_type(executor: Executor, activity_id: str) -> str | None:
    """The name of the type of an activity in the history; None where no activity has this id."""
    history = swf_history(executor)
    event = history.activities.get(activity_id) if history is not None else None
    return event.get("name") if event is not None else None


def listing_id(executor: SwfExecutor, *where: str) -> str:
    """The id of the listing of simpleflow's own steps under a bucket and a prefix."""
    return task_id(executor, Activity(GetStepsDoneTask, idempotent=True), *where)


def marking_id(executor: SwfExecutor, *args: str) -> str:
    """The id of the marking of simpleflow's own steps, for a bucket, a prefix and a name."""
    return task_id(executor, Activity(MarkStepDoneTask, idempotent=True), *args)
