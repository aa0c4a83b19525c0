"""What cannot be an activity, as it would be marked done though nothing ran."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from asyncsteps import StepDefinitionError
from asyncsteps._tasks.activity import Activity


def generator(count: int = 1) -> Any:
    yield count


async def async_generator() -> Any:
    yield 1


class Yields:
    def execute(self) -> Any:
        yield 1


class CallYields:
    def __call__(self) -> Any:
        yield 1


@pytest.mark.parametrize(
    "given",
    [generator, async_generator, functools.partial(generator, 1), Yields, CallYields(), functools.partial(Yields)],
)
def test_what_yields_is_refused_when_it_is_made(given: Callable[..., Any]) -> None:
    with pytest.raises(StepDefinitionError, match="return instead of yielding"):
        Activity(given)
