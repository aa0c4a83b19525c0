"""Crashes a run at a given moment, so that nothing of it reaches the store any more, and runs again."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

from asyncsteps._errors import error_text
from asyncsteps._run.options import RunOptions, as_callbacks
from asyncsteps._run.run import StepRun
from asyncsteps._tasks.shield import through_cancellations, until_done
from asyncsteps.store import MemoryStore, StepStore
from asyncsteps.testing._crash_points import CrashingStore, CrashPoint
from asyncsteps.testing._decisions import table
from asyncsteps.testing._faulty_store import StoreCall
from asyncsteps.testing._recorded import WORKFLOW_ID, Call, Code, RunRecord, called, record_of, seeded


@dataclass(frozen=True, slots=True)
class CrashedRun:
    """A run that crashed, and the one after it.

    Attributes:
        at: When it crashed.
        crashed: What is known of the run that crashed, up to then.
        again: What is known of the run after it.
        requests: The requests of the run that crashed, up to then.
        acknowledged: The names whose marks the run that crashed knew to be stored, in order of marking.
    """

    at: CrashPoint
    crashed: RunRecord
    again: RunRecord
    requests: tuple[StoreCall, ...]
    acknowledged: tuple[str, ...]


@dataclass(slots=True)
class _Life:
    """How far a run came.

    Attributes:
        record: What is known of it, up to the crash.
        requests: Its requests, up to the crash.
        acknowledged: The names whose marks it knew to be stored.
        applied: The names whose marks it has had stored.
    """

    record: RunRecord
    requests: list[StoreCall]
    acknowledged: list[str]
    applied: list[str]

    def before(self, again: RunRecord, at: CrashPoint) -> CrashedRun:
        """Return this run, which crashed, with the one after it."""
        return CrashedRun(at, self.record, again, tuple(self.requests), tuple(self.acknowledged))


async def crash_and_rerun(
    code: Code,
    at: CrashPoint,
    store: StepStore | None = None,
    *,
    done: str | Iterable[str] = (),
    params: Mapping[str, Any] | None = None,
    workflow_id: str = WORKFLOW_ID,
    **options: Unpack[RunOptions],
) -> CrashedRun:
    """Play a workflow, crash it, and play it again.

    From the crash on, nothing of the run reaches the store, nor its journal: not what ``finally`` blocks do, and
    not what is under way beside it. Its tasks are cancelled; the second run begins when they have ended.

    Args:
        code: A workflow class, an async function that is called with a run, or submittables.
        at: When the run crashes.
        store: An open store. None: a new one in memory.
        done: The names of steps that are marked as done before; one ``str`` is one name.
        params: Parameters of the workflow's ``run``, or further ones of the function.
        workflow_id: Recorded in done marks.
        options: Those of `asyncsteps.StepRun`, for both runs; ``force`` and ``run_id`` for the first only.

    Raises:
        AssertionError: When the run ends before it crashes.
        Exception: What the code raises in the second run.
    """
    call = called(code, params)
    async with seeded(store, done) as opened:
        life = await _live(call, opened, at, workflow_id, options)
        again = await _run_again(call, opened, at, workflow_id, options)
    return life.before(again, at)


async def every_crash(
    code: Code,
    store: Callable[[], contextlib.AbstractAsyncContextManager[StepStore]] | None = None,
    *,
    done: str | Iterable[str] = (),
    params: Mapping[str, Any] | None = None,
    workflow_id: str = WORKFLOW_ID,
    **options: Unpack[RunOptions],
) -> list[CrashedRun]:
    """Crash a workflow at each moment at which it can, and check that the run after each crash makes it good.

    Those moments are the begin of each step, and before and after each request to the store that changes
    something, before each other one. Each crash has a new store. After it, a run must

    - end without an exception, and without failures unless the workflow has some when nothing crashes;
    - play nothing whose mark was acknowledged to the run that crashed, unless it is forced again;
    - play what depends on a step whose mark was stored, if that was not played before the crash;
    - leave all those steps done that are done when nothing crashes.

    Args:
        code: A workflow class, an async function that is called with a run, or submittables.
        store: Opens a new, empty store for an ``async with`` block. None: one in memory.
        done: The names of steps that are marked as done before; one ``str`` is one name.
        params: Parameters of the workflow's ``run``, or further ones of the function.
        workflow_id: Recorded in done marks.
        options: Those of `asyncsteps.StepRun`, for all runs; ``force`` and ``run_id`` for those only that crash.

    Returns:
        The runs that crashed and those after them, in order.

    Raises:
        AssertionError: When a run after a crash breaks one of these rules, with the decisions of both.
        Exception: What the code raises when nothing crashes.
    """
    call = called(code, params)
    opener = MemoryStore if store is None else store
    async with opener() as empty, seeded(empty, done) as opened:
        undisturbed = _Undisturbed(await _live(call, opened, None, workflow_id, options), await opened.list_done())
    tried: list[CrashedRun] = []
    for at in undisturbed.moments():
        async with opener() as empty, seeded(empty, done) as opened:
            life = await _live(call, opened, at, workflow_id, options)
            try:
                again = await _run_again(call, opened, at, workflow_id, options)
            except Exception as error:
                raise AssertionError(f"the run after a crash {at} failed: {error_text(error)}") from error
            tried.append(life.before(again, at))
            undisturbed.check(tried[-1], life.applied, await opened.list_done())
    return tried


@dataclass(frozen=True, slots=True)
class _Undisturbed:
    """A run that nothing has disturbed, which others are compared to.

    Attributes:
        life: The run.
        done: The names that were done after it.
    """

    life: _Life
    done: list[str]

    def moments(self) -> Iterator[CrashPoint]:
        """Yield the moments at which the run can crash."""
        for number, call in enumerate(self.life.requests, start=1):
            yield CrashPoint.request(number)
            if call.operation in {"mark_done", "withdraw"}:
                yield CrashPoint.request(number, applied=True)
        for name in dict.fromkeys(self.life.record.played):
            yield CrashPoint.start(name)

    def check(self, tried: CrashedRun, applied: Collection[str], done: Collection[str]) -> None:
        """Check the run after a crash.

        Raises:
            AssertionError: When it breaks a rule.
        """
        again = tried.again
        problems = [f"failed: {error_text(error)}" for error in again.failures if not self.life.record.failures]
        problems += [
            f"step {each.step!r} was played again, though its mark was acknowledged"
            for each in again.decisions
            if each.action == "run" and not each.forced and each.step in tried.acknowledged
        ]
        problems += [
            f"step {each.step!r} is stale: the mark of {forcer!r} was stored, and {each.step!r} not played since"
            for each in self.life.record.decisions
            for forcer in applied
            if f"Dep of {forcer}" in each.reasons and each.step not in {*applied, *again.played}
        ]
        problems += [f"step {name!r} is not done in the end" for name in self.done if name not in done]
        if problems:
            told = ["the run that crashed:", table(tried.crashed.decisions)]
            told += ["the run after it:", table(again.decisions)]
            raise AssertionError("\n".join([f"after a crash {tried.at}: {'; '.join(problems)}", *told]))


async def _run_again(
    call: Call, store: StepStore, at: CrashPoint, workflow_id: str, options: RunOptions
) -> RunRecord:
    """Play the run after a crash."""
    again, runs = options.copy(), list[StepRun]()
    again.pop("force", None)
    again.pop("run_id", None)
    try:
        result = await call(store, runs.append, workflow_id, again)
    except Exception as error:
        error.add_note(f"in the run after a crash {at}")
        raise
    return record_of(runs[0], result)


async def _live(
    call: Call, store: StepStore, at: CrashPoint | None, workflow_id: str, options: RunOptions
) -> _Life:
    """Play until the crash.

    Raises:
        AssertionError: When there is none.
    """
    client = CrashingStore(store, at)
    given = options.copy()
    given["on_marker"] = (*as_callbacks(options.get("on_marker", ())), client.watch)
    client.task = task = asyncio.ensure_future(call(client, client.enter, workflow_id, given))
    try:
        await until_done(task)
    except asyncio.CancelledError:
        task.cancel()
        await through_cancellations(task)
        raise
    if client.alive:
        result = await task  # or what it has raised
        assert client.run is not None
        client.markers = tuple(client.run.markers)
        if at is not None:
            raise AssertionError(_not_reached(client, at))
        record = record_of(client.run, result)
    else:
        _ = task.cancelled() or task.exception()  # what it came to matters no more
        record = RunRecord(client.markers)
    return _Life(record, client.calls, [*client.acknowledged.names], [*client.applied.names])


def _not_reached(client: CrashingStore, at: CrashPoint) -> str:
    lines = [f"{number:>4} {call}" for number, call in enumerate(client.calls, start=1)]
    decided = table(RunRecord(client.markers).decisions)
    return "\n".join([f"the run ended before it crashed {at}. Its requests:", *lines, "Its decisions:", decided])
