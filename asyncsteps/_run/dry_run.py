"""Plans: runs the workflow's own code to see what a run would decide, without playing or writing anything."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import iscoroutinefunction
from typing import Any, NoReturn, Self, cast

from asyncsteps._plan.model import STEP_MARKER, Action, Marker, Status
from asyncsteps._run.done_marks import Finished, StoredMarks
from asyncsteps._tasks.activity import Activity, ActivityTask, standalone
from asyncsteps._tasks.submittable import Submittable


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """The decision for one submission of a step.

    Attributes:
        step: The step's name.
        action: ``run`` or ``skip``.
        forced: Whether the decision is forced.
        reasons: The reasons, in their fixed order.
        withdraws: The done marks that playing it would withdraw, sorted.
    """

    step: str
    action: Action
    forced: bool
    reasons: tuple[str, ...]
    withdraws: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions of a run.

    Attributes:
        decisions: One per submission of a step, in order.
        incomplete: Why the plan ends before the code does; None if it is complete.
        unmatched_selectors: Selectors that match no step of the plan, in order of addition.
        stopped_after: The step that the run would stop after, by its ``until``; None if it would not.
    """

    decisions: tuple[PlannedStep, ...]
    incomplete: str | None = None
    unmatched_selectors: tuple[str, ...] = ()
    stopped_after: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the plan reaches the end of the code."""
        return self.incomplete is None


_ACTIONS = {Status.SCHEDULED: Action.RUN, Status.SKIPPED: Action.SKIP}
"""The actions that a step's first marker stands for."""


class PlanEndsError(BaseException):
    """The code needs a result that only playing gives. Not an ``Exception``: its handlers must not catch it."""


class Unknown:
    """The result of an activity that was not played. Passing it on is fine; any other use ends the plan."""

    __slots__ = ("_unknown_of",)

    def __init__(self, of: str) -> None:
        object.__setattr__(self, "_unknown_of", of)

    def __repr__(self) -> str:
        return f"<unknown result of {object.__getattribute__(self, '_unknown_of')}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)  # Python itself looks these up, and can do without
        _end(self)


def _end(self: object, *_args: object, **_kwargs: object) -> NoReturn:
    what = object.__getattribute__(self, "_unknown_of")
    raise PlanEndsError(f"the code needs the result of {what}, which is known only once that is played")


_OPERATIONS = """
    str format bytes bool hash eq ne lt le gt ge len iter next reversed contains getitem setitem delitem setattr
    int float complex index round trunc floor ceil neg pos abs invert call enter exit aenter aexit await aiter
    anext fspath
    add radd iadd sub rsub isub mul rmul imul matmul rmatmul imatmul truediv rtruediv itruediv
    floordiv rfloordiv ifloordiv mod rmod imod divmod rdivmod pow rpow ipow
    lshift rlshift ilshift rshift rrshift irshift and rand iand or ror ior xor rxor ixor
"""
for _operation in _OPERATIONS.split():
    setattr(Unknown, f"__{_operation}__", _end)


def plan_end(error: BaseException) -> PlanEndsError | None:
    """Return the `PlanEndsError` if ``error``, perhaps a group, consists of nothing else; else None."""
    if isinstance(error, PlanEndsError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    ends = [plan_end(each) for each in error.exceptions]
    return ends[0] if all(ends) else None


async def end_of_plan(submit: Callable[[object], Awaitable[object]], code: Any, run: object) -> str | None:
    """Run the code to be planned; return why the plan ends early, or None."""
    token = standalone.set(_unknown)
    try:
        if iscoroutinefunction(code) or (callable(code) and not isinstance(code, Submittable | Activity)):
            await cast("Awaitable[object]", code(run))
        else:
            for each in (code,) if isinstance(code, Submittable | Activity) else code:
                await submit(each)
    except BaseException as error:
        end = plan_end(error)
        if end is None:
            raise
        return str(end)
    else:
        return None
    finally:
        standalone.reset(token)


async def _unknown(task: ActivityTask[Any]) -> Any:
    return Unknown(f"activity {task.name}")


class PlannedMarks:
    """The done marks of a run, overlaid with planned marks and withdrawals; also collects the decisions."""

    def __init__(self, marks: "StoredMarks | PlannedMarks") -> None:
        self.decisions: list[PlannedStep] = []
        self._marks = marks
        self._planned: dict[str, bool] = {}
        self._latest: dict[str, int] = {}

    def decided(self, marker: Marker) -> None:
        """Note the decision that a step's marker stands for."""
        details = marker.details
        action = _ACTIONS.get(details["status"]) if marker.name == STEP_MARKER else None
        if action is not None:
            self._latest[details["step"]] = len(self.decisions)
            self.decisions.append(
                PlannedStep(details["step"], action, details["forced"], tuple(details["reasons"]))
            )

    async def is_done(self, name: str) -> bool:
        """Whether ``name`` is done, or would be by now."""
        done = await self._marks.is_done(name)
        return self._planned.get(name, done)

    async def matching(self, selectors: Iterable[str]) -> list[str]:
        """Return the done names that any of the selectors matches, less those planned to be withdrawn."""
        names = await self._marks.matching(selectors)
        return [name for name in names if self._planned.get(name, True)]

    async def record(self, name: str) -> Mapping[str, Any] | None:
        """Return the record; if the plan has played the step, its result is unknown."""
        if self._planned.get(name):
            return {"result": Unknown(f"step {name}")}
        return await self._marks.record(name)

    def savable(self, step: str, result: Any) -> Any:  # noqa: ARG002 - an unknown result is no JSON
        """``result`` as it is."""
        return result

    async def mark(self, name: str, record: Mapping[str, Any]) -> Finished:  # noqa: ARG002 - nothing is written
        """Plan a mark."""
        self._planned[name] = True
        return Finished()

    async def withdraw(self, step: str, names: list[str]) -> Finished:
        """Plan a withdrawal."""
        self._planned.update(dict.fromkeys(names, False))
        latest = self._latest[step]
        self.decisions[latest] = replace(self.decisions[latest], withdraws=tuple(names))
        return Finished()

    async def withdrawals_ended(self, name: str) -> None:
        """Return at once: planned withdrawals take no time."""

    def forget(self) -> None:
        """Forget what is known of done steps, but not what is planned."""
        self._marks.forget()
