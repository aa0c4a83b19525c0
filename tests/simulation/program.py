"""A run of a history's workflow: its specification made into submittables, its tasks, its end."""

import asyncio
import concurrent.futures
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import anyio

from asyncsteps import (
    RunStopped,
    Signal,
    StepFailedError,
    StepOutcome,
    StepRun,
)
from asyncsteps._errors import ActivityTimeoutError, AsyncstepsError
from asyncsteps._tasks.submittable import Submittable
from simulation.bucket import Client
from simulation.build import Builder
from simulation.cancelling import AGAIN, Asked, Cancellation, asked
from simulation.loop import SimulatedLoop
from simulation.model import RunModel
from simulation.performing import ActError, Performer
from simulation.spec import (
    Act,
    History,
    Lane,
    RunSpec,
    Select,
    StepDef,
    Submission,
)

IDLE = 1000.0
"""Seconds after which the block is left though not all has ended."""


class LeftError(Exception):
    """The block is left by an exception."""


_EXPECTED = (
    AsyncstepsError,
    ActError,
    TimeoutError,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,  # what is cancelled in the event loop raises it in a thread
)


class Program:
    """One run.

    Args:
        history: The history.
        spec: The run.
        model: Told of all that happens.
        steps: The steps by name.
    """

    def __init__(self, history: History, spec: RunSpec, model: RunModel, steps: Mapping[str, StepDef]) -> None:
        self._history = history
        self._spec = spec
        self._model = model
        self._steps = steps
        self._performer = Performer(self, model, fails=spec.fails)
        self._builder = Builder(steps, self._performer.act, model.breaks)
        self._run: StepRun
        self._asked = Asked()

    async def main(self, client: Client, loop: SimulatedLoop) -> None:
        """The program."""
        spec, model = self._spec, self._model
        async with client:
            self._run = run = StepRun(
                client,
                workflow_id="w",
                run_id=model.run_id,
                force=spec.force,
                skip=spec.skip,
                until=spec.until,
                max_parallel=self._history.max_parallel,
                limits=dict(self._history.limits),
                withdraw_invalidated=spec.withdraws,
                on_marker=model.marker,
                mark_timeout=spec.mark_timeout,
                step_activity_params={"retry": spec.retry, "start_to_close_timeout": spec.timeout},
            )
            parts: Any = run._parts
            send = parts.signals.send

            def observed(signal: Signal) -> None:
                if model.alive:
                    model.sends(signal.name)
                send(signal)

            parts.signals.send = observed
            self._observe_the_end(parts.signals, client)
            walked = self._history.lanes[:1] if self._history.walks else ()
            beside = self._history.lanes[len(walked) :]
            lanes = [asyncio.ensure_future(self._walk(lane)) for lane in beside]
            within = IDLE if spec.leave_at is None else spec.leave_at
            me = asyncio.current_task()
            assert me is not None
            for after in spec.cancel_at:
                loop.call_later(after, self._cancel, me)
            try:
                async with run:
                    for lane in walked:
                        model.features.add("the task that has entered the run submits")
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(within) as timeout:
                                await self._walk(lane, timeout)
                    await _ended(lanes, within=within)
                    _leave(spec)
            except (LeftError, asyncio.CancelledError) as error:
                model.note("left")
                if isinstance(error, asyncio.CancelledError) and not self._asked.any:
                    model.breaks("cancelled", "the program, though nobody has asked for that")
            self._check_left(client, loop)
        await self._ended_all(lanes)
        if self._run.stopped_after is not None:
            model.features.add("a run stops before its end")
        self._check_failures()

    def _observe_the_end(self, signals: Any, client: Client) -> None:
        """Check, as waits for signals are ended, that nothing is left that could go on."""
        give_up = signals.give_up

        def observed() -> None:
            model = self._model
            model.features.add("a wait for a signal is ended")
            if model.running or self._performer.asleep or client.under_way:
                model.breaks(
                    "early",
                    f"a wait is ended while {model.running} activities run, {self._performer.asleep} of their "
                    f"tasks sleep, and {client.under_way} requests are under way",
                )
            give_up()

        signals.give_up = observed

    async def _ended_all(self, lanes: "list[asyncio.Task[None]]") -> None:
        """Wait for the lanes, and for what activities have left running, whatever cancels the waiting."""
        left = [*lanes, *self._performer.detached]
        while not all(task.done() for task in left):
            try:
                await _ended(left)
            except asyncio.CancelledError:
                continue
            left = [*lanes, *self._performer.detached]
        for task in left:
            with _stopped_is_no_error():
                task.result()

    def _cancel(self, task: "asyncio.Task[Any]") -> None:
        self._model.note("cancel", "the program")
        self._asked.any = True
        task.cancel()

    def _check_left(self, client: Client, loop: SimulatedLoop) -> None:
        """Check that nothing is left over when the block is."""
        model, parts = self._model, self._run._parts
        model.note("end of the block")
        places = [_place(task) for task in loop.alive(model.run_id)]
        engines = [place for place in places if not place.startswith(("Program.", "Performer.detach"))]
        if engines:
            model.breaks("orphan", f"{len(engines)} tasks outlive the block: {engines}")
        if model.running:
            model.breaks("orphan", f"{model.running} activities outlive the block")
        if client.under_way:
            model.breaks("orphan", f"{client.under_way} requests outlive the block")
        if parts.limiter.free != self._history.max_parallel:
            model.breaks(
                "slots", f"{parts.limiter.free} of {self._history.max_parallel} slots are free at the end"
            )
        if parts.limiter.limits.free != dict(self._history.limits):
            model.breaks("limits", f"{parts.limiter.limits.free} of {self._history.limits} are free at the end")
        if self._run.under_way or self._run.queued:
            model.breaks("names", f"{self._run.under_way} and {self._run.queued} are held at the end")

    def _check_failures(self) -> None:
        least = Counter(failed.name for failed in self._model.failed if failed.counts)
        most = Counter(failed.name for failed in self._model.failed if failed.may_count)
        listed = Counter(error.step for error in self._run.failures if isinstance(error, StepFailedError))
        if not least <= listed <= most:
            self._model.breaks("failures", f"listed are {listed}, where {least} is right, or up to {most}")
        for error in self._run.failures:
            self.check_error(error)

    async def _walk(self, lane: Lane, within: asyncio.Timeout | None = None) -> None:
        """Submit what is in a lane; with a timeout around it, that and a cancellation of the program end it."""
        for submission in lane.submissions:
            if submission.delay:
                await asyncio.sleep(submission.delay)
            asked.set(Asked())
            try:
                await self.submit(submission, None)
            except asyncio.CancelledError:
                if within is not None:
                    self._asked.any |= within.expired()
                    if self._asked.any:
                        raise
                self.check_cancelled()
            except Exception as error:  # noqa: BLE001 - each is looked at
                self.check_error(error)

    def check_cancelled(self) -> None:
        """Check that a cancellation which comes out of a submission was asked for."""
        if not asked.get().any and self._model.alive:
            self._model.breaks("cancelled", "a submission, though nobody has asked for that")

    def check_error(self, error: BaseException) -> None:
        """Check that an error is none of the engine's."""
        if not self._model.alive:
            return
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                self.check_error(each)
        elif isinstance(error, ActivityTimeoutError):
            self._model.features.add(f"timeout: {error.timeout}")
        elif not isinstance(error, _EXPECTED):
            self._model.breaks("engine", f"{type(error).__name__}: {error}")

    async def submit(self, submission: Submission, owner: str | None) -> None:
        """Submit something, and wait for it as it says."""
        item = submission.item
        if isinstance(item, Select):
            self._model.adds(item.kind, item.selector, item.reason)
            add = self._run.add_forced_steps if item.kind == "force" else self._run.add_skipped_steps
            add(item.selector, item.reason)
            return
        made = self._builder.make(item, owner)
        match submission.how:
            case "scope":
                with anyio.move_on_after(submission.after) as scope:
                    await self._play_within(made, scope)
            case "anyio_timeout":
                with anyio.fail_after(submission.after) as scope:
                    await self._play_within(made, scope)
            case "timeout":
                await self._play_in_time(made, submission.after)
            case "task":
                await self._play_in_task(made, submission.after)
            case _:
                await self._play(made)

    async def _play_within(self, item: Submittable, scope: anyio.CancelScope) -> None:
        """Play within a scope, and note whether it was cancelled."""
        try:
            await self._play(item)
        finally:
            asked.get().any |= scope.cancel_called

    async def _play_in_task(self, item: Submittable, seconds: float) -> None:
        """Play in a task of a group, which cancels its own if that fails, and does not always take it back."""
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        try:
            async with asyncio.TaskGroup() as tasks:
                Cancellation(seconds, tasks.create_task(self._play(item)))
        finally:
            if task.cancelling() > before + 1:  # after a scope's request, that of the group is like anybody's
                asked.get().any = True

    async def _play_in_time(self, item: Submittable, seconds: float) -> None:
        """Play under a timeout of asyncio's, which cancels again what has swallowed its cancellation."""
        task = asyncio.current_task()
        assert task is not None
        again = Cancellation(seconds + AGAIN, task)
        try:
            async with asyncio.timeout(seconds) as timeout:
                try:
                    await self._play(item)
                finally:
                    asked.get().any |= timeout.expired()
        except asyncio.CancelledError:
            if not again.sent:
                raise
            raise TimeoutError from None
        finally:
            again.stop()

    async def _play(self, item: Submittable) -> None:
        result = await self._run.submit(item)
        if isinstance(result, StepOutcome) and self._model.alive:
            self._check_outcome(result)

    def _check_outcome(self, outcome: StepOutcome) -> None:
        self._model.note("outcome", outcome.step, outcome.status.value)
        step = self._steps[outcome.step]
        recalled = outcome.status == "skipped" and not outcome.forced and step.saves and step.alternative is None
        if recalled and not (
            outcome.has_result and (isinstance(outcome.result, list) or not isinstance(step.body, Act))
        ):
            self._model.breaks("result", f"{outcome.step} is skipped, and its result is not what was saved")
        if (outcome.status == "failed") is outcome.has_result:
            self._model.breaks("result", f"{outcome.step} is {outcome.status}: {outcome.has_result=}")


def _only_stops(error: BaseException) -> bool:
    """Whether an error is nothing but the stop of a run."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(RunStopped)[1] is None
    return isinstance(error, RunStopped)


@contextlib.contextmanager
def _stopped_is_no_error() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not _only_stops(error):
            raise


def _place(task: "asyncio.Task[Any]") -> str:
    return str(getattr(task.get_coro(), "__qualname__", "?"))


def _leave(spec: RunSpec) -> None:
    if spec.leave_at is not None:
        raise LeftError


async def _ended(lanes: "list[asyncio.Task[None]]", *, within: float | None = None) -> None:
    if lanes:
        await asyncio.wait(lanes, timeout=within)
