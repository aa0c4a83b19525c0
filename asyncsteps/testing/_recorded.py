"""Runs that can be asked what they played, what they skipped, and why; and plans that can be asked likewise."""

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard, Unpack, cast

from typing_extensions import TypeIs

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import Marker
from asyncsteps._run.dry_run import Plan
from asyncsteps._run.options import RunOptions
from asyncsteps._run.run import PlannableCode, StepRun
from asyncsteps._run.workflow import Workflow
from asyncsteps._tasks.activity import Activity
from asyncsteps._tasks.submittable import Submittable
from asyncsteps.store import MemoryStore, StepStore
from asyncsteps.testing._decisions import StepAssertions, StepDecision, decisions_of

WORKFLOW_ID = "test"
"""The workflow id of runs that are given none."""

Code = type[Workflow[Any]] | PlannableCode
"""What a run plays: a workflow class, an async function of a run, or submittables, one after the other."""

RECORD = {"run_id": "earlier", "workflow_id": WORKFLOW_ID, "version": None}
"""The record of the steps that are done before a test begins."""


class RecordedRun(StepRun, StepAssertions):
    """A run that can be asked what it played, what it skipped, and why, during its block and after it."""

    def _decisions(self) -> list[StepDecision]:
        return decisions_of(self.markers)


@dataclass(frozen=True, slots=True, repr=False)
class RunRecord(StepAssertions):
    """What is known of a run that has ended.

    Attributes:
        markers: Its markers, in order of recording.
        failures: Its failures, each once.
        result: What its code returned.
        error: What its code raised, or None.
    """

    markers: tuple[Marker, ...]
    failures: tuple[Exception, ...] = ()
    result: Any = None
    error: BaseException | None = None

    def _decisions(self) -> list[StepDecision]:
        return decisions_of(self.markers)


@dataclass(frozen=True, slots=True, repr=False)
class PlannedRun(StepAssertions):
    """What a run would decide. Its assertions fail where the plan ends before the code does.

    Attributes:
        plan: The plan.
    """

    plan: Plan

    @property
    def incomplete(self) -> str | None:
        """Why the plan ends before the code does; None if it is complete."""
        return self.plan.incomplete

    @property
    def withdrawn(self) -> list[str]:
        """The names whose marks would be withdrawn, in order, each once."""
        return list(dict.fromkeys(name for each in self.plan.decisions for name in each.withdraws))

    def _ends_early(self) -> str | None:
        return self.plan.incomplete

    def _decisions(self) -> list[StepDecision]:
        return [
            StepDecision(
                each.step,
                cast("Any", each.action.value),
                each.forced,
                each.reasons,
                f"withdraws {', '.join(each.withdraws)}" if each.withdraws else "",
            )
            for each in self.plan.decisions
        ]


@contextlib.asynccontextmanager
async def recorded_run(
    store: StepStore | None = None,
    *,
    done: str | Iterable[str] = (),
    workflow_id: str = WORKFLOW_ID,
    **options: Unpack[RunOptions],
) -> AsyncIterator[RecordedRun]:
    """A block with a run that can be asked what it played, what it skipped, and why.

    Args:
        store: An open store. None: a new one in memory.
        done: The names of steps that are marked as done before the run begins; one ``str`` is one name.
        workflow_id: Recorded in done marks.
        options: Those of `asyncsteps.StepRun`: ``force``, ``skip``, ``limits``, ….

    Raises:
        StepNameError: When one of ``done`` is no step name.
    """
    async with seeded(store, done) as opened, RecordedRun(opened, workflow_id=workflow_id, **options) as run:
        yield run


async def play(
    code: Code,
    store: StepStore | None = None,
    *,
    done: str | Iterable[str] = (),
    params: Mapping[str, Any] | None = None,
    workflow_id: str = WORKFLOW_ID,
    **options: Unpack[RunOptions],
) -> RunRecord:
    """Play a workflow, and return what is known of its run. An exception of its code is raised as it is.

    Args:
        code: A workflow class, an async function that is called with a run, or submittables.
        store: An open store. None: a new one in memory.
        done: The names of steps that are marked as done before the run begins; one ``str`` is one name.
        params: Parameters of the workflow's ``run``, or further ones of the function.
        workflow_id: Recorded in done marks.
        options: Those of `asyncsteps.StepRun`.

    Raises:
        StepDefinitionError: When there are ``params``, and nothing to take them.
    """
    call = called(code, params)
    async with seeded(store, done) as opened:
        runs: list[StepRun] = []
        result = await call(opened, runs.append, workflow_id, options)
        return record_of(runs[0], result)


def record_of(run: StepRun, result: object = None, error: BaseException | None = None) -> RunRecord:
    """Return what is known of a run."""
    return RunRecord(tuple(run.markers), tuple(run.failures), result, error)


async def planned(
    code: Code,
    store: StepStore | None = None,
    *,
    done: str | Iterable[str] = (),
    params: Mapping[str, Any] | None = None,
    workflow_id: str = WORKFLOW_ID,
    **options: Unpack[RunOptions],
) -> PlannedRun:
    """Return what a run would play and skip, without playing or writing anything; see `asyncsteps.StepRun.plan`.

    Args:
        code: A workflow class, an async function that is called with a run, or submittables.
        store: An open store, whose marks count. None: ``done`` says what is done.
        done: The names of the steps that are done; one ``str`` is one name.
        params: Parameters of the workflow's ``run``, or further ones of the function.
        workflow_id: The workflow's id.
        options: Those of `asyncsteps.StepRun`: ``force``, ``skip``, ``until``, ….

    Raises:
        StepDefinitionError: When both ``store`` and ``done`` are given: a plan writes nothing to a store. When
            there are ``params``, and nothing to take them.
    """
    if store is not None and done:
        raise StepDefinitionError("planned() takes a store or done=, not both: a plan writes nothing to a store")
    if _is_workflow(code):
        async with seeded(store, done) as opened:
            return PlannedRun(await code.plan(opened, workflow_id=workflow_id, params=params, **options))
    options["journal"] = False
    async with seeded(store, done) as opened, StepRun(opened, workflow_id=workflow_id, **options) as run:
        return PlannedRun(await run.plan(_with_params(code, params)))


@contextlib.asynccontextmanager
async def seeded(store: StepStore | None, done: str | Iterable[str]) -> AsyncIterator[StepStore]:
    """An open store, in which the names are done."""
    async with contextlib.AsyncExitStack() as stack:
        opened = await stack.enter_async_context(MemoryStore()) if store is None else store
        for name in [done] if isinstance(done, str) else done:
            await opened.mark_done(name, RECORD)
        yield opened


Call = Callable[[StepStore, Callable[[StepRun], object], str, RunOptions], Awaitable[Any]]
"""Plays code over a store: tells of its run once that has begun, and returns what the code returns."""


def called(code: Code, params: Mapping[str, Any] | None) -> Call:
    """Return what plays the code with its parameters.

    Raises:
        StepDefinitionError: When there are parameters, and nothing to take them.
    """
    if _is_workflow(code):
        return partial(_call_workflow, code, params or {})
    return partial(_call, _with_params(code, params))


async def _call_workflow(
    cls: type[Workflow[Any]],
    params: Mapping[str, Any],
    store: StepStore,
    entered: Callable[[StepRun], object],
    workflow_id: str,
    options: RunOptions,
) -> Any:
    async with cls.opened(store, workflow_id=workflow_id, **options) as workflow:
        entered(workflow.step_run)
        return await workflow.run(**params)
    return None  # it has stopped, by its ``until``


async def _call(
    code: PlannableCode,
    store: StepStore,
    entered: Callable[[StepRun], object],
    workflow_id: str,
    options: RunOptions,
) -> Any:
    async with StepRun(store, workflow_id=workflow_id, **options) as run:
        entered(run)
        if _is_function(code):
            return await code(run)
        submit = cast("Callable[[object], Awaitable[Any]]", run.submit)
        items = [code] if isinstance(code, Submittable | Activity) else cast("Iterable[object]", code)
        return [await submit(each) for each in items]
    return None


def _with_params(code: PlannableCode, params: Mapping[str, Any] | None) -> PlannableCode:
    if not params:
        return code
    if not _is_function(code):
        raise StepDefinitionError(
            f"params={dict(params)!r:.200} is refused: only workflows and functions take any"
        )
    function: Callable[..., Awaitable[object]] = code

    async def bound(run: StepRun) -> object:
        return await function(run, **params)

    return bound


def _is_workflow(code: object) -> TypeIs[type[Workflow[Any]]]:
    return inspect.isclass(code) and issubclass(code, Workflow)


def _is_function(code: object) -> TypeGuard[Callable[..., Awaitable[object]]]:
    return callable(code) and not isinstance(code, Submittable | Activity)
