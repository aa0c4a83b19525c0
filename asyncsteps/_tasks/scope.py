"""Blocks that can be cancelled, and know their own cancellation from others."""

import asyncio
import math
from types import TracebackType
from typing import Any, Self

import anyio

_BY_SCOPE = "Cancelled via cancel scope "
"""How the message of each cancellation by a scope of anyio begins."""


class Scope:
    """A block that can be cancelled.

    It is cancelled again and again, as an `anyio.CancelScope` is. That takes a task for cancelled ever after if
    the block has swallowed a `Task.cancel()`, or if a task group of asyncio has counted one too many: before
    Python 3.13 it does when a task fails that it waits for. Here another cancellation counts only if it was asked
    for after this one, or is still on its way out of the block.
    """

    __slots__ = ("_asked", "_scope", "_task")

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()
        self._task: asyncio.Task[Any] | None = None
        self._asked: int | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._scope.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Leave the block; return whether the cancellation of this scope has ended it."""
        # anyio's takes back all requests of its own, unless a scope around it is cancelled.
        caught = bool(self._scope.__exit__(exc_type, exc_value, traceback))
        task, self._task = self._task, None
        return caught or (
            task is not None
            and self._asked == task.cancelling()
            and _is_by_scopes(exc_value)
            and anyio.current_effective_deadline() > -math.inf
        )

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._asked is not None

    def cancel(self) -> None:
        """Cancel the block that this is entered for."""
        if self._asked is None and self._task is not None:
            self._asked = self._task.cancelling()
            self._scope.cancel()


def _is_by_scopes(error: BaseException | None) -> bool:
    """Whether an error is a cancellation by scopes, and took the place of no other cancellation."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    while isinstance(error, asyncio.CancelledError):
        if not (error.args and str(error.args[0]).startswith(_BY_SCOPE)):
            return False
        error = error.__context__
    return True
