"""The commands that manage what a store holds: ls, show, mark, forget."""

import getpass
import json
import socket
import sys
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Final

import anyio

import asyncsteps
from asyncsteps.cli import _output, _tree
from asyncsteps.cli._exit import ExitCode, UsageError, run_async

MARKED_BY: Final = "asyncsteps mark"
"""The workflow id and version in the records of steps marked by hand."""

_UNRECOGNISED_SHOWN: Final = 10


def open_store(url: str, endpoint_url: str | None) -> AbstractAsyncContextManager[asyncsteps.StepStore]:
    """Open the store given on the command line."""
    return asyncsteps.open_store(url, endpoint_url=endpoint_url)


def _lasting(url: str) -> None:
    """Refuse a store that lives no longer than this command.

    Raises:
        UsageError: When ``url`` names a store in memory.
    """
    if url.lower().startswith("memory:"):
        raise UsageError("'memory:' lasts no longer than this command; name a directory, or s3://bucket/prefix")


def ls(
    url: str, selector: str, *, depth: int | None, names_only: bool, endpoint_url: str | None, as_json: bool
) -> int:
    """List done steps: as a tree, as plain names, or as JSON."""
    if depth is not None and depth < 1:
        raise UsageError(f"--depth {depth} opens nothing; give 1 or more")
    _lasting(url)

    async def main() -> int:
        unrecognised: list[str] = []
        async with open_store(url, endpoint_url) as store:
            names = await store.list_done(selector, on_foreign=unrecognised.append)
            shown_url = store.url
        _report_unrecognised(unrecognised)
        if not names and selector == "*":
            _explain_empty(store, unrecognised)
        tree = _tree.grow(names)
        if as_json:
            groups = {segment: child.total for segment, child in tree.children.items()}
            _output.emit_json(
                {
                    "store": shown_url,
                    "selector": selector,
                    "count": len(names),
                    "groups": groups,
                    "steps": names,
                    "foreign": sorted(unrecognised),
                }
            )
        elif names_only:
            if names:
                _output.emit("\n".join(names), raw=True)
        else:
            below = "" if selector == "*" else f" under {selector}"
            lines = [f"{shown_url}: {_output.count(len(names), 'done step')}{below}"]
            lines += _tree.draw(tree, under=selector, depth=depth)
            _output.emit("\n".join(lines))
        return ExitCode.OK

    return run_async(main)


def _report_unrecognised(unrecognised: Sequence[str]) -> None:
    for key in sorted(unrecognised)[:_UNRECOGNISED_SHOWN]:
        _output.warning(f"unrecognised key, no step name, left alone: {key!r}")
    left = len(unrecognised) - _UNRECOGNISED_SHOWN
    if left > 0:
        _output.warning(f"and {_output.count(left, 'more unrecognised key')}; --json lists them")


def _explain_empty(store: asyncsteps.StepStore, unrecognised: Sequence[str]) -> None:
    """Warn of the mistakes that may explain an empty listing."""
    folders = sorted(
        {folder for folder, slash, _ in (key.partition("/") for key in unrecognised) if folder and slash}
    )
    if folders:
        _output.warning(
            f"no step lies right here; a store is a complete prefix: {store.url}{folders[0]}, perhaps?"
        )
    elif isinstance(store, asyncsteps.DirectoryStore) and not store.path.exists():
        _output.warning(f"there is no directory {str(store.path)!r}; the first step that is marked makes it")


def show(url: str, name: str, *, endpoint_url: str | None, as_json: bool) -> int:
    """Show the record of a done step."""
    _lasting(url)

    async def main() -> int:
        async with open_store(url, endpoint_url) as store:
            record = await store.read_done(name)
            shown_url = store.url
        if as_json:
            _output.emit_json({"store": shown_url, "step": name, "done": record is not None, "record": record})
        elif record is None:
            _output.say(f"{name} is not done in {shown_url}")
        else:
            width = max(map(len, record), default=0)
            lines = [name, *(f"  {key:{width}}  {_inline(value)}" for key, value in record.items())]
            _output.emit("\n".join(lines))
        return ExitCode.OK if record is not None else ExitCode.FAILED

    return run_async(main)


def _inline(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=False)


def mark(
    url: str,
    names: Sequence[str],
    *,
    workflow_id: str,
    reason: str | None,
    replace: bool,
    endpoint_url: str | None,
    as_json: bool,
) -> int:
    """Mark steps as done by hand; the record says who did."""
    _lasting(url)
    wanted = list(dict.fromkeys(names))
    record = _record(workflow_id, reason)

    async def main() -> int:
        stored: dict[str, bool] = {}
        async with open_store(url, endpoint_url) as store:
            for name in wanted:
                store.check_name(name)

            async def mark_one(name: str) -> None:
                stored[name] = await store.mark_done(name, record, first_wins=not replace)

            async with anyio.create_task_group() as tasks:
                for name in wanted:
                    tasks.start_soon(mark_one, name)
            shown_url = store.url
        marked = [name for name in wanted if stored[name]]
        kept = [name for name in wanted if not stored[name]]
        if as_json:
            _output.emit_json({"store": shown_url, "marked": marked, "already_done": kept, "record": record})
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
    url: str,
    selectors: Sequence[str],
    *,
    yes: bool,
    dry_run: bool,
    endpoint_url: str | None,
    as_json: bool,
) -> int:
    """Withdraw done marks, after listing them."""
    _lasting(url)
    wanted = list(dict.fromkeys(selectors))
    shown_url, matched = run_async(lambda: _find(url, wanted, endpoint_url))
    agreed = bool(matched) and not dry_run
    if agreed and not yes:
        # Asked between two event loops, where a plain input() is ended by Ctrl-C at once.
        agreed = _confirm(matched, shown_url)
    withdrawn = run_async(lambda: _withdraw(url, matched, endpoint_url)) if agreed else []
    if as_json:
        _output.emit_json(
            {
                "store": shown_url,
                "selectors": wanted,
                "dry_run": dry_run,
                "matched": matched,
                "withdrawn": withdrawn,
            }
        )
    elif dry_run:
        _output.emit(_what(matched, shown_url, "would withdraw"))
    elif withdrawn:
        _output.emit("\n".join(f"withdrawn {name}" for name in withdrawn))
    else:
        _output.say("nothing was withdrawn")
    return ExitCode.OK if agreed or dry_run or not matched else ExitCode.FAILED


async def _find(url: str, selectors: Sequence[str], endpoint_url: str | None) -> tuple[str, list[str]]:
    """Return the store's URL, and the done names that the selectors match, sorted."""
    found: set[str] = set()
    async with open_store(url, endpoint_url) as store:
        for selector in selectors:
            names = await store.list_done(selector, on_foreign=lambda _key: None)
            if not names:
                _output.warning(f"selector {selector!r} matches no done step")
            found.update(names)
        return store.url, sorted(found)


async def _withdraw(url: str, names: Sequence[str], endpoint_url: str | None) -> list[str]:
    async with open_store(url, endpoint_url) as store:
        return await store.withdraw(names)


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
    return "\n".join([f"{verb} {_output.count(tree.total, 'done mark')} from {url}", *_tree.draw(tree)])
