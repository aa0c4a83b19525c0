"""Mutants of the engine: each takes away one thing that it does, and the simulator is to notice."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from asyncsteps._errors import ActivityTimeoutError
from asyncsteps._plan.model import EmitSignal, MarkDone, Phase, Play, StepRules, Withdraw
from asyncsteps._plan.planner import Planner
from asyncsteps._run import lifetime
from asyncsteps._run.done_cache import DoneCache
from asyncsteps._run.done_marks import StoredMarks
from asyncsteps._run.failures import Failures
from asyncsteps._run.known_names import KnownNames
from asyncsteps._run.lifetime import Lifetime
from asyncsteps._run.name_locks import NameLocks
from asyncsteps._run.step_player import StepPlayer
from asyncsteps._tasks import limiter as limiter_module
from asyncsteps._tasks import retry
from asyncsteps._tasks.limiter import Limiter, Slot
from asyncsteps._tasks.limits import NO_LIMITS, Limits, LimitsOfRun
from asyncsteps.store._protocol import DonePage

_phases = Planner.phases


def _reordered(order: Callable[[list[Phase]], list[Phase]]) -> Callable[..., tuple[Phase, ...]]:
    def phases(self: Planner, step: StepRules, decision: Any, *, done: bool) -> tuple[Phase, ...]:
        return tuple(order(list(_phases(self, step, decision, done=done))))

    return phases


def _before(phases: list[Phase], moved: type[Phase], other: type[Phase]) -> list[Phase]:
    """The phases, with that of the one kind before that of the other."""
    first = [phase for phase in phases if isinstance(phase, moved)]
    at = next((index for index, phase in enumerate(phases) if isinstance(phase, other)), None)
    if at is None:
        return phases
    return [
        *(phase for phase in phases[:at] if phase not in first),
        *first,
        *(phase for phase in phases[at:] if phase not in first),
    ]


def _mark_before_the_activity_ends() -> Any:
    return patch.object(Planner, "phases", _reordered(lambda phases: _before(phases, MarkDone, Play)))


def _drop_the_withdrawal() -> Any:
    return patch.object(
        Planner,
        "phases",
        _reordered(lambda phases: [phase for phase in phases if not isinstance(phase, Withdraw)]),
    )


def _signal_before_the_mark() -> Any:
    return patch.object(Planner, "phases", _reordered(lambda phases: _before(phases, EmitSignal, MarkDone)))


def _drop_the_re_read_after_a_failed_page() -> Any:
    async def ask(self: StoredMarks, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await call(*args, **kwargs)

    return patch.object(StoredMarks, "_ask", ask)


def _swallow_a_page() -> Any:
    """One that does not answer yet is followed by the next, and its names are lost."""
    ask = StoredMarks._ask

    async def swallowing(self: StoredMarks, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            return await ask(self, call, *args, **kwargs)
        except Exception:
            if call.__name__ != "done_page":
                raise
            return DonePage((), None)

    return patch.object(StoredMarks, "_ask", swallowing)


def _swallow_the_names_of_a_page() -> Any:
    learn = KnownNames.learn

    def forgetful(self: KnownNames, low: str, high: str | None, names: Any) -> None:
        learn(self, low, high, list(names)[:-1])

    return patch.object(KnownNames, "learn", forgetful)


def _release_a_slot_twice() -> Any:
    release = Limiter.release

    def twice(self: Limiter, limits: Limits) -> None:
        release(self, limits)
        release(self, NO_LIMITS)

    return patch.object(Limiter, "release", twice)


def _count_to_the_limits_of_the_innermost_step_alone() -> Any:
    current = LimitsOfRun.current

    def innermost(self: LimitsOfRun) -> Limits:
        names = self._names
        self._names = lambda: list(names())[-1:]
        try:
            return current(self)
        finally:
            self._names = names

    return patch.object(LimitsOfRun, "current", innermost)


def _give_no_limit_back_within_an_activity() -> Any:
    return patch.object(limiter_module, "give", lambda limits: None)


def _take_limits_that_are_not_free() -> Any:
    return patch.object(limiter_module, "are_free", lambda limits: True)


def _release_no_slot_when_cancelled() -> Any:
    def give_back(self: Slot) -> None:
        self.holds = False

    return patch.object(Slot, "give_back", give_back)


def _forget_the_own_mark_in_the_cache() -> Any:
    return patch.object(DoneCache, "marked", lambda self, name: None)


def _keep_what_was_known_after_a_mark_that_failed() -> Any:
    return patch.object(DoneCache, "forget", lambda self: None)


def _withdraw_marks_of_this_run_too() -> Any:
    def complete(self: Planner, name: str) -> None:
        self._begun.pop(name)

    return patch.object(Planner, "complete", complete)


def _play_one_name_twice_at_once() -> Any:
    async def wait(self: NameLocks, name: str, enclosing: Any) -> None:
        return None

    return patch.object(NameLocks, "_wait", wait)


def _leave_without_cancelling() -> Any:
    async def cancel(self: Lifetime) -> None:
        self.close()

    return patch.object(Lifetime, "cancel", cancel)


def _list_what_was_made_good() -> Any:
    return patch.object(Failures, "made_good", lambda self, step: None)


def _abandon_a_thread_that_overruns() -> Any:
    """The next attempt begins, and the slot is given to others, while it runs."""

    async def abandoned(future: Any, *, on_cancel: Any = None) -> Any:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if on_cancel is not None and not future.done():
                on_cancel()
            raise

    return patch.object(retry, "uninterrupted", abandoned)


def _return_a_permit_to_an_activity_that_has_ended() -> Any:
    """What was detached in it gives the slot to nobody."""
    give_back = Slot.give_back

    def lost(self: Slot) -> None:
        if self.holds and self.yielded_by is not None and self.yielded_by.ended:
            self.holds = False
            return
        give_back(self)

    return patch.object(Slot, "give_back", lost)


def _take_a_second_slot_on_resuming() -> Any:
    acquire = Limiter.acquire

    async def again(self: Limiter, slot: Slot, *, resuming: bool = False) -> None:
        if slot.holds:
            slot.holds = False
        await acquire(self, slot, resuming=resuming)

    return patch.object(Limiter, "acquire", again)


def _end_waits_while_their_activity_goes_on() -> Any:
    """A wait counts for all of its activity."""

    def can_go_on(task: Any, blocked: Any, _run: Any) -> Any:
        return None if blocked else task

    return patch.object(lifetime, "can_go_on", can_go_on)


def _leave_waits_of_tasks_alone() -> Any:
    """What waits for tasks counts as able to go on, though they all wait for signals."""

    def can_go_on(task: Any, blocked: Any, _run: Any) -> Any:
        return None if task._fut_waiter in blocked else task

    return patch.object(lifetime, "can_go_on", can_go_on)


def _skip_what_another_run_has_withdrawn() -> Any:
    """A step whose mark is gone when its saved result is read stays skipped, with no result."""
    recall = StepPlayer._recall_result

    async def recalled(self: StepPlayer, execution: Any) -> bool:
        await recall(self, execution)
        return True

    return patch.object(StepPlayer, "_recall_result", recalled)


def _within(which: str, on_overrun: Callable[[ActivityTimeoutError, Any], Any]) -> Any:
    """What comes of an overrun of one kind."""
    within = retry.within

    async def mutated_within(seconds: Any, name: str, kind: str, work: Any) -> Any:
        try:
            return await within(seconds, name, kind, work)
        except ActivityTimeoutError as error:
            if kind != which or error.timeout != which:
                raise
            return on_overrun(error, work)

    return patch.object(retry, "within", mutated_within)


def _lose_a_slot_that_does_not_come_in_time() -> Any:
    def on_overrun(error: ActivityTimeoutError, acquire: Any) -> None:
        acquire.__self__.limiter._free -= 1
        raise error

    return _within("schedule_to_start_timeout", on_overrun)


def _take_what_did_not_end_in_time_for_done() -> Any:
    return _within("schedule_to_close_timeout", lambda error, work: None)


MUTANTS: Mapping[str, Callable[[], Any]] = {
    "mark before the activity ends": _mark_before_the_activity_ends,
    "drop the withdrawal": _drop_the_withdrawal,
    "drop the re-read after a failed page": _drop_the_re_read_after_a_failed_page,
    "swallow a page": _swallow_a_page,
    "swallow a name of a page": _swallow_the_names_of_a_page,
    "release a slot twice": _release_a_slot_twice,
    "count to the limits of the innermost step alone": _count_to_the_limits_of_the_innermost_step_alone,
    "give no limit back": _give_no_limit_back_within_an_activity,
    "take limits that are not free": _take_limits_that_are_not_free,
    "release no slot": _release_no_slot_when_cancelled,
    "forget the own mark in the cache": _forget_the_own_mark_in_the_cache,
    "keep what was known after a mark that failed": _keep_what_was_known_after_a_mark_that_failed,
    "signal before the mark": _signal_before_the_mark,
    "withdraw marks of this run too": _withdraw_marks_of_this_run_too,
    "play one name twice at once": _play_one_name_twice_at_once,
    "leave without cancelling": _leave_without_cancelling,
    "list what was made good": _list_what_was_made_good,
    "abandon a thread that overruns": _abandon_a_thread_that_overruns,
    "return a permit to an activity that has ended": _return_a_permit_to_an_activity_that_has_ended,
    "take a second slot on resuming": _take_a_second_slot_on_resuming,
    "skip what another run has withdrawn": _skip_what_another_run_has_withdrawn,
    "lose a slot that does not come in time": _lose_a_slot_that_does_not_come_in_time,
    "take what did not end in time for done": _take_what_did_not_end_in_time_for_done,
    "end waits while their activity goes on": _end_waits_while_their_activity_goes_on,
    "leave waits of an activity's tasks alone": _leave_waits_of_tasks_alone,
}
"""Each mutant by what it does, and how it is made."""


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Have the engine be that mutant inside the block; None: as it is."""
    if name is None:
        yield
        return
    with MUTANTS[name]():
        yield
