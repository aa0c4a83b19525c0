"""OpenTelemetry: spans of runs, steps and attempts, and metrics. It needs the extra ``asyncsteps[otel]``."""

from asyncsteps._errors import MissingExtraError

try:
    import opentelemetry.trace  # noqa: F401 - whether it is installed
except ImportError as error:
    raise MissingExtraError("otel", "asyncsteps.otel") from error

from asyncsteps.otel._ids import RunIdGenerator, trace_id_of
from asyncsteps.otel._telemetry import Telemetry

__all__ = ["RunIdGenerator", "Telemetry", "trace_id_of"]
