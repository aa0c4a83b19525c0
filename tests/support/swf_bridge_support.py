"""Workflows and activities that the tests of the bridge share."""

import asyncio
import threading
from typing import Any

from simpleflow import Workflow

from asyncsteps import Marker, activity
from asyncsteps.swf import WorkflowStepMixin


class Plain(Workflow):  # type: ignore[misc]
    name, version, task_list = "plain", "1", "plain"


class Steps(Workflow, WorkflowStepMixin):  # type: ignore[misc]
    name, version, task_list = "steps", "1", "steps"
    bucket = ""

    def get_step_bucket(self) -> str:
        return self.bucket


log: list[Any] = []
"""What activities noted, in the order in which they ran."""

hold = threading.Event()
"""What a held activity waits for."""

held = threading.Event()
"""Set by a held activity once it runs."""


def reset() -> None:
    log.clear()
    hold.clear()
    held.clear()
    bridges.clear()


@activity
def note(value: Any) -> Any:
    log.append(value)
    return value


@activity
async def note_async(value: Any) -> Any:
    await asyncio.sleep(0)
    log.append(value)
    return value


@activity
def wait_held(value: Any) -> Any:
    held.set()
    hold.wait()
    log.append(value)
    return value


bridges: list[Any] = []
"""The bridges that `submit_to` submits to, the last one first."""


@activity(raises_on_failure=True)
async def submit_to(value: Any, how: str) -> Any:
    """Submit to a bridge from within an activity, and await it in one of the ways to do so."""
    submitted = await bridges[0].submit(note(value))
    if how == "no":
        return "not awaited"
    if how == "gather":
        return await asyncio.gather(submitted)
    if how == "task":
        async with asyncio.TaskGroup() as tasks:
            return await tasks.create_task(asyncio.wait_for(submitted, None))
    return await submitted


@activity(raises_on_failure=True)
async def pass_on(value: Any) -> Any:
    """Have another bridge submit to the first one, and await it."""
    return await (await bridges[1].submit(submit_to(value, "await")))


@activity
def thread_name() -> str:
    return threading.current_thread().name


@activity
async def loop_id() -> int:
    return id(asyncio.get_running_loop())


@activity(raises_on_failure=True)
def fail_loudly() -> None:
    raise LookupError("loudly")


@activity
async def fail_async() -> None:
    raise LookupError("async")


@activity
def leave() -> None:
    raise SystemExit(3)


@activity
async def cancel() -> None:
    raise asyncio.CancelledError


@activity
def workflow_id() -> str:
    return str(workflow_id.context["workflow_id"])


async def until_held() -> None:
    await asyncio.to_thread(held.wait)


def details(markers: list[Marker]) -> list[Any]:
    return [marker.details for marker in markers]
