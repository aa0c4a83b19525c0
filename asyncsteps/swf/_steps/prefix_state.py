"""What a run knows of the steps under one bucket and prefix; most workflows have but one."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from asyncsteps._plan.names import SIMPLEFLOW, check_step_name
from asyncsteps._plan.planner import Planner
from asyncsteps.store._location import normalise_prefix
from asyncsteps.swf._steps.done_names import DoneNames
from asyncsteps.swf._steps.history import Listing

Addition = tuple[bool, tuple[str, ...], str | None]
"""An addition of selectors: whether they force (or skip), the selectors, the reason."""


class PrefixState:
    """The state of the steps under one bucket and prefix.

    Args:
        workflow: The workflow.
        bucket: The bucket, as its hook gave it.
        prefix: The key prefix, as its hook gave it.
        additions: The selectors that the run has so far.
        recorded: The listings of this place in the history.
        told: Whether its markers tell their place: one place of an execution needs not.

    Attributes:
        place: The place that the markers of its steps tell; None where they do not.
        planner: Decides the steps.
        done: The names that were done before.
        marked: The names that this run has marked done.
        playing: The names that this run is playing.
        markings: How often each name has come to its mark in this run.
    """

    def __init__(
        self,
        workflow: Any,
        bucket: str,
        prefix: str,
        additions: Iterable[Addition],
        *,
        recorded: Iterable[Listing] = (),
        told: bool = False,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.place = (bucket, prefix) if told else None
        # The workflow's rule of names is the narrower one, and is applied where steps and selectors come in.
        self.planner = Planner(withdraw_invalidated=workflow.withdraw_invalidated, names=SIMPLEFLOW)
        self.done = DoneNames(workflow, bucket, prefix, recorded)
        self.marked: set[str] = set()
        self.playing: set[str] = set()
        self.markings: Counter[str] = Counter()
        for addition in additions:
            self.add(addition)

    def add(self, addition: Addition) -> None:
        """Add selectors to the planner.

        Raises:
            SelectorError: When one is malformed.
        """
        forces, selectors, reason = addition
        if forces:
            self.planner.add_forced(selectors, reason)
        else:
            self.planner.add_skipped(selectors, reason)

    def check_key(self, name: str) -> None:
        """Check that a step can be marked under this prefix, before it is played in vain.

        Raises:
            StepNameError: When prefix and name make too long a key.
        """
        check_step_name(name, prefix=normalise_prefix(self.prefix), by=SIMPLEFLOW)

    def is_done(self, name: str) -> bool:
        """Whether ``name`` is done, by this run or before it.

        Raises:
            NotListedYet: While the listing is under way.
        """
        return name in self.marked or self.done.is_done(name)

    def begin(self, name: str) -> None:
        """Note that ``name`` is being played from now on."""
        self.playing.add(name)
        self.planner.begin(name)

    def complete(self, name: str) -> None:
        """Note that ``name`` has been played and marked done."""
        self.playing.discard(name)
        self.marked.add(name)
        self.planner.complete(name)

    def fail(self, name: str) -> None:
        """Note that ``name`` has failed, if it was being played."""
        self.playing.discard(name)
        self.planner.fail(name)
