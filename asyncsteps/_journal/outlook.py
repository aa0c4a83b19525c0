"""What a run would decide that began now: by the planner, and by what the journals know of dependents."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asyncsteps._journal.reasons import Reason
from asyncsteps._journal.story import RunLog
from asyncsteps._journal.submissions import submissions
from asyncsteps._plan.model import Action, Decision, StepRules
from asyncsteps._plan.names import matches, selectors_of
from asyncsteps._plan.planner import REASON_FORCED, Planner
from asyncsteps.store._protocol import StepStore

_ASKED = 16
"""How many steps are looked up one by one; for more the store is listed."""

_TOLD = 10
"""How many of the steps that would force it are named."""


@dataclass(frozen=True, slots=True)
class Now:
    """What a run would decide that began now, as far as it can be known without the workflow's code.

    Attributes:
        action: ``run`` or ``skip``.
        forced: Whether the selectors that were asked about force it.
        because: Why.
        unless: What else may decide it: the code itself, or steps that would be played and, in runs whose journals
            were read, forced it or what forces it.
    """

    action: Action
    forced: bool
    because: tuple[Reason, ...]
    unless: tuple[str, ...]


async def outlook(
    store: StepStore, planner: Planner, step: str, state: Reason, *, done: bool, logs: Sequence[RunLog]
) -> Now:
    """Ask the planner, and tell what else the last runs of the code knew of.

    Args:
        store: The store.
        planner: Has the selectors that were asked about.
        step: The step's name.
        state: Why it is done, or not.
        done: Whether it is done.
        logs: The journals, in order of time.
    """
    decision = planner.decide(StepRules(step), done=done)
    because = (Reason(_by_selector(planner, decision, step)),) if decision.forced else (state,)
    unless: list[str] = []
    if decision.action is Action.SKIP:
        if _forced_by_code(logs, step):
            unless.append("the code still forces it, as it did when it last decided it: Step(..., force=True)")
        forcing = [f"{name}, {why}" for name, why in await _Forcing(store, planner, logs).of(step)]
        unless += [f"{each}, is played before it: it is its dependent" for each in forcing[:_TOLD]]
        if len(forcing) > _TOLD:
            unless.append(f"one of {len(forcing) - _TOLD:,} more steps is, whose dependent it is as well")
    return Now(decision.action, decision.forced, because, tuple(unless))


def _by_selector(planner: Planner, decision: Decision, step: str) -> str:
    selectors = planner.forced if decision.action is Action.RUN else planner.skipped
    matching = [selector for selector in selectors if matches(selector, step)]
    word = "forced" if decision.action is Action.RUN else "skipped"
    given = f", because: {', '.join(decision.reasons)}" if decision.reasons else ""
    return f"{word} by the selector {matching[-1]!r}{given}"


def _forced_by_code(logs: Sequence[RunLog], step: str) -> bool:
    """Whether the code forced a step when it last decided it."""
    stories = next((found for log in reversed(logs) if (found := submissions(log, step))), ())
    return any(REASON_FORCED in story.reasons for story in stories)


class _Forcing:
    """Finds the steps that would be played and force others, directly or through others."""

    def __init__(self, store: StepStore, planner: Planner, logs: Sequence[RunLog]) -> None:
        self._store = store
        self._planner = planner
        self._logs = logs
        self._by_code = {name for log in logs for name in log.forced_by_code()}
        self._known: dict[str, list[str]] = {}
        for name, selectors in _dependents(logs).items():
            for selector in selectors:
                self._known.setdefault(selector, []).append(name)

    async def of(self, step: str) -> list[tuple[str, str]]:
        """Return the steps that force ``step`` and would be played, each with why."""
        before = {step: list(self._before(step))}
        left = [*before[step]]
        while left:
            name = left.pop()
            if name not in before:
                before[name] = list(self._before(name))
                left += before[name]
        why = await self._by_themselves([name for name in before if name != step])
        left = list(why)
        after: dict[str, list[str]] = {}
        for name, forcing in before.items():
            for each in forcing:
                after.setdefault(each, []).append(name)
        for name in left:  # it grows meanwhile
            for each in after.get(name, ()):
                if each not in why and each != step:
                    why[each] = f"as a dependent of {name}, {why[name]}"
                    left.append(each)
        return [(name, why[name]) for name in before[step] if name in why and name != step]

    def _before(self, step: str) -> Iterator[str]:
        """Yield the steps that have forced a step."""
        yield from dict.fromkeys(name for selector in selectors_of(step) for name in self._known.get(selector, ()))

    async def _by_themselves(self, names: Sequence[str]) -> dict[str, str]:
        """Return those that would be played whatever forces them, each with why."""
        done = await self._done(names)
        why: dict[str, str] = {}
        for name in names:
            decision = self._planner.decide(StepRules(name), done=name in done)
            if name in self._by_code and _forced_by_code(self._logs, name):
                why[name] = "which the code forces"
            elif decision.action is Action.RUN:
                why[name] = (
                    f"which is {_by_selector(self._planner, decision, name)}"
                    if decision.forced
                    else ("which is not done")
                )
        return why

    async def _done(self, names: Sequence[str]) -> set[str]:
        if len(names) > _ASKED:
            return set(await self._store.list_done(on_foreign=lambda _key: None))
        return {name for name in names if await self._store.is_done(name)}


def _dependents(logs: Sequence[RunLog]) -> dict[str, list[str]]:
    """Return the dependents' selectors of each step, of the last run that played it: the code may have changed."""
    found: dict[str, list[str]] = {}
    for log in logs:
        mine: dict[str, list[str]] = {}
        for name, selectors in log.forced_dependents():
            mine.setdefault(name, []).extend(selectors)
        found |= mine
    return found
