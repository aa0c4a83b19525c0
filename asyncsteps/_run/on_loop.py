"""Tasks apart from the code that begins them, and calls from any thread to the event loop of a run."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from threading import get_ident
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def begin_apart(work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
    """Begin a task in a context, by default one of its own: it is part of none of the steps or spans around.

    The context runs what makes the task, as a task factory may not take ``context=``.
    """
    within = Context() if context is None else context
    return within.run(asyncio.get_running_loop().create_task, work)


class OwnLoop:
    """The event loop that a run was entered on. Activities in worker threads call it, too."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def enter(self) -> None:
        """Take the running event loop, and this thread, for those of the run."""
        self._loop, self._thread = asyncio.get_running_loop(), get_ident()

    def call(self, function: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call a function: at once in the thread of the loop, and before there is one; else soon, on the loop."""
        if self._loop is None or self._thread == get_ident():
            function(*args)
        else:
            self._loop.call_soon_threadsafe(function, *args)
