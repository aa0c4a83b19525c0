"""The planner against a naive oracle, written from the specification's sections 2 and 3 and from nothing else.

The oracle is slow on purpose: it keeps everything that was ever added in one list and looks through all of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsteps._plan.model import (
    Action,
    EmitSignal,
    ForceDependents,
    MarkDone,
    Phase,
    Play,
    RecordStatus,
    StepRules,
    Withdraw,
)
from asyncsteps._plan.planner import Planner

Event = tuple[Any, ...]
NAMES = ["a", "a.b", "a.b.c", "a.bc", "b", "b.a", "ab"]
REASONS = [None, "first", "second", "Step is forced"]


@dataclass(frozen=True)
class Select:
    kind: str
    selector: str
    reason: str | None


@dataclass(frozen=True)
class Submit:
    rules: StepRules
    fails: bool = False
    meanwhile: tuple[Select, ...] = ()  # added while its activities play


def selects(selector: str, name: str) -> bool:
    mine, its = selector.split("."), name.split(".")
    return selector in ("*", f"={name}") or its[: len(mine)] == mine


def marker_of(name: str, status: str, *, forced: bool, reasons: list[str]) -> Event:
    return ("marker", [("step", name), ("status", status), ("forced", forced), ("reasons", reasons)])


@dataclass
class OracleRun:
    """One run, as sections 2 and 3 say it: what happens, in order, and what it leaves in the store."""

    store: set[str]
    withdraws: bool = True
    additions: list[Select] = field(default_factory=list)
    played_at: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def reasons_for(self, kind: str, name: str) -> list[str | None] | None:
        # "a selector added before the name was last played in this run does not force it again"
        start = self.played_at.get(name, 0) if kind == "force" else 0
        found = [
            added.reason
            for added in self.additions[start:]
            if added.kind == kind and selects(added.selector, name)
        ]
        return found or None

    def submit(self, act: Submit) -> None:
        step = act.rules
        forcing, skipping = self.reasons_for("force", step.name), self.reasons_for("skip", step.name)
        done = step.name in self.store
        if step.force or forcing is not None:
            reasons = [reason for reason in forcing or [] if reason is not None]
            if step.force:
                reasons = [reason for reason in reasons if reason != "Step is forced"] + ["Step is forced"]
            self.run(act, forced=True, reasons=each_once(reasons), done=done)
        elif skipping is not None:
            self.skip(step, forced=True, reasons=each_once([r for r in skipping if r is not None]))
        elif done:
            self.skip(step, forced=False, reasons=["Step was already played"])
        else:
            self.run(act, forced=False, reasons=[], done=False)

    def run(self, act: Submit, *, forced: bool, reasons: list[str], done: bool) -> None:
        step = act.rules
        for selector in step.force_steps_if_executed:
            self.additions.append(Select("force", selector, f"Dep of {step.name}"))
        begun = len(self.additions)
        self.events.append(marker_of(step.name, "scheduled", forced=forced, reasons=reasons))
        invalid = {
            name
            for name in self.store
            if any(selects(selector, name) for selector in step.force_steps_if_executed) and name != step.name
        }
        invalid -= set(
            self.played_at
        )  # "as a dependent of another step, a mark made by this run is never withdrawn"
        if done and forced:
            invalid.add(step.name)  # "a step's own mark whenever its activities are played again"
        if self.withdraws and invalid:
            self.store -= invalid
            self.events.append(("withdraw", sorted(invalid)))
        self.events.append(("play", step.name))
        self.additions += act.meanwhile
        if act.fails:
            return
        self.store.add(step.name)
        self.played_at[step.name] = begun
        self.events.append(("done", step.name))
        self.events.append(marker_of(step.name, "completed", forced=forced, reasons=reasons))
        self.signal(step)

    def skip(self, step: StepRules, *, forced: bool, reasons: list[str]) -> None:
        if step.has_alternative:
            self.events.append(("play instead", step.name))
        self.events.append(marker_of(step.name, "skipped", forced=forced, reasons=reasons))
        self.signal(step)

    def signal(self, step: StepRules) -> None:
        if step.emit_signal:
            self.events.append(("signal", f"step.{step.name}"))


def each_once(reasons: list[str]) -> list[str]:
    return [reason for index, reason in enumerate(reasons) if reason not in reasons[:index]]


class Crashed(BaseException):
    """The process is gone."""


@dataclass
class PlannedRun:
    """The same run as the planner has it, played by the shortest interpreter of its phases there is."""

    store: set[str]
    withdraws: bool = True
    events: list[Event] = field(default_factory=list)
    crash_after: int | None = None

    def __post_init__(self) -> None:
        self.planner = Planner(withdraw_invalidated=self.withdraws)

    def submit(self, step: StepRules, *, fails: bool = False, meanwhile: Iterable[Select] = ()) -> None:
        done = step.name in self.store
        decision = self.planner.decide(step, done=done)
        begun = decision.action is not Action.RUN
        for phase in self.planner.phases(step, decision, done=done):
            if not begun and not isinstance(phase, ForceDependents):
                self.planner.begin(step.name)
                begun = True
            self.play(step.name, phase)
            if phase == Play("activities"):
                for added in meanwhile:
                    self.select(added)
                if fails:
                    self.planner.fail(step.name)
                    return

    def select(self, added: Select) -> None:
        add = self.planner.add_forced if added.kind == "force" else self.planner.add_skipped
        add(added.selector, added.reason)

    def play(self, name: str, phase: Phase) -> None:
        match phase:
            case ForceDependents(selectors, reason):
                self.planner.add_forced(selectors, reason)
            case RecordStatus(_, details):
                self.happened(("marker", list(details.items())))
            case Withdraw():
                if names := self.planner.invalidated(phase, self.store):
                    self.store -= set(names)
                    self.happened(("withdraw", names))
            case Play("activities"):
                self.happened(("play", name))
            case Play():
                self.happened(("play instead", name))
            case MarkDone(done):
                self.store.add(done)
                self.planner.complete(done)
                self.happened(("done", done))
            case EmitSignal(signal):
                self.happened(("signal", signal))

    def happened(self, event: Event) -> None:
        self.events.append(event)
        if self.crash_after is not None and len(self.events) > self.crash_after:
            raise Crashed


names = st.sampled_from(NAMES)
SELECTORS = [*NAMES, "*", *(f"={name}" for name in NAMES)]
selectors = st.sampled_from(SELECTORS)
rules = st.builds(
    StepRules,
    name=names,
    force=st.booleans(),
    has_alternative=st.booleans(),
    emit_signal=st.booleans(),
    force_steps_if_executed=st.lists(selectors, max_size=3).map(tuple),
)
selections = st.builds(Select, st.sampled_from(["force", "skip"]), selectors, st.sampled_from(REASONS))
submissions = st.builds(Submit, rules, st.booleans(), st.lists(selections, max_size=1).map(tuple))
scripts = st.lists(submissions | selections, max_size=14)


@settings(max_examples=200)
@given(scripts, st.sets(names), st.booleans())
def test_a_run_goes_as_the_specification_says(
    script: list[Submit | Select], store: set[str], withdraws: bool
) -> None:
    expected = OracleRun(set(store), withdraws)
    run = PlannedRun(set(store), withdraws)
    for act in script:
        if isinstance(act, Submit):
            expected.submit(act)
            run.submit(act.rules, fails=act.fails, meanwhile=act.meanwhile)
        else:
            expected.additions.append(act)
            run.select(act)
        assert run.events == expected.events
        assert run.store == expected.store
    submitted = [act.rules.name for act in script if isinstance(act, Submit)]
    assert sorted(run.planner.unmatched()) == sorted(
        {added.selector for added in expected.additions if not any(selects(added.selector, n) for n in submitted)}
    )


# Convergence: repeated runs of one workflow, with no selectors and no `force=True`.

Workflow = list[StepRules]


def workflows(*, cycles: bool) -> st.SearchStrategy[Workflow]:
    """Steps in any order, each name once or more often, with dependents."""

    def with_dependents(order: list[str]) -> st.SearchStrategy[Workflow]:
        # Without cycles there is an order that all dependents follow; it need not be that of submission.
        return st.permutations(sorted(set(order))).flatmap(
            lambda ranked: st.fixed_dictionaries(
                {
                    name: st.lists(
                        selectors
                        if cycles
                        else st.sampled_from(
                            [
                                selector
                                for selector in SELECTORS
                                if not any(selects(selector, other) for other in ranked[: ranked.index(name)])
                            ]
                            or ["elsewhere"]
                        ),
                        max_size=3,
                    ).map(tuple)
                    for name in ranked
                }
            ).map(lambda dependents: [StepRules(n, force_steps_if_executed=dependents[n]) for n in order])
        )

    return st.lists(names, min_size=1, max_size=9).flatmap(with_dependents)


def play(workflow: Workflow, store: Iterable[str], *, crash_after: int | None = None) -> PlannedRun:
    run = PlannedRun(set(store), crash_after=crash_after)
    try:
        for step in workflow:
            run.submit(step)
    except Crashed:
        pass
    return run


def played(run: PlannedRun) -> list[str]:
    return [event[1] for event in run.events if event[0] == "play"]


@given(workflows(cycles=True))
def test_from_an_empty_store_the_second_run_plays_nothing_cycles_included(workflow: Workflow) -> None:
    first = play(workflow, ())
    assert first.store == {step.name for step in workflow}
    assert played(play(workflow, first.store)) == []


@settings(max_examples=150)
@given(workflows(cycles=False), st.sets(names), st.lists(st.integers(0, 30), max_size=3))
def test_from_any_state_and_after_any_crash_runs_come_to_rest(
    workflow: Workflow, store: set[str], crashes: list[int]
) -> None:
    for crash in crashes:
        store = play(workflow, store, crash_after=crash).store
    for _ in {step.name for step in workflow}:
        store = play(workflow, store).store
    last = play(workflow, store)
    assert played(last) == []
    assert last.store >= {step.name for step in workflow}


@settings(max_examples=150)
@given(workflows(cycles=False), st.sets(names), st.integers(0, 30))
def test_whatever_played_before_a_crash_its_done_dependents_play_again(
    workflow: Workflow, store: set[str], crash: int
) -> None:
    """Row 1 of section 5: what was done before the run, and depends on what the run played, is not left stale."""
    crashed = play(workflow, store, crash_after=crash)
    dependents: Mapping[str, tuple[str, ...]] = {step.name: step.force_steps_if_executed for step in workflow}
    played_by = played(crashed)
    marked = {event[1] for event in crashed.events if event[0] == "done"}
    stale = {
        name
        for name in crashed.store - marked
        if any(selects(selector, name) for by in played_by for selector in dependents[by])
    }
    assert stale == set()


@given(workflows(cycles=True), st.sets(names))
def test_a_run_that_is_not_interrupted_leaves_every_step_that_it_played_marked(
    workflow: Workflow, store: set[str]
) -> None:
    run = play(workflow, store)
    assert set(played(run)) <= run.store
