"""Plans: what a run would decide, found out by the workflow's own code with nothing played and nothing written."""

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
    """What would be decided for one submission of a step.

    Attributes:
        step: The step's name.
        action: ``run`` or ``skip``.
        forced: Whether that would be forced.
        reasons: Why, in their fixed order.
        withdraws: The done marks that playing it would withdraw, sorted.
    """

    step: str
    action: Action
    forced: bool
    reasons: tuple[str, ...]
    withdraws: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would decide, in order of decision.

    Attributes:
        decisions: One for each submission of a step.
        incomplete: Why the plan ends before the code's end; None when it does not.
        unmatched_selectors: Selectors that match no step of the plan, in order of addition.
    """

    decisions: tuple[PlannedStep, ...]
    incomplete: str | None = None
    unmatched_selectors: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the plan reaches the code's end."""
        return self.incomplete is None


_ACTIONS = {Status.SCHEDULED: Action.RUN, Status.SKIPPED: Action.SKIP}
"""The statuses that tell of a decision."""


class PlanEndsError(BaseException):
    """The code needs what only playing tells. No ``Exception``: the code's own handlers must not take it."""


class Unknown:
    """A result that is not known, as its activity was not played; any use but handing it on ends the plan."""

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
            raise AttributeError(name)  # what Python itself looks for, and can do without
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
    """Run the code to be planned; return why it ended before its end, or None when it did not.

    Args:
        submit: Submits to the run that only plans.
        code: Submittables, or an async function of a run.
        run: What the function is called with.
    """
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
    """Done marks read through those of a run, with the planned marks and withdrawals kept here alone.

    Args:
        marks: The run's own.

    Attributes:
        decisions: What was decided so far.
    """

    def __init__(self, marks: "StoredMarks | PlannedMarks") -> None:
        self.decisions: list[PlannedStep] = []
        self._marks = marks
        self._planned: dict[str, bool] = {}
        self._latest: dict[str, int] = {}

    def decided(self, marker: Marker) -> None:
        """Note the decision that a marker tells of; the plan's markers all come here."""
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
        """The done names that any of the selectors matches; the planned marks are this run's, never withdrawn."""
        names = await self._marks.matching(selectors)
        return [name for name in names if self._planned.get(name, True)]

    async def record(self, name: str) -> Mapping[str, Any] | None:
        """The done mark; where playing the step would have replaced it, its result is not known."""
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
        """Return at once: a planned withdrawal takes no time."""

    def forget(self) -> None:
        """Forget what is known of done steps, but not what is planned."""
        self._marks.forget()
