"""Steps: a name, what to play, and how. All arguments are checked when a step is made."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias, TypeVar, overload

from asyncsteps._plan.model import StepOutcome, StepRules, T_co
from asyncsteps._plan.names import as_selectors, check_step_name
from asyncsteps._tasks.activity import Activity, AsyncExecutable, Executable
from asyncsteps._tasks.canvas import Playable, as_playable
from asyncsteps._tasks.submittable import Submittable

T = TypeVar("T")
U = TypeVar("U")

_Task: TypeAlias = Submittable[Any, T] | Activity[..., T] | tuple[Activity[..., T], *tuple[Any, ...]]
_Coroutine: TypeAlias = Callable[..., Coroutine[Any, Any, T]]
_AsyncClass: TypeAlias = Callable[..., AsyncExecutable[T]]
_Class: TypeAlias = Callable[..., Executable[T]]


class Step(Submittable[StepOutcome[T_co], T_co]):
    """A named unit of work. Once played it is recorded as done, and later runs skip it.

    ``Step[T]`` is one whose activities return a ``T``: its outcome is a ``StepOutcome[T]``.

    Args:
        step_name: Segments joined by dots, such as ``ingest.users.load``.
        activities: What to play: a callable, a ``(callable, argument, ...)`` tuple, an activity task, a chain, a
            group, another step.
        force: Whether to play it even when it is done.
        activities_if_step_already_done: What to play instead when it is skipped.
        emit_signal: Whether to send the signal ``step.{step_name}`` at the end, played or skipped.
        force_steps_if_executed: Selectors of the dependents, which are forced when this step is played: a step
            name, an ancestor, ``=`` and a name for that name alone, or ``*``; one ``str`` is one selector.
        bubbles_exception_on_failure: Whether a failure reaches the caller, or what encloses the step. False: it
            stays in the step's outcome. It is logged and listed in the run's failures either way.
        save_result: Whether the result is saved in the done record, as JSON, and returned when the step is
            skipped. When the step is played, it is converted likewise: tuples become lists.

    Raises:
        StepNameError: When the name breaks a rule of step names.
        SelectorError: When a dependent's selector is malformed.
        StepDefinitionError: When ``activities`` cannot be played: a list, for instance, or an activity that lacks
            an argument.
    """

    @overload
    def __init__(
        self: "Step[T]",
        step_name: str,
        activities: _Task[T],
        force: bool = False,
        activities_if_step_already_done: None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "Step[T]",
        step_name: str,
        activities: _Coroutine[T] | tuple[_Coroutine[T], *tuple[Any, ...]],
        force: bool = False,
        activities_if_step_already_done: None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "Step[T]",
        step_name: str,
        activities: _AsyncClass[T] | tuple[_AsyncClass[T], *tuple[Any, ...]],
        force: bool = False,
        activities_if_step_already_done: None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "Step[T]",
        step_name: str,
        activities: _Class[T] | tuple[_Class[T], *tuple[Any, ...]],
        force: bool = False,
        activities_if_step_already_done: None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "Step[T]",
        step_name: str,
        activities: Callable[..., T] | tuple[Callable[..., T], *tuple[Any, ...]],
        force: bool = False,
        activities_if_step_already_done: None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "Step[T | U]",
        step_name: str,
        activities: _Task[T],
        force: bool = False,
        activities_if_step_already_done: _Task[U] | None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    @overload
    def __init__(
        self: "Step[Any]",
        step_name: str,
        activities: Playable,
        force: bool = False,
        activities_if_step_already_done: Playable | None = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None: ...

    def __init__(
        self,
        step_name: str,
        activities: object,
        force: bool = False,
        activities_if_step_already_done: object = None,
        emit_signal: bool = False,
        force_steps_if_executed: Iterable[str] | None = None,
        bubbles_exception_on_failure: bool = False,
        *,
        save_result: bool = False,
    ) -> None:
        alternative = activities_if_step_already_done
        self.rules = StepRules(
            check_step_name(step_name),
            force=force,
            has_alternative=alternative is not None,
            emit_signal=emit_signal,
            force_steps_if_executed=()
            if force_steps_if_executed is None
            else as_selectors(force_steps_if_executed),
        )
        self.activities = as_playable(activities)
        self.activities_if_step_already_done = None if alternative is None else as_playable(alternative)
        self.bubbles_exception_on_failure = bubbles_exception_on_failure
        self.save_result = save_result

    @property
    def step_name(self) -> str:
        """The step's name."""
        return self.rules.name

    @property
    def force(self) -> bool:
        """Whether this step is forced."""
        return self.rules.force

    @property
    def emit_signal(self) -> bool:
        """Whether the signal ``step.{step_name}`` is sent at the end."""
        return self.rules.emit_signal

    @property
    def force_steps_if_executed(self) -> tuple[str, ...]:
        """Selectors of the dependents."""
        return self.rules.force_steps_if_executed

    def propagate_attribute(self, attribute: str, value: object) -> None:
        """Set an activity attribute on the activities and on the alternative activities."""
        self.activities.propagate_attribute(attribute, value)
        if self.activities_if_step_already_done is not None:
            self.activities_if_step_already_done.propagate_attribute(attribute, value)

    def __repr__(self) -> str:
        return f"<step {self.rules.name}>"
