"""The options of a bench, and its result as tables, goals and charts."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""One measurement: JSON values by column key. A key that is missing or None is shown as a dash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run. Each bench reads those that apply to it.

    Attributes:
        target: ``model``, ``moto``, or a URL: ``s3://bucket/prefix`` or ``http(s)://host[:port]/bucket/prefix``.
        keys: Sizes: how many keys, marks or steps.
        shapes: Shapes of the key space, by name (see ``bench._shapes``).
        latencies_ms: How long the model server waits before each answer, in milliseconds.
        concurrency: Requests at once.
        peers: The peers to measure, by name; all of them when empty.
        repeat: How often to take each measurement; the one with the median wall time is kept.
        requests_per_second: Above this rate the model server throttles; 0 is no limit.
        write: Whether a target given as a URL may be written to and cleaned up again.
    """

    target: str = "model"
    keys: tuple[int, ...] = ()
    shapes: tuple[str, ...] = ()
    latencies_ms: tuple[float, ...] = (50.0,)
    concurrency: int = 32
    peers: tuple[str, ...] = ()
    repeat: int = 1
    requests_per_second: float = 0
    write: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        key: The key of its value in a row.
        heading: Its heading, with the unit.
        spec: The format specification of a number, such as ``,d`` or ``.2f``.
    """

    key: str
    heading: str
    spec: str = ""

    def text(self, row: Row) -> str:
        """Format the row's value in this column."""
        value = row.get(self.key)
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return format(value, self.spec) if isinstance(value, int | float) else str(value)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of measurements. A row may hold more than the columns show."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Goal:
    """A promised figure beside the measured one.

    Attributes:
        what: The promise, with its figure.
        measured: What was measured, with its unit.
        met: Whether the promise holds.
    """

    what: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over a common x axis.

    Attributes:
        title: Its title.
        x: The label of the x axis, with its unit.
        y: The label of the y axis, with its unit.
        lines: The points (x, y) of each line, by its label.
        log: Whether both axes are logarithmic.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    log: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one run of a bench.

    Attributes:
        key: Its name, which is its heading in Markdown.
        title: What was measured, in one line, with the sizes.
        tables: The measurements.
        goals: The figures that were promised for them.
        charts: The charts that ``--plot`` draws.
        notes: What a reader needs to interpret the figures.
    """

    key: str
    title: str
    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()


def say(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)
