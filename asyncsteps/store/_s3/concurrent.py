"""Several calls side by side, with one error instead of a group of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from anyio import create_task_group

_T = TypeVar("_T")


async def gather(calls: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """The results of ``calls``, in their order; when one fails, the others are cancelled and its error raised."""
    results: dict[int, _T] = {}

    async def run(index: int, call: Callable[[], Awaitable[_T]]) -> None:
        results[index] = await call()

    try:
        async with create_task_group() as tasks:
            for index, call in enumerate(calls):
                tasks.start_soon(run, index, call)
    except ExceptionGroup as group:
        first = group.exceptions[0]
        raise first from first.__cause__
    return [results[index] for index in range(len(calls))]
