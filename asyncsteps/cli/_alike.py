"""Lines about many steps: those decided alike are told together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from asyncsteps.cli import _output, _tree
from asyncsteps.cli._progress import because
from asyncsteps.cli._styled import STYLES, Line, duration, line

_NAMED: Final = 10
"""More steps than this, decided alike, are rolled up."""

_LINES: Final = 12
"""More lines than this about steps of one status are rolled up."""

_IN_ONE_LINE: Final = {"skipped", "skip"}
"""What is said in one line of several steps that are named."""

_STYLE_OF: Final = {"run": "played", "force": "forced", "skip": "skipped", "still under way": "running"}


class Told(NamedTuple):
    """What is told of a step.

    Attributes:
        name: Its name.
        reasons: The reasons of its decision.
        forced: Whether the decision was forced.
        seconds: How long it ran; None: not told.
        where: Where its done mark is, unless that goes without saying.
    """

    name: str
    reasons: Sequence[str] = ()
    forced: bool = False
    seconds: float | None = None
    where: str = ""

    @property
    def why(self) -> str:
        """What follows its name."""
        return self.where + because(self.reasons, forced=self.forced)


def alike(word: str, told: Iterable[Told]) -> list[Line]:
    """Return lines for the steps of one status."""
    by_why: dict[str, list[Told]] = {}
    for each in told:
        by_why.setdefault(each.why, []).append(each)
    lines: list[Line] = []
    left: list[Told] = []
    for why, steps in by_why.items():
        named = [_named(step) for step in steps]
        if len(steps) > _NAMED:
            named = [_rolled(steps)]
        elif word in _IN_ONE_LINE:
            named = [", ".join(named)]
        if len(lines) + len(named) > _LINES:
            left += steps
        else:
            lines += [_line(word, name, why) for name in named]
    if left:
        reasons = list(dict.fromkeys(reason for step in left for reason in step.reasons))
        lines.append(
            _line(word, f"{_rolled(left)}, each for its own reason, which --json tells", because(reasons))
        )
    return lines


def _named(step: Told) -> str:
    took = "" if step.seconds is None else f" in {duration(step.seconds)}"
    return _output.unbroken(step.name) + took


def _rolled(steps: Iterable[Told]) -> str:
    return _output.unbroken(_tree.roll_up(step.name for step in steps))


def _line(word: str, names: str, why: str) -> Line:
    style = STYLES.get(_STYLE_OF.get(word, word), "bold")
    return line("  ", (word, style), f" {names}", (why, "dim"))
