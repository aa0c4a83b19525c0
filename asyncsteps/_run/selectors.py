"""What is forced and skipped in a run."""

from asyncsteps._plan.names import as_reasoned_selectors
from asyncsteps._run.options import GivenSelectors
from asyncsteps._run.parts import RunParts


class RunSelectors:
    """The part of `StepRun` that forces and skips steps by selectors."""

    _parts: RunParts

    def add_forced_steps(self, steps: GivenSelectors, reason: str | None = None) -> None:
        """Force what the selectors match, in submissions not yet decided.

        Args:
            steps: One selector, several, or a mapping of selector to reason.
            reason: Why, for those without one of their own.

        Raises:
            SelectorError: When one is malformed; then none is added.
        """
        for selector, own in as_reasoned_selectors(steps):
            self._parts.planner.add_forced(selector, own or reason)

    def add_skipped_steps(self, steps: GivenSelectors, reason: str | None = None) -> None:
        """Skip what the selectors match, unless it is forced, in submissions not yet decided.

        Args:
            steps: One selector, several, or a mapping of selector to reason.
            reason: Why, for those without one of their own.

        Raises:
            SelectorError: When one is malformed; then none is added.
        """
        for selector, own in as_reasoned_selectors(steps):
            self._parts.planner.add_skipped(selector, own or reason)

    def get_forced_steps(self) -> list[str]:
        """The forced selectors, in order of addition."""
        return list(self._parts.planner.forced)

    def get_skipped_steps(self) -> list[str]:
        """The skipped selectors, in order of addition."""
        return list(self._parts.planner.skipped)

    @property
    def unmatched_selectors(self) -> list[str]:
        """Selectors, dependents' among them, that match no step decided so far, in order of addition."""
        return self._parts.planner.unmatched()
