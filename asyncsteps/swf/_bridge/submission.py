"""What a call of `SimpleflowBridge.submit` hands over to the bridge's thread, and what becomes of it."""

import asyncio
import contextvars
import logging
from dataclasses import dataclass, field
from typing import Any

_logger = logging.getLogger("asyncsteps.swf")


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """A submittable on its way to the bridge's thread.

    Attributes:
        submittable: What simpleflow's ``Workflow.submit`` takes.
        future: Its outcome; a future of the caller's loop.
        context: The context variables of the caller.
    """

    submittable: Any
    future: asyncio.Future[Any]
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
