"""Arguments are bound when a task is made, and what takes the task refuses it where one is missing."""

import dataclasses
import functools
import gc
import inspect
import itertools
import weakref
from collections.abc import Callable
from typing import Any, Self

import pytest
from run_support import run_over

from asyncsteps import (
    ActivityTask,
    Chain,
    Group,
    MemoryStore,
    SignalTask,
    Step,
    StepDefinitionError,
    activity,
)
from asyncsteps._tasks.arguments import argument_problem


def plain(a: Any, b: Any = 1) -> Any: ...
def by_position(a: Any, /, b: Any) -> Any: ...
def by_position_beside_names(a: Any = 0, /, **named: Any) -> Any: ...
def by_name(a: Any, *, b: Any, c: Any = 2) -> Any: ...
def any_number(a: Any, *rest: Any, b: Any = 1) -> Any: ...
def all_of_them(*args: Any, **kwargs: Any) -> Any: ...
async def asynchronous(a: Any, b: Any) -> Any: ...


def injecting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def with_session(*args: Any, **kwargs: Any) -> Any:
        return function("session", *args, **kwargs)

    return with_session


@injecting
def injected(session: Any, a: Any) -> Any: ...


def claiming(*args: Any, **kwargs: Any) -> Any: ...


claiming.__signature__ = inspect.signature(plain)  # type: ignore[attr-defined]


class Methods:
    def __init__(self, a: Any, b: Any = 1) -> None: ...
    def execute(self) -> None: ...
    def method(self, a: Any) -> Any: ...
    def __call__(self, a: Any, b: Any) -> Any: ...

    @classmethod
    def of_class(cls, a: Any) -> Any: ...

    @staticmethod
    def static(a: Any) -> Any: ...


class Derived(Methods): ...


class Nothing:
    def execute(self) -> None: ...


class Made:
    def __new__(cls, a: Any) -> Self:
        return super().__new__(cls)

    def execute(self) -> None: ...


class Swapping(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__("first", *args, **kwargs)


class Swapped(metaclass=Swapping):
    def __init__(self, a: Any, b: Any) -> None: ...
    def execute(self) -> None: ...


@dataclasses.dataclass
class Record:
    a: Any
    b: Any = 1

    def execute(self) -> None: ...


class BothMade:
    def __new__(cls, *args: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, a: Any) -> None: ...
    def execute(self) -> None: ...


made = Methods(1)
KNOWN: list[Callable[..., Any]] = [
    plain,
    by_position,
    by_position_beside_names,
    by_name,
    any_number,
    all_of_them,
    asynchronous,
    lambda a, b=1: None,
    Methods,
    Derived,
    Nothing,
    Made,
    Record,
    made,
    made.method,
    Methods.method,
    Methods.of_class,
    made.of_class,
    Methods.static,
    sorted,
    functools.partial(plain, 1),
    functools.partial(plain, b=1),
    functools.partial(plain, a=1),
    functools.partial(by_name, b=1),
    functools.partial(functools.partial(asynchronous, 1), 2),
    functools.partial(made.method, 1),
    functools.partial(Record, b=1),
]
UNKNOWN: list[Callable[..., Any]] = [
    injected,
    claiming,
    Swapped,
    BothMade,
    functools.lru_cache(plain),
    functools.partial(injected, 1),
    max,
    dict,
    {}.get,
    ValueError,
]
CALLS = [
    (given, named)
    for given in range(4)
    for count in range(3)
    for named in itertools.combinations(["a", "b", "c", "d"], count)
]


def is_taken(function: Callable[..., Any], given: int, named: tuple[str, ...]) -> bool:
    """Whether the interpreter takes the call."""
    try:
        result = function(*([[]] * given), **dict.fromkeys(named))
    except TypeError as error:
        return "argument" not in str(error)  # else it comes from within
    except ValueError:
        return True
    if inspect.iscoroutine(result):
        result.close()
    return True


@pytest.mark.parametrize("function", KNOWN, ids=range(len(KNOWN)))
def test_what_is_told_of_a_call_is_what_the_interpreter_does(function: Callable[..., Any]) -> None:
    for given, named in CALLS:
        taken = is_taken(function, given, named)
        for _ in range(2):  # the second time from what is remembered
            assert (argument_problem(function, given, named) is None) == taken, (given, named)


@pytest.mark.parametrize("function", UNKNOWN, ids=range(len(UNKNOWN)))
def test_no_call_is_refused_that_the_interpreter_takes(function: Callable[..., Any]) -> None:
    for given, named in CALLS:
        if is_taken(function, given, named):
            assert argument_problem(function, given, named) is None, (given, named)


def test_the_parameters_of_a_callable_do_not_keep_it_alive() -> None:
    class Passing:
        def __init__(self, a: Any) -> None: ...
        def execute(self) -> None: ...

    ActivityTask(Passing, a=1)
    gone = weakref.ref(Passing)
    del Passing
    gc.collect()
    assert gone() is None


def test_a_constructor_that_is_replaced_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert argument_problem(Derived, 3, ()) is not None
    monkeypatch.setattr(Methods, "__init__", lambda self, a, b, c: None)
    assert argument_problem(Derived, 3, ()) is None


def test_a_partial_that_holds_places_for_later_arguments_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    held = object()
    monkeypatch.setattr("asyncsteps._tasks.arguments._PLACEHOLDER", held)
    assert argument_problem(functools.partial(plain, held, 2), 1, ()) is None
    assert argument_problem(functools.partial(plain, 1, 2), 1, ()) is not None


@activity
async def load(n: int) -> int:
    return n


@activity
async def merge(table: str, before: int) -> str:
    return f"{table}{before}"


bad_load: Any = load
bad_merge: Any = merge


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: bad_load(3, 4), r"test_arguments\.load .*takes \(n\), and is given 2 arguments by position$"),
        (lambda: bad_load(m=3), r"load .*takes \(n\), and is given 'm' by name"),
        (lambda: bad_load(3, n=3), r"load .*takes \(n\), and is given 'n' by position and by name"),
        (bad_merge, r"merge .*takes \(table, before\), and lacks 'table' and 'before'"),
        (lambda: bad_merge(before=1, after=2), r"merge .*is given 'after' by name"),
        (lambda: ActivityTask(by_name, 1), r"takes \(a, \*, b, c=\.\.\.\), and lacks 'b'"),  # type: ignore[call-overload]
        (lambda: Group((load.function, 3, 4)), r"load .*is given 2 arguments by position"),
        (lambda: Step("a", (Record, 1, 2, 3)), r"Record .*takes \(a, b=\.\.\.\), and is given 3"),
        (lambda: Step("a", (made.method, 1, 2)), r"method .*takes \(a\), and is given 2"),
        (lambda: Step("a", (functools.partial(plain, 1), 2, 3)), r"plain .*takes \(b=\.\.\.\), and is given 2"),
        # What lacks its last argument only, a chain may send it: what takes the task knows whether it does.
        (lambda: Step("a", load), r"load .*lacks 'n'; give it, or put the task behind.*send_result=True"),
        (lambda: Step("a", load(1), False, load), r"load .*lacks 'n'; give it"),
        (lambda: Step("a", (merge, "t")), r"merge .*lacks 'before'; give it"),
        (lambda: Group(bad_merge("t")), r"merge .*lacks 'before'; give it"),
        (lambda: Chain(load(1), bad_merge("t")), r"merge .*lacks 'before'; give it"),
        (lambda: Chain(bad_merge("t"), load, send_result=True), r"merge .*lacks 'before'; give it"),
        (lambda: Chain(load(1), load(2), send_result=True), r"load .*send_result=True, which adds .*is given 2"),
    ],
)
def test_arguments_that_are_not_taken_are_refused_when_it_is_made(make: Callable[[], object], told: str) -> None:
    with pytest.raises(StepDefinitionError, match=told) as refused:
        make()
    assert isinstance(refused.value, TypeError)


def test_an_argument_that_is_refused_is_not_printed() -> None:
    with pytest.raises(StepDefinitionError) as refused:
        bad_load("s3cret-value", "another")
    assert "s3cret" not in str(refused.value)


async def test_what_a_chain_sends_completes_a_task() -> None:
    async with run_over(MemoryStore()) as run:
        chain = Chain(load(1), bad_merge("t"), repr, send_result=True)
        assert await run.submit(chain) == [1, "t1", "'t1'"]
        assert await run.submit(Chain(load(2), SignalTask("s"), send_result=True)) == [2, None]


async def test_what_is_submitted_or_awaited_is_complete() -> None:
    submit: Any
    async with run_over(MemoryStore()) as run:
        submit = run.submit
        for wrong in ((load,), (load, 1, 2), (plain,), (merge("t", before=1), 2), (bad_merge("t"),)):
            with pytest.raises(StepDefinitionError):
                await submit(*wrong)
        assert await run.submit(load, 1) == 1
    with pytest.raises(StepDefinitionError, match="lacks 'before'"):
        await bad_merge("t")
    assert not run.failures
