"""Deletes done marks, up to 1,000 in one request, and finds out which of them exist."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from anyio import create_task_group, sleep

from asyncsteps._errors import AccessDeniedError, StoreError
from asyncsteps.store._protocol import DonePage
from asyncsteps.store._s3.bucket import BucketClient

BATCH = 1000
"""The most keys that S3 deletes in one request."""

_FEW = 16
"""Up to this many names, single HEAD requests are cheaper than a page of 1,000."""

_HEADS = 64

_NOT_IN_XML = ("\ufffe", "\uffff")
"""Characters that are allowed in keys but not in XML, which carries the keys of a batch."""

_TRANSIENT = {"InternalError", "ServiceUnavailable", "SlowDown"}

_T = TypeVar("_T")

IsDone = Callable[[str], Awaitable[bool]]
DonePageAfter = Callable[[str], Awaitable[DonePage]]


async def find_done(names: Sequence[str], *, is_done: IsDone, done_page: DonePageAfter) -> list[str]:
    """Return those of ``names`` that are done, in order; S3's reply to a deletion does not tell.

    A few names are looked up one by one, many in pages, as long as a page covers enough of them.

    Args:
        names: Names, ascending.
        is_done: Looks up one name.
        done_page: Fetches the page of done names after a name.
    """
    if len(names) <= _FEW:
        return await _find_done_singly(names, is_done)
    chunks = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    found = await _gather([partial(_find_done_by_pages, chunk, is_done, done_page) for chunk in chunks])
    return [name for chunk in found for name in chunk]


async def _find_done_singly(names: Sequence[str], is_done: IsDone) -> list[str]:
    answers = await _gather([partial(is_done, name) for name in names])
    return [name for name, done in zip(names, answers, strict=True) if done]


async def _find_done_by_pages(names: Sequence[str], is_done: IsDone, done_page: DonePageAfter) -> list[str]:
    done: list[str] = []
    position = 0
    while position < len(names):
        page = await done_page(names[position])
        end = len(names) if page.through is None else max(position + 1, bisect_right(names, page.through))
        few = end - position < _FEW
        heads = [names[position], *(names[end : end + _HEADS] if few else ())]
        there = {*page.names, *await _find_done_singly(heads, is_done)}
        end = min(end + _HEADS, len(names)) if few else end
        done += (name for name in names[position:end] if name in there)
        position = end
    return done


async def delete(client: BucketClient, names: Sequence[str], *, prefix: str) -> None:
    """Delete the objects of ``names``.

    Raises:
        StoreError: When some could not be deleted; it names those, and those that were deleted.
    """
    alone = [name for name in names if any(char in prefix + name for char in _NOT_IN_XML)]
    together = [name for name in names if name not in set(alone)] if alone else names
    batches = [together[start : start + BATCH] for start in range(0, len(together), BATCH)]
    outcomes = await _gather(
        [
            *(partial(_delete_batch, client, prefix, batch) for batch in batches),
            *(partial(_delete_alone, client, prefix, name) for name in alone),
        ]
    )
    refused = {name: reason for outcome in outcomes for name, reason in outcome.refused.items()}
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not refused:
        return
    if errors and len(refused) == len(names):
        raise errors[0] from errors[0].__cause__
    kept = [name for name in names if name in refused]
    gone = [name for name in names if name not in refused]
    reasons = sorted(set(refused.values()))
    denied = all(reason.startswith("AccessDenied") for reason in reasons)
    error = AccessDeniedError if denied else StoreError
    raise error(
        f"not withdrawn: {_listed(kept)}, because of {'; '.join(reasons)}; withdrawn: {_listed(gone)}"
        + ("; the credentials need the permission s3:DeleteObject" if denied else ""),
        **client.context(),
    ) from (errors[0] if errors else None)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome of one batch: why each name that is left was not deleted, and the error of the request."""

    refused: dict[str, str]
    error: StoreError | None = None


async def _delete_batch(client: BucketClient, prefix: str, names: Sequence[str]) -> _Outcome:
    """Delete at most 1,000 objects, and try those again that failed for a transient reason."""
    left = list(names)
    for pause in (0.1, 0.2, None):
        try:
            reply = await client.call(
                "delete_objects", Delete={"Objects": [{"Key": prefix + name} for name in left], "Quiet": False}
            )
        except StoreError as error:
            return _Outcome(dict.fromkeys(left, str(error)), error)
        deleted = {entry.get("Key") for entry in reply.get("Deleted", ())}
        errors: list[dict[str, Any]] = reply.get("Errors", [])
        refused = dict.fromkeys(
            (name for name in left if prefix + name not in deleted), "no confirmation in the server's answer"
        )
        for entry in errors:
            if (name := str(entry.get("Key")).removeprefix(prefix)) in refused:
                refused[name] = f"{entry.get('Code')} ({entry.get('Message')})"
        again = refused and all(entry.get("Code") in _TRANSIENT for entry in errors)
        if not again or pause is None:
            break
        left = list(refused)
        await sleep(pause)
    return _Outcome(refused)


async def _delete_alone(client: BucketClient, prefix: str, name: str) -> _Outcome:
    try:
        await client.call("delete_object", key=prefix + name, step=name)
    except StoreError as error:
        return _Outcome({name: str(error)}, error)
    return _Outcome({})


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 -- enough to recognise them


async def _gather(calls: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Run ``calls`` concurrently and return their results in order.

    When one fails, the others are cancelled and its error is raised, without an exception group around it.
    """
    results: dict[int, _T] = {}

    async def run(index: int, call: Callable[[], Awaitable[_T]]) -> None:
        results[index] = await call()

    try:
        async with create_task_group() as tasks:
            for index, call in enumerate(calls):
                tasks.start_soon(run, index, call)
    except ExceptionGroup as group:
        first = group.exceptions[0]
        raise first from first.__cause__
    return [results[index] for index in range(len(calls))]
