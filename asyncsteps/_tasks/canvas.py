"""Chains and groups: submittables played in sequence, or concurrently."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, ParamSpec, Self, TypeAlias, overload

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.model import Marker
from asyncsteps._tasks.activity import ActivityTask
from asyncsteps._tasks.attributes import is_count
from asyncsteps._tasks.signals import SignalTask
from asyncsteps._tasks.submittable import Submittable

P = ParamSpec("P")

Playable: TypeAlias = Submittable | Callable[..., Any] | tuple[Any, ...]
"""What can be submitted: a submittable, a callable, or a tuple of a callable and its arguments."""

_FORMS = (
    "a callable, a tuple (callable, argument, ...), an activity task, a Chain, a Group, a Step, a SignalTask, a "
    "WaitForSignal or a MarkerTask"
)


def as_submittable(given: object, *args: Any, **kwargs: Any) -> Submittable:
    """Convert what a caller submits to a `Submittable`. Only callables take arguments.

    Raises:
        StepDefinitionError: Naming what cannot be submitted, and what to give instead.
    """
    if isinstance(given, Submittable) or not callable(given):
        if args or kwargs:
            raise StepDefinitionError(f"{given!r} takes no arguments here: only a callable does")
        return given if isinstance(given, Submittable) else _from_tuple(given)
    if isinstance(given, type) and issubclass(given, Submittable):
        raise StepDefinitionError(f"the class {given.__name__} cannot be submitted: make an instance of it")
    return ActivityTask(given, *args, **kwargs)


def as_playable(given: object, *args: Any, **kwargs: Any) -> Submittable:
    """As `as_submittable`, of what nothing will add arguments to.

    Raises:
        StepDefinitionError: Also when an activity lacks an argument.
    """
    item = as_submittable(given, *args, **kwargs)
    if isinstance(item, ActivityTask):
        item.check_arguments()
    return item


def _from_tuple(given: object) -> Submittable:
    """Convert a ``(callable, argument, ...)`` tuple; anything else cannot be submitted."""
    if not isinstance(given, tuple):
        raise _not_submittable(given)
    if not given:
        raise StepDefinitionError("an empty tuple cannot be submitted: give (callable, argument, ...)")
    first, *arguments = given
    if not isinstance(first, Submittable):
        if type(first).__module__.partition(".")[0] == "simpleflow":
            raise _not_submittable(first)
        if not callable(first):
            raise StepDefinitionError(
                f"{given!r} cannot be submitted: {first!r} is not callable; give (callable, argument, ...)"
            )
        return ActivityTask(first, *arguments)
    if arguments:
        raise StepDefinitionError(
            f"{given!r} cannot be submitted: only a callable takes arguments there, and {first!r} has its "
            "own; to play several, use Chain(...) or Group(...)"
        )
    return first


def _not_submittable(given: object) -> StepDefinitionError:
    if isinstance(given, list | set | frozenset | Iterator):
        remedy = "wrap its members in Chain(...) to play them one after the other, or in Group(...) side by side"
    elif isinstance(given, Coroutine):
        given.close()  # so that the error is not followed by a warning that nobody awaited it
        remedy = "submit the function and its arguments, as in (function, argument), not a call of it; for signals"
        remedy += ", SignalTask(name) and WaitForSignal(name)"
    elif isinstance(given, Marker):
        remedy = "it is recorded already; to record one in its turn, give MarkerTask(name, details)"
    elif type(given).__module__.partition(".")[0] == "simpleflow":
        remedy = (
            "it is simpleflow's, which a native chain, group or step does not take; put both into simpleflow's "
            "own (simpleflow.canvas, asyncsteps.swf.Step), what is native by asyncsteps.swf.to_simpleflow"
        )
    else:
        remedy = f"give {_FORMS}"
    return StepDefinitionError(f"{given!r} cannot be submitted: {remedy}")


class Group(Submittable[list[Any], list[Any]]):
    """Submittables that are played concurrently; the result is the list of their results, in order.

    All members are played even if some fail. Failures are raised together as an ``ExceptionGroup``. The result of
    a failed member is None, the result of a step its `StepOutcome`.

    Args:
        activities: Callables, ``(callable, argument, ...)`` tuples, activity tasks, chains, groups, steps,
            signals, markers.
        max_parallel: The most members under way at once; None: all.
        raises_on_failure: Propagated to all activities within, unless None.
        bubbles_exception_on_failure: Whether failures reach what encloses the group. False: they are only logged
            and listed in the run's failures.

    Raises:
        StepDefinitionError: When a member or an option is refused.
    """

    kind = "group"

    def __init__(
        self,
        *activities: Playable,
        max_parallel: int | None = None,
        raises_on_failure: bool | None = None,
        bubbles_exception_on_failure: bool = True,
    ) -> None:
        if max_parallel is not None and not is_count(max_parallel, least=1):
            raise StepDefinitionError(
                f"max_parallel={max_parallel!r} is refused: it is an int of at least 1, or None"
            )
        self.activities: list[Submittable] = []
        self.max_parallel = max_parallel
        self.raises_on_failure = raises_on_failure
        self.bubbles_exception_on_failure = bubbles_exception_on_failure
        self.extend(activities)

    @overload
    def append(self, submittable: Submittable | tuple[Any, ...]) -> None: ...

    @overload
    def append(self, submittable: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None: ...

    def append(self, submittable: Playable, *args: Any, **kwargs: Any) -> None:
        """Add a member. Only callables take arguments.

        Raises:
            StepDefinitionError: When it cannot be one.
        """
        member = as_submittable(submittable, *args, **kwargs)
        self._check_member(member)
        if self.raises_on_failure is not None:
            member.propagate_attribute("raises_on_failure", self.raises_on_failure)
        self.activities.append(member)

    def _check_member(self, member: Submittable) -> None:
        """Check that ``member`` can follow the members so far."""
        if isinstance(member, ActivityTask):
            member.check_arguments()

    def extend(self, iterable: Iterable[Playable]) -> None:
        """Add members, each as for `append` without arguments."""
        for each in iterable:
            self.append(each)

    def __iadd__(self, iterable: Iterable[Playable]) -> Self:
        self.extend(iterable)
        return self

    def propagate_attribute(self, attribute: str, value: object) -> None:
        """Set an activity attribute on every activity task within."""
        for member in self.activities:
            member.propagate_attribute(attribute, value)

    def __len__(self) -> int:
        return len(self.activities)

    def __repr__(self) -> str:
        return f"<{self.kind} of {len(self.activities)}>"


class Chain(Group):
    """Submittables that are played one after the other; the result is the list of their results, in order.

    The chain ends at the first failure and raises it unchanged. With ``break_on_failure=False`` it goes on, and
    failures are raised together as an ``ExceptionGroup``.

    Args:
        activities: As for `Group`.
        send_result: Whether each member's result is passed to the next as last argument; a step passes what its
            activities returned. All members but the first must then be activities or signals.
        break_on_failure: Whether the chain ends at the first failure.
        raises_on_failure: Propagated to all activities within, unless None. False also changes the default of
            ``bubbles_exception_on_failure`` to False.
        bubbles_exception_on_failure: As for `Group`; None: True.

    Raises:
        StepDefinitionError: When a member or an option is refused.
    """

    kind = "chain"

    def __init__(
        self,
        *activities: Playable,
        send_result: bool = False,
        break_on_failure: bool = True,
        raises_on_failure: bool | None = None,
        bubbles_exception_on_failure: bool | None = None,
    ) -> None:
        if send_result and not break_on_failure:
            raise StepDefinitionError(
                "send_result=True with break_on_failure=False is refused: a failure leaves no result to send"
            )
        if bubbles_exception_on_failure is None:
            bubbles_exception_on_failure = raises_on_failure is not False
        self.send_result = send_result
        self.break_on_failure = break_on_failure
        super().__init__(
            *activities,
            raises_on_failure=raises_on_failure,
            bubbles_exception_on_failure=bubbles_exception_on_failure,
        )

    def _check_member(self, member: Submittable) -> None:
        sent = self.send_result and bool(self.activities)
        if isinstance(member, ActivityTask):
            member.check_arguments(more=int(sent))
        elif sent and not isinstance(member, SignalTask):
            raise StepDefinitionError(
                f"{member!r} in a chain with send_result=True is refused: it takes no arguments, so the result "
                "before it cannot be sent to it"
            )
