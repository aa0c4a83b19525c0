"""Activities that do as their records say: on the loop or in a thread, submitting in tasks of their own or not."""

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import anyio

from asyncsteps._run.name_locks import _held
from simulation.cancelling import asked
from simulation.facts import Attempts, enclosing, under_way
from simulation.model import RunModel
from simulation.spec import Act, Select, Submission
from simulation.threads import in_loop, is_cancelled

if TYPE_CHECKING:
    from simulation.program import Program


_MOST_DETACHED = 8
"""How many detached tasks a run starts."""


class ActError(Exception):
    """An activity failed, as it was told to."""


class Performance:
    """An attempt at an activity while it runs: it pauses while something is submitted in it, and under way.

    That is what its own tasks submit, and what outlives an activity that was submitted in it.
    """

    def __init__(self, model: RunModel) -> None:
        self.outer = _performance.get()
        self.ended = False
        self.asleep = 0
        self._model = model
        self._submissions = 0
        self._limits = model.limits_of(lock.name for lock in _held())
        model.resumes(self._limits)

    def enter(self) -> None:
        self._submissions += 1
        if self._submissions == 1:
            self._model.pauses(self._limits)

    def leave(self) -> None:
        self._submissions -= 1
        if not (self._submissions or self.ended) and self._model.alive:
            self._model.resumes(self._limits)

    def end(self) -> None:
        self.ended = True
        if not self._submissions:
            self._model.pauses(self._limits)


_performance: ContextVar[Performance | None] = ContextVar("simulation_performance", default=None)


def _innermost() -> Performance | None:
    performance = _performance.get()
    while performance is not None and performance.ended:
        performance = performance.outer
    return performance


class Performer:
    """Performs the activities of one run.

    Args:
        program: Submits.
        model: Told of what happens.
        fails: Whether activities fail that are told to.

    Attributes:
        detached: The tasks that were started and are not awaited.
        performances: The attempts under way.
    """

    def __init__(self, program: "Program", model: RunModel, *, fails: bool) -> None:
        self._program = program
        self._model = model
        self._fails = fails
        self._made: dict[int, int] = {}
        self.detached: list[asyncio.Task[None]] = []
        self.performances: dict[Performance, None] = {}

    @property
    def asleep(self) -> int:
        """How many tasks of activities under way sleep before they submit something."""
        return sum(performance.asleep for performance in self.performances)

    async def act(self, act: Act, owner: str | None, attempts: Attempts) -> object:
        """Play an attempt."""
        model = self._model
        attempts.begun += 1
        number = attempts.begun
        if attempts.running:
            model.breaks("overlap", f"attempt {number} at {act.ident} begins while the one before runs")
        attempts.running.add(number)
        if act.retry:
            enclosing.set((*under_way(), (attempts, number)))
        self._made[act.ident] = made = self._made.get(act.ident, 0) + 1
        model.begins(owner, act)
        outer = _performance.get()
        performance = Performance(model)
        _performance.set(performance)
        self.performances[performance] = None
        how = "cancelled"
        try:
            await asyncio.sleep(act.seconds)
            await self._submit_nested(act, owner)
            await asyncio.sleep(act.afterwards)
            if self._fails and made <= act.fails:
                how = "badly"
                _fail(act)
            how = "well"
        except Exception:
            how = "badly"
            raise
        else:
            return [act.ident, model.run_id]
        finally:
            if model.alive:
                await self._end(act, owner, attempts, number, performance, how)
                _performance.set(outer)

    async def _end(
        self, act: Act, owner: str | None, attempts: Attempts, number: int, performance: Performance, how: str
    ) -> None:
        model = self._model
        try:
            if act.lingers and how == "cancelled":
                with anyio.CancelScope(shield=True):
                    await asyncio.sleep(act.lingers)
        finally:
            attempts.running.discard(number)
            del self.performances[performance]
            performance.end()
            if act.thread:
                model.features.add("an activity in a thread")
                if is_cancelled():
                    model.features.add("a thread outlives its attempt")
                    how = "cancelled"
            if act.thread:
                attempts.threaded = number
            elif how != "cancelled":
                attempts.concluded = number
            model.ends(owner, act, how)

    async def _submit_nested(self, act: Act, owner: str | None) -> None:
        try:
            if act.thread:
                for submission in act.nested:
                    self._model.features.add("a thread submits")
                    await in_loop(self._submit, submission, owner)
            elif act.side_by_side:
                async with anyio.create_task_group() as tasks:
                    for submission in act.nested:
                        tasks.start_soon(self._later, submission, owner)
            else:
                for submission in act.nested:
                    await self._submit(submission, owner)
        except Exception as error:
            self._program.check_error(error)
            if not act.swallows:
                raise

    async def _later(self, submission: Submission, owner: str | None) -> None:
        await self._sleep(submission.delay)
        await self._submit(submission, owner)

    async def _sleep(self, seconds: float) -> None:
        performance = _innermost()
        if performance is not None:
            performance.asleep += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            if performance is not None:
                performance.asleep -= 1

    async def _submit(self, submission: Submission, owner: str | None) -> None:
        if submission.how == "detached":
            if len(self.detached) == _MOST_DETACHED:
                return  # those of a step that submit it again would go on for ever
            self.detached.append(asyncio.ensure_future(self.detach(submission)))
            return
        performance = None if isinstance(submission.item, Select) else _innermost()
        if performance is not None:
            performance.enter()
        try:
            await self._program.submit(submission, owner)
        finally:
            if performance is not None and self._model.alive:
                performance.leave()

    async def detach(self, submission: Submission) -> None:
        """Submit something from a task that nothing waits for, and that may outlive its activity."""
        performance: Any = _performance.get()
        try:
            await self._sleep(submission.delay)
            if performance.ended:
                self._model.features.add("a detached task submits after its activity")
            await self._submit(Submission(submission.item), None)
            if performance.ended:
                self._model.features.add("a detached task outlives its activity")
        except asyncio.CancelledError:
            self._program.check_cancelled()
        except Exception as error:  # noqa: BLE001 - each is looked at
            self._program.check_error(error)


def _fail(act: Act) -> None:
    if act.how == "cancelled":
        task = asyncio.current_task()
        if (
            task is not None and task.cancelling()
        ):  # it is taken at its word, whoever has asked, and however long ago
            asked.get().any = True
        raise asyncio.CancelledError
    raise ActError(f"act {act.ident}")
