"""What asyncio and Python keep of a task is read as each version keeps it; what is not understood may go on."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from asyncsteps._run import waiting
from asyncsteps._run.waiting import can_go_on


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    with anyio.fail_after(seconds):
        yield


def _stack(seconds: float | None) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(anyio.fail_after(seconds))
    return stack


BLOCKS: dict[str, Callable[[float | None], Any]] = {
    "asyncio.timeout": asyncio.timeout,
    "anyio.move_on_after": anyio.move_on_after,
    "anyio.fail_after": anyio.fail_after,
    "a block made of a generator": within,
    "contextlib.ExitStack": _stack,
}


@pytest.mark.parametrize("seconds", [None, 60])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
async def test_a_timeout_is_seen_where_a_block_and_its_end_are_kept_apart(
    block: Callable[[float | None], Any], seconds: float | None
) -> None:
    """As Python 3.14 does. A list, whose referents are told from its end on, stands in for the coroutine."""
    made = block(seconds)
    if isinstance(made, contextlib.ExitStack):
        leave: Any = type(made).__exit__
    elif isinstance(made, asyncio.Timeout):
        leave = type(made).__aexit__
    else:
        leave = type(made).__exit__
        made.__enter__()
    try:
        assert waiting._has_timeout([[made, leave, noted]], None) is (seconds is not None)
        assert waiting._has_timeout([[leave]], None) is False
    finally:
        if leave is not asyncio.Timeout.__aexit__:
            leave(made, None, None, None)


def noted() -> None:
    """A local variable of a coroutine."""


def test_a_block_whose_generator_is_not_where_it_was_may_have_a_timeout() -> None:
    block: Any = within(None)
    block.gen = object()
    assert waiting._has_timeout([[block, type(block).__exit__]], None)


def test_a_stack_of_blocks_that_is_kept_elsewhere_may_have_a_timeout() -> None:
    class Stack(contextlib.ExitStack):
        @property
        def _exit_callbacks(self) -> object:
            raise AttributeError

        @_exit_callbacks.setter
        def _exit_callbacks(self, _: object) -> None:
            pass

    stack = Stack()
    assert waiting._has_timeout([[stack, Stack.__exit__]], None)


async def test_a_wait_whose_timeout_is_kept_elsewhere_may_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def blocked(future: "asyncio.Future[None]") -> None:
        await future

    async def renamed(fs: object, until: "asyncio.Future[None]", timeout_at: object = None) -> None:
        await until

    async def original(fs: object, until: "asyncio.Future[None]", timeout_handle: object = None) -> None:
        await until

    loop = asyncio.get_running_loop()
    signal = loop.create_future()
    inner = asyncio.create_task(blocked(signal))
    for wait, goes_on in ((renamed, True), (original, False)):
        monkeypatch.setattr(waiting, "_WAIT", wait)
        outer = asyncio.create_task(wait([inner], loop.create_future()))
        await asyncio.sleep(0)
        assert (can_go_on(outer, {signal}) is outer) is goes_on
        outer.cancel()
    inner.cancel()
    await asyncio.wait([inner])


async def test_a_task_that_tells_nothing_may_go_on() -> None:
    class Opaque:
        def done(self) -> bool:
            return False

    assert waiting.waits_for(Opaque()) is None  # type: ignore[arg-type]
    assert waiting.context_of(Opaque()) is None  # type: ignore[arg-type]
