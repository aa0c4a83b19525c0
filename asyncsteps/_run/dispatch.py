"""Plays submittables for one run: one way for each of their kinds."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel

from asyncsteps._errors import RunClosedError, StepDefinitionError
from asyncsteps._run.dry_run import PlanEndsError, Unknown
from asyncsteps._run.failures import Attempts
from asyncsteps._run.name_locks import enclosing_step, note_running
from asyncsteps._run.parts import RunParts
from asyncsteps._run.played import Played, join_failures
from asyncsteps._run.step_player import StepPlayer
from asyncsteps._tasks.activity import ActivityTask, play_task
from asyncsteps._tasks.canvas import Chain, Group
from asyncsteps._tasks.signals import MarkerTask, SignalTask, WaitForSignal
from asyncsteps._tasks.step import Step
from asyncsteps._tasks.submittable import Submittable

_LONGEST_TURN = 0.005
"""Seconds after which a run lets other tasks of the event loop have a turn."""

_STARTED_AT_ONCE = 50
"""Members of a group that are started before other tasks of the event loop have a turn."""


class _Running:
    """A block that notes, on entry, that an activity is running within the enclosing steps."""

    def __enter__(self) -> None:
        note_running()

    def __exit__(self, *exc_info: object) -> None:
        pass


class _RunningAttempts(Attempts):
    """Attempts that note, on entry, that an activity is running within the enclosing steps."""

    def __enter__(self) -> None:
        note_running()
        super().__enter__()


class Dispatch:
    """Plays submittables for one run. Failures of activities are returned, not raised.

    Args:
        parts: The parts of the run.

    Attributes:
        steps: Plays the steps.
    """

    def __init__(self, parts: RunParts) -> None:
        self._parts = parts
        self._turn = 0.0
        self.steps = StepPlayer(parts, self.play)

    async def play(self, item: Submittable) -> Played:  # noqa: PLR0911 - one way for each kind
        """Play a submittable of any kind."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._turn > _LONGEST_TURN and not isinstance(item, SignalTask | MarkerTask):
            # What is skipped, or does not wait, would hold the event loop for as long as there is more of it.
            turn = self._turn
            await anyio.lowlevel.checkpoint()
            if turn == self._turn:  # else another task has begun the next turn, which is one for all
                self._turn = loop.time()
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
                return Played(None)
            case WaitForSignal():
                return await self._wait_for_signal(item.signal_name)
            case MarkerTask():
                return self._record_marker(item)
            case _:
                raise StepDefinitionError(f"{item!r} cannot be submitted: asyncsteps plays nothing of its kind")

    async def _play_activity(self, task: ActivityTask[Any]) -> Played:
        if self._parts.planning:
            step = enclosing_step()
            return Played(Unknown(f"activity {task.name}{f' in step {step}' if step else ''}"))
        try:
            return Played(
                await play_task(
                    task, limiter=self._parts.limiter, context=self._parts.identity, attempt=self._attempting(task)
                )
            )
        except Exception as error:  # noqa: BLE001 - an activity may raise anything
            note = f"in activity {task.name}"
            with contextlib.suppress(Exception):  # a note may be refused, as anything of an error may fail
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            return Played(None, error)

    def _attempting(self, task: ActivityTask[Any]) -> Callable[[], AbstractContextManager[object]]:
        """What is entered around each attempt, in its slot."""
        if not task.attributes.retry:
            return _Running
        attempts = _RunningAttempts()
        return lambda: attempts

    async def _play_group(self, group: Group) -> Played:
        members = list(group.activities)
        played: list[Played | None] = [None] * len(members)
        turns = iter(enumerate(members))

        async def play_turns(end: Callable[[], None]) -> None:
            try:
                for index, member in turns:
                    played[index] = await self.play(member)
            finally:
                end()

        workers = min(len(members), group.max_parallel or len(members))
        if workers:
            with self._parts.lifetime.branches(workers) as end:
                if workers == 1:
                    await play_turns(end)
                else:
                    async with anyio.create_task_group() as tasks:
                        for number in range(workers):
                            if number and number % _STARTED_AT_ONCE == 0:
                                await anyio.lowlevel.checkpoint()
                            tasks.start_soon(play_turns, end)
        ended = [each for each in played if each is not None]
        if len(ended) < len(
            members
        ):  # a member's task was cancelled by itself, which the task group does not tell
            raise asyncio.CancelledError
        return self._container_played(group, ended)

    async def _play_chain(self, chain: Chain) -> Played:
        ended: list[Played] = []
        members = list(chain.activities)
        for number, member in enumerate(members, start=1):
            turn = _given_result(member, ended[-1].value) if chain.send_result and ended else member
            played = await self.play(turn)
            if chain.send_result and number < len(members) and played.error is None:
                # What failed without bubbling has no result to send: here it ends the chain.
                played = replace(played, error=played.problem)
            ended.append(played)
            if played.infrastructure or (played.error is not None and chain.break_on_failure):
                return self._container_played(chain, ended, failure=played)
        return self._container_played(chain, ended)

    def _container_played(self, container: Group, ended: list[Played], failure: Played | None = None) -> Played:
        """Combine the members' outcomes into the container's; ``failure`` is the one that broke a chain off."""
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

    async def _wait_for_signal(self, name: str) -> Played:
        signals = self._parts.signals
        if self._parts.planning and name not in signals.sent:
            raise PlanEndsError(f"the code waits for the signal {name!r}, which is not sent before")
        try:
            return Played(await signals.wait(name))
        except RunClosedError as error:
            return Played(None, error, infrastructure=True)

    def _record_marker(self, marker: MarkerTask) -> Played:
        try:
            return Played(self._parts.markers.record(marker.marker_name, marker.details))
        except StepDefinitionError as error:
            return Played(None, error, infrastructure=True)


def _given_result(member: Submittable, result: object) -> Submittable:
    """The member of a chain that sends results, with the result before it as its last argument."""
    if isinstance(member, ActivityTask):
        return member.with_last_argument(result)
    assert isinstance(member, SignalTask)
    signal = member.signal
    return SignalTask(signal.name, *signal.args, result, propagate=member.propagate, **signal.kwargs)
