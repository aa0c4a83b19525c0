"""Withdraws done marks: finds out which of them exist, and deletes up to 1,000 in one request."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from anyio import create_task_group, sleep

from asyncsteps._errors import AccessDeniedError, StoreError
from asyncsteps._plan.order import just_before
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


async def withdraw(
    client: BucketClient, names: Sequence[str], *, prefix: str, is_done: IsDone, done_page: DonePageAfter
) -> list[str]:
    """Delete the objects of ``names``, found or not; return those that were found, in order.

    S3's answer to a deletion does not tell, so each batch is looked up first. The batches go side by side: some
    are deleted while others are looked up.

    Args:
        client: The bucket.
        names: Names, ascending.
        prefix: What the keys start with.
        is_done: Looks up one name.
        done_page: Fetches the page of done names after a name.

    Raises:
        StoreError: When some could not be deleted; it names those, and those that were deleted.
    """
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    outcomes = await _gather(
        [partial(_withdraw_batch, client, prefix, batch, is_done, done_page) for batch in batches]
    )
    _check(client, names, outcomes)
    return [name for outcome in outcomes for name in outcome.found]


async def delete(client: BucketClient, names: Sequence[str], *, prefix: str) -> None:
    """Delete the objects of ``names``, without looking them up.

    Raises:
        StoreError: When some could not be deleted; it names those, and those that were deleted.
    """
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    _check(client, names, await _gather([partial(_delete, client, prefix, batch) for batch in batches]))


def _check(client: BucketClient, names: Sequence[str], outcomes: Sequence["_Outcome"]) -> None:
    """Raise the error that tells which names were not deleted, why, and which were."""
    refused = {name: reason for outcome in outcomes for name, reason in outcome.refused.items()}
    if not refused:
        return
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
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
    """What became of some names.

    Attributes:
        refused: Why each name that is left was not deleted.
        error: The error of the request.
        found: The names that were done.
    """

    refused: dict[str, str]
    error: StoreError | None = None
    found: Sequence[str] = ()


async def _withdraw_batch(
    client: BucketClient, prefix: str, names: Sequence[str], is_done: IsDone, done_page: DonePageAfter
) -> _Outcome:
    """Look at most 1,000 names up, then delete them all: a wrong answer to the look-up keeps no mark alive."""
    try:
        found = await _find_done(names, is_done, done_page)
    except StoreError as error:
        return _Outcome(dict.fromkeys(names, str(error)), error)
    return replace(await _delete(client, prefix, names), found=found)


async def _delete(client: BucketClient, prefix: str, names: Sequence[str]) -> _Outcome:
    """Delete the objects of at most 1,000 names; those that XML cannot name, one by one."""
    alone = [name for name in names if any(char in prefix + name for char in _NOT_IN_XML)]
    together = [name for name in names if name not in set(alone)] if alone else names
    outcomes = await _gather(
        [
            *([partial(_delete_batch, client, prefix, together)] if together else ()),
            *(partial(_delete_alone, client, prefix, name) for name in alone),
        ]
    )
    refused = {name: reason for outcome in outcomes for name, reason in outcome.refused.items()}
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    return _Outcome(refused, errors[0] if errors else None)


async def _find_done(names: Sequence[str], is_done: IsDone, done_page: DonePageAfter) -> list[str]:
    """Return those of ``names``, which ascend, that are done.

    A few are looked up one by one, many in pages, as long as a page covers enough of them.
    """
    if len(names) <= _FEW:
        return await _find_done_singly(names, is_done)
    done: list[str] = []
    position = 0
    while position < len(names):
        page = await done_page(just_before(names[position]))
        there = set(page.names)
        end = len(names) if page.through is None else bisect_right(names, page.through, position)
        if end - position < _FEW:
            there.update(await _find_done_singly(names[end : end + _HEADS], is_done))
            end += _HEADS
        done += [name for name in names[position:end] if name in there]
        position = end
    return done


async def _find_done_singly(names: Sequence[str], is_done: IsDone) -> list[str]:
    answers = await _gather([partial(is_done, name) for name in names])
    return [name for name, done in zip(names, answers, strict=True) if done]


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
