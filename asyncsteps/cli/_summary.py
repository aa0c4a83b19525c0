"""What is said of a run at its end: counts and times, what was decided and why, and each failure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from asyncsteps.cli import _output, _tree
from asyncsteps.cli._alike import Told, alike
from asyncsteps.cli._failures import Place
from asyncsteps.cli._styled import STYLES, Line, Piece, duration, joined, line
from asyncsteps.cli._submissions import StepReport

COUNTED: Final = {"played": "completed", "skipped": "skipped", "failed": "failed", "cancelled": "cancelled"}
"""The words for what became of steps, and their statuses."""

UNDER_WAY: Final = "still under way"
_WHEN_STOPPED: Final = {"cancelled": "cancelled", "scheduled": UNDER_WAY}
"""What steps are, by their status, when something stopped the run."""

_FAILURES: Final = 8
"""How many failures are told at length: of those that were raised at the same line, one."""

_SLOWEST: Final = 3
_LONG: Final = 0.1
"""Steps that took fewer seconds are not told as the slowest."""

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure outside of steps: what is said of it, and where it comes from."""

    text: str
    place: Place


def counted(counts: Mapping[str, int], seconds: float) -> Line:
    """Return the first line: how many steps became what, in how long."""
    parts: list[list[Piece]] = [
        [(f"{word} {number:,}", STYLES.get(word, "bold") if number else "")]
        for word, number in counts.items()
        if number or word not in _WHEN_STOPPED.values()
    ]
    took = f"{seconds:.1f} s" if seconds < 60 else duration(seconds)  # noqa: PLR2004 - a minute
    return line(*joined(parts, " · "), " in ", (took, "bold"))


def decided(steps: Iterable[StepReport], places: Mapping[str, Place]) -> list[Line]:
    """Return the lines for the steps: played, skipped, failed, and what was stopped.

    Args:
        steps: The submissions of steps.
        places: Where each failed step failed, by its name.
    """
    told: dict[str, list[Told]] = {word: [] for word in (*COUNTED, UNDER_WAY)}
    failed: list[StepReport] = []
    for step in steps:
        if step.status in _WHEN_STOPPED:
            told[_WHEN_STOPPED[step.status]].append(Told(step.step))
        elif step.status == "failed":
            failed.append(step)
        elif step.status == "completed" and step.was_done is False:
            told["played"].append(
                Told(step.step, seconds=step.seconds)
            )  # it was not done: no other reason is needed
        elif step.status == "completed":
            told["played"].append(Told(step.step, step.reasons, step.forced, step.seconds))
        else:
            told["skipped"].append(Told(step.step, step.reasons, step.forced))
    lines = [*alike("played", told["played"]), *_slowest(told["played"]), *alike("skipped", told["skipped"])]
    lines += failures(failed, places)
    return [*lines, *alike("cancelled", told["cancelled"]), *alike(UNDER_WAY, told[UNDER_WAY])]


def _slowest(played: Sequence[Told]) -> list[Line]:
    """Return the line for the slowest steps, where not each is told with its time."""
    if len(played) <= _NAMED:
        return []
    ranked = sorted(((step.seconds or 0.0, step.name) for step in played), reverse=True)[:_SLOWEST]
    parts: list[list[Piece]] = [
        [f"{_output.unbroken(name)} ", (duration(seconds), "bold")] for seconds, name in ranked if seconds >= _LONG
    ]
    return [line("  ", ("slowest", "bold"), " ", *joined(parts, ", "))] if parts else []


def failures(failed: Iterable[StepReport], places: Mapping[str, Place]) -> list[Line]:
    """Return the lines for failed steps. Of those that failed at one line of code in the same way, one is told."""
    same: dict[tuple[str | None, str], list[StepReport]] = {}
    for step in failed:
        place = places.get(step.step)
        error = step.error or "no error is told"
        where = place.where if place is not None else None
        same.setdefault((where, error.partition(":")[0] if where else error), []).append(step)
    lines: list[Line] = []
    left: list[str] = []
    for number, ((where, _), steps) in enumerate(same.items()):
        if number >= _FAILURES:
            left += [step.step for step in steps]
            continue
        first, *others = steps
        lines += _failure(first, places.get(first.step))
        if others:
            names = _output.unbroken(_tree.roll_up(step.step for step in others))
            how = "at the same line" if where else "in the same way"
            lines.append(line("    ", (f"{len(others):,} more failed {how}: ", STYLES["failed"]), names, hang=6))
    if left:
        names = _output.unbroken(_tree.roll_up(left))
        lines.append(line("  ", ("failed", STYLES["failed"]), f" {names}, for other reasons, which --json tells"))
    return lines


def _failure(step: StepReport, place: Place | None) -> list[Line]:
    took = f" after {duration(step.seconds)}" if step.seconds is not None else ""
    took += f" and {step.attempts:,} attempts" if step.attempts > 1 else ""
    error = _output.one_line(step.error or "no error is told", at_most=_output.ERROR_SHOWN)
    return [
        line("  ", ("failed", STYLES["failed"]), f" {_output.unbroken(step.step)}", (took, "dim")),
        line("    ", (error, "red"), hang=6),
        *(_where(place) if place is not None else ()),
    ]


def _where(place: Place) -> list[Line]:
    lines: list[Line] = []
    if place.activity is not None:
        arguments = "" if place.arguments is None else f"({place.arguments})"
        lines.append(
            line("    in ", (_output.unbroken(place.activity), "bold"), _output.unbroken(arguments), hang=6)
        )
    if place.where is not None:
        source = _output.unbroken(place.source or "")
        lines.append(line(f"    at {place.where}", (f": {source}" if source else "", "dim"), hang=6))
    return lines


def other_failures(failed: Sequence[Failed]) -> list[Line]:
    """Return the lines for failures outside of steps."""
    lines: list[Line] = []
    for each in failed[:_FAILURES]:
        text = _output.one_line(each.text, at_most=_output.ERROR_SHOWN)
        lines.append(line("  ", ("error", STYLES["failed"]), f": {text}"))
        place = each.place
        lines += _where(Place(None, None, place.where, place.source))
    if len(failed) > _FAILURES:
        lines.append(line(f"  and {_output.count(len(failed) - _FAILURES, 'more error')}, which --json tells"))
    return lines
