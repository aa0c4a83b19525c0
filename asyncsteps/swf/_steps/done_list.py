"""The list of done steps that an execution decides by: how it is fetched, and what is done when it cannot be.

1. Where the execution began under simpleflow's own steps, the listing that those recorded is the list.
2. Else an activity lists them under the id of simpleflow's listing, so that its deciders can go on with it. The
   result is the names, or their number where they do not fit.
3. After a number a second activity lists them: all in a shorter form, or a pointer to a snapshot to be read.
4. While S3 does not answer, the decider waits, by timers, and reads again.
5. A snapshot that is gone is listed anew, until `MAX_LISTINGS` listings are recorded.
6. What still cannot be read, and at once what may not be read, comes in parts, an activity each.

What is recorded is final: a replay never goes back to a snapshot that an earlier one has given up. A later list is
less what the execution has marked meanwhile, so that `get_steps_done` stays the same.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from typing import Any

from simpleflow import activity, futures
from simpleflow.history import History

from asyncsteps._errors import FINAL_ERRORS, StoreError
from asyncsteps._plan.names import NameRule
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._constants import MAX_LISTINGS, SNAPSHOT_WAITS
from asyncsteps.swf._done.payload import BEFORE_ALL_NAMES, Part, Snapshot, SortedNames, listed_names, read_form
from asyncsteps.swf._done.snapshots import read_snapshot
from asyncsteps.swf._errors import DoneListError
from asyncsteps.swf._steps.history import Listing, last_seen, own_changes
from asyncsteps.swf._steps.name_rule import listing_options, rule_of
from asyncsteps.swf._sync.loop import run_sync
from asyncsteps.swf.tasks import GetStepsDoneTask

_logger = logging.getLogger("asyncsteps.swf")

_FINAL = (*FINAL_ERRORS, ValueError)
"""Errors that waiting does not help against; a ``ValueError`` is a damaged snapshot, or a bucket that is none."""

_snapshots: dict[tuple[str, Snapshot], SortedNames] = {}
"""The snapshot that this process read last; the replays of one execution ask for the same one."""


class NotListedYet(Exception):  # noqa: N818 - no error: the replay goes on without this step
    """The listing of done steps is under way, or has failed, or its result cannot be read yet.

    Attributes:
        future: The future of the listing.
    """

    def __init__(self, future: futures.Future) -> None:
        super().__init__(future)
        self.future = future


class DoneList:
    """The list of done steps under one prefix, as one replay fetches it.

    Args:
        workflow: The workflow, for its hooks.
        where: The bucket and the key prefix of the done marks.
        recorded: The listings of that prefix in the history.
    """

    def __init__(self, workflow: Any, where: tuple[str, str], recorded: Iterable[Listing]) -> None:
        self._workflow = workflow
        self._where = where
        self._recorded = tuple(recorded)
        self._first = next((listing for listing in self._recorded if not listing.by_simpleflow), None)
        # The rule of the first listing stays that of all, though the workflow's may change meanwhile.
        self._rule: NameRule = rule_of(workflow) if self._first is None else self._first.step_names

    def fetch(self) -> SortedNames:
        """Return the names; what breaks the workflow's rule of names is given with them, and is no step.

        Raises:
            NotListedYet: While they are not known, or when the listing failed without ending the workflow.
        """
        workflow, rule = self._workflow, rule_of(self._workflow)
        overridden = workflow._overrides_hook("get_steps_done_activity")  # noqa: SLF001 - the mixin's own
        foreign = overridden or bool(self._recorded and self._recorded[0].by_simpleflow)
        if foreign or not sf.runs_on_swf(workflow.executor):
            listing = workflow.get_steps_done_activity()
            if foreign and not overridden:
                recorded = self._recorded[0].task_id
                listing = sf.activity_task(workflow.executor, listing.activity, recorded, *self._where)
            return SortedNames(listed_names(self._result(listing)), by=rule if foreign else None)
        shared = self._shared()
        found = self._listed() if shared is None else SortedNames(shared)
        return found if self._rule == rule else SortedNames(found.given, by=rule)

    def _shared(self) -> list[str] | None:
        """List under the id of simpleflow's own listing, so that its deciders can go on with it.

        Returns:
            The names; None where they do not fit a result. It is a number then, which simpleflow refuses to read.
        """
        executor = self._workflow.executor
        params = self._workflow._get_step_activity_params()  # noqa: SLF001 - the mixin's own
        listing = activity.Activity(GetStepsDoneTask, **params)
        # The first one that is recorded decides: earlier releases listed otherwise, and parameters may change.
        if not (self._first.shared if self._first is not None else listing.idempotent):
            return None
        shared_id = sf.listing_id(executor, *self._where)
        options = {"or_count": True} | listing_options(self._rule)
        result = self._result(sf.activity_task(executor, listing, shared_id, *self._where, **options))
        if isinstance(result, int) and not isinstance(result, bool):
            return None
        form = read_form(result)
        if isinstance(form, Snapshot) or form.through is not None:
            raise DoneListError("the names of the done steps or their number was asked for, and another form came")
        return form.names

    def _listed(self) -> SortedNames:
        for again in range(MAX_LISTINGS):
            form = read_form(self._result(self._activity(again=again)))
            if isinstance(form, Part):
                return self._with_further_parts(form, again=again)
            if self._find(again=again + 1):
                continue
            if self._find(after=BEFORE_ALL_NAMES):
                break
            try:
                found = self._load(form)
            except (StoreError, DoneListError) as error:
                self._wait_or_give_up(form, error)
                break
            if found is not None:
                return found if again == 0 else self._as_at_first(found.given, self._find(again=again))
            self._warn_of_gone(form, again)
        return self._with_further_parts(Part([], BEFORE_ALL_NAMES), again=MAX_LISTINGS)

    def _with_further_parts(self, part: Part, *, again: int) -> SortedNames:
        names, last = list(part.names), self._find(again=again)
        while part.through is not None:
            form = read_form(self._result(self._activity(after=part.through)))
            if isinstance(form, Snapshot):
                raise DoneListError(f"a part of the done steps was asked for, and {form} came")
            if form.through is not None and form.through <= part.through:
                raise DoneListError(
                    f"the listing of done steps after {part.through!r} goes on after {form.through!r}"
                )
            last = self._find(after=part.through)
            part = form
            names += part.names
        return self._as_at_first(names, last) if again else SortedNames(names)

    def _as_at_first(self, names: Iterable[str], listing: Listing | None) -> SortedNames:
        """The names of a later listing as the first one had them: less what the execution has changed before."""
        if not self._workflow.withdraw_invalidated:
            return SortedNames(names)  # of what was played again, nothing tells whether it was done before
        assert listing is not None  # it has a result
        history = self._history()
        until = history.activities[listing.task_id]["completed_id"]
        marked, withdrawn = own_changes(history, self._where, until=until)
        return SortedNames(sorted((set(names) - marked) | withdrawn))

    def _activity(self, *, again: int = 0, after: str = "") -> Any:
        """The activity of a listing, under the id that is recorded, or else one that its arguments make.

        simpleflow counts the ids of activities that are not idempotent, in the order of a replay's submissions;
        but which of these there are depends on what has been recorded by then.
        """
        listing = activity.Activity(GetStepsDoneTask, **self._workflow._get_step_activity_params())  # noqa: SLF001 - the mixin's own
        given = {"again": again, "after": after}
        options = {key: value for key, value in given.items() if value} | listing_options(self._rule)
        recorded = self._find(again=again, after=after)
        executor = self._workflow.executor
        task_id = (
            recorded.task_id if recorded else sf.task_id(executor, listing, *self._where, compact=True, **options)
        )
        return sf.activity_task(executor, listing, task_id, *self._where, compact=True, **options)

    def _result(self, listing: Any) -> Any:
        future = self._workflow.submit(listing)
        if not future.finished or future.exception is not None:
            raise NotListedYet(future)
        return future.result

    def _find(self, *, again: int = 0, after: str = "") -> Listing | None:
        listings = (listing for listing in self._recorded if not (listing.shared or listing.by_simpleflow))
        return next((listing for listing in listings if (listing.again, listing.after) == (again, after)), None)

    # The snapshot.

    def _load(self, snapshot: Snapshot) -> SortedNames | None:
        key = (self._where[0], snapshot)
        if key not in _snapshots:
            if any(timer["state"] == "started" for timer in self._timers().values()):
                raise NotListedYet(futures.Future())
            names = run_sync(lambda: read_snapshot(*key))
            if names is None:
                return None
            _snapshots.clear()
            _snapshots[key] = SortedNames(names)
        return _snapshots[key]

    def _wait_or_give_up(self, snapshot: Snapshot, error: StoreError | DoneListError) -> None:
        """Wait for the next attempt, when there is one; return when there is none.

        Raises:
            NotListedYet: When there is one.
        """
        attempt = self._attempt()
        if isinstance(error, _FINAL) or attempt > len(SNAPSHOT_WAITS):
            _logger.warning(
                "%s cannot be read: %s; the list comes in parts, from an activity each (6 history events)",
                self._named(snapshot),
                error,
            )
            return
        seconds = SNAPSHOT_WAITS[attempt - 1]
        _logger.warning(
            "%s cannot be read: %s; attempt %d of %d failed, the next one comes in %d s",
            self._named(snapshot),
            error,
            attempt,
            len(SNAPSHOT_WAITS) + 1,
            seconds,
        )
        sf.start_timer(self._workflow.executor, self._timer_id(attempt), seconds)
        raise NotListedYet(futures.Future())

    def _warn_of_gone(self, snapshot: Snapshot, again: int) -> None:
        if again + 1 < MAX_LISTINGS:
            _logger.warning("%s is gone: the done steps are listed anew", self._named(snapshot))
            return
        _logger.warning(
            "%s is gone, and so were those of the %d listings before: the list comes in parts, from an activity "
            "each (6 history events); see whether deciders ask the same endpoint as workers, and whether a "
            "lifecycle rule removes snapshots",
            self._named(snapshot),
            again,
        )

    def _attempt(self) -> int:
        """The number of the attempt that failed just now: one more than that of the timer which has just fired."""
        last = last_seen(self._history())
        fired = [number for number, timer in self._timers().items() if timer.get("fired_event_id", 0) > last]
        refused = any(timer["state"] == "start_failed" for timer in self._timers().values())
        return len(SNAPSHOT_WAITS) + 1 if refused else max(fired, default=0) + 1

    def _timers(self) -> dict[int, dict[str, Any]]:
        timers = self._history().timers
        ids = {number: self._timer_id(number) for number in range(1, len(SNAPSHOT_WAITS) + 1)}
        return {number: timers[timer_id] for number, timer_id in ids.items() if timer_id in timers}

    def _history(self) -> History:
        history = sf.swf_history(self._workflow.executor)
        assert history is not None  # only SWF has snapshots
        return history

    def _timer_id(self, attempt: int) -> str:
        digest = hashlib.md5(json.dumps(self._where).encode(), usedforsecurity=False).hexdigest()
        return f"asyncsteps-snapshot-{digest}-{attempt}"

    def _named(self, snapshot: Snapshot) -> str:
        return f"the snapshot of the done steps s3://{self._where[0]}/{snapshot.prefix}{snapshot.name}"
