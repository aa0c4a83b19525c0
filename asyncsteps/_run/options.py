"""The options of a run, their defaults, and their checks."""

import json
from collections.abc import Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from os import PathLike
from typing import Any, TypedDict, cast

from asyncsteps._errors import StepDefinitionError, WorkflowIdError
from asyncsteps._events.base import OnEvent
from asyncsteps._plan.names import check_selector
from asyncsteps._plan.planner import Planner
from asyncsteps._run.done_marks import OpenStore
from asyncsteps._run.markers import OnMarker
from asyncsteps._tasks.attributes import ActivityAttributes, is_count
from asyncsteps.store._protocol import StepStore

GivenSelectors = str | Iterable[str] | Mapping[str, str | None]
"""One selector, several, or a mapping of selector to reason."""

GivenParams = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""Parameters of the step activities, or a callable that returns them when they are first needed."""

MAX_PARALLEL = 100
"""The default of ``max_parallel``."""

KEEP_RUNS = 100
"""The default of ``keep_runs``."""

MARK_TIMEOUT = 30.0
"""The default of ``mark_timeout``, in seconds."""

_HONOURED = ("retry", "start_to_close_timeout", "schedule_to_close_timeout")
"""The parameters of simpleflow's step activities that native runs honour; the rest is for SWF."""


class RunOptions(TypedDict, total=False):
    """The keyword options of `StepRun`, to pass on."""

    run_id: str | None
    force: GivenSelectors
    skip: GivenSelectors
    version: str | None
    max_parallel: int
    limits: Mapping[str, int] | None
    until: str | Iterable[str]
    withdraw_invalidated: bool
    on_marker: OnMarker | Iterable[OnMarker]
    on_event: OnEvent | Iterable[OnEvent]
    markers_file: str | PathLike[str] | None
    mark_timeout: float
    step_activity_params: GivenParams | None
    journal: bool
    keep_runs: int
    about: Mapping[str, Any] | None


def checked_about(given: object) -> None:
    """Raise `StepDefinitionError` unless ``given`` is None, or a mapping of JSON values."""
    try:
        json.dumps(None if given is None else dict(cast("Mapping[str, Any]", given)))
    except Exception as error:  # a mapping of the caller's own may raise anything
        raise StepDefinitionError(f"about={given!r:.200} is refused: it is a mapping of JSON values") from error


def checked_limits(given: object) -> dict[str, int]:
    """Return the limits by selector.

    Raises:
        SelectorError: When a selector is malformed.
        StepDefinitionError: When ``given`` is no mapping to ints of at least 1.
    """
    if given is not None and not isinstance(given, Mapping):
        raise StepDefinitionError(f"limits={given!r:.200} is refused: it is a mapping of selector to int")
    limits: dict[str, int] = {}
    for selector, total in (given or {}).items():
        if not is_count(total, least=1):
            raise StepDefinitionError(f"limits={{{selector!r}: {total!r}}} is refused: it is an int of at least 1")
        limits[check_selector(selector)] = total
    return limits


def checked_workflow_id(given: object) -> str:
    """Return ``given``, or raise `WorkflowIdError` if it is not a str or is empty."""
    if not isinstance(given, str) or not given:
        raise WorkflowIdError(
            f"workflow_id={given!r} is refused: a run records it in its done marks; give the id that all runs of "
            "this work share, such as 'ingest-2026-11-22'"
        )
    return given


def as_opener(store: object) -> OpenStore:
    """Return a callable that opens the store, or raise `StepDefinitionError`."""
    if isinstance(store, StepStore):
        opened: StepStore = store

        async def give() -> StepStore:
            return opened

        return give
    if callable(store):
        return cast("OpenStore", store)
    raise StepDefinitionError(
        f"{store!r} is no store: enter it first, as in 'async with open_store(url) as store:', or give an async "
        "callable that gives one"
    )


def as_policy(given: GivenParams | None) -> Callable[[], ActivityAttributes]:
    """Return a callable for the honoured parameters, checked now or, if ``given`` is callable, when called."""
    if callable(given):
        return lambda: _policy(given())
    policy = _policy(given or {})
    return lambda: policy


def _policy(params: Mapping[str, Any]) -> ActivityAttributes:
    return ActivityAttributes(**{name: params[name] for name in _HONOURED if name in params})


ReasonedSelectors = tuple[tuple[str, str | None], ...]
"""Selectors with their reasons."""


def planner_of(
    force: ReasonedSelectors, skip: ReasonedSelectors, *, withdraw_invalidated: bool, watched: Iterable[str]
) -> Planner:
    """Return a planner that knows the selectors of a run."""
    planner = Planner(withdraw_invalidated=withdraw_invalidated, watched=watched)
    for selector, reason in force:
        planner.add_forced(selector, reason)
    for selector, reason in skip:
        planner.add_skipped(selector, reason)
    return planner


def as_callbacks(given: object) -> tuple[OnMarker, ...]:
    """Return the callbacks for markers, or raise `StepDefinitionError` if one is async or not callable."""
    callbacks: list[OnMarker] = []
    for callback in given if isinstance(given, Iterable) and not callable(given) else (given,):
        if not callable(callback) or iscoroutinefunction(callback):
            raise StepDefinitionError(
                f"on_marker={callback!r} is refused: it is a plain function of one marker, or several of them"
            )
        callbacks.append(callback)
    return tuple(callbacks)
