"""`SimpleflowBridge`: async code hands chains of steps to a workflow run of simpleflow's local executor."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from asyncsteps._errors import StepDefinitionError, WorkflowIdError
from asyncsteps._plan.model import Marker
from asyncsteps._plan.names import as_reasoned_selectors
from asyncsteps._tasks.activity import sync_runner
from asyncsteps.swf._bridge.executor import BridgeExecutor, workflow_that_plays
from asyncsteps.swf._bridge.submission import Outcome, Submission, playing, settle
from asyncsteps.swf._errors import BridgeClosedError
from asyncsteps.swf._steps.name_rule import rule_of
from asyncsteps.swf._steps.step import to_simpleflow
from asyncsteps.swf._sync.keeper import Keeper
from asyncsteps.swf._sync.loop import on_caller_loop, run_sync

if TYPE_CHECKING:
    from simpleflow.workflow import Workflow

_logger = logging.getLogger("asyncsteps.swf")


class SimpleflowBridge:
    """One workflow run on simpleflow's local executor, in one thread of its own, fed from async code.

    Use it as ``async with``. Submissions are played strictly one after the other, in order of submission, however
    many tasks submit. Work on stores and ``async def`` activities run on the loop of the ``async with``, plain
    activities in the bridge's thread; none of them blocks that loop.

    Leaving the block waits for all submissions. When an exception or a cancellation leaves it, submissions that
    still wait are cancelled, and the one that runs is waited for.

    Args:
        workflow_class: A simpleflow ``Workflow``, with `WorkflowStepMixin` for steps. Its hooks are called; its
            ``run`` is not, for the submissions replace it.
        workflow_id: Its id, which done marks record and the default prefix contains. All workflows without one
            share simpleflow's ``local``.
        force: Selectors of steps to force, or a mapping of selector to reason.
        skip: Selectors of steps to skip, or a mapping of selector to reason.

    Raises:
        StepDefinitionError: When ``workflow_class`` is no simpleflow workflow, or has no steps to force or skip.
        WorkflowIdError: When the id is not a str, or empty.
        SelectorError: When a selector is malformed.
    """

    def __init__(
        self,
        workflow_class: "type[Workflow]",
        *,
        workflow_id: str | None = None,
        force: str | Iterable[str] | Mapping[str, str | None] = (),
        skip: str | Iterable[str] | Mapping[str, str | None] = (),
    ) -> None:
        self._workflow_class = _checked_class(workflow_class)
        self._workflow_id = _checked_id(workflow_id)
        self._forced = as_reasoned_selectors(force, by=rule_of(workflow_class))
        self._skipped = as_reasoned_selectors(skip, by=rule_of(workflow_class))
        if (self._forced or self._skipped) and not hasattr(workflow_class, "add_forced_steps"):
            raise StepDefinitionError(
                f"{workflow_class.__name__} has no steps to force or skip: derive it from "
                "asyncsteps.swf.WorkflowStepMixin too"
            )
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._keeper = Keeper()
        self._markers: list[Marker] = []
        self._news = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._open = False
        self._over = False

    @property
    def workflow_id(self) -> str | None:
        """The workflow's id, or None."""
        return self._workflow_id

    @property
    def markers(self) -> list[Marker]:
        """The markers recorded so far, in order of recording."""
        return list(self._markers)

    async def follow_markers(self) -> AsyncIterator[Marker]:
        """Yield the markers from the first on, in order, as they are recorded; end with the bridge."""
        seen = 0
        while True:
            news = self._news
            while seen < len(self._markers):
                yield self._markers[seen]
                seen += 1
            if self._over:
                return
            await news.wait()

    # The lifetime, on the caller's loop.

    async def __aenter__(self) -> Self:
        if self._thread is not None:
            raise BridgeClosedError("a bridge is entered once: make another one for another workflow run")
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._run_workflow,),
            name=f"asyncsteps-bridge-{self._workflow_id or 'local'}",
            daemon=True,
        )
        self._thread.start()
        try:
            await asyncio.shield(self._started)
        except BaseException:
            await self._close(drop=True)
            raise
        self._open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del exc_value, traceback
        await self._close(drop=exc_type is not None)
        if self._error is not None and exc_type is None:
            raise self._error

    async def _close(self, *, drop: bool) -> None:
        self._open = False
        if drop:
            self._cancel_waiting()
        self._queue.put(None)
        try:
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            self._cancel_waiting()
            self._queue.put(None)
            # What runs cannot be interrupted, and needs this loop till it ends.
            with anyio.CancelScope(shield=True):
                while not self._ended.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.shield(self._ended)
            raise
        finally:
            self._over = True
            self._tell()
            with anyio.CancelScope(shield=True):
                await self._keeper.aclose()

    def _cancel_waiting(self) -> None:
        with suppress(Empty):
            while True:
                submission = self._queue.get_nowait()
                if submission is not None:
                    submission.future.cancel()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    # Submitting, on the caller's loop.

    async def submit(self, submittable: Any) -> "asyncio.Future[Any]":
        """Submit a step, a chain, a group, an activity task, an activity or a tuple, native or simpleflow's.

        Cancelling the future before its turn removes the submission. Later it only drops the result.

        Args:
            submittable: What to play; `to_simpleflow` converts what is native.

        Returns:
            A future with the result, or the exception, of simpleflow's future. Awaiting it in an activity that the
            same bridge is playing raises `BridgeDeadlockError`.

        Raises:
            BridgeClosedError: Outside of the bridge's block, or from another loop.
            StepDefinitionError: When it cannot be handed to simpleflow.
        """
        if not self._open:
            raise BridgeClosedError("the bridge takes submissions inside its `async with` block only")
        if asyncio.get_running_loop() is not self._loop:
            raise BridgeClosedError(
                "the bridge takes submissions on the event loop of its `async with` block only"
            )
        converted = to_simpleflow(submittable)
        submission = Submission(converted, Outcome(self, loop=self._loop))
        self._queue.put(submission)
        return submission.future

    # The workflow run, in the bridge's thread.

    def _run_workflow(self) -> None:
        try:
            with on_caller_loop(self._loop, self._keeper):
                sync_runner.set(run_sync)
                BridgeExecutor(
                    workflow_that_plays(self._workflow_class, self._play_all),
                    workflow_id=self._workflow_id,
                    on_marker=self._record,
                ).run()
        except BaseException as raised:
            self._error = raised
            _logger.exception("the workflow run of a bridge failed")
        self._on_loop(settle, self._started, None, self._error)
        self._on_loop(settle, self._ended, None, None)

    def _play_all(self, workflow: Any) -> None:
        for selector, reason in self._forced:
            workflow.add_forced_steps([selector], reason)
        for selector, reason in self._skipped:
            workflow.add_skipped_steps([selector], reason)
        self._on_loop(settle, self._started, None, None)
        while (submission := self._queue.get()) is not None:
            if not submission.future.cancelled():
                submission.context.run(self._play, workflow, submission)

    def _play(self, workflow: Any, submission: Submission) -> None:
        result, error = None, None
        playing.set((*playing.get(), submission.future))
        with on_caller_loop(self._loop, self._keeper):
            sync_runner.set(run_sync)
            try:
                future = workflow.submit(submission.submittable)
                error = future.exception
                result = future.result
            except BaseException as raised:  # noqa: BLE001 - it belongs to whoever awaits the submission
                error = raised
        self._on_loop(settle, submission.future, result, error)

    def _record(self, name: str, details: Any) -> None:
        self._on_loop(self._recorded, Marker(name, details, datetime.now(UTC)))

    def _recorded(self, marker: Marker) -> None:
        self._markers.append(marker)
        self._tell()

    def _on_loop(self, callback: Callable[..., object], *args: Any) -> None:
        # When the loop is closed, nobody waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(partial(callback, *args))


def _checked_class(workflow_class: Any) -> "type[Workflow]":
    from simpleflow.workflow import Workflow

    if not (isinstance(workflow_class, type) and issubclass(workflow_class, Workflow)):
        raise StepDefinitionError(
            f"{workflow_class!r} is no simpleflow workflow: give a class derived from simpleflow.Workflow"
        )
    return workflow_class


def _checked_id(workflow_id: object) -> str | None:
    if workflow_id is not None and (not isinstance(workflow_id, str) or not workflow_id):
        raise WorkflowIdError(
            f"workflow id {workflow_id!r} is refused: give a str of at least one character, or leave it out"
        )
    return workflow_id
