"""The metrics of runs."""

from typing import Any

from opentelemetry.metrics import MeterProvider, get_meter

from asyncsteps._events import of_activities, of_runs, of_steps, of_stores
from asyncsteps._events.base import Event

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400)
"""The bounds of the histograms, unless a view sets others."""


class Metrics:
    """Counts and times what the events of any number of runs tell.

    Args:
        provider: The meter provider; None: the global one.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = get_meter("asyncsteps", meter_provider=provider)

        def seconds(name: str, description: str) -> Any:
            return meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=_SECONDS
            )

        self._runs = seconds("asyncsteps.run.duration", "How long runs took.")
        self._steps = meter.create_counter("asyncsteps.steps", unit="{step}", description="Steps that ended.")
        self._under_way = meter.create_up_down_counter(
            "asyncsteps.steps.under_way", unit="{step}", description="Steps that are submitted and have not ended."
        )
        self._step_seconds = seconds("asyncsteps.step.duration", "How long steps ran, from their first activity.")
        self._queue_seconds = seconds(
            "asyncsteps.step.queue_time", "How long steps waited for their first activity."
        )
        self._attempts = meter.create_counter(
            "asyncsteps.attempts", unit="{attempt}", description="Attempts at activities that ended."
        )
        self._store = seconds("asyncsteps.store.duration", "How long calls of the store took; their number too.")

    def record(self, event: Event) -> None:
        """Count an event."""
        match event:
            case of_steps.StepQueued():
                self._under_way.add(1)
            case of_steps.StepScheduled():
                pass
            case of_steps.StepDecided():
                self._end_of_step(event)
            case of_activities.AttemptEnded():
                self._attempts.add(1, {"activity": event.activity, **_error_type(event.error)})
            case of_stores.StoreCalled():
                operation = {"operation": event.kind.removeprefix("store.")}
                self._store.record(event.seconds, operation | _error_type(event.error))
            case of_runs.RunEnded():
                self._runs.record(event.seconds, {"outcome": event.outcome})
            case _:
                pass

    def _end_of_step(self, event: of_steps.StepDecided) -> None:
        status = {"status": event.kind.removeprefix("step.")}
        self._under_way.add(-1)
        self._steps.add(1, status | {"forced": event.forced})
        if event.queue_seconds is not None and event.started is not None:
            self._queue_seconds.record(event.queue_seconds)
        if event.seconds is not None:
            self._step_seconds.record(event.seconds, status)


def _error_type(error: str | None) -> dict[str, str]:
    """The type of an error, as its text begins with it."""
    return {} if error is None else {"error.type": error.partition(":")[0]}
