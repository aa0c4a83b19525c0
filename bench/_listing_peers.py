"""Who lists in ``bench/listing.py``: each function lists a prefix once, in a process of its own."""

import logging
import re
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from bench._clients import Job, aioboto3_client, bare_aiohttp, boto3_client, obstore_client, our_store
from bench._measure import Meter
from bench._shapes import digest

_KEY = re.compile(rb"<Key>([^<]+)")
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)")


def _found(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "digest": digest(names)}


async def asyncsteps(job: Job, meter: Meter) -> dict[str, Any]:
    """The store's full listing, side by side."""
    requests = concurrency = 0

    def progress(now: Any) -> None:
        nonlocal requests, concurrency
        requests, concurrency = now.requests, max(concurrency, now.concurrency)

    async with our_store(job) as store:
        with meter:
            names = await store.list_done(on_progress=progress)
    return _found(names) | {"requests": requests, "peak_concurrency": concurrency}


async def asyncsteps_chain(job: Job, meter: Meter) -> dict[str, Any]:
    """The same with one request at a time, which is the token chain: what a page costs when nothing is decided."""
    return await asyncsteps({**job, "concurrency": 1}, meter)


async def asyncsteps_by_botocore(job: Job, meter: Meter) -> dict[str, Any]:
    """The full listing with every request sent by botocore."""
    return await asyncsteps({**job, "transport": "botocore"}, meter)


def boto3_paginator(job: Job, meter: Meter) -> dict[str, Any]:
    """The paginator of boto3's client."""
    client, cut = boto3_client(job), len(job["prefix"])
    with meter:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=job["bucket"], Prefix=job["prefix"])
        names = [item["Key"][cut:] for page in pages for item in page.get("Contents", ())]
    return _found(names)


async def aiobotocore_paginator(job: Job, meter: Meter) -> dict[str, Any]:
    """The paginator of aiobotocore's client, which aioboto3's is."""
    cut, names = len(job["prefix"]), list[str]()
    async with aioboto3_client(job) as client:
        with meter:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=job["bucket"], Prefix=job["prefix"])
            async for page in pages:
                names += [item["Key"][cut:] for item in page.get("Contents", ())]
    return _found(names)


def simpleflow_list_keys(job: Job, meter: Meter) -> dict[str, Any]:
    """What simpleflow's ``GetStepsDoneTask`` does: ``storage.list_keys`` and the names cut off."""
    from botocore.exceptions import ClientError
    from simpleflow import storage

    logging.disable()  # importing it sets up handlers
    bucket, cut = job["bucket"], len(job["prefix"])
    with suppress(ClientError):
        storage.get_bucket(bucket).Object(f"{job['prefix']}warm-up").load()
    with meter:
        names = [item.key[cut:] for item in storage.list_keys(bucket, job["prefix"])]
    return _found(names)


def obstore_list(job: Job, meter: Meter) -> dict[str, Any]:
    """Obstore's stream, 1,000 names at a time."""
    import obstore

    store, cut = obstore_client(job), len(job["prefix"])
    with meter:
        chunks = obstore.list(store, job["prefix"], chunk_size=1000)
        names = [item["path"][cut:] for chunk in chunks for item in chunk]
    return _found(names)


async def aiohttp_list(job: Job, meter: Meter) -> dict[str, Any]:
    """One page after the other by aiohttp alone, unsigned: names by one expression, and no check of anything."""
    url, cut, names = f"{job['endpoint_url']}/{job['bucket']}", len(job["prefix"]), list[str]()
    params = {"list-type": "2", "encoding-type": "url", "prefix": job["prefix"]}
    async with bare_aiohttp(job) as session:
        with meter:
            while True:
                async with session.get(url, params=params) as answer:
                    body = await answer.read()
                keys = b"\n".join(_KEY.findall(body)).decode()
                names += [key[cut:] for key in (unquote(keys) if "%" in keys else keys).split("\n")]
                token = _TOKEN.search(body)
                if token is None:
                    break
                params["continuation-token"] = token[1].decode()
    return _found(names)


PEERS = {
    "asyncsteps": "asyncsteps",
    "asyncsteps one by one": "asyncsteps_chain",
    "asyncsteps by botocore": "asyncsteps_by_botocore",
    "bare aiohttp": "aiohttp_list",
    "obstore": "obstore_list",
    "aiobotocore": "aiobotocore_paginator",
    "boto3": "boto3_paginator",
    "simpleflow": "simpleflow_list_keys",
}
"""The function of each peer; ours first, which the ratios are to."""
