"""When steps were marked, beside a tree of them: as far as a few marks tell it, which are read for that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import anyio
from rich.cells import cell_len

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._tree import Branch, Node

_READ: Final = 100
"""How many marks are read at most: a listing does not tell the times."""


async def with_times(store: asyncsteps.StepStore, names: Sequence[str], branches: Sequence[Branch]) -> list[str]:
    """Return the lines of a tree, each with the time at which its step, or the last of its group, was marked.

    The time is left out where not all marks that it takes are read, or one does not tell it: one of simpleflow's,
    or one that may not be read.

    Args:
        store: An open store.
        names: All steps in the tree.
        branches: The tree.
    """
    steps = [branch.path for branch in branches if branch.node.done and not branch.node.children]
    times = await _times(store, names if len(names) <= _READ else steps[:_READ])
    lines = [_output.unbroken(branch.text) for branch in branches]
    told = [_last(branch.path, branch.node, times) for branch in branches]
    width = max((cell_len(_output.printable(line)) for line, at in zip(lines, told, strict=True) if at), default=0)
    return [
        f"{line}{' ' * (width - cell_len(_output.printable(line)))}  {at:%Y-%m-%d %H:%M:%SZ}" if at else line
        for line, at in zip(lines, told, strict=True)
    ]


async def _times(store: asyncsteps.StepStore, names: Iterable[str]) -> dict[str, datetime]:
    times: dict[str, datetime] = {}

    async def read(name: str) -> None:
        with contextlib.suppress(asyncsteps.StoreError, asyncsteps.RecordError, ValueError):
            record = await store.read_done(name) or {}
            marked = datetime.fromisoformat(str(record.get("marked_at")))
            times[name] = marked.astimezone(UTC)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(read, name)
    return times


def _last(path: str, node: Node, times: Mapping[str, datetime]) -> datetime | None:
    """When the last step here and below was marked; None where one of them does not tell."""
    if node.total > len(times):
        return None
    below = [_last(f"{path}.{segment}", child, times) for segment, child in node.children.items()]
    found = [*below, *([times.get(path)] if node.done else [])]
    known = [each for each in found if each is not None]
    return max(known) if known and len(known) == len(found) else None
