"""Ids of traces and spans that are the same wherever they are computed: from the run's id."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256

_next: ContextVar[tuple[int, int] | None] = ContextVar("asyncsteps_otel_ids", default=None)
"""The ids of the span that is being made."""


def _number(text: str, size: int) -> int:
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:size]) or 1  # 0 is no id


def trace_id_of(run_id: str) -> str:
    """Return the id of a run's trace, as 32 hexadecimal digits.

    A run has it whose span is the root of its trace, under a tracer provider with a `RunIdGenerator`.
    """
    return f"{_number(run_id, 16):032x}"


@contextmanager
def ids_for(run_id: str, *what: object) -> Iterator[None]:
    """Give the span that is made in the block the ids of a part of a run."""
    token = _next.set((_number(run_id, 16), _number("\0".join([run_id, *map(str, what)]), 8)))
    try:
        yield
    finally:
        _next.reset(token)


class RunIdGenerator:
    """Gives the spans of runs ids that are computed from the run's id, and all others random ones.

    Give it to the SDK: ``TracerProvider(id_generator=RunIdGenerator())``. Then `trace_id_of` tells the trace of a
    run, and a span that is exported twice has one id.
    """

    def generate_trace_id(self) -> int:
        """Return the id of a trace."""
        given = _next.get()
        return random.getrandbits(128) or 1 if given is None else given[0]

    def generate_span_id(self) -> int:
        """Return the id of a span."""
        given = _next.get()
        return random.getrandbits(64) or 1 if given is None else given[1]

    def is_trace_id_random(self) -> bool:
        """Whether trace ids are random: those of runs are as evenly spread, but not random."""
        return False
