"""Makes spans and metrics of the events of runs."""

from collections import Counter
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider, get_current_span, get_tracer

from asyncsteps._events import of_activities, of_runs, of_steps
from asyncsteps._events.base import Event
from asyncsteps._journal.texts import collapsed
from asyncsteps.otel._metrics import Metrics
from asyncsteps.otel._spans import CurrentSpan, nanoseconds

_attempts: ContextVar[tuple[CurrentSpan, ...]] = ContextVar("asyncsteps_otel_attempts", default=())
"""The spans of attempts that the current code runs within."""


class _Run:
    """The spans of one run that have not ended."""

    def __init__(self, span: CurrentSpan) -> None:
        self.span = span
        self.steps: dict[str, CurrentSpan] = {}
        self.attempts: Counter[tuple[str | None, str, int]] = Counter()
        self.times: Counter[str] = Counter()


class Telemetry:
    """Makes a span of each run, step and attempt, and metrics: give one to ``on_event`` of any number of runs.

    A span is the current one within what it is for: that of the run in its block, that of a step where it is
    submitted, that of an attempt in the activity, in tasks that it starts and in its worker threads. So spans that
    are made there, as by instrumented clients, are below it.

    Args:
        tracer_provider: The tracer provider; None: the global one.
        meter_provider: The meter provider; None: the global one.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = get_tracer("asyncsteps", tracer_provider=tracer_provider)
        self._metrics = Metrics(meter_provider)
        self._runs: dict[str, _Run] = {}

    def __call__(self, event: Event) -> None:
        """Take an event of a run; it must be called where the event happens, as ``on_event`` does."""
        self._metrics.record(event)
        run = self._runs.get(event.run_id)
        if run is None:
            if isinstance(event, of_runs.RunStarted):
                self._begin_run(event)
            return
        match event:
            case of_steps.StepQueued():
                self._begin_step(run, event)
            case of_steps.StepScheduled():
                self._annotate(run, event.step, event)
            case of_steps.StepDecided():
                self._end_step(run, event)
            case of_activities.AttemptStarted():
                self._begin_attempt(run, event)
            case of_activities.AttemptEnded():
                *outer, span = _attempts.get()
                _attempts.set(tuple(outer))
                span.end(event.at, error=event.error)
            case of_runs.RunEnded():
                self._end_run(run, event)
            case _:
                self._tell(run, event)

    def _tell(self, run: _Run, event: Event) -> None:
        """Add what neither begins nor ends something to the span that it belongs to."""
        match event:
            case of_activities.StepRetrying():
                self._annotate(run, event.step, event, attempt=event.attempt, error=event.error)
            case of_steps.StepWithdrawing():
                self._annotate(run, event.step, event, names=len(event.names))
            case of_runs.SignalSent():
                self._annotate(run, event.step, event, name=event.name)
            case _:
                pass

    def _begin_run(self, event: of_runs.RunStarted) -> None:
        attributes: dict[str, Any] = _identity(event)
        if event.version is not None:
            attributes["asyncsteps.version"] = event.version
        span = CurrentSpan(self._tracer, "run", attributes, event.at, ids=(event.run_id,))
        self._runs[event.run_id] = _Run(span)

    def _end_run(self, run: _Run, event: of_runs.RunEnded) -> None:
        del self._runs[event.run_id]
        for step in run.steps.values():  # of a run that was dropped without its end
            step.end(event.at)
        counts = {f"asyncsteps.steps.{status}": number for status, number in event.counts.items()}
        error = event.error or (f"{event.failures} failures" if event.failures else None)
        run.span.end(event.at, error=error, **{"asyncsteps.outcome": event.outcome, **counts})

    def _begin_step(self, run: _Run, event: of_steps.StepQueued) -> None:
        step = event.step
        run.times[step] += 1
        attributes = {**_identity(event), "asyncsteps.step": step}
        run.steps[step] = self._begin(run, f"step {step}", attributes, event, ("step", step, run.times[step]))

    def _end_step(self, run: _Run, event: of_steps.StepDecided) -> None:
        span = run.steps.pop(event.step, None)
        if span is None:
            return
        attributes = {
            "asyncsteps.status": event.kind.removeprefix("step."),
            "asyncsteps.forced": event.forced,
            "asyncsteps.reasons": collapsed(event.reasons),
            "asyncsteps.attempts": event.attempts,
            "asyncsteps.queue_seconds": event.queue_seconds,
        }
        span.end(event.at, error=getattr(event, "error", None), **attributes)

    def _begin_attempt(self, run: _Run, event: of_activities.AttemptStarted) -> None:
        key = (event.step, event.activity, event.attempt)
        run.attempts[key] += 1
        attributes = {
            **_identity(event),
            "asyncsteps.activity": event.activity,
            "asyncsteps.attempt": event.attempt,
            **({} if event.step is None else {"asyncsteps.step": event.step}),
        }
        ids = ("attempt", *key, run.attempts[key])
        span = self._begin(run, f"attempt {event.activity}", attributes, event, ids)
        _attempts.set((*_attempts.get(), span))

    def _begin(
        self, run: _Run, name: str, attributes: dict[str, Any], event: Event, ids: tuple[object, ...]
    ) -> CurrentSpan:
        """Begin a span. Where the code around it runs within none of the run, it is below the run's own."""
        within = None if _trace_of_current() == _trace_of(run.span) else run.span.context
        return CurrentSpan(self._tracer, name, attributes, event.at, ids=(event.run_id, *ids), within=within)

    @staticmethod
    def _annotate(run: _Run, step: str | None, event: Event, **attributes: Any) -> None:
        """Add an event to the span of a step, or of the run."""
        span = run.span if step is None else run.steps.get(step, run.span)
        span.span.add_event(event.kind, attributes, nanoseconds(event.at))


def _identity(event: Event) -> dict[str, Any]:
    return {"asyncsteps.run_id": event.run_id, "asyncsteps.workflow_id": event.workflow_id}


def _trace_of(span: CurrentSpan) -> int:
    return span.span.get_span_context().trace_id


def _trace_of_current() -> int:
    return get_current_span(otel_context.get_current()).get_span_context().trace_id
