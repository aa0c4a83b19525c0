"""Runs in the background, as a block that none of them outlives."""

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self, Unpack, cast

import anyio

from asyncsteps._errors import RunClosedError, RunExistsError, StepDefinitionError, error_text
from asyncsteps._run.on_loop import begin_apart
from asyncsteps._run.options import RunOptions, checked_workflow_id
from asyncsteps._run.run import StepRun
from asyncsteps._run.workflow import Workflow
from asyncsteps._runs.checks import check_options, check_workflow, checked_timeout, kept, subscribers_in
from asyncsteps._runs.handle import RunHandle
from asyncsteps._tasks.attributes import is_count
from asyncsteps._tasks.shield import uninterrupted
from asyncsteps.store._protocol import StepStore

logger = logging.getLogger("asyncsteps")

OpenStoreOf = Callable[[str], AbstractAsyncContextManager[StepStore]]
"""Returns the store of a workflow id, to be entered for one run."""

WorkflowCode = type[Workflow] | Callable[..., Coroutine[Any, Any, Any]]
"""A workflow class, or an async function whose first argument is the `StepRun`."""

_AS_GIVEN: Final = -1.0


class Runs:
    """Plays runs in the background: so many at once, one for each workflow id, each to be followed and cancelled.

    Use it as an ``async with`` block. No run outlives it. When it is left, it drains: see `drain`. When an
    exception leaves it, the runs are cancelled at once, and awaited. What a run raises is logged and kept in its
    handle; it does not reach the other runs, nor the block.

    Args:
        store: An open store for all runs; or a callable that takes a workflow id and returns what is entered to
            open the store of that run, such as ``lambda workflow_id: open_store(f"s3://bucket/{workflow_id}")``.
            None: the stores that the workflows' hooks name.
        max_running: The most runs at once. More are queued, and begin in order.
        keep: How many runs that have ended are kept, to be asked for; the oldest are dropped.
        history: How many events are kept of each run, for followers. Memory is bounded by ``max_running + keep``
            times as many records, of about half a kilobyte each.
        drain_timeout: Seconds that `drain` gives to the runs under way; None: as long as they take.
        options: Those of `StepRun`, for all runs.

    Raises:
        StepDefinitionError: When an argument is refused.
    """

    def __init__(
        self,
        store: StepStore | OpenStoreOf | None = None,
        *,
        max_running: int = 10,
        keep: int = 20,
        history: int = 10_000,
        drain_timeout: float | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        for name, value, least in (("max_running", max_running, 1), ("keep", keep, 0), ("history", history, 1)):
            if not is_count(value, least=least):
                raise StepDefinitionError(f"{name}={value!r} is refused: it is an int of at least {least}")
        if store is not None and not isinstance(store, StepStore) and not callable(store):
            raise StepDefinitionError(
                f"{store!r} is no store: enter it first, or give a callable that opens the store of a workflow id"
            )
        self._store = store
        self._max_running, self._keep, self._history = max_running, keep, history
        self._drain_timeout = checked_timeout(drain_timeout)
        if "run_id" in options:
            raise StepDefinitionError(
                "run_id is refused: each run has its own; give it to start(), or leave it out"
            )
        self._options = options = kept(options)
        check_options(options)
        self._handles: dict[str, RunHandle] = {}
        self._active: dict[str, RunHandle] = {}
        self._queue: dict[RunHandle, Callable[[], None]] = {}
        self._tasks: dict[RunHandle, asyncio.Task[Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RunClosedError("a Runs block is entered once: make a new one")
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None:
                await self.drain()
        finally:
            await self._cancel_all()

    def start(
        self,
        workflow: WorkflowCode,
        *args: Any,
        workflow_id: str,
        params: Mapping[str, Any] | None = None,
        **options: Unpack[RunOptions],
    ) -> RunHandle:
        """Start a run in the background, or queue it, and return its handle at once.

        Args:
            workflow: A `Workflow` class, or an async function whose first argument is the entered `StepRun`.
            args: Positional arguments of its ``run``, or of the function behind the first.
            workflow_id: The workflow's id, which no other run may have that has not ended.
            params: Keyword arguments, likewise.
            options: Those of `StepRun`, over those of all runs. ``on_event`` adds subscribers.

        Raises:
            RunExistsError: When a run of that workflow id is running or queued.
            RunClosedError: Outside the block, on another event loop, and once it drains.
            StepDefinitionError: When the workflow or an option is refused.
            WorkflowIdError: When the workflow id is empty.
        """
        self._check_loop()
        if self._closed:
            raise RunClosedError("the Runs block drains: it takes no more runs")
        checked_workflow_id(workflow_id)
        check_workflow(workflow)
        other = self._active.get(workflow_id)
        if other is not None:
            raise RunExistsError(workflow_id, other.run_id, other.state)
        options = kept(options)
        merged = self._options | options
        run_id = merged["run_id"] = merged.get("run_id") or str(uuid.uuid4())
        if run_id in self._handles:
            raise StepDefinitionError(f"run_id={run_id!r} is refused: another run has it")
        handle = RunHandle(run_id, workflow_id, history=self._history, cancel=lambda: self._cancel(handle))
        merged["on_event"] = [handle.put, *subscribers_in(self._options), *subscribers_in(options)]
        check_options(merged, workflow_id=workflow_id)
        context = _own_context()

        def play() -> None:
            handle.begin()
            work = self._play(handle, workflow, args, params or {}, merged)
            self._tasks[handle] = task = begin_apart(work, context)
            task.add_done_callback(
                lambda task: self._task_ended(handle, task)
            )  # also if it is cancelled before it began

        self._handles[run_id] = self._active[workflow_id] = handle
        self._queue[handle] = play
        self._start_queued()
        return handle

    def _check_loop(self) -> None:
        if self._loop is None:
            raise RunClosedError("the Runs block is not entered: use 'async with Runs(...) as runs:'")
        if asyncio._get_running_loop() is not self._loop:  # noqa: SLF001 - it returns None where none runs
            raise RunClosedError(
                "the Runs block was entered on another event loop: use it on that one, from a thread with "
                "anyio.from_thread.run_sync or loop.call_soon_threadsafe"
            )

    async def drain(self, timeout: float | None = _AS_GIVEN) -> None:  # noqa: ASYNC109 - what it does is its own
        """Take no more runs, and wait until none is left.

        Without a timeout, the queued runs are played too. With one, they are cancelled now, and when it is over,
        those that still run. They are awaited, which may take longer: marks under way have ``mark_timeout``
        seconds, worker threads cannot be stopped, and code that swallows its cancellation goes on. It may be
        called before the block is left, as upon a signal, and by several; not by what a run waits for, such as
        its activities, for it would wait for that run.

        Args:
            timeout: Seconds; None: as long as it takes. By default ``drain_timeout``.

        Raises:
            RunClosedError: When the code of one of the runs calls it; outside the block; on another event loop.
        """
        self._check_loop()
        seconds = self._drain_timeout if timeout == _AS_GIVEN else checked_timeout(timeout)
        if asyncio.current_task() in self._tasks.values():
            raise RunClosedError("a run cannot drain the Runs block that plays it: it would wait for itself")
        self._closed = True
        if seconds is not None:
            self._cancel_queued()
        with anyio.move_on_after(seconds):
            await self._until_idle()
        await self._cancel_all()

    @property
    def running(self) -> tuple[RunHandle, ...]:
        """The runs under way, in order of beginning."""
        return tuple(self._tasks)

    @property
    def queued(self) -> tuple[RunHandle, ...]:
        """The runs that are queued, in order."""
        return tuple(self._queue)

    def get(self, run_id: str) -> RunHandle | None:
        """Return a run by its id, or None."""
        return self._handles.get(run_id)

    def of(self, workflow_id: str) -> RunHandle | None:
        """Return the last run of a workflow id, or None."""
        return next((each for each in reversed(self._handles.values()) if each.workflow_id == workflow_id), None)

    def __iter__(self) -> Iterator[RunHandle]:
        """All runs, those kept that have ended included, in order of submission."""
        return iter(tuple(self._handles.values()))

    def __len__(self) -> int:
        return len(self._handles)

    async def _until_idle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def _cancel_queued(self) -> None:
        for handle in tuple(self._queue):
            handle.cancel()

    async def _cancel_all(self) -> None:
        """Cancel what is left, and wait for its end whatever cancels the waiting."""
        self._closed = True
        self._cancel_queued()
        for handle in self._tasks:
            handle.cancel()
        if self._tasks:
            await uninterrupted(asyncio.ensure_future(self._until_idle()))

    def _start_queued(self) -> None:
        while self._queue and len(self._tasks) < self._max_running:
            handle = next(iter(self._queue))
            self._queue.pop(handle)()

    def _cancel(self, handle: RunHandle) -> bool:
        if self._queue.pop(handle, None) is not None:
            self._ended(handle, None, asyncio.CancelledError())
            return True
        task = self._tasks.get(handle)
        return task is not None and task.cancel()

    async def _play(
        self,
        handle: RunHandle,
        workflow: WorkflowCode,
        args: tuple[Any, ...],
        params: Mapping[str, Any],
        options: RunOptions,
    ) -> Any:
        async with AsyncExitStack() as stack:
            store = self._store
            if store is not None and not isinstance(store, StepStore):
                store = await stack.enter_async_context(store(handle.workflow_id))
            if isinstance(workflow, type):
                opened = cast("type[Workflow]", workflow).opened(store, workflow_id=handle.workflow_id, **options)
                entered = await stack.enter_async_context(opened)
                handle.entered(entered.step_run)
                return await entered.run(*args, **params)
            if store is None:
                raise StepDefinitionError(f"{workflow!r} names no store: give Runs one")
            run = await stack.enter_async_context(StepRun(store, workflow_id=handle.workflow_id, **options))
            handle.entered(run)
            return await workflow(run, *args, **params)

    def _task_ended(self, handle: RunHandle, task: "asyncio.Task[Any]") -> None:
        del self._tasks[handle]
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not task.cancelled():
            told = "run %s of %s failed: %s"
            logger.error(told, handle.run_id, handle.workflow_id, error_text(error), exc_info=error)
        self._ended(handle, None if error is not None else task.result(), error)

    def _ended(self, handle: RunHandle, result: Any, error: BaseException | None) -> None:
        del self._active[handle.workflow_id]
        handle.end(result, error)
        ended = [each.run_id for each in self._handles.values() if each.done]
        for run_id in ended[: max(0, len(ended) - self._keep)]:
            del self._handles[run_id]
        self._start_queued()


def _own_context() -> contextvars.Context:
    """A copy of the current context that is part of no step or attempt: an activity may start a run."""
    context = contextvars.Context()
    for variable, value in contextvars.copy_context().items():
        if not variable.name.startswith("asyncsteps_"):
            context.run(variable.set, value)
    return context
