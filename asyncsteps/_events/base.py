"""What all events have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

OnEvent = Callable[[Any], object]
"""Called with each event of a run; a plain function or an ``async def``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run.

    Attributes:
        kind: What happened, such as ``step.started``; each class has its own.
        run_id: The run's id.
        workflow_id: The workflow's id.
        at: When, in UTC.
    """

    kind: ClassVar[str] = ""

    run_id: str
    workflow_id: str
    at: datetime

    def as_dict(self) -> dict[str, Any]:
        """Return the members as JSON values, with the kind as ``event``."""
        return {"event": self.kind} | {each.name: _json(getattr(self, each.name)) for each in fields(self)}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): _json(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_json(each) for each in value]
    return value
