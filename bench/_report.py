"""What a bench takes and gives: its options; and its result as tables, goals and charts."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""One measurement: JSON values by column key; a key that is missing or None is shown as a dash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run; each bench reads those that mean something to it.

    Attributes:
        target: ``model``, ``moto``, or a URL: ``s3://bucket/prefix`` or ``http(s)://host[:port]/bucket/prefix``.
        keys: Sizes: how many keys, marks or steps.
        shapes: Shapes of the key space, by name (see ``bench._shapes``).
        latencies_ms: What the model server waits before it answers a request, in milliseconds.
        concurrency: Requests at once.
        peers: Whom to measure, by name; empty: all that the bench knows.
        repeat: How often each measurement is taken; the one with the median wall time counts.
        requests_per_second: What the model server answers before it throttles; 0: any number.
        write: Whether a target given as URL may be written to, and what was written there deleted.
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
        key: Where a row keeps its value.
        heading: What stands above it, with its unit.
        spec: How a number is written, as a format specification such as ``,d`` or ``.2f``.
    """

    key: str
    heading: str
    spec: str = ""

    def text(self, row: Row) -> str:
        """The row's value in this column, as text."""
        value = row.get(self.key)
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return format(value, self.spec) if isinstance(value, int | float) else str(value)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of measurements under columns; a row may hold more than the columns show."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that was promised, and the one that was measured.

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
    """Lines over a common x.

    Attributes:
        title: What stands above it.
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
    """What one run of a bench found.

    Attributes:
        key: Its place in a document: what stands between ``<!-- bench:KEY -->`` and ``<!-- /bench:KEY -->``.
        title: What was measured, in one line, with the sizes.
        tables: The measurements.
        goals: The figures that were promised for them.
        charts: What ``--plot`` draws.
        notes: What a reader must know to read the figures right.
    """

    key: str
    title: str
    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()


def say(text: str) -> None:
    """Tell a waiting person what is under way, on stderr."""
    print(text, file=sys.stderr, flush=True)
