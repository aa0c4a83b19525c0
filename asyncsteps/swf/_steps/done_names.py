"""The done names that a replay decides by: those of the execution's list, less what the execution withdrew."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simpleflow import activity, futures
from simpleflow.exceptions import ExecutionBlocked

from asyncsteps._errors import StepDefinitionError
from asyncsteps._plan.names import matches
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._constants import MAX_INPUT_CHARS
from asyncsteps.swf._done.payload import SortedNames, pack, size, unpack
from asyncsteps.swf._steps.done_list import DoneList, NotListedYet
from asyncsteps.swf._steps.history import Listing, Place, arguments_of
from asyncsteps.swf._steps.name_rule import listing_options, rule_of
from asyncsteps.swf.tasks import WithdrawStepsDoneTask

_WITHDRAWAL_NAME = activity.Activity(WithdrawStepsDoneTask).name
_WITHDRAWAL_ID = f"activity-{_WITHDRAWAL_NAME}-"


Selected = tuple[tuple[str, ...], frozenset[str]]
"""What a withdrawal selects in the store: its selectors, and the names that stay."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An activity that withdraws done marks: its id and its arguments."""

    task_id: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def submit(self, workflow: Any) -> futures.Future:
        """Submit it, with the parameters of the workflow's step activities."""
        withdrawing = activity.Activity(WithdrawStepsDoneTask, **workflow._get_step_activity_params())  # noqa: SLF001 - the mixin's own
        task = sf.activity_task(workflow.executor, withdrawing, self.task_id, *self.args, **self.kwargs)
        future: futures.Future = workflow.submit(task)
        return future

    def takes(self, name: str) -> bool:
        """Whether it withdraws the mark of ``name``, by the name itself or by selectors."""
        selected = _selected(self.kwargs)
        return name in _texts(self.kwargs.get("names")) or (selected is not None and _selects([selected], name))


class DoneNames:
    """The done names under one prefix as one replay sees them, listed at their first use.

    Args:
        workflow: The workflow, for its hooks.
        bucket: The bucket of the done marks.
        prefix: Their key prefix.
        recorded: The listings of that prefix in the history.
    """

    def __init__(self, workflow: Any, bucket: str, prefix: str, recorded: Iterable[Listing] = ()) -> None:
        self._workflow = workflow
        self._where = (bucket, prefix)
        self._list = DoneList(workflow, self._where, recorded)
        self._listed: SortedNames | None = None
        self._not_listed: futures.Future | None = None
        self._withdrawn: set[str] | None = None
        self._pending: set[str] = set()
        self._selectors: list[Selected] = []
        self._pending_selectors: list[Selected] = []
        self._submitted: dict[str, futures.Future | Exception] = {}

    def listed(self) -> SortedNames:
        """The names as they were listed.

        Raises:
            NotListedYet: While they are not known, or when the listing failed without ending the workflow.
        """
        if self._not_listed is not None:
            raise NotListedYet(self._not_listed)
        if self._listed is None:
            try:
                self._listed = self._list.fetch()
            except NotListedYet as blocked:
                if sf.runs_on_swf(self._workflow.executor):
                    self._not_listed = blocked.future  # nothing changes within a replay
                raise
        return self._listed

    def is_done(self, name: str) -> bool:
        """Whether ``name`` was done when listed, and its mark has not been withdrawn since."""
        return name in self.listed() and name not in self._all_withdrawn()

    def is_withdrawn(self, name: str) -> bool:
        """Whether the execution has withdrawn a mark of ``name``, listed or not, or is about to."""
        return name in self._all_withdrawn() or _selects(self._selectors, name)

    def matching(self, selectors: Iterable[str]) -> list[str]:
        """The done names that the selectors match."""
        withdrawn = self._all_withdrawn()
        return [name for name in self.listed().matching(selectors) if name not in withdrawn]

    def has_pending_withdrawal(self, name: str) -> bool:
        """Whether a pending withdrawal may remove the mark of ``name``, even one that is made from now on."""
        self._all_withdrawn()
        return name in self._pending or _selects(self._pending_selectors, name)

    def have_pending_withdrawal(self, selectors: Iterable[str]) -> bool:
        """Whether a pending withdrawal removes marks of names that the selectors match."""
        self._all_withdrawn()
        return bool(self._pending) and any(name in self._pending for name in self.listed().matching(selectors))

    # Each withdrawal is an activity, found in the history by its id: so every replay schedules what the first one
    # did, whatever would be withdrawn by now.

    def known_withdrawal(self, name: str, submission: int, place: Place | None) -> Withdrawal | None:
        """The withdrawal in the history for a submission, without arguments where SWF refused it; or None."""
        task_id = _withdrawal_id(name, submission, place)
        history = sf.swf_history(self._workflow.executor)
        event = history.activities.get(task_id) if history is not None else None
        if event is None:
            return None
        args, kwargs = arguments_of(event)
        return Withdrawal(task_id, tuple(args), dict(kwargs))

    def new_withdrawal(
        self,
        name: str,
        submission: int,
        place: Place | None,
        *,
        names: list[str],
        under: tuple[str, ...],
        keep: Iterable[str],
    ) -> Withdrawal:
        """Make the withdrawal that precedes the activities of a submission.

        Args:
            name: The name of the step.
            submission: The number of its submission.
            place: Its place, where the submissions of each place are numbered apart.
            names: The names whose marks are withdrawn.
            under: The selectors that match them, which are sent where the names are too many.
            keep: The names that this run has played or is playing, whose marks stay.

        Raises:
            StepDefinitionError: When not even the selectors fit the input of an activity.
        """
        arguments: dict[str, Any] = {"names": names}
        if size(names) > MAX_INPUT_CHARS:
            selected = set(self.listed().matching(under))
            arguments = {
                "names": [own for own in names if own not in selected],
                "under": list(under),
                **listing_options(rule_of(self._workflow)),
                "keep": pack(kept for kept in keep if any(matches(selector, kept) for selector in under)),
            }
            if size(arguments) > MAX_INPUT_CHARS:
                raise StepDefinitionError(
                    f"playing step {name!r} withdraws {len(names)} done marks, and what of its dependents this "
                    "execution has played is too long for the input of an activity: continue as new before it, or "
                    "set withdraw_invalidated = False"
                )
        self._all_withdrawn()
        # Outside SWF it is over as soon as it is submitted.
        self._apply(arguments, over=not sf.runs_on_swf(self._workflow.executor))
        return Withdrawal(_withdrawal_id(name, submission, place), self._where, arguments)

    def submit(self, withdrawal: Withdrawal, workflow: Any) -> futures.Future:
        """Submit a withdrawal of a step of ``workflow``."""
        if not sf.runs_on_swf(workflow.executor):
            return withdrawal.submit(workflow)
        outcome = self._submit_once(withdrawal)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _submit_once(self, withdrawal: Withdrawal) -> futures.Future | Exception:
        """Submit a withdrawal, once in a replay, whoever asks first; what it raises is for the step to raise."""
        if withdrawal.task_id not in self._submitted:
            try:
                self._submitted[withdrawal.task_id] = withdrawal.submit(self._workflow)
            except ExecutionBlocked:
                raise
            except Exception as error:  # noqa: BLE001 - it is raised where the step submits it
                self._submitted[withdrawal.task_id] = error
        return self._submitted[withdrawal.task_id]

    def _all_withdrawn(self) -> set[str]:
        if self._withdrawn is None:
            history = sf.swf_history(self._workflow.executor)
            withdrawals = [
                (task_id, event, kwargs)
                for task_id, event in (history.activities.items() if history is not None else ())
                if task_id.startswith(_WITHDRAWAL_ID)
                for args, kwargs in [arguments_of(event)]
                if tuple(args) == self._where
            ]
            # Both may raise, so they come before the state below.
            if any(kwargs.get("under") for _, _, kwargs in withdrawals):
                self.listed()
            over = {task_id: self._is_over(task_id, event) for task_id, event, _ in withdrawals}
            self._withdrawn = set()
            for task_id, event, kwargs in withdrawals:
                if not over[task_id] or event["state"] == "completed":
                    self._apply(kwargs, over=over[task_id])
        return self._withdrawn

    def _apply(self, arguments: dict[str, Any], *, over: bool) -> None:
        assert self._withdrawn is not None
        names = set(_texts(arguments.get("names")))
        selected = _selected(arguments)
        if selected is not None:
            under, keep = selected
            names.update(name for name in self.listed().matching(under) if name not in keep)
            self._selectors.append(selected)
            if not over:
                self._pending_selectors.append(selected)
        self._withdrawn |= names
        if not over:
            self._pending |= names

    def _is_over(self, task_id: str, event: Mapping[str, Any]) -> bool:
        """Whether a withdrawal has ended for good; one that failed is tried again here, where that is to be."""
        if event["state"] not in {"failed", "timed_out"}:
            return event["state"] not in {"scheduled", "schedule_failed", "started"}
        # Its retry does not tell: `on_task_failure` may give up earlier, and may try again as long as it likes.
        args, kwargs = arguments_of(event)
        outcome = self._submit_once(Withdrawal(task_id, tuple(args), kwargs))
        return isinstance(outcome, Exception) or outcome.done


def _selected(arguments: Mapping[str, Any]) -> Selected | None:
    """What the arguments of a withdrawal select in the store; None where it withdraws by names alone."""
    under = tuple(_texts(arguments.get("under")))
    return (under, frozenset(unpack(arguments.get("keep", {})))) if under else None


def _selects(selected: Iterable[Selected], name: str) -> bool:
    return any(name not in keep and any(matches(selector, name) for selector in under) for under, keep in selected)


def _texts(given: object) -> list[str]:
    """The texts in a list, which a history may hold as anything."""
    return [text for text in given if isinstance(text, str)] if isinstance(given, list | tuple) else []


def _withdrawal_id(name: str, submission: int, place: Place | None) -> str:
    what = name if place is None else [*place, name]
    digest = hashlib.md5(json.dumps(what).encode(), usedforsecurity=False).hexdigest()
    return f"{_WITHDRAWAL_ID}{digest}-{submission}"
