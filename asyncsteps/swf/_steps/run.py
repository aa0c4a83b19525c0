"""One run of a workflow's steps under simpleflow: its selectors, its markers, its submissions.

On SWF a run is one replay of the execution's history, on the local executor the one call of the workflow's `run`.
"""

import logging
from collections import Counter
from collections.abc import KeysView
from typing import Any

from simpleflow import futures
from simpleflow.step.tasks import GetStepsDoneTask as TheirGetStepsDoneTask

from asyncsteps._errors import StepDeadlockError
from asyncsteps._plan.model import Action, Decision, StepRules
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._done.payload import listed_names
from asyncsteps.swf._steps.done_list import NotListedYet
from asyncsteps.swf._steps.entered import hooks_of
from asyncsteps.swf._steps.history import (
    Listing,
    Place,
    has_new_failures,
    has_new_refusals,
    listings,
    warn_of_length,
)
from asyncsteps.swf._steps.marker_log import MarkerLog, recordable
from asyncsteps.swf._steps.name_rule import selectors_of_workflow
from asyncsteps.swf._steps.prefix_state import Addition, PrefixState
from asyncsteps.swf._steps.step import Step
from asyncsteps.swf._steps.submission import StepFuture, Submission, step_future
from asyncsteps.swf.tasks import GetStepsDoneTask

_logger = logging.getLogger("asyncsteps.swf")

_RUN = "_asyncsteps_run"
"""Where a workflow keeps the run of its steps."""


class StepsRun:
    """The steps of a workflow in one run.

    Args:
        workflow: The workflow, with the mixin.

    Attributes:
        markers: The markers of its steps.
        over: Whether `run` has ended.
    """

    def __init__(self, workflow: Any) -> None:
        self.workflow = workflow
        self.markers = MarkerLog(workflow)
        self.over = False
        self._history: Any = None
        self._failed: bool | None = None
        self._withdrawal_was_refused = False
        self._additions: list[Addition] = []
        self._states: dict[Place, PrefixState] = {}
        self._listings: list[Listing] = []
        self._given: set[str] = set()
        self._forces_dependents = False
        self._warned_of_prefix = False
        self._latest: dict[tuple[str, Place | None], futures.Future] = {}
        self._submissions: Counter[tuple[str, Place | None]] = Counter()
        self._submitting: list[str] = []

    def bind(self) -> None:
        """Read the history of the current replay, once."""
        history = sf.swf_history(self.workflow.executor)
        if history is not None and self._history is None:
            self._history = history
            self._listings = listings(history)
            self._withdrawal_was_refused = has_new_refusals(history)
            self.markers.read(history)
            warn_of_length(history, self.workflow)

    def belongs_to_this_replay(self) -> bool:
        """Whether the executor still replays the history that this run was made for."""
        return self._history is None or sf.swf_history(self.workflow.executor) is self._history

    def _has_new_failures(self) -> bool:
        """Whether a task failed since the last decision; always true outside SWF."""
        if self._failed is None:
            self._failed = self._history is None or has_new_failures(self._history)
        return self._failed

    # Selectors.

    def add_selectors(self, selectors: tuple[str, ...], reason: str | None, *, forces: bool) -> None:
        """Force, or skip, what the selectors match, in submissions not yet decided."""
        addition = (forces, selectors, reason)
        self._additions.append(addition)
        for state in self._states.values():
            state.add(addition)
        if not self._forces_dependents:
            self._given.update(selectors)

    def selectors(self, *, forcing: bool) -> list[str]:
        """The selectors that force, or that skip, in order of addition."""
        return list(dict.fromkeys(it for forces, added, _ in self._additions if forces is forcing for it in added))

    def reasons(self, *, forcing: bool) -> dict[str, KeysView[str]]:
        """The reasons of each of those selectors, in order of addition."""
        reasons: dict[str, dict[str, None]] = {selector: {} for selector in self.selectors(forcing=forcing)}
        for forces, added, reason in self._additions:
            if forces is forcing and reason:
                for selector in added:
                    reasons[selector][reason] = None
        return {selector: told.keys() for selector, told in reasons.items()}

    def _force_dependents(self, selectors: list[str], reason: str) -> None:
        """Force a step's dependents through the workflow's hook, with no warning when they match no step."""
        self._forces_dependents = True
        try:
            self.workflow.add_forced_steps(selectors, reason)
        finally:
            self._forces_dependents = False

    def warn_of_unmatched(self) -> None:
        """Log the user's selectors that matched no step."""
        unmatched_there = [set(state.planner.unmatched(given=self._given)) for state in self._states.values()]
        unmatched = [
            selector
            for selector in dict.fromkeys(it for _, added, _ in self._additions for it in added)
            if selector in self._given and all(selector in there for there in unmatched_there)
        ]
        if unmatched:
            _logger.warning("these selectors matched no step of the run: %s", ", ".join(map(repr, unmatched)))

    def warn_of_shared_prefix(self) -> None:
        """Log, once a run, that workflows without an id share their done marks on the local executor."""
        if not self._warned_of_prefix:
            self._warned_of_prefix = True
            _logger.warning(
                "%s has no workflow id under the local executor: its done marks lie under local/steps/, which all "
                "such workflows share; override get_step_path_prefix()",
                type(self.workflow).__name__,
            )

    # Submissions.

    def listing_class(self) -> type:
        """The class of the activity that lists all done steps: simpleflow's, where that one is recorded."""
        self.bind()
        place = self.workflow.get_step_bucket(), self.workflow.get_step_path_prefix()
        first = next((listing for listing in self._listings if listing.place == place), None)
        return TheirGetStepsDoneTask if first is not None and first.by_simpleflow else GetStepsDoneTask

    def list_done(self) -> list[str]:
        """List the done names: on SWF as the execution listed them first, elsewhere as of now.

        Raises:
            ExecutionBlocked: While the listing is under way.
            DoneListError: When an overridden listing gives no names.
        """
        self.bind()
        if not sf.runs_on_swf(self.workflow.executor):
            return listed_names(self.workflow.submit(self.workflow.get_steps_done_activity()).result)
        try:
            return list(self._state().done.listed().given)
        except NotListedYet as blocked:
            return list(blocked.future.result or ())  # raises while the listing is under way

    def submit(self, step: Step) -> futures.Future:
        """Submit a step.

        A second submission of a name waits for the first: its future stays pending until a replay finds the first
        one finished.

        Raises:
            StepDeadlockError: When the step is part of its own activities, and would wait for itself.
        """
        self.bind()
        name = step.step_name
        if name in self._submitting:
            raise StepDeadlockError(tuple(self._submitting[self._submitting.index(name) :]))
        state = self._state()
        earlier = self._latest.get((name, state.place))
        self._submitting.append(name)
        try:
            future = StepFuture() if earlier is not None and not earlier.done else self._play(step, state)
        except NotListedYet as blocked:
            future = step_future(blocked.future, listing=True)
        finally:
            self._submitting.pop()
        self._latest[name, state.place] = future
        return future

    def _play(self, step: Step, state: PrefixState) -> futures.Future:
        name = step.step_name
        state.planner.withdraw_invalidated = self.workflow.withdraw_invalidated
        rules = step.rules()
        recorded = self.markers.recorded.take_decision(name, state.place)
        if recorded is not None:
            state.planner.recall(rules)
            # The history tells what a recorded decision withdraws: `done` only asks for the phase.
            decision, done = recorded.decision, True
        else:
            state.check_key(name)
            done = state.is_done(name)
            decided = self._decide(rules, state, done=done)
            if decided is None:
                return StepFuture()
            decision = decided
        self._submissions[name, state.place] += 1
        submission = Submission(
            self.workflow,
            step,
            phases=state.planner.phases(rules, decision, done=done),
            state=state,
            markers=self.markers,
            force_dependents=self._force_dependents,
            recorded=recorded,
            number=self._submissions[name, state.place],
        )
        future = submission.play()
        if submission.failed and self._has_new_failures():
            _logger.error("step %r failed; it is not marked done by this", name)
        return future

    def _decide(self, rules: StepRules, state: PrefixState, *, done: bool) -> Decision | None:
        """Decide a submission, or give None while a pending withdrawal keeps it waiting."""
        if self._withdrawal_was_refused:
            # What is refused tells no names; the step that withdraws them asks again in this decision.
            sf.wake_up(self.workflow.executor)
            return None
        if state.done.has_pending_withdrawal(rules.name):
            return None
        self._honour_overridden_getters()
        decision = state.planner.decide(rules, done=done)
        if decision.action is Action.RUN and state.done.have_pending_withdrawal(rules.force_steps_if_executed):
            # Another step withdraws marks that this one invalidates too; they go before its activities start.
            return None
        if not sf.runs_on_swf(self.workflow.executor):
            return decision
        return recordable(decision, lambda shorter: state.planner.phases(rules, shorter, done=done))

    def _state(self) -> PrefixState:
        hooks = hooks_of(self.workflow)
        place = (hooks.get_step_bucket(), hooks.get_step_path_prefix())
        if place not in self._states:
            recorded = [listing for listing in self._listings if listing.place == place]
            # The markers of the place that was listed first tell none, as in simpleflow, nor do those of an
            # execution that began under it.
            first = self._listings[0].place if self._listings else next(iter(self._states), place)
            told = self.markers.piggybacks and place != first and not any(it.by_simpleflow for it in recorded)
            state = PrefixState(hooks, *place, self._additions, recorded=recorded, told=told)
            self._states[place] = state
            if hooks is not self.workflow:
                others = run_of(hooks)._state()  # noqa: SLF001 - of this very class
                state.done, state.marked, state.playing = others.done, others.marked, others.playing
        return self._states[place]

    def _honour_overridden_getters(self) -> None:
        # As in simpleflow, an override of get_forced_steps() or get_skipped_steps() has the last word.
        for hook, forces in (("get_forced_steps", True), ("get_skipped_steps", False)):
            if self.workflow._overrides_hook(hook):  # noqa: SLF001 - the mixin's own
                known = set(self.selectors(forcing=forces))
                more = [it for it in getattr(self.workflow, hook)() if it not in known]
                if more:
                    self.add_selectors(selectors_of_workflow(self.workflow, more), None, forces=forces)


def run_of(workflow: Any) -> StepsRun:
    """The run of a workflow's steps, made at its first use in a replay."""
    run: StepsRun | None = workflow.__dict__.get(_RUN)
    if run is None or not run.belongs_to_this_replay():
        run = workflow.__dict__[_RUN] = StepsRun(workflow)
    return run


def start_run(workflow: Any) -> StepsRun:
    """The run for a call of `run` that starts now; it keeps the selectors that were added before."""
    if run_of(workflow).over:
        del workflow.__dict__[_RUN]  # the local executor plays the same object again
    run = run_of(workflow)
    run.bind()
    return run
