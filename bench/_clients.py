"""The peers' clients, opened as their documentation shows and warm: each has sent one small request.

A process pays once for a client's start (service models, endpoint rules); what is measured comes after it, and the
start is reported apart.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

Job = Mapping[str, Any]

_WARM_UP = "warm-up"


@asynccontextmanager
async def our_store(job: Job) -> AsyncIterator[Any]:
    """Our store on the job's place."""
    import asyncsteps

    async with asyncsteps.open_store(
        job["url"],
        endpoint_url=job["endpoint_url"],
        concurrency=job["concurrency"],
        transport=job.get("transport"),
    ) as store:
        await store.is_done(_WARM_UP)
        yield store


@asynccontextmanager
async def aioboto3_client(job: Job) -> AsyncIterator[Any]:
    """The stock aioboto3 client, with as many connections as requests may be under way at once."""
    import aioboto3
    from aiobotocore.config import AioConfig
    from botocore.exceptions import ClientError

    config = AioConfig(max_pool_connections=job["concurrency"])
    async with aioboto3.Session().client("s3", endpoint_url=job["endpoint_url"], config=config) as client:
        with suppress(ClientError):
            await client.head_object(Bucket=job["bucket"], Key=job["prefix"] + _WARM_UP)
        yield client


@asynccontextmanager
async def bare_aiohttp(job: Job) -> AsyncIterator[Any]:
    """A session of aiohttp alone, set up to cost as little as it can: what a client in Python cannot undercut."""
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=job["concurrency"]),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
    ) as session:
        async with session.get(f"{job['endpoint_url']}/{job['bucket']}/{job['prefix']}{_WARM_UP}") as answer:
            await answer.read()
        yield session


def boto3_client(job: Job) -> Any:
    """The stock boto3 client, with as many connections as requests may be under way at once."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    config = Config(max_pool_connections=job["concurrency"])
    client: Any = boto3.client("s3", endpoint_url=job["endpoint_url"], config=config)
    with suppress(ClientError):
        client.head_object(Bucket=job["bucket"], Key=job["prefix"] + _WARM_UP)
    return client


def obstore_client(job: Job) -> Any:
    """Obstore's client of the job's bucket."""
    import obstore
    from obstore.store import S3Store

    given = {} if job["endpoint_url"] is None else {"endpoint": job["endpoint_url"]}
    store = S3Store(job["bucket"], client_options={"allow_http": True, "timeout": "120s"}, **given)
    with suppress(FileNotFoundError):
        obstore.head(store, job["prefix"] + _WARM_UP)
    return store
