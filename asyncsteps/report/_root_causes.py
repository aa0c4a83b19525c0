"""What made steps run, traced back through their dependencies to what began it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asyncsteps._journal.texts import DEPENDENT_OF
from asyncsteps.report._story import StepSpan


@dataclass(frozen=True, slots=True)
class RootCause:
    """What forced steps to run that would have been skipped otherwise, or might have been.

    Attributes:
        cause: The reason that was given, such as that of a selector; or the step that ran because it was not done.
        is_step: Whether it is such a step.
        steps: The steps that it forced, directly or through others, in order.
    """

    cause: str
    is_step: bool
    steps: tuple[str, ...]


def root_causes(spans: Iterable[StepSpan]) -> list[RootCause]:
    """Return what forced the steps of a run, those first that forced most.

    A step that is forced by several counts for each.
    """
    spans = [span for span in spans if span.status != "skipped"]
    reasons: dict[str, dict[str, None]] = {}
    for span in spans:
        reasons.setdefault(span.step, {}).update(dict.fromkeys(span.reasons if span.forced else ()))
    found: dict[tuple[str, bool], dict[str, None]] = {}
    roots = _Roots(reasons)
    for span in spans:
        if span.forced:
            for root in roots.of(span.step):
                found.setdefault(root, {})[span.step] = None
    causes = [RootCause(cause, is_step, tuple(steps)) for (cause, is_step), steps in found.items()]
    return sorted(causes, key=lambda cause: (-len(cause.steps), cause.cause))


class _Roots:
    """The root causes of each step; a step's dependencies are walked once."""

    def __init__(self, reasons: Mapping[str, Iterable[str]]) -> None:
        self._reasons = reasons
        self._known: dict[str, frozenset[tuple[str, bool]]] = {}

    def of(self, step: str) -> frozenset[tuple[str, bool]]:
        """The causes that began the chains of reasons of ``step``."""
        seen: set[str] = {step}
        left = [step]
        found: set[tuple[str, bool]] = set()
        while left:
            current = left.pop()
            if current in self._known:
                found |= self._known[current]
                continue
            for reason in self._reasons.get(current, ()):
                by = reason.removeprefix(DEPENDENT_OF)
                if by == reason:
                    found.add((reason, False))
                elif not self._reasons.get(by):
                    found.add((by, True))
                elif by not in seen:
                    seen.add(by)
                    left.append(by)
        self._known[step] = frozenset(found)
        return self._known[step]
