"""The planner, which alone decides about steps. No I/O, no ``await``, no clock but a counter."""

from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator

from asyncsteps._errors import error_text
from asyncsteps._plan.model import (
    Action,
    Decision,
    EmitSignal,
    ForceDependents,
    MarkDone,
    Phase,
    Play,
    RecordStatus,
    Status,
    StepRules,
    Withdraw,
)
from asyncsteps._plan.names import EXACTLY, STRICT, NameRule, as_selectors, matches, selectors_of

REASON_FORCED = "Step is forced"
"""The reason for ``Step(force=True)``; it comes last."""

REASON_DONE = "Step was already played"
"""The reason for skipping a step that is done."""

_RUN = Decision(Action.RUN, forced=False)
_SKIP_DONE = Decision(Action.SKIP, forced=False, reasons=(REASON_DONE,))
_PLAY = Play("activities")
_PLAY_ALTERNATIVE = Play("activities_if_step_already_done")


class Selectors:
    """Selectors with their reasons, in order of addition.

    A look-up costs one dictionary access for each segment of the name, plus what it finds, regardless of how many
    selectors there are and how often each was added.
    """

    def __init__(self) -> None:
        self._moments: dict[str, dict[str | None, list[int]]] = {}  # reasons in order of their last addition

    def __iter__(self) -> Iterator[str]:
        return iter(self._moments)

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, selector: str, reason: str | None, *, at: int) -> None:
        """Add a selector with a reason (None: none) at the moment ``at``, which must increase."""
        reasons = self._moments.setdefault(selector, {})
        moments = reasons.pop(reason, [])
        moments.append(at)
        reasons[reason] = moments

    def match(self, name: str, *, after: int = -1) -> tuple[str, ...] | None:
        """The reasons of what matches ``name`` and was added later than ``after``; None where nothing does."""
        if not self._moments:
            return None
        found: list[tuple[int, str | None]] = []
        for selector in self._moments.keys() & selectors_of(name):
            for reason, moments in reversed(self._moments[selector].items()):
                if moments[-1] <= after:
                    break
                found.append((moments[bisect_right(moments, after)], reason))
        if not found:
            return None
        return tuple(dict.fromkeys(reason for _, reason in sorted(found) if reason))


class Planner:
    """Decides each submission of a step, and lays out its phases.

    It holds what decisions depend on: forced and skipped selectors in order of addition, and what this run has
    played. Both interpreters, native and on simpleflow, consult it and report to it what happened.

    Args:
        withdraw_invalidated: Whether done marks that playing a step makes stale are withdrawn. False: as in
            simpleflow.
        names: The rule that selectors keep.
        watched: Selectors that decide nothing, and are only looked for in `unmatched`.
    """

    def __init__(
        self, *, withdraw_invalidated: bool = True, names: NameRule = STRICT, watched: Iterable[str] = ()
    ) -> None:
        self.withdraw_invalidated = withdraw_invalidated
        self._names: NameRule = names
        self._watched = tuple(watched)
        self.forced = Selectors()
        self.skipped = Selectors()
        self._clock = 0
        self._begun: dict[str, int] = {}
        self._outdated: set[str] = set()
        self._played: dict[str, int] = {}
        self._decided: list[str] = []  # names whose selectors are not in `_selectable` yet
        self._selectable: set[str] = set()

    def add_forced(self, selectors: str | Iterable[str], reason: str | None = None) -> None:
        """Force matching steps in submissions not yet decided.

        Raises:
            SelectorError: When a selector is malformed; none is then added.
        """
        self._add(self.forced, selectors, reason)

    def add_skipped(self, selectors: str | Iterable[str], reason: str | None = None) -> None:
        """Skip matching steps, unless they are forced, in submissions not yet decided.

        Raises:
            SelectorError: When a selector is malformed; none is then added.
        """
        self._add(self.skipped, selectors, reason)

    def _add(self, to: Selectors, selectors: str | Iterable[str], reason: str | None) -> None:
        for selector in as_selectors(selectors, by=self._names):
            self._clock += 1
            to.add(selector, reason, at=self._clock)

    def decide(self, step: StepRules, *, done: bool) -> Decision:
        """Decide one submission: force beats skip beats done.

        Args:
            step: The step.
            done: Whether its name is done.
        """
        self._decided.append(step.name)
        forced = self.forced.match(step.name, after=self._played.get(step.name, -1))
        if step.force or forced is not None:
            reasons = dict.fromkeys(forced or ())
            if step.force:
                reasons.pop(REASON_FORCED, None)
                reasons[REASON_FORCED] = None
            return Decision(Action.RUN, forced=True, reasons=tuple(reasons))
        skipped = self.skipped.match(step.name)
        if skipped is not None:
            return Decision(Action.SKIP, forced=True, reasons=skipped)
        return _SKIP_DONE if done else _RUN

    def recall(self, step: StepRules) -> None:
        """Note a submission whose decision is already recorded, without deciding it again."""
        self._decided.append(step.name)

    def phases(self, step: StepRules, decision: Decision, *, done: bool) -> tuple[Phase, ...]:
        """Return the phases of a decided submission, in order. None is played after activities that fail."""
        phases: list[Phase] = []
        if decision.action is Action.RUN:
            if step.force_steps_if_executed:
                phases.append(ForceDependents(step.force_steps_if_executed, f"Dep of {step.name}"))
            phases.append(self.record(step, decision, Status.SCHEDULED))
            own = step.name if done and decision.forced else None
            if self.withdraw_invalidated and (own or step.force_steps_if_executed):
                phases.append(Withdraw(own, step.force_steps_if_executed))
            phases += (
                _PLAY,
                MarkDone(step.name),
                self.record(step, decision, Status.COMPLETED),
            )
        else:
            if step.has_alternative:
                phases.append(_PLAY_ALTERNATIVE)
            phases.append(self.record(step, decision, Status.SKIPPED))
        if step.emit_signal:
            phases.append(EmitSignal(f"step.{step.name}"))
        return tuple(phases)

    def record(
        self, step: StepRules, decision: Decision, status: Status, *, error: BaseException | None = None
    ) -> RecordStatus:
        """Make the phase that records a step's marker, with simpleflow's keys in simpleflow's order.

        Args:
            step: The step.
            decision: Its decision.
            status: What the marker says.
            error: What failed; its type and text are added to the details.
        """
        details = {
            "step": step.name,
            "status": status.value,
            "forced": decision.forced,
            "reasons": list(decision.reasons),
        }
        if error is not None:
            details["error"] = error_text(error)
        return RecordStatus(status, details)

    def begin(self, name: str, *, outdated: bool = False) -> None:
        """Note that ``name`` has started. Its dependents must already be forced.

        Selectors from before this moment will not force it again once it is played.

        Args:
            name: The step's name.
            outdated: Whether the step has a mark that others may also withdraw before `start`: its own withdrawal
                could fail.
        """
        self._begun[name] = self._clock
        if outdated:
            self._outdated.add(name)

    def start(self, name: str) -> None:
        """Note that the step's activities have started. Its mark is no longer outdated."""
        self._outdated.discard(name)

    def complete(self, name: str) -> None:
        """Note that this run played ``name`` and marked it done."""
        self._played[name] = self._begun.pop(name)

    def fail(self, name: str) -> None:
        """Note that ``name`` failed or was cancelled. Whatever forced it still does."""
        self._begun.pop(name, None)
        self._outdated.discard(name)

    def invalidated(self, phase: Withdraw, done: Iterable[str]) -> list[str]:
        """Return the names whose marks a `Withdraw` phase withdraws, sorted.

        Dependents that this run has played or is playing keep their marks. The step's own mark is always
        withdrawn, so that a failure leaves the step undone.

        Args:
            phase: The phase.
            done: Done names, among them at least all that the phase's selectors match, and its own name if done.
        """
        return sorted(
            name
            for name in set(done)
            if name == phase.own
            or (
                name not in self._played
                and (name not in self._begun or name in self._outdated)
                and any(matches(selector, name) for selector in phase.dependents)
            )
        )

    def unmatched(self, *, given: Container[str] | None = None) -> list[str]:
        """Return the selectors that match no step decided so far, in order of addition.

        Args:
            given: Only those among them; None: all.
        """
        everything = dict.fromkeys((*self.forced, *self.skipped, *self._watched))
        while everything and self._decided:
            self._selectable.update(selectors_of(self._decided.pop()))
        return [
            selector
            for selector in everything
            if selector not in self._selectable and (given is None or selector in given)
        ]

    def hint(self, selector: str) -> str:
        """Return in words what may be wrong with a selector that is `unmatched`."""
        group = selector.removeprefix(EXACTLY)
        if group != selector and group in self._selectable:
            return f"it selects {group!r} alone, and {group!r} without '=' what is below it too"
        return "is it misspelt?"
