"""What was decided about steps, and assertions on it whose messages show all decisions and their reasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from asyncsteps._plan.model import STEP_MARKER, Marker, Status

_NOT_DONE = "was not done"
"""Shown as the reason where the planner has none."""


@dataclass(slots=True)
class StepDecision:
    """What was decided about one submission of a step, and how it ended.

    Attributes:
        step: The step's name.
        action: ``run`` or ``skip``; None where it failed before it was decided.
        forced: Whether the decision was forced.
        reasons: The reasons, in their fixed order.
        ended: How it ended, for people: a status with the error, or what a plan would withdraw; None while it is
            under way.
    """

    step: str
    action: Literal["run", "skip"] | None
    forced: bool = False
    reasons: tuple[str, ...] = ()
    ended: str | None = None


def decisions_of(markers: Iterable[Marker]) -> list[StepDecision]:
    """Return the decisions that the markers of a run tell, in order."""
    decided: list[StepDecision] = []
    under_way: dict[str, StepDecision] = {}
    for marker in markers:
        if marker.name != STEP_MARKER:
            continue
        details: dict[str, Any] = marker.details
        name, status = details["step"], details["status"]
        if status in {Status.SCHEDULED, Status.SKIPPED}:
            action: Literal["run", "skip"] = "run" if status == Status.SCHEDULED else "skip"
            decision = StepDecision(name, action, details["forced"], tuple(details["reasons"]))
            decided.append(decision)
            if action == "run":
                under_way[name] = decision
        else:
            if name not in under_way:  # it failed before it was decided
                under_way[name] = StepDecision(name, None)
                decided.append(under_way[name])
            decision = under_way.pop(name)
            error = details.get("error")
            decision.ended = f"{status}: {error}" if error else str(status)
    return decided


class StepAssertions:
    """Names of steps by what was decided about them, and assertions on it.

    The message of each assertion that fails shows all decisions, with their reasons.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} played={self.played} skipped={self.skipped}>"

    def _decisions(self) -> list[StepDecision]:
        raise NotImplementedError

    def _ends_early(self) -> str | None:
        """Why the decisions are not all, or None."""
        return None

    @property
    def decisions(self) -> list[StepDecision]:
        """The decisions so far, one for each submission of a step, in order."""
        return self._decisions()

    @property
    def played(self) -> list[str]:
        """The names of the steps that were decided to run, in order of decision, whether or not they succeeded."""
        return [each.step for each in self.decisions if each.action == "run"]

    @property
    def skipped(self) -> list[str]:
        """The names of the steps that were skipped, in order of decision."""
        return [each.step for each in self.decisions if each.action == "skip"]

    @property
    def forced(self) -> list[str]:
        """The names of the steps that were forced to run, in order of decision."""
        return [each.step for each in self.decisions if each.action == "run" and each.forced]

    def assert_played(self, *names: str) -> None:
        """Assert that these steps were played, in this order, and no others.

        Raises:
            AssertionError: When others were, or in another order.
        """
        __tracebackhide__ = True
        self._expect("played", names, self.played)

    def assert_skipped(self, *names: str) -> None:
        """Assert that these steps were skipped, in this order, and no others.

        Raises:
            AssertionError: When others were, or in another order.
        """
        __tracebackhide__ = True
        self._expect("skipped", names, self.skipped)

    def assert_forced(self, *names: str) -> None:
        """Assert that these steps were forced to run, in this order, and no others.

        Raises:
            AssertionError: When others were, or in another order.
        """
        __tracebackhide__ = True
        self._expect("forced", names, self.forced)

    def assert_because(self, step: str, *reasons: str) -> None:
        """Assert that the last decision about a step had each of these reasons, among others perhaps.

        Args:
            step: The step's name.
            reasons: Reasons as markers tell them, such as ``Dep of load``.

        Raises:
            AssertionError: When the step was not submitted, or was decided for other reasons.
            TypeError: When no reason is given.
        """
        __tracebackhide__ = True
        if not reasons:
            raise TypeError("assert_because() needs at least one reason, such as 'Step was already played'")
        found = [each for each in self.decisions if each.step == step]
        if not found:
            self._fail(f"step {step!r} was not submitted")
        missing = [reason for reason in reasons if reason not in found[-1].reasons]
        if missing:
            self._fail(f"step {step!r}: expected because of {missing}, but was because of {_why(found[-1])}")

    def _expect(self, what: str, expected: tuple[str, ...], actual: list[str]) -> None:
        __tracebackhide__ = True
        early = self._ends_early()
        if early is not None:
            self._fail(f"{what}: what was decided is not all: {early}")
        if list(expected) == actual:
            return
        lines = [f"{what}: expected {_listed(expected)}, but was {_listed(actual)}"]
        missing, extra = [n for n in expected if n not in actual], [n for n in actual if n not in expected]
        lines += [f"  not {what}: {_listed(missing)}"] * bool(missing)
        lines += [f"  {what} too: {_listed(extra)}"] * bool(extra)
        if not (missing or extra):
            lines.append("  in another order, or another number of times")
        self._fail("\n".join(lines))

    def _fail(self, message: str) -> None:
        __tracebackhide__ = True
        raise AssertionError(f"{message}\n{table(self.decisions)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _why(decision: StepDecision) -> str:
    if decision.reasons:
        return ", ".join(decision.reasons)
    return _NOT_DONE if decision.action == "run" and not decision.forced else "-"


def table(decisions: Iterable[StepDecision]) -> str:
    """Show decisions as a table."""
    head = ("step", "decision", "why", "ended")
    rows = [
        (each.step, f"{'forced ' * each.forced}{each.action or 'none'}", _why(each), _ended(each))
        for each in decisions
    ]
    if not rows:
        return "No step was decided."
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def _ended(decision: StepDecision) -> str:
    if decision.ended is not None:
        return decision.ended
    return "under way" if decision.action == "run" else ""
