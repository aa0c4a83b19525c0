"""The live display of a run: its numbers, a bar for each group of steps, the steps that run for longest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.cells import cell_len

from asyncsteps.cli import _output
from asyncsteps.cli._styled import STYLES, Line, Piece, duration, joined, line, whole
from asyncsteps.cli._tally import Row, Tally

_MOST_ROWS: Final = 16
_SLOWEST: Final = 3
_WIDEST_BAR: Final = 32
_LEAST_BAR: Final = 6
_LEAST_LABEL: Final = 8
_ROOMY: Final = 60
"""From this width on, rows have a column for what runs."""

_GLYPHS: Final = {
    "played": "━",
    "forced": "╍",
    "skipped": "─",
    "cancelled": "-",
    "failed": "x",
    "running": "▪",
    "queued": "┈",
}
_ASCII: Final = {
    "played": "#",
    "forced": "+",
    "skipped": "=",
    "cancelled": "/",
    "failed": "x",
    "running": ">",
    "queued": ".",
}


def drawn(tally: Tally, now: datetime, width: int, height: int, *, ascii_only: bool = False) -> list[Line]:
    """Return the lines of the display, for a terminal of so many columns and lines."""
    head = packed(_numbers(tally, now), width)
    slowest = _slowest(tally, now, width)
    room = max(1, min(_MOST_ROWS, height - len(head) - len(slowest) - 2))
    rows = tally.rows(room)
    lines = [*head, *_bars(rows, width, _ASCII if ascii_only else _GLYPHS), *slowest]
    return [_in_ascii(each) for each in lines] if ascii_only else lines


def _in_ascii(given: Line) -> Line:
    """The line for a terminal that shows nothing but ASCII."""
    styled = [(each, "") if isinstance(each, str) else each for each in given.pieces]
    texts = [text.replace("·", "|").replace("…", "~") for text, _ in styled]
    shown = [text.encode("ascii", "backslashreplace").decode() for text in texts]
    return line(*zip(shown, (style for _, style in styled), strict=True))


def packed(parts: Iterable[Sequence[Piece]], width: int) -> list[Line]:
    """Put the parts beside each other, in as many lines as they take; none is broken."""
    lines: list[list[Sequence[Piece]]] = [[]]
    for part in parts:
        if lines[-1] and cell_len(Line(joined([*lines[-1], part])).plain) > width:
            lines.append([])
        lines[-1].append(part)
    return [Line(joined(each)) for each in lines]


def _numbers(tally: Tally, now: datetime) -> list[list[Piece]]:
    ends = tally.ends
    parts: list[list[Piece]] = [[(whole(tally.elapsed(now)), "bold")]]
    parts.append([(f"played {ends['played'] + ends['forced']:,}", STYLES["played"])])
    if ends["forced"]:
        parts[-1].append((f" ({ends['forced']:,} forced)", STYLES["forced"]))
    others = [end for end in ("skipped", "failed", "cancelled") if ends[end]]
    parts.extend([(f"{end} {ends[end]:,}", STYLES[end])] for end in others)
    parts.append([(f"running {tally.running:,}", STYLES["running"])])
    if tally.queued:
        parts.append([f"queued {tally.queued:,}"])
    rate, left = tally.rate(now), tally.left(now)
    if rate is not None:
        parts.append([f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"])  # noqa: PLR2004 - two digits tell it
    if left is not None:
        parts.append([(f"about {whole(max(1, round(left)))} left", "bold")])
    return parts


def _bars(rows: Sequence[Row], width: int, glyphs: Mapping[str, str]) -> list[Line]:
    labels = [_output.printable(_output.unbroken(row.label)) for row in rows]
    counts = [f"{row.ended:,}/{row.known:,}" for row in rows]
    for_counts = max(map(len, counts), default=0)
    for_notes = max((len(Line(_notes(row)).plain) for row in rows), default=0) if width >= _ROOMY else 0
    for_labels = max(map(cell_len, labels), default=0)
    left = width - for_counts - for_notes - 2
    for_labels = min(for_labels, max(_LEAST_LABEL, left - _WIDEST_BAR, left // 2))
    for_bar = max(_LEAST_BAR, min(_WIDEST_BAR, left - for_labels))
    return [
        line(
            _fitted(label, for_labels),
            " ",
            *_bar(row, for_bar, glyphs),
            f" {count:>{for_counts}}",
            *(_notes(row) if for_notes else ()),
        )
        for row, label, count in zip(rows, labels, counts, strict=True)
    ]


def _notes(row: Row) -> tuple[Piece, ...]:
    failed = row.ends.get("failed", 0)
    notes: list[Piece] = [f"  {row.running:,} running"] if row.running else []
    return (*notes, (f"  {failed:,} failed", STYLES["failed"])) if failed else tuple(notes)


def _fitted(label: str, width: int) -> str:
    """A label padded to so many columns, or its end, which tells more than its beginning."""
    if cell_len(label) > width:
        label = label[-width:]
        while cell_len(label) > width - 1:
            label = label[1:]
        label = f"…{label}"
    return label + " " * (width - cell_len(label))


def _bar(row: Row, width: int, glyphs: Mapping[str, str]) -> list[Piece]:
    running = min(row.running, row.under_way)
    counts = {**{kind: row.ends.get(kind, 0) for kind in glyphs}, "running": running}
    counts["queued"] = row.under_way - running
    cells = _shares(list(counts.values()), width)
    return [(glyphs[kind] * each, STYLES[kind]) for kind, each in zip(counts, cells, strict=True) if each]


def _shares(counts: Sequence[int], width: int) -> list[int]:
    """Divide a width in proportion to the counts. Whatever there is gets one at least, if there is room."""
    total = sum(counts)
    if not total:
        return [*([0] * (len(counts) - 1)), width]
    cells = [0] * len(counts)
    for _ in range(width):
        # The most that is still owed; first to those that have nothing yet, so that one failure is seen.
        owed = [
            (bool(count) and not cell, count * width / total - cell)
            for count, cell in zip(counts, cells, strict=True)
        ]
        cells[owed.index(max(owed))] += 1
    return cells


def _slowest(tally: Tally, now: datetime, width: int) -> list[Line]:
    slowest = tally.slowest(_SLOWEST, now)
    if not slowest:
        return []
    title = "slowest now: "
    named: list[list[Piece]] = [
        [_output.printable(_output.unbroken(name)), (f" {duration(seconds)}", "bold")] for name, seconds in slowest
    ]
    room = max(_LEAST_LABEL, width - cell_len(f"{title} {duration(slowest[0][1])}"))
    named[0] = [(title, "dim"), _fitted(str(named[0][0]), min(room, cell_len(str(named[0][0])))), named[0][1]]
    while len(named) > 1 and cell_len(Line(joined(named)).plain) > width:
        named.pop()
    return [Line(joined(named))]
