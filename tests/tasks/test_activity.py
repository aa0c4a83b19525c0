import asyncio
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from asyncsteps import (
    ActivityAttributes,
    ActivityCancelledError,
    ActivityTask,
    ActivityTimeoutError,
    MemoryStore,
    RunningLoopError,
    StepDefinitionError,
    StepRun,
    activity,
)
from asyncsteps._tasks.activity import Activity, play_task, sync_runner
from asyncsteps._tasks.limiter import Limiter


@activity
async def double(number: int) -> int:
    """Doubles."""
    return 2 * number


@activity(retry=2, version="1.2", task_list="fast", task_priority=7, idempotent=True, meta={"a": 1})
def triple(number: int) -> int:
    return 3 * number


class Power:
    name = "for instances"

    def __init__(self, base: int, *, exponent: int = 2) -> None:
        self.base = base
        self.exponent = exponent

    def execute(self) -> int:
        return int(self.base**self.exponent)


class AsyncPower(Power):
    async def execute(self) -> int:  # type: ignore[override] # as users may
        await anyio.lowlevel.checkpoint()
        return int(self.base**self.exponent)


power = activity(Power)


async def test_every_form_of_callable_is_played() -> None:
    assert await double(4) == 8
    assert await triple(4) == 12
    assert await power(4, exponent=3) == 64
    assert await ActivityTask(AsyncPower, 5) == 25
    assert await ActivityTask(max, 3, 9) == 9
    assert await ActivityTask(functools.partial(double.function, 21)) == 42


async def test_what_a_plain_callable_returns_is_awaited_where_it_can_be() -> None:
    assert await ActivityTask(lambda: double.function(3)) == 6


async def test_an_object_with_an_async_call_runs_on_the_loop() -> None:
    class Caller:
        async def __call__(self) -> int:
            return threading.get_ident()

    assert await ActivityTask(Caller()) == threading.get_ident()


async def test_a_plain_def_runs_in_a_worker_thread_with_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("carried")

    def where() -> tuple[int, str]:
        return threading.get_ident(), variable.get()

    thread, carried = await ActivityTask(where)
    assert thread != threading.get_ident()
    assert carried == "carried"


def test_an_activity_looks_like_its_callable() -> None:
    assert double.__name__ == "double"
    assert double.__doc__ == "Doubles."
    assert double.__module__ == __name__
    assert double.__wrapped__ is double.function
    assert double.qualified_name == f"{__name__}.double"
    assert power.qualified_name == f"{__name__}.Power"
    for made in (double, power):
        assert not hasattr(made, "name")  # simpleflow would put the module before it once more
    assert repr(double) == f"<activity {__name__}.double>"
    assert repr(power(2, exponent=1)) == f"<activity task {__name__}.Power(2, exponent=1)>"


def test_names_of_unusual_callables() -> None:
    assert activity(name="elsewhere.load")(double.function).qualified_name == "elsewhere.load"
    assert Activity(functools.partial(double.function, 1)).qualified_name == f"{__name__}.double"

    class Caller:
        def __call__(self) -> None: ...

    assert Activity(Caller()).qualified_name == f"{__name__}.Caller"


def test_attributes_are_simpleflows() -> None:
    attributes = triple.attributes
    assert (attributes.retry, attributes.version, attributes.task_list) == (2, "1.2", "fast")
    assert (attributes.task_priority, attributes.idempotent, attributes.meta) == (7, True, {"a": 1})
    assert double.attributes == ActivityAttributes()


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"retry": -1}, "retry=-1"),
        ({"retry": True}, "retry=True"),
        ({"start_to_close_timeout": 0}, "start_to_close_timeout=0"),
        ({"start_to_close_timeout": "soon"}, "start_to_close_timeout='soon'"),
        ({"schedule_to_close_timeout": True}, "schedule_to_close_timeout=True"),
        ({"schedule_to_start_timeout": float("nan")}, "schedule_to_start_timeout=nan"),
        ({"heartbeat_timeout": -3}, "heartbeat_timeout=-3"),
        ({"raises_on_failure": "no"}, "raises_on_failure='no'"),
        ({"name": ""}, "name=''"),
    ],
)
def test_bad_attributes_are_refused_by_name(attributes: dict[str, Any], named: str) -> None:
    with pytest.raises(StepDefinitionError, match=named.replace("'", ".")):
        activity(**attributes)


def test_timeouts_take_numbers_and_simpleflows_strings() -> None:
    attributes = ActivityAttributes(
        start_to_close_timeout="60", schedule_to_close_timeout=1.5, schedule_to_start_timeout="NONE"
    )
    assert (attributes.start_to_close, attributes.schedule_to_close, attributes.schedule_to_start) == (
        60,
        1.5,
        None,
    )


def test_what_cannot_be_an_activity_is_refused() -> None:
    class Idle: ...

    def generates() -> Any:
        yield 1

    async def generates_async() -> Any:
        yield 1

    refused: list[Any] = [Idle, generates, generates_async, "name"]
    for bad in refused:
        with pytest.raises(StepDefinitionError):
            activity(bad)


async def test_retry_counts_further_attempts(caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[int] = []

    @activity(retry=2)
    async def flaky(successes_at: int) -> str:
        attempts.append(len(attempts))
        if len(attempts) < successes_at:
            raise OSError("not yet")
        return "done"

    with caplog.at_level(logging.WARNING, "asyncsteps"):
        assert await flaky(3) == "done"
    assert len(attempts) == 3
    assert "attempt 1 of 3" in caplog.text
    attempts.clear()
    with pytest.raises(OSError, match="not yet"):
        await flaky(4)
    assert len(attempts) == 3


async def test_start_to_close_is_for_each_attempt() -> None:
    attempts: list[int] = []

    @activity(retry=1, start_to_close_timeout=0.01)
    async def slow_at_first() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            await anyio.sleep_forever()
        return len(attempts)

    assert await slow_at_first() == 2


async def test_each_timeout_is_named() -> None:
    async def forever() -> None:
        await anyio.sleep_forever()

    for name in ("start_to_close_timeout", "schedule_to_close_timeout"):
        limited = activity(**{name: "0.01"})(forever)  # type: ignore[call-overload] # one at a time
        with pytest.raises(ActivityTimeoutError, match="forever overran its " + name) as caught:
            await limited()
        assert (caught.value.timeout, caught.value.seconds) == (name, 0.01)


async def test_schedule_to_start_is_the_wait_for_a_slot() -> None:
    slots = Limiter(1)
    ended = anyio.Event()

    @activity(schedule_to_start_timeout=0.01)
    async def waits() -> None:
        await ended.wait()

    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            await play_task(waits(), limiter=slots)

        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ActivityTimeoutError, match="schedule_to_start_timeout"):
            await play_task(waits(), limiter=slots)
        ended.set()
    assert slots.free == 1


async def test_a_plain_def_that_overruns_is_waited_for_and_its_result_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released, ended = threading.Event(), threading.Event()

    @activity(start_to_close_timeout=0.05)
    def blocks() -> str:
        released.wait(30)
        ended.set()
        return "too late"

    asyncio.get_running_loop().call_later(0.2, released.set)
    with pytest.raises(ActivityTimeoutError):
        await blocks()
    assert ended.is_set()
    assert "its thread cannot be stopped" in caplog.text


async def test_attempts_of_a_plain_def_never_overlap() -> None:
    lock = threading.Lock()
    under_way = peak = attempts = 0

    @activity(retry=3, retry_wait=0, start_to_close_timeout=0.02)
    def slow() -> None:
        nonlocal under_way, peak, attempts
        with lock:
            attempts += 1
            under_way += 1
            peak = max(peak, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1

    async with StepRun(MemoryStore(), workflow_id="w", max_parallel=1) as run:
        with pytest.raises(ActivityTimeoutError):
            await run.submit(slow)
    assert (peak, under_way, attempts) == (1, 0, 4)


async def test_propagating_an_attribute_changes_the_task_and_not_the_activity() -> None:
    task = double(1)
    task.propagate_attribute("raises_on_failure", False)
    assert task.attributes.raises_on_failure is False
    assert double.attributes.raises_on_failure is None
    with pytest.raises(StepDefinitionError, match="colour"):
        task.propagate_attribute("colour", "red")


# simpleflow's side: its worker imports the object by name and calls it as `ActivityTask.execute` there does.


def as_simpleflow_calls(method: Any, context: object, *args: Any, **kwargs: Any) -> Any:
    assert hasattr(method, "execute")
    task = method(*args, **kwargs)
    task.context = context
    result = task.execute()
    if hasattr(task, "post_execute"):
        task.post_execute()
    return result


def test_simpleflow_executes_it() -> None:
    assert as_simpleflow_calls(double, {"run_id": "r"}, 4) == 8
    assert as_simpleflow_calls(triple, {"run_id": "r"}, number=5) == 15
    assert as_simpleflow_calls(power, None, 3) == 9
    assert double.context == {"run_id": "r"}
    assert double.execute(5) == 10
    assert power.execute(5) == 25


def test_simpleflows_own_task_executes_it() -> None:
    from simpleflow.activity import Activity as SimpleflowActivity
    from simpleflow.task import ActivityTask as SimpleflowTask

    wrapped = SimpleflowActivity(double, "double")
    assert SimpleflowActivity(double).name == f"{__name__}.double"
    assert SimpleflowTask(wrapped, 6, context={"run_id": "r"}).execute() == 12
    assert SimpleflowTask(SimpleflowActivity(power), 6, context={"run_id": "r"}).execute() == 36


def test_a_class_gets_its_context_and_its_post_execute_once() -> None:
    seen: list[Any] = []

    class Told:
        context: Any

        def execute(self) -> str:
            return str(self.context["run_id"])

        def post_execute(self) -> Any:
            seen.append("after")

    class ToldAsync(Told):
        async def execute(self) -> str:  # type: ignore[override] # as users may
            return str(self.context["run_id"])

        async def post_execute(self) -> None:
            seen.append("after")

    assert as_simpleflow_calls(activity(Told), {"run_id": "r"}) == "r"
    assert as_simpleflow_calls(activity(ToldAsync), {"run_id": "s"}) == "s"
    assert seen == ["after", "after"]


def test_sync_execution_plays_one_attempt_without_timeouts() -> None:
    attempts: list[int] = []

    @activity(retry=5, start_to_close_timeout=0.000001)
    async def fails() -> None:
        attempts.append(1)
        raise OSError("once")

    with pytest.raises(OSError, match="once"):
        fails().execute()
    assert attempts == [1]


def test_the_bridge_sets_its_own_runner() -> None:
    used: list[str] = []

    def runner(work: Callable[[], Awaitable[Any]]) -> Any:
        used.append("bridge")

        async def awaited() -> Any:
            return await work()

        return asyncio.run(awaited())

    token = sync_runner.set(runner)
    try:
        assert double(2).execute() == 4
        assert triple(2).execute() == 6
    finally:
        sync_runner.reset(token)
    assert used == ["bridge"]


async def test_sync_execution_on_a_running_loop_is_a_clear_error() -> None:
    with pytest.raises(RunningLoopError, match="running event loop"):
        double(2).execute()
    assert await asyncio.to_thread(double(2).execute) == 4


def test_a_plain_def_that_returns_a_coroutine_is_awaited_under_simpleflow_too() -> None:
    assert ActivityTask(lambda: double.function(3)).execute() == 6


async def test_an_activity_cancelled_from_within_is_a_failure() -> None:
    from run_support import run_over

    from asyncsteps import MemoryStore

    async def awaits_what_was_cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with run_over(MemoryStore()) as run:
        with pytest.raises(ActivityCancelledError):
            await run.submit(awaits_what_was_cancelled)
