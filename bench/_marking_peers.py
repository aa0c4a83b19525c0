"""Who marks in ``bench/marking.py``: each function writes one small object a name, in a process of its own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench._clients import Job, aioboto3_client, bare_aiohttp, boto3_client, obstore_client, our_store
from bench._measure import Meter
from bench._shapes import make_names

_RECORD = {"run_id": "bench", "workflow_id": "bench", "version": "1"}
_BODY = json.dumps(_RECORD).encode()


def _names(job: Job) -> list[str]:
    return make_names("flat-padded", job["count"])


async def _side_by_side(job: Job, mark: Callable[[str], Awaitable[object]]) -> None:
    """As many workers as requests may be under way, each taking the next name."""
    waiting = iter(_names(job))

    async def work() -> None:
        for name in waiting:
            await mark(name)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(job["concurrency"]):
            tasks.create_task(work())


async def _ours(job: Job, meter: Meter, **given: Any) -> dict[str, Any]:
    async with our_store(job) as store:
        with meter:
            await _side_by_side(job, lambda name: store.mark_done(name, _RECORD, **given))
    return {}


async def asyncsteps(job: Job, meter: Meter) -> dict[str, Any]:
    """The store's ``mark_done``."""
    return await _ours(job, meter)


async def asyncsteps_all_waiting(job: Job, meter: Meter) -> dict[str, Any]:
    """The same from one task a name, all of which wait for their turn from the beginning."""
    names = _names(job)
    async with our_store(job) as store:
        with meter:
            async with asyncio.TaskGroup() as tasks:
                for name in names:
                    tasks.create_task(store.mark_done(name, _RECORD))
    return {}


async def asyncsteps_first_wins(job: Job, meter: Meter) -> dict[str, Any]:
    """The same, each mark on the condition that there is none yet."""
    return await _ours(job, meter, first_wins=True)


async def asyncsteps_by_botocore(job: Job, meter: Meter) -> dict[str, Any]:
    """The same with every request sent by botocore."""
    return await _ours({**job, "transport": "botocore"}, meter)


async def aiohttp_put(job: Job, meter: Meter) -> dict[str, Any]:
    """The same requests, unsigned, by aiohttp alone: no retry, no error, no limit but that of its connections."""
    from yarl import URL

    origin = f"{job['endpoint_url']}/{job['bucket']}/{job['prefix']}"
    headers = {"content-type": "application/json", "authorization": "A" * 200, "x-amz-date": "20260101T000000Z"}
    async with bare_aiohttp(job) as session:

        async def mark(name: str) -> None:
            async with session.put(URL(origin + name, encoded=True), data=_BODY, headers=headers) as answer:
                await answer.read()

        with meter:
            await _side_by_side(job, mark)
    return {}


async def aioboto3_put(job: Job, meter: Meter) -> dict[str, Any]:
    """The stock aioboto3 client's ``put_object``."""
    async with aioboto3_client(job) as client:

        async def mark(name: str) -> None:
            await client.put_object(Bucket=job["bucket"], Key=job["prefix"] + name, Body=_BODY)

        with meter:
            await _side_by_side(job, mark)
    return {}


async def obstore_put(job: Job, meter: Meter) -> dict[str, Any]:
    """Obstore's ``put_async``."""
    import obstore

    store = obstore_client(job)

    async def mark(name: str) -> None:
        await obstore.put_async(store, job["prefix"] + name, _BODY)

    with meter:
        await _side_by_side(job, mark)
    return {}


def boto3_threads(job: Job, meter: Meter) -> dict[str, Any]:
    """boto3's ``put_object``, in as many threads."""
    client = boto3_client(job)

    def mark(name: str) -> None:
        client.put_object(Bucket=job["bucket"], Key=job["prefix"] + name, Body=_BODY)

    with meter, ThreadPoolExecutor(job["concurrency"]) as threads:
        for _ in threads.map(mark, _names(job)):
            pass
    return {}


PEERS = {
    "asyncsteps": "asyncsteps",
    "asyncsteps all waiting": "asyncsteps_all_waiting",
    "asyncsteps, first wins": "asyncsteps_first_wins",
    "asyncsteps by botocore": "asyncsteps_by_botocore",
    "bare aiohttp": "aiohttp_put",
    "aioboto3": "aioboto3_put",
    "boto3 in threads": "boto3_threads",
    "obstore": "obstore_put",
}
"""The function of each peer."""
