"""What a call of `SimpleflowBridge.submit` hands over to the bridge's thread, and what becomes of it."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from asyncsteps.swf._errors import BridgeDeadlockError

_logger = logging.getLogger("asyncsteps.swf")


class Outcome(asyncio.Future[Any]):
    """The future of a submission, which no activity can await that the same bridge is playing.

    Args:
        bridge: The bridge.
        loop: The caller's loop.
    """

    def __init__(self, bridge: object, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.bridge = bridge

    def __await__(self) -> Generator[Any, None, Any]:
        self._check()
        return super().__await__()

    def add_done_callback(
        self, callback: Callable[..., object], /, *, context: contextvars.Context | None = None
    ) -> None:
        """Add a callback, which is how `asyncio.gather`, `asyncio.wait` and `asyncio.shield` await the future."""
        self._check()
        super().add_done_callback(callback, context=context)

    def _check(self) -> None:
        if not self.done() and any(outer.bridge is self.bridge and not outer.done() for outer in playing.get()):
            raise BridgeDeadlockError


playing: contextvars.ContextVar[tuple[Outcome, ...]] = contextvars.ContextVar("asyncsteps_playing", default=())
"""The submissions, outermost first, whose activities the calling code belongs to."""


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """A submittable on its way to the bridge's thread.

    Attributes:
        submittable: What simpleflow's ``Workflow.submit`` takes.
        future: Its outcome; a future of the caller's loop.
        context: The context variables of the caller.
    """

    submittable: Any
    future: Outcome
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


def settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Set the outcome of a future, unless it was cancelled meanwhile; an error is logged then."""
    if future.done():
        if error is not None and future.cancelled():
            _logger.error("a chain failed whose future had been cancelled while it ran", exc_info=error)
    elif error is None:
        future.set_result(result)
    elif isinstance(error, asyncio.CancelledError):
        future.cancel()
    elif isinstance(error, StopIteration):
        # No future takes one: raised by an `await` it would end the coroutine around it.
        wrapped = RuntimeError("a chain raised StopIteration")
        wrapped.__cause__ = error
        future.set_exception(wrapped)
    else:
        future.set_exception(error)
