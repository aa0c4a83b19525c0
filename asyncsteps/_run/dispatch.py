"""Plays submittables for one run, according to their kind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any

import anyio
import anyio.lowlevel

from asyncsteps._errors import ActivityTimeoutError, RunClosedError, StepDeadlockError, StepDefinitionError
from asyncsteps._journal.texts import shortened, without_secrets
from asyncsteps._run.dry_run import PlanEndsError, Unknown
from asyncsteps._run.failures import Attempts
from asyncsteps._run.name_locks import NameLocks, enclosing_step, note_running
from asyncsteps._run.parts import RunParts
from asyncsteps._run.played import Played, join_failures
from asyncsteps._run.step_player import StepPlayer
from asyncsteps._run.until import Until
from asyncsteps._tasks.activity import ActivityTask, play_task
from asyncsteps._tasks.attempt import Attempt
from asyncsteps._tasks.canvas import Chain, Group
from asyncsteps._tasks.signals import MarkerTask, Signal, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

_MISUSE = (RunClosedError, StepDeadlockError, StepDefinitionError)
"""Errors of what is submitted, not of an activity: they reach the caller, whatever surrounds them."""

_STARTED_AT_ONCE = 50
"""Members of a group that are started before other tasks of the event loop have a turn."""


class _Running(Attempt):
    """The block of an attempt, in which an activity is running within the enclosing steps of a run."""

    __slots__ = ("_parts",)

    def __init__(self, parts: RunParts, steps: NameLocks, task: ActivityTask[Any], number: int = 1) -> None:
        lock = steps.innermost()
        step, notes = (None, None) if lock is None else (lock.name, lock.all_notes)
        clock = parts.limiter.clock
        super().__init__(task, number, identity=parts.identity, step=step, notes=notes, clock=clock)
        self._parts = parts

    def __enter__(self) -> None:
        note_running(self.task, self.number)
        super().__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        if exc_type is None and self.has_notes:
            told = without_secrets(self.noted)
            self._parts.markers.note("notes", step=self.step, activity=self.task.name, notes=told)


class _RunningTold(_Running):
    """The same, of which the subscribers are told."""

    __slots__ = ()

    def __enter__(self) -> None:
        super().__enter__()
        assert self._parts.events is not None
        self._parts.events.attempt_started(self)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._parts.events is not None
        ended_by = exc_value
        try:
            super().__exit__(exc_type, exc_value, traceback)
        except ActivityTimeoutError as error:
            ended_by = error
            raise
        finally:
            self._parts.events.attempt_ended(self, ended_by)


class Dispatch:
    """Plays submittables for one run. Failures are returned, not raised."""

    def __init__(self, parts: RunParts) -> None:
        self._parts = parts
        self.play: Callable[[Submittable], Awaitable[Played]] = self._play
        self.steps = StepPlayer(parts, lambda item: self.play(item))  # noqa: PLW0108 - it changes below
        self._until: Until | None = None
        if parts.until:
            self._until = Until(
                parts.until,
                self._play,
                lifetime=parts.lifetime,
                locks=self.steps.locks,
                markers=parts.markers,
                run_id=parts.identity["run_id"],
            )
            self.play = self._until.play

    async def _play(self, item: Submittable) -> Played:  # noqa: PLR0911 - one way for each kind
        """Play a submittable of any kind."""
        try:
            match item:
                case ActivityTask():
                    return await self._play_activity(item)
                case Step():
                    return await self.steps.play(item)
                case Chain():
                    return await self._play_chain(item)
                case Group():
                    return await self._play_group(item)
                case SignalTask():
                    self._parts.signals.send(item.signal)
                    self._parts.markers.note("signal", name=item.signal.name)
                    return Played(None)
                case WaitForSignal():
                    return Played(await self._wait_for_signal(item.signal_name))
                case MarkerTask():
                    return Played(self._parts.markers.record(item.marker_name, item.details))
                case _:
                    raise StepDefinitionError(
                        f"{item!r} cannot be submitted: asyncsteps plays nothing of its kind"
                    )
        except _MISUSE as error:
            return Played(None, error, infrastructure=True)

    async def _play_activity(self, task: ActivityTask[Any]) -> Played:
        if self._parts.planning:
            step = enclosing_step()
            return Played(Unknown(f"activity {task.name}{f' in step {step}' if step else ''}"))
        try:
            return Played(
                await play_task(
                    task,
                    limiter=self._parts.limiter,
                    context=self._parts.identity,
                    attempt=self._attempting(task),
                    step=enclosing_step,
                    on_retry=partial(self._note_retry, task) if task.attributes.retry else None,
                )
            )
        except Exception as error:  # noqa: BLE001 - an activity may raise anything
            note = f"in activity {task.name}"
            with contextlib.suppress(Exception):  # an error may refuse notes, as any of its methods may raise
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            return Played(None, error)

    def _note_retry(self, task: ActivityTask[Any], attempt: int, error: str) -> None:
        if self._until is not None:
            self._until.check_retry()
        of = task.attributes.retry + 1
        self._parts.markers.note(
            "retrying", step=enclosing_step(), activity=task.name, attempt=attempt, of=of, error=shortened(error)
        )

    def _attempting(self, task: ActivityTask[Any]) -> Callable[[], AbstractContextManager[object]]:
        """What is entered around each attempt, in its slot."""
        kind = _Running if self._parts.events is None else _RunningTold
        one = partial(kind, self._parts, self.steps.locks, task)
        if not task.attributes.retry:
            return one
        attempts = Attempts()

        def next_one() -> AbstractContextManager[object]:
            both = contextlib.ExitStack()
            both.enter_context(attempts)
            both.enter_context(one(attempts.number))
            return both

        return next_one

    async def _play_group(self, group: Group) -> Played:
        members = list(group.activities)
        played: list[Played | None] = [None] * len(members)
        queue = iter(enumerate(members))

        async def play_queued() -> None:
            for index, member in queue:
                if self._parts.turns.is_over():
                    await self._parts.turns.wait()
                played[index] = await self.play(member)

        workers = min(len(members), group.max_parallel or len(members))
        if workers == 1:
            await play_queued()
        elif workers:
            async with anyio.create_task_group() as tasks:
                for number in range(workers):
                    if number and number % _STARTED_AT_ONCE == 0:
                        await anyio.lowlevel.checkpoint()
                    tasks.start_soon(play_queued)
        ended = [each for each in played if each is not None]
        if len(ended) < len(members):  # a member cancelled its own task, which the task group does not report
            raise asyncio.CancelledError
        return self._container_played(group, ended)

    async def _play_chain(self, chain: Chain) -> Played:
        ended: list[Played] = []
        members = list(chain.activities)
        for number, member in enumerate(members, start=1):
            given = _given_result(member, ended[-1].value) if chain.send_result and ended else member
            if self._parts.turns.is_over():
                await self._parts.turns.wait()
            played = await self.play(given)
            if chain.send_result and number < len(members) and played.error is None:
                # A failure that does not bubble leaves no result to send, so it ends the chain.
                played = played._replace(error=played.problem)
            ended.append(played)
            if played.infrastructure or (played.error is not None and chain.break_on_failure):
                return self._container_played(chain, ended, failure=played)
        return self._container_played(chain, ended)

    def _container_played(self, container: Group, ended: list[Played], failure: Played | None = None) -> Played:
        """Combine the members' outcomes into the container's; ``failure`` is the one that ended a chain."""
        results = [played.result for played in ended]
        failed = [played for played in ended if played.error is not None]
        if not failed:
            return Played(results)
        if failure is None or len(failed) > 1:
            failure = join_failures(container.kind, len(container.activities), failed)
        assert failure.error is not None
        if failure.infrastructure or container.bubbles_exception_on_failure:
            return Played(results, failure.error, failure.infrastructure)
        self._parts.failures.absorb(failure.error)
        return Played(results)

    async def _wait_for_signal(self, name: str) -> Signal:
        signals = self._parts.signals
        if self._parts.planning and name not in signals.sent:
            raise PlanEndsError(f"the code waits for the signal {name!r}, which is not sent before")
        return await signals.wait(name)


def _given_result(member: Submittable, result: object) -> Submittable:
    """Return a member of a chain with the previous result as its last argument."""
    if isinstance(member, ActivityTask):
        return member.with_last_argument(result)
    assert isinstance(member, SignalTask)
    signal = member.signal
    return SignalTask(signal.name, *signal.args, result, propagate=member.propagate, **signal.kwargs)
