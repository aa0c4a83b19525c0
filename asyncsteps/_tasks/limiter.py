"""Limits how many activities run at once, and runs those that an activity submits in its own slot first.

An activity holds a slot while it runs. While it waits for what it has submitted, its slot is yielded: the first
activity that it submitted runs in it, ahead of all others, and only what runs beside that one queues for a slot of
its own. So work that has begun is finished before other work begins. A yielded slot is given to others only while
something within it waits for another step or for a signal, since that may take a slot to arrive.

An activity may count to limits too: those of the steps that it runs in, and so those of the activities around it.
It takes them together with its slot or not at all: what waits for a limit holds nothing. An activity whose
submissions can only wait for a limit gives what it holds to others meanwhile.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from types import TracebackType
from typing import Self, TypeVar

import anyio

from asyncsteps._tasks.clock import Clock
from asyncsteps._tasks.limits import Limits, LimitsOfRun, Queue, Reserved, Waiting, are_free, give, take
from asyncsteps._tasks.shield import uninterrupted

T = TypeVar("T")

_current: ContextVar["Slot | None"] = ContextVar("asyncsteps_slot", default=None)
"""The slot of the activity that the current code belongs to."""


def note_thread() -> None:
    """Note that the activity that the current code belongs to runs in a thread."""
    slot = _current.get()
    if slot is not None:
        slot.threaded = True


class Limiter:
    """Slots for activities, a fixed number of them.

    Args:
        total: How many activities may run at once, those in worker threads included.
        limits: How many may run at once in the steps that a selector matches.
        names: The steps that the current code runs within.

    Attributes:
        threads: For worker threads. It sets no limit: an activity in a thread holds a slot.
        limits: The limits.
        numbers: Numbers what waits.
    """

    def __init__(
        self, total: int, *, limits: Mapping[str, int] | None = None, names: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self.threads = anyio.CapacityLimiter(math.inf)
        self.limits = LimitsOfRun(limits or {}, names)
        self.numbers = itertools.count()
        self._free = total
        self._nested: Queue[_Waiter] = Queue()
        self._outermost: Queue[_Waiter] = Queue()

    @property
    def free(self) -> int:
        """How many slots are held by nobody."""
        return self._free

    def slot(self) -> "Slot":
        """Make a slot, to be held during an ``async with`` block."""
        return Slot(self)

    def current(self, context: Context | None = None) -> "Slot | None":
        """The innermost slot of this limiter that the code of a context, the current one, runs in, or None."""
        slot = _current.get() if context is None else context.get(_current)
        while slot is not None and (slot.limiter is not self or slot.ended):
            slot = slot.outer
        return slot

    def around(self) -> list["Slot"]:
        """The slots of this limiter that the current code runs in, innermost first."""
        innermost = self.current()
        return [] if innermost is None else [innermost, *innermost.enclosing_slots()]

    def clock(self) -> Clock:
        """The clock of the slot that the current code runs in."""
        slot = self.current()
        assert slot is not None
        return slot.clock

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Let others have the slots that the current code runs in while it waits inside the block."""
        slots = self.around()
        for slot in slots:
            slot.blocked += 1
            slot.settle()
        try:
            yield
        finally:
            for slot in slots:
                slot.blocked -= 1

    async def acquire(self, slot: "Slot", *, resuming: bool = False) -> None:
        """Wait until ``slot`` holds a permit: one that an enclosing slot yields, or one of the limiter's own.

        With ``resuming``, its activity has begun, and it goes ahead of those that have not.
        """
        # One that resumes may have been handed a permit by now.
        if slot.holds or self.take(slot, resuming=resuming):
            return
        enclosing = list(slot.enclosing_slots())
        queue = self._nested if resuming or enclosing else self._outermost
        slot.waiter = waiter = _Waiter(slot, queue, *(each.waiting for each in enclosing))
        for each in enclosing:
            each.settle()  # one that is idle has nothing to wait for but a limit
        paused = [slot, *enclosing]
        for each in paused:
            each.clock.pause()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter in queue:
                waiter.leave()
                self.serve()  # those behind it may go ahead
            else:  # granted in the same moment
                slot.give_back()
            raise
        finally:
            for each in paused:
                each.clock.unpause()

    def take(self, slot: "Slot", *, resuming: bool = True) -> bool:
        """Have ``slot`` hold a permit if one is to be had at once; return whether it does."""
        within = resuming
        for enclosing in slot.enclosing_slots():
            within = True
            if enclosing.idle:
                return self._hand_over(enclosing, slot)
        ahead = (self._nested,) if within else (self._nested, self._outermost)
        if not self._free or (slot.limits and not _go_ahead(slot.limits, ahead)):
            return False
        self._free -= 1
        take(slot.limits)
        slot.hold(None)
        return True

    def _hand_over(self, holder: "Slot", slot: "Slot") -> bool:
        """Have ``slot`` hold what an idle one around it holds, if its further limits are free."""
        further = slot.limits - holder.limits
        if not are_free(further):
            return False
        take(further)
        slot.hold(holder)
        return True

    def release(self, limits: Limits) -> None:
        """Give a permit and limits back."""
        self._free += 1
        give(limits)
        self.serve()

    def serve(self) -> None:
        """Hand out what is free: first to what waits within an activity, then to what waits at all."""
        while self._free and (self._nested or self._outermost):
            reserved: Reserved = {}
            waiter = self._nested.first(reserved)
            if waiter is None:
                waiter = self._outermost.first(reserved)
                if waiter is None:
                    return
                self._nested.let_ahead(waiter.limits)
            self._free -= 1
            take(waiter.limits)
            waiter.grant(None)

    def resume(self, slot: "Slot", limits: Limits) -> None:
        """Hand a permit, with ``limits``, to a slot that has to take one, whether or not it waits for it yet."""
        give(limits - slot.limits)
        (slot.waiter or _Waiter(slot)).grant(None)
        self.serve()

    def offer(self, holder: "Slot") -> bool:
        """Hand the permit of ``holder`` to the first within it that can go on with it; return whether any does."""
        waiter = holder.waiting.first({}, having=holder.limits) if holder.waiting else None
        if waiter is None:
            return False
        take(waiter.limits - holder.limits)
        waiter.grant(holder)
        return True


def _go_ahead(limits: Limits, queues: "Iterable[Queue[_Waiter]]") -> bool:
    """Whether what counts to ``limits`` may run before all that waits in the queues."""
    reserved: Reserved = {}
    for queue in queues:
        queue.reserve(reserved)
    if not are_free(limits, reserved):
        return False
    for queue in queues:
        queue.let_ahead(limits)
    return True


class _Waiter(Waiting):
    """A slot that waits for a permit, in the limiter's queue and in those of the slots around it."""

    def __init__(self, slot: "Slot", *queues: "Queue[_Waiter]") -> None:
        super().__init__(slot.limits, next(slot.limiter.numbers))
        self.slot = slot
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues = queues
        for queue in queues:
            queue.add(self)

    def leave(self) -> None:
        """Wait no longer."""
        self.slot.waiter = None
        for queue in self._queues:
            queue.remove(self)

    def grant(self, yielded_by: "Slot | None") -> None:
        """Hand a permit over: that of ``yielded_by``, or one of the limiter's own."""
        self.leave()
        self.slot.hold(yielded_by)
        if not self.granted.done():  # else it is being cancelled, and gives the permit back
            self.granted.set_result(None)
        self.slot.settle()  # it may have submitted something since it began to wait


class Slot:
    """The slot of one activity.

    Attributes:
        limiter: The limiter.
        limits: What its activity counts to, while it holds a permit; among it is what those around it count to.
        outer: The slot, of any limiter, that the activity was submitted from.
        enclosing: The innermost slot of the same limiter among those.
        ended: Whether the activity has ended.
        threaded: Whether the activity runs in a thread.
        blocked: How much within it waits for another step or a signal.
        holds: Whether it holds a permit.
        parked: Whether its permit went to others while it was blocked, so that it has to take another one.
        task: The task that the activity runs in, or that waits for its thread.
        yielded_by: The slot that yielded its permit to this one; None where it is one of the limiter's own.
        yielded_to: The slot that holds the permit of this one, or None.
        waiter: How it waits for a permit, or None.
    """

    __slots__ = (
        "_clock", "_resuming", "_submissions", "_token", "_waiting", "blocked", "enclosing", "ended", "holds",
        "limiter", "limits", "outer", "parked", "task", "threaded", "waiter", "yielded_by", "yielded_to",
    )  # fmt: skip

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.outer = _current.get()
        while self.outer is not None and self.outer.ended:
            self.outer = self.outer.outer
        self.enclosing = limiter.current()
        self.limits = limiter.limits.current()
        if self.enclosing is not None:
            self.limits |= self.enclosing.limits
        self.task: asyncio.Task[object] | None = None
        self.ended: bool = False
        self.threaded = False
        self.holds = self.parked = False
        self.blocked = 0
        self.yielded_by: Slot | None = None
        self.yielded_to: Slot | None = None
        self.waiter: _Waiter | None = None
        self._waiting: Queue[_Waiter] | None = None
        self._submissions = 0
        self._resuming: asyncio.Future[None] | None = None
        self._clock: Clock | None = None
        self._token: Token[Slot | None] | None = None

    async def __aenter__(self) -> Self:
        await self.limiter.acquire(self)
        self._token = _current.set(self)
        self.task = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        self.ended = True
        self.task = None
        self.give_back()

    @property
    def clock(self) -> Clock:
        """Stands still while anything within it waits for a slot."""
        if self._clock is None:
            self._clock = Clock()
        return self._clock

    @property
    def waiting(self) -> "Queue[_Waiter]":
        """What waits for a permit within it, in order."""
        if self._waiting is None:
            self._waiting = Queue()
        return self._waiting

    @property
    def idle(self) -> bool:
        """Whether it holds its permit while its activity waits for what it has submitted."""
        return self.holds and self._submissions > 0

    def enclosing_slots(self) -> Iterator["Slot"]:
        """The slots of the same limiter that enclose this one and have not ended, innermost first."""
        slot = self.enclosing
        while slot is not None:
            if not slot.ended:
                yield slot
            slot = slot.enclosing

    def hold(self, yielded_by: "Slot | None") -> None:
        """Hold the permit of ``yielded_by``, or one of the limiter's own."""
        self.holds, self.parked, self.yielded_by = True, False, yielded_by
        if yielded_by is not None:
            yielded_by.holds = False
            yielded_by.yielded_to = self

    def give_back(self) -> None:
        """Return the permit, if this holds one: to the slot that yielded it, to one that lacks one, or to all."""
        if not self.holds:
            return  # yielded to what outlives the activity, which returns it; or parked
        self.holds = False
        holder = self.yielded_by
        while holder is not None and holder.ended:
            holder = holder.yielded_by
        if holder is None:
            parked = next((slot for slot in self.enclosing_slots() if slot.parked), None)
            if parked is None:
                self.limiter.release(self.limits)
            else:
                self.limiter.resume(parked, self.limits)
            return
        give(self.limits - holder.limits)
        holder.holds, holder.parked, holder.yielded_to = True, False, None
        holder.settle()
        self.limiter.serve()

    def settle(self) -> None:
        """Put an idle permit to use: within this slot, or elsewhere while something within is blocked."""
        if self.idle and not self.limiter.offer(self) and (self.blocked or self.waiting):
            self._park()
            self.limiter.release(self.limits)

    def _park(self) -> None:
        """Stop waiting for the permit that was yielded: this slot, and those that yielded it, take new ones."""
        self.holds, self.parked, self.yielded_to = False, True, None
        yielded_by, self.yielded_by = self.yielded_by, None
        if yielded_by is not None:
            yielded_by._park()  # noqa: SLF001 - its own kind

    async def yielded(self, work: Callable[[], Awaitable[T]]) -> T:
        """Yield the slot while ``work``, which the activity has submitted, is under way.

        A cancellation waits until the activity has its slot again, so that the limit holds for what follows it.
        """
        self._submissions += 1
        if self._submissions == 1:
            self.settle()
        try:
            return await work()
        finally:
            self._submissions -= 1
            await self._resume()

    def _relinquish(self) -> None:
        """Leave the permit to what outlives the submission that it was yielded for, and take another one."""
        if self.yielded_to is not None:
            holder, self.yielded_to = self.yielded_to, None
            holder.yielded_by = self.yielded_by
            if self.yielded_by is not None:
                self.yielded_by.yielded_to = holder
            self.yielded_by, self.parked = None, True

    async def _resume(self) -> None:
        """Take a permit again if it goes on without one: one, however many tasks of the activity wait for that."""
        if self._submissions or self.ended or self.holds:
            return
        self._relinquish()
        resuming = self._resuming
        if resuming is None or resuming.done():
            if self.limiter.take(self):
                return
            loop = asyncio.get_running_loop()  # asked first: there is none where this is dropped with its loop
            resuming = self._resuming = loop.create_task(self.limiter.acquire(self, resuming=True))
        try:
            await uninterrupted(resuming)
        finally:
            if self.ended:
                self.give_back()
            elif not resuming.cancelled():
                await self._resume()  # others may have the permit again, before this task has had its turn
