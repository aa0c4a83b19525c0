"""The activities that list, mark and withdraw done steps; workers import them by these names.

Their type names are a wire contract: ``asyncsteps.swf.tasks.GetStepsDoneTask`` and
``asyncsteps.swf.tasks.MarkStepDoneTask`` never move, nor do the meanings of their arguments.
"""

from collections.abc import Iterable
from typing import Any

from asyncsteps._plan.names import SIMPLEFLOW, STRICT, NameRule, as_selectors, is_step_name, matches
from asyncsteps.swf._constants import MAX_RESULT_CHARS
from asyncsteps.swf._done.payload import part_form, short_form, size, snapshot_form, unpack
from asyncsteps.swf._done.snapshots import write_snapshot
from asyncsteps.swf._errors import short_reasons
from asyncsteps.swf._sync.loop import run_sync
from asyncsteps.swf._sync.stores import use_store
from asyncsteps.swf.constants import UNKNOWN_CONTEXT

__all__ = ["GetStepsDoneTask", "MarkStepDoneTask", "WithdrawStepsDoneTask"]


class GetStepsDoneTask:
    """List the done steps under a prefix.

    Args:
        bucket: The bucket, bare or as ``host/bucket``.
        path: The key prefix; the slash at its end may be left out.
        compact: False: `execute` gives the names. True: the shortest form that SWF can carry, which
            `WorkflowStepMixin` reads.
        after: With ``compact``: list only the names greater than this, for a list that comes in parts.
        again: Tells one task from another, where the snapshot that the first one answered is gone.
        step_names: The rule of the names; other keys are no steps.
        or_count: Without ``compact``: answer how many there are where the names do not fit a result of SWF.
    """

    def __init__(
        self,
        bucket: str,
        path: str,
        compact: bool = False,
        after: str = "",
        again: int = 0,
        step_names: NameRule = STRICT,
        or_count: bool = False,
    ) -> None:
        self.bucket = bucket
        self.path = path
        self.compact = compact
        self.after = after
        self.again = again
        self.step_names: NameRule = step_names
        self.or_count = or_count

    def execute(self) -> list[str] | dict[str, Any] | int:
        """List the done names, sorted; with ``compact`` in a form of `asyncsteps.swf._done.payload`.

        Raises:
            StoreError: When the bucket cannot be listed.
        """
        with short_reasons():
            return run_sync(self._list)

    async def _list(self) -> list[str] | dict[str, Any] | int:
        async with use_store(self.bucket, self.path, step_names=self.step_names) as store:
            names = await store.list_done()
        if not self.compact:
            return len(names) if self.or_count and size(names) > MAX_RESULT_CHARS else names
        if self.after:
            return part_form([name for name in names if name > self.after])
        short = short_form(names)
        if short is not None:
            return short
        snapshot = await write_snapshot(self.bucket, self.path, names)
        return part_form(names) if snapshot is None else snapshot_form(snapshot)


class MarkStepDoneTask:
    """Record a step as done.

    Args:
        bucket: The bucket, bare or as ``host/bucket``.
        path: The key prefix; the slash at its end may be left out.
        step_name: The step's name.
    """

    context: dict[str, Any] | None = None
    """The execution that the mark records; simpleflow sets it before `execute`."""

    def __init__(self, bucket: str, path: str, step_name: str) -> None:
        self.bucket = bucket
        self.path = path
        self.step_name = step_name

    def execute(self) -> None:
        """Write the mark, and return when it is stored.

        Raises:
            StepNameError: When the name cannot be a key under this prefix.
            StoreError: When the bucket cannot be written.
        """
        with short_reasons():
            run_sync(self._mark)

    async def _mark(self) -> None:
        context = self.context or UNKNOWN_CONTEXT
        record = {key: context.get(key, unknown) for key, unknown in UNKNOWN_CONTEXT.items()}
        async with use_store(self.bucket, self.path, step_names=_rule_for(self.step_name)) as store:
            await store.mark_done(self.step_name, record)


class WithdrawStepsDoneTask:
    """Withdraw the done marks that playing a step invalidates.

    Args:
        bucket: The bucket, bare or as ``host/bucket``.
        path: The key prefix; the slash at its end may be left out.
        names: The steps whose marks are withdrawn.
        under: Selectors in place of names that are too many for an input; the marks that they match are withdrawn.
        keep: With ``under``: the names whose marks stay, in the compact form of a list.
        step_names: With ``under``: the rule of the names; other keys are no steps.
    """

    def __init__(
        self,
        bucket: str,
        path: str,
        names: Iterable[str] = (),
        under: Iterable[str] = (),
        keep: dict[str, Any] | None = None,
        step_names: NameRule = STRICT,
    ) -> None:
        self.bucket = bucket
        self.path = path
        self.names = [names] if isinstance(names, str) else list(names)
        with short_reasons():
            self.under = as_selectors(under, by=step_names)
            self.keep = frozenset(unpack(keep) if keep else ())
        self.step_names: NameRule = step_names if self.under else _rule_for(*self.names)

    def execute(self) -> int:
        """Withdraw the marks, and return how many there were.

        Raises:
            StoreError: When the bucket cannot be listed, or the marks cannot be deleted (the role needs
                ``s3:DeleteObject``).
        """
        with short_reasons():
            return run_sync(self._withdraw)

    async def _withdraw(self) -> int:
        async with use_store(self.bucket, self.path, step_names=self.step_names) as store:
            names = set(self.names)
            if self.under:
                names.update(
                    name
                    for name in await store.list_done()
                    if name not in self.keep and any(matches(selector, name) for selector in self.under)
                )
            return len(await store.withdraw(names))


def _rule_for(*names: str) -> NameRule:
    """The rule for names that a decider has chosen: the strict one, whose store all share, where it does."""
    return STRICT if all(map(is_step_name, names)) else SIMPLEFLOW
