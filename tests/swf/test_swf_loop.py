"""`run_sync`: sync code into one event loop per process, from any thread; results, errors, cancellation."""

import asyncio
import contextvars
import signal
import threading
import traceback
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asyncsteps.swf._errors import LoopThreadError, RunSyncTimeoutError, SyncLoopClosedError
from asyncsteps.swf._sync import loop as sync_loop
from asyncsteps.swf._sync.loop import on_caller_loop, run_sync


async def give(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def here() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    return asyncio.get_running_loop(), threading.current_thread()


def test_it_gives_the_result_from_another_thread() -> None:
    assert run_sync(lambda: give(3)) == 3
    _, thread = run_sync(here)
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_all_threads_share_one_loop() -> None:
    with ThreadPoolExecutor(16) as pool:
        places = set(pool.map(lambda _: run_sync(here), range(200)))
        values = list(pool.map(lambda n: run_sync(lambda: give(n)), range(500)))
    assert places == {run_sync(here)}
    assert values == list(range(500))


def test_calls_of_different_threads_run_side_by_side() -> None:
    barrier: list[asyncio.Barrier] = []

    async def meet() -> int:
        if not barrier:
            barrier.append(asyncio.Barrier(8))
        return await barrier[0].wait()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: run_sync(meet), range(8))) == list(range(8))


def test_exceptions_keep_their_type_and_trace() -> None:
    class OddError(Exception):
        pass

    error = OddError("odd")

    async def deep_down() -> None:
        await give(None)
        raise error

    with pytest.raises(OddError) as caught:
        run_sync(deep_down)
    assert caught.value is error
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[0] == "test_exceptions_keep_their_type_and_trace"
    assert names[-1] == "deep_down"


def test_what_fails_before_there_is_an_awaitable_fails_alike() -> None:
    def refuse() -> Awaitable[None]:
        raise LookupError("nothing to await")

    with pytest.raises(LookupError, match="nothing to await"):
        run_sync(refuse)


@pytest.mark.parametrize("error", [SystemExit(7), KeyboardInterrupt()])
def test_an_exit_of_the_coroutine_is_the_callers_and_leaves_the_loop_running(error: BaseException) -> None:
    before = run_sync(here)

    async def leave() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run_sync(leave)
    assert caught.value is error
    assert run_sync(here) == before


def test_a_task_that_exits_on_its_own_leaves_the_loop_to_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        raise SystemExit(7)

    async def spawn() -> str:
        task = asyncio.create_task(leave())
        await asyncio.wait([task])
        with pytest.raises(SystemExit):
            task.result()
        return "still here"

    assert run_sync(spawn) == "still here"
    assert "tried to end the event loop" in caplog.text


def test_its_own_cancellation_comes_out() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_sync(cancel)


def test_a_timeout_cancels_and_names_the_remedy() -> None:
    cleaned: list[str] = []

    async def dawdle() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await give(None)
            cleaned.append("cleaned")

    with pytest.raises(RunSyncTimeoutError, match=r"0\.05 s.*longer timeout") as caught:
        run_sync(dawdle, timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.seconds == 0.05
    assert cleaned == ["cleaned"]


def test_a_timeout_of_the_coroutine_itself_is_not_taken_for_ours() -> None:
    async def overrun() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own") as caught:
        run_sync(overrun, timeout=60)
    assert not isinstance(caught.value, RunSyncTimeoutError)


def test_what_ends_while_it_is_cancelled_counts_as_ended() -> None:
    async def save() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "saved"
        return "never"

    assert run_sync(save, timeout=0.05) == "saved"


def test_an_error_in_the_cleaning_up_is_not_hidden_by_the_timeout() -> None:
    async def break_down() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while cleaning up")

    with pytest.raises(LookupError, match="while cleaning up"):
        run_sync(break_down, timeout=0.05)


def test_what_ignores_its_cancellation_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_loop, "CANCEL_GRACE", 0.05)
    release = threading.Event()

    async def ignore() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    try:
        with pytest.raises(RunSyncTimeoutError):
            run_sync(ignore, timeout=0.05)
    finally:
        release.set()


def test_an_interrupt_of_the_waiting_thread_cancels() -> None:
    cancelled = threading.Event()

    class Interrupted(BaseException):
        pass

    def interrupt(signum: int, frame: object) -> None:
        raise Interrupted

    async def dawdle() -> None:
        try:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            run_sync(dawdle)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert cancelled.is_set()


def test_an_interrupt_before_the_call_reaches_the_loop_waits_for_nothing() -> None:
    """A signal may come between any two lines: the call was made, and never submitted."""
    call = sync_loop._Call(lambda: give(None), sync_loop._target())
    call._abandon()
    assert isinstance(call._outcome.exception(timeout=0), asyncio.CancelledError)


async def test_a_loop_that_cancels_a_call_before_its_first_step_leaves_nobody_waiting() -> None:
    """As `asyncio.run` does with all tasks of its loop when it ends."""
    with on_caller_loop(asyncio.get_running_loop()):
        target = await asyncio.to_thread(sync_loop._target)
    call = sync_loop._Call(lambda: give(None), target)
    call._begin()
    assert call._task is not None
    call._task.cancel()
    await asyncio.wait([call._task])
    assert isinstance(call._outcome.exception(timeout=0), asyncio.CancelledError)


def test_a_timeout_before_the_first_step_cancels_it_all_the_same() -> None:
    with pytest.raises(RunSyncTimeoutError):
        run_sync(lambda: asyncio.Event().wait(), timeout=0)


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_context_variables_are_carried() -> None:
    async def read() -> str:
        return variable.get()

    def call() -> str:
        variable.set("carried")
        return run_sync(read)

    assert contextvars.copy_context().run(call) == "carried"
    assert run_sync(read) == "unset"


def test_the_loops_own_thread_gets_an_error_not_a_deadlock() -> None:
    async def call_again() -> None:
        run_sync(lambda: give(None))

    with pytest.raises(LoopThreadError, match="await the coroutine"):
        run_sync(call_again)


def test_a_worker_thread_of_the_loop_may_call_again() -> None:
    async def call_again() -> Any:
        return await asyncio.to_thread(run_sync, lambda: give("nested"))

    assert run_sync(call_again) == "nested"


async def test_under_a_bridge_work_goes_to_the_callers_loop() -> None:
    mine = asyncio.get_running_loop(), threading.current_thread()

    def call() -> list[object]:
        with on_caller_loop(mine[0]):
            inside = run_sync(here)
        return [inside, run_sync(here)]

    inside, outside = await asyncio.to_thread(call)
    assert inside == mine
    assert outside != mine


async def test_the_callers_own_thread_gets_an_error_not_a_deadlock() -> None:
    with on_caller_loop(asyncio.get_running_loop()), pytest.raises(LoopThreadError):
        run_sync(lambda: give(None))


def test_a_closed_loop_is_said() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with on_caller_loop(loop), pytest.raises(SyncLoopClosedError):
        run_sync(lambda: give(None))


def test_threads_of_calls_all_end_while_others_are_cancelled() -> None:
    """Hundreds of calls, a third of them overrun, a third fail: each gets its own outcome."""

    def call(n: int) -> object:
        async def work() -> int:
            if n % 3 == 0:
                await asyncio.Event().wait()
            if n % 3 == 1:
                raise LookupError(n)
            return n

        try:
            return run_sync(work, timeout=0.2 if n % 3 == 0 else 60)
        except (RunSyncTimeoutError, LookupError) as error:
            return error

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(call, range(300)))
    for n, outcome in enumerate(outcomes):
        if n % 3 == 0:
            assert isinstance(outcome, RunSyncTimeoutError)
        elif n % 3 == 1:
            assert isinstance(outcome, LookupError)
            assert outcome.args == (n,)
        else:
            assert outcome == n
