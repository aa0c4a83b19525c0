"""Spans that are the current one of the code that they are for."""

import asyncio
from collections.abc import Mapping
from contextvars import Token
from datetime import datetime
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer, get_current_span, set_span_in_context

from asyncsteps.otel._ids import ids_for


def nanoseconds(at: datetime) -> int:
    """A time as OpenTelemetry has it."""
    return int(at.timestamp() * 1_000_000) * 1_000


class CurrentSpan:
    """A span that is current from its beginning to its end, in the task that it began in.

    Args:
        tracer: Makes the span.
        name: Its name.
        attributes: Its attributes.
        at: When it begins.
        ids: The run's id, and what tells the span from the others of the run.
        within: The context of its parent; None: the current one.
    """

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: Mapping[str, Any],
        at: datetime,
        *,
        ids: tuple[object, ...],
        within: Context | None = None,
    ) -> None:
        with ids_for(str(ids[0]), *ids[1:]):
            self.span: Span = tracer.start_span(
                name, context=within, attributes=attributes, start_time=nanoseconds(at)
            )
        self.context = set_span_in_context(self.span, within)
        self._task = asyncio.current_task()
        self._token: Token[Context] = otel_context.attach(self.context)

    def end(self, at: datetime, *, error: str | None = None, **attributes: Any) -> None:
        """End it.

        Args:
            at: When.
            error: Why it failed, or None.
            attributes: More attributes; those that are None are left out.
        """
        if asyncio.current_task() is self._task and get_current_span() is self.span:
            otel_context.detach(self._token)
        self.span.set_attributes({name: each for name, each in attributes.items() if each is not None})
        if error is not None:
            self.span.set_attribute("error.type", error.partition(":")[0])
            self.span.set_status(Status(StatusCode.ERROR, error))
        self.span.end(nanoseconds(at))
