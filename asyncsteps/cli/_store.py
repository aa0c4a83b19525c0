"""The commands that manage what a store holds: ls, mark, forget."""

from __future__ import annotations

import contextlib
import getpass
import socket
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Annotated, Final

import anyio
from cyclopts import Parameter

import asyncsteps
from asyncsteps.cli import _output, _tree
from asyncsteps.cli._exit import ExitCode, UsageError, run_async
from asyncsteps.cli._marked_at import with_times
from asyncsteps.cli._options import COMMON, Common, Flag
from asyncsteps.cli._styled import lines_that_fit

MARKED_BY: Final = "asyncsteps mark"
"""The workflow id and version in the records of steps marked by hand."""

_UNRECOGNISED_SHOWN: Final = 10

_LEAST_LINES: Final = 10
_AROUND: Final = 3
"""Lines of a terminal that are not the tree's: the command, the total, the prompt."""
_LOOK_AROUND: Final = 5.0
"""Seconds that a look around an empty store may take."""


def open_lasting(store: str, common: Common) -> AbstractAsyncContextManager[asyncsteps.StepStore]:
    """Open a store that outlives this command.

    Raises:
        UsageError: When ``store`` names a store in memory.
    """
    if store.lower().startswith("memory:"):
        raise UsageError("'memory:' lasts no longer than this command; name a directory, or s3://bucket/prefix")
    return asyncsteps.open_store(store, endpoint_url=common.endpoint_url)


def ls(
    store: str,
    selector: str = "*",
    /,
    *,
    depth: int | None = None,
    names: Flag = False,
    common: Common = COMMON,
) -> int:
    """Show the steps that are done, as a tree.

    Args:
        store: The URL of the store.
        selector: Only what it selects.
        depth: How many levels to open; without it, as many as fit on the terminal (40 lines elsewhere).
        names: Plain names instead of a tree, one a line.
        common: Options of every command.
    """
    if depth is not None and depth < 1:
        raise UsageError(f"--depth {depth} opens nothing; give 1 or more")

    async def main() -> int:
        unrecognised: list[str] = []
        async with open_lasting(store, common) as opened:
            found = await opened.list_done(selector, on_foreign=unrecognised.append)
            tree = _tree.grow(found)
            branches = () if common.json or names else tuple(_branches(tree, selector, depth))
            lines = await with_times(opened, found, branches)
            near = [] if found or unrecognised or selector != "*" else await _nearby(opened)
        _report_unrecognised(unrecognised)
        if not found and selector == "*":
            _explain_empty(opened, unrecognised, near)
        if common.json:
            groups = {segment: child.total for segment, child in tree.children.items()}
            _output.emit_json(
                {
                    "store": opened.url,
                    "selector": selector,
                    "count": len(found),
                    "groups": groups,
                    "steps": found,
                    "foreign": sorted(unrecognised),
                }
            )
        elif names:
            if found:
                _output.emit("\n".join(found), raw=True)
        else:
            below = "" if selector == "*" else f" under {selector}"
            lines.insert(0, f"{opened.url}: {_output.count(len(found), 'done step')}{below}")
            _output.emit("\n".join(lines))
        return ExitCode.OK

    return run_async(main)


def _branches(tree: _tree.Node, selector: str, depth: int | None) -> Iterator[_tree.Branch]:
    fit = max(_LEAST_LINES, (lines_that_fit() or _tree.LINES + _AROUND) - _AROUND)
    return _tree.draw(tree, under=selector, depth=depth, lines=fit)


def _report_unrecognised(unrecognised: Sequence[str]) -> None:
    for key in sorted(unrecognised)[:_UNRECOGNISED_SHOWN]:
        _output.warning(f"unrecognised key, no step name, left alone: {key!r}")
    left = len(unrecognised) - _UNRECOGNISED_SHOWN
    if left > 0:
        _output.warning(f"and {_output.count(left, 'more unrecognised key')}; --json lists them")


async def _nearby(store: asyncsteps.StepStore) -> list[str]:
    """The URLs of places beside an empty store that hold steps; none if that is not told soon, or fails."""
    look = getattr(store, "nearby", None)
    near: list[str] = []
    with contextlib.suppress(asyncsteps.AsyncstepsError, OSError), anyio.move_on_after(_LOOK_AROUND):
        near = [] if look is None else await look()
    return near


def _explain_empty(store: asyncsteps.StepStore, unrecognised: Sequence[str], near: Sequence[str]) -> None:
    """Warn of the mistakes that may explain an empty listing."""
    folders = sorted(
        {folder for folder, slash, _ in (key.partition("/") for key in unrecognised) if folder and slash}
    )
    if folders:
        _output.warning(
            f"no step lies right here; a store is a complete prefix: {store.url}{folders[0]}, perhaps?"
        )
    elif near:
        _output.warning(f"no steps under {store.url}; did you mean {' or '.join(near)}?")
    elif isinstance(store, asyncsteps.DirectoryStore) and not store.path.exists():
        _output.warning(f"there is no directory {str(store.path)!r}; the first step that is marked makes it")


def mark(
    store: str,
    /,
    *names: Annotated[str, Parameter(required=True)],
    workflow_id: str = MARKED_BY,
    reason: str | None = None,
    replace: Flag = False,
    common: Common = COMMON,
) -> int:
    """Mark steps as done without playing them; the record says who did, and when.

    Args:
        store: The URL of the store.
        names: The steps' names.
        workflow_id: The workflow's id to record.
        reason: Why; it is recorded too.
        replace: Replace the records of steps that are done already, instead of keeping them.
        common: Options of every command.
    """
    wanted = list(dict.fromkeys(names))
    record = _record(workflow_id, reason)

    async def main() -> int:
        stored: dict[str, bool] = {}
        async with open_lasting(store, common) as opened:
            for name in wanted:
                opened.check_name(name)  # before any is marked

            async def mark_one(name: str) -> None:
                stored[name] = await opened.mark_done(name, record, first_wins=not replace)

            async with anyio.create_task_group() as tasks:
                for name in wanted:
                    tasks.start_soon(mark_one, name)
            await asyncsteps.journal.record_by_hand(
                opened,
                "marked",
                [name for name in wanted if stored[name]],
                by=record["marked_by"],
                reason=reason,
                run_id=record["run_id"],
                workflow_id=workflow_id,
            )
        marked = [name for name in wanted if stored[name]]
        kept = [name for name in wanted if not stored[name]]
        if common.json:
            _output.emit_json({"store": opened.url, "marked": marked, "already_done": kept, "record": record})
        else:
            for name in marked:
                _output.emit(f"marked {name}")
            for name in kept:
                _output.say(f"{name} was done already and keeps its record (--replace replaces it)")
        return ExitCode.OK

    return run_async(main)


def _record(workflow_id: str, reason: str | None) -> dict[str, str]:
    record = {
        "run_id": str(uuid.uuid4()),
        "workflow_id": workflow_id,
        "version": MARKED_BY,
        "marked_by": _who(),
        "marked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return record if reason is None else {**record, "reason": reason}


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user id has no name, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def forget(
    store: str,
    /,
    *selectors: Annotated[str, Parameter(required=True)],
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative=(), show_default=False)] = False,
    dry_run: Flag = False,
    common: Common = COMMON,
) -> int:
    """Withdraw done marks, so that the next run plays these steps again; says which, and asks.

    Args:
        store: The URL of the store.
        selectors: What to forget.
        yes: Do not ask.
        dry_run: Only say what would be withdrawn.
        common: Options of every command.
    """
    wanted = list(dict.fromkeys(selectors))
    url, matched = run_async(lambda: _find(store, wanted, common))
    agreed = bool(matched) and not dry_run
    if agreed and not yes:
        # Asked between two event loops, where a plain input() is ended by Ctrl-C at once.
        agreed = _confirm(matched, url)
    withdrawn = run_async(lambda: _withdraw(store, matched, common)) if agreed else []
    if common.json:
        _output.emit_json(
            {
                "store": url,
                "selectors": wanted,
                "dry_run": dry_run,
                "matched": matched,
                "withdrawn": withdrawn,
            }
        )
    elif dry_run:
        _output.emit(_what(matched, url, "would withdraw"))
    elif withdrawn:
        _output.emit("\n".join(f"withdrawn {name}" for name in withdrawn))
    else:
        _output.say("nothing was withdrawn")
    return ExitCode.OK if agreed or dry_run or not matched else ExitCode.FAILED


async def _find(store: str, selectors: Sequence[str], common: Common) -> tuple[str, list[str]]:
    """Return the store's URL, and the done names that the selectors match, sorted."""
    found: set[str] = set()
    async with open_lasting(store, common) as opened:
        for selector in selectors:
            names = await opened.list_done(selector, on_foreign=lambda _key: None)
            if not names:
                _output.warning(f"selector {selector!r} matches no done step")
            found.update(names)
        return opened.url, sorted(found)


async def _withdraw(store: str, names: Sequence[str], common: Common) -> list[str]:
    async with open_lasting(store, common) as opened:
        withdrawn = await opened.withdraw(names)
        await asyncsteps.journal.record_by_hand(opened, "forgotten", withdrawn, by=_who())
        return withdrawn


def _confirm(matched: Sequence[str], url: str) -> bool:
    _output.say(_what(matched, url, "about to withdraw"))
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked here, and nothing was withdrawn; say --yes to withdraw these, or --dry-run"
        )
    print("withdraw them? [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return input().strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _what(matched: Iterable[str], url: str, verb: str) -> str:
    tree = _tree.grow(matched)
    return "\n".join(
        [
            f"{verb} {_output.count(tree.total, 'done mark')} from {url}",
            *(branch.text for branch in _tree.draw(tree)),
        ]
    )
