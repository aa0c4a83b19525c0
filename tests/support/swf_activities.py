"""Activities of every form that workers of simpleflow import by name; see test_swf_convert.py."""

import asyncio
import functools
from typing import Any

from simpleflow import activity as simpleflow_activity

from asyncsteps import activity


@activity(
    version="7",
    task_list="heavy",
    task_priority=5,
    retry=3,
    raises_on_failure=True,
    start_to_close_timeout=60,
    schedule_to_close_timeout="120",
    schedule_to_start_timeout=1.5,
    heartbeat_timeout="NONE",
    idempotent=True,
    meta={"binaries": {}},
)
async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@activity
def add(a: int, b: int = 1) -> int:
    return a + b


@activity
async def whereabouts() -> str:
    return str(whereabouts.context["workflow_id"])


@activity
async def fail(text: str) -> None:
    await asyncio.sleep(0)
    raise LookupError(text)


@activity
class Fetch:
    """Its instance gets simpleflow's context before it is executed."""

    context: dict[str, Any]

    def __init__(self, table: str) -> None:
        self.table = table

    async def execute(self) -> str:
        await asyncio.sleep(0)
        return f"{self.table} of {self.context['workflow_id']}"


def plain(n: int) -> int:
    return n + 1


class Plain:
    def __init__(self, n: int) -> None:
        self.n = n

    def execute(self) -> int:
        return self.n + 2

    def method(self) -> int:
        return self.n


async def undecorated() -> None:
    await asyncio.sleep(0)


class AsyncPlain:
    async def execute(self) -> None:
        await asyncio.sleep(0)


async def hidden() -> None:
    await asyncio.sleep(0)


decorated_elsewhere = activity(hidden)
named = activity(name=f"{__name__}.named")(functools.partial(plain, 5))
misnamed = activity(name=f"{__name__}.add")(functools.partial(plain, 5))
nowhere = activity(name="no.such.module.load")(functools.partial(plain, 5))
bound = Plain(3).method


@simpleflow_activity.with_attributes(task_list="theirs")  # type: ignore[untyped-decorator]
def theirs(n: int) -> int:
    return n


@simpleflow_activity.with_attributes(task_list="theirs")  # type: ignore[untyped-decorator]
async def theirs_async() -> None:
    await asyncio.sleep(0)


def closure(n: int) -> Any:
    def within() -> int:
        return n

    return within


def local() -> Any:
    def within() -> int:
        return 1

    return within
