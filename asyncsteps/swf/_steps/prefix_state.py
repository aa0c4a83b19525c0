"""What a run knows of the steps under one bucket and prefix; most workflows have but one."""

from collections.abc import Iterable
from typing import Any

from asyncsteps._plan.planner import Planner
from asyncsteps.swf._steps.done_names import DoneSource

Addition = tuple[bool, tuple[str, ...], str | None]
"""Selectors that were added, with their reason: whether they force (or else skip), the selectors, the reason."""


class Place:
    """The steps under one bucket and prefix.

    Args:
        workflow: The workflow.
        bucket: The bucket, as its hook gave it.
        prefix: The key prefix, as its hook gave it.
        additions: The selectors that the run has so far.

    Attributes:
        planner: What decides.
        done: The names that were done.
        marked: Names that this run has marked done here.
        playing: Names that it plays here.
    """

    def __init__(self, workflow: Any, bucket: str, prefix: str, additions: Iterable[Addition]) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.planner = Planner(withdraw_invalidated=workflow.withdraw_invalidated)
        self.done = DoneSource(workflow, bucket, prefix)
        self.marked: set[str] = set()
        self.playing: set[str] = set()
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

    def is_done(self, name: str) -> bool:
        """Whether ``name`` is done, by this run or before it.

        Raises:
            NotListedYet: While that is not known.
        """
        return name in self.marked or self.done.is_done(name)

    def begin(self, name: str) -> None:
        """Tell that ``name`` starts to play."""
        self.playing.add(name)
        self.planner.begin(name)

    def complete(self, name: str) -> None:
        """Tell that ``name`` was played and marked done."""
        self.playing.discard(name)
        self.marked.add(name)
        self.planner.complete(name)

    def fail(self, name: str) -> None:
        """Tell that ``name`` failed, if it played."""
        self.playing.discard(name)
        self.planner.fail(name)
