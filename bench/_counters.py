"""What a server that the bench starts counts about the requests it answers."""

import time
from dataclasses import dataclass, field
from typing import Any


def operation_of(method: str, in_bucket: bool, query: str) -> str:
    """What a request is counted as: ``LIST``, ``PUT``, ``HEAD_BUCKET``, ...

    Args:
        method: Its HTTP method.
        in_bucket: Whether it is for a key, and not for the bucket.
        query: Its query, as sent.
    """
    if in_bucket:
        return method
    if method == "GET":
        return "LOCATION" if query.startswith("location") else "LIST"
    return "DELETE_OBJECTS" if method == "POST" else f"{method}_BUCKET"


@dataclass(slots=True)
class Counters:
    """Requests since the last reset.

    Attributes:
        requests: All of them.
        by_operation: The number for each operation, such as ``LIST``.
        active: Those under way now.
        peak: The most that were under way at once.
        throttled: Those answered with 503 SlowDown.
        cpu_at_reset: The server's CPU time at the last reset, in seconds.
    """

    requests: int = 0
    by_operation: dict[str, int] = field(default_factory=dict)
    active: int = 0
    peak: int = 0
    throttled: int = 0
    cpu_at_reset: float = field(default_factory=time.process_time)

    def begin(self, operation: str) -> None:
        """Count a request that comes in."""
        self.requests += 1
        self.by_operation[operation] = self.by_operation.get(operation, 0) + 1
        self.active += 1
        self.peak = max(self.peak, self.active)

    def end(self) -> None:
        """Count a request as answered."""
        self.active -= 1

    def reset(self) -> None:
        """Start counting anew; what is under way stays so."""
        self.requests = self.throttled = 0
        self.by_operation = {}
        self.peak = self.active
        self.cpu_at_reset = time.process_time()

    def as_row(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "requests": self.requests,
            "by_operation": self.by_operation,
            "peak_concurrency": self.peak,
            "throttled": self.throttled,
            "server_cpu_s": round(time.process_time() - self.cpu_at_reset, 3),
        }
