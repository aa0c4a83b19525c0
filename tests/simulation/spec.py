"""The parts of a history, as frozen records whose defaults are the simplest case."""

from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

How = Literal["await", "scope", "task", "timeout", "anyio_timeout", "detached"]
"""How a submission is waited for: plainly, cancelled after a time by asyncio or anyio, or not at all."""

FaultKind = Literal["throttle", "before", "after", "partial", "stall", "lost", "cancel_applied"]
"""What may happen to a request. A ``lost`` one takes effect, but its reply never arrives."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Something to submit, and how its end is waited for."""

    item: "Item"
    how: How = "await"
    after: float = 0.0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Act:
    """An activity: it waits, submits what is nested, waits again, and ends.

    ``fails`` attempts fail in each run with faults. With ``side_by_side`` it submits from tasks of its own, with
    ``thread`` from a thread, which nothing stops. No thread waits for signals, nor for a step that does: a run
    cannot tell whether a thread goes on.
    """

    ident: int
    seconds: float = 0.0
    fails: int = 0
    how: Literal["error", "cancelled"] = "error"
    retry: int = 0
    retry_wait: float = 0.0
    timeout: float | None = None
    starts_within: float | None = None
    closes_within: float | None = None
    lingers: float = 0.0
    thread: bool = False
    afterwards: float = 0.0
    nested: tuple[Submission, ...] = ()
    side_by_side: bool = False
    swallows: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """A submission of the step of that name."""

    name: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Many:
    """A chain or a group."""

    kind: Literal["chain", "group"]
    members: tuple["Item", ...]
    send_result: bool = False
    break_on_failure: bool = True
    max_parallel: int | None = None
    bubbles: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """Send a signal."""

    name: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a signal."""

    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Record a marker."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """Add a selector to the run; nothing is submitted."""

    kind: Literal["force", "skip"]
    selector: str
    reason: str | None = None


Item = Act | Ref | Many | Send | Wait | Mark | Select


@dataclass(frozen=True, slots=True)
class StepDef:
    """A step; all that is submitted under its name has the same body."""

    name: str
    body: Item
    alternative: Act | None = None
    emits: bool = False
    deps: tuple[str, ...] = ()
    bubbles: bool = False
    saves: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """Submissions one after the other, in a task of its own."""

    submissions: tuple[Submission, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the n-th request of a run."""

    request: int
    kind: FaultKind


@dataclass(frozen=True, slots=True)
class Crash:
    """The process is killed before its n-th callback, or at its n-th request, before or after its effect.

    With ``late`` what it had on the wire has its effect in the next run, within three seconds.
    """

    at: Literal["callback", "request", "applied"]
    number: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run of the workflow; ``beside`` the one before, in its process, or after it."""

    force: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    mark_timeout: float = 30.0
    retry: int = 0
    timeout: float | None = None
    withdraws: bool = True
    latency: float = 0.0
    lag: float | None = None
    jitter: float = 0.0
    faults: tuple[Fault, ...] = ()
    crash: Crash | None = None
    leave_at: float | None = None
    cancel_at: tuple[float, ...] = ()
    fails: bool = False
    beside: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """A workflow, its runs over one store, and the steps done before the first.

    With ``walks`` the task that enters a run walks the first lane, as in most programs; else each has a task.
    """

    seed: int
    steps: tuple[StepDef, ...]
    lanes: tuple[Lane, ...]
    runs: tuple[RunSpec, ...]
    max_parallel: int = 4
    limits: tuple[tuple[str, int], ...] = ()
    page: int = 1000
    done: tuple[str, ...] = ()
    walks: bool = False


def show(value: Any) -> str:
    """Return the constructor call that makes a record, without defaults."""
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))}{',' if len(value) == 1 else ''})"
    if not hasattr(value, "__dataclass_fields__"):
        return repr(value)
    shown = [
        f"{field.name}={show(getattr(value, field.name))}"
        for field in fields(value)
        if field.default is MISSING or getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(shown)})"
