"""Filling a place that is somebody's own, only when asked, with our store; and emptying it again."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench._measure import Meter, run_child
from bench._report import Options, say
from bench._shapes import digest, make_names
from bench._targets import Place, Target, TargetError

_RECORD = {"run_id": "bench", "workflow_id": "bench", "version": "1"}


@contextmanager
def own_place(target: Target, options: Options) -> Iterator[Place]:
    """A new place below the target's, that nobody else uses; it is empty, and what is written there is deleted.

    Raises:
        TargetError: When the target is somebody's own and writing was not allowed.
    """
    at = target.place
    place = Place(at.bucket, f"{at.prefix}bench-{secrets.token_hex(6)}/", at.endpoint_url)
    if target.ours:
        target.seed("flat-padded", 0)  # the whole bucket: nothing of earlier places is in the way
        yield place
        return
    if not options.write:
        raise TargetError(
            f"this would write below {target.name}: allow it with --write (what is written is deleted again), "
            "or list what is there, without --keys"
        )
    try:
        yield place
    finally:
        say(f"deleting what lies below {place.prefix}")
        run_child("bench._seeding:empty", place.job(), env=target.env)


@contextmanager
def filled(target: Target, options: Options, shape: str, count: int) -> Iterator[tuple[str, Place]]:
    """A place of its own with the names of a shape; the names' digest, and the place.

    Raises:
        TargetError: When writing was not allowed.
    """
    with own_place(target, options) as place:
        say(f"marking {count} steps below {place.prefix}")
        job = {**place.job(), "shape": shape, "count": count, "concurrency": options.concurrency}
        run_child("bench._seeding:fill", job, env=target.env)
        yield digest(make_names(shape, count)), place


async def fill(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Mark the names of a shape as done."""
    import asyncsteps

    slots = asyncio.Semaphore(job["concurrency"])
    async with asyncsteps.open_store(
        job["url"], endpoint_url=job["endpoint_url"], concurrency=job["concurrency"]
    ) as store:

        async def mark(name: str) -> None:
            async with slots:
                await store.mark_done(name, _RECORD)

        with meter:
            async with asyncio.TaskGroup() as tasks:
                for name in make_names(job["shape"], job["count"]):
                    tasks.create_task(mark(name))
    return {"count": job["count"]}


async def empty(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Withdraw all that is done."""
    import asyncsteps

    async with asyncsteps.open_store(job["url"], endpoint_url=job["endpoint_url"]) as store:
        with meter:
            gone = await store.withdraw(await store.list_done())
    return {"count": len(gone)}


async def withdraw(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Withdraw marks whose names are known."""
    import asyncsteps

    names = make_names("flat-padded", job["count"])
    async with asyncsteps.open_store(
        job["url"], endpoint_url=job["endpoint_url"], concurrency=job["concurrency"]
    ) as store:
        with meter:
            gone = await store.withdraw(names)
    return {"count": len(gone)}
