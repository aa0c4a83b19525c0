"""Opens a store by its URL, or by the bucket and the prefix that a workflow's hooks give."""

import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from asyncsteps._aws.redaction import redacted
from asyncsteps._errors import StoreOptionError
from asyncsteps.store._directory.store import DirectoryStore
from asyncsteps.store._location import DirectoryLocation, MemoryLocation, S3Location, parse_url, split_bucket
from asyncsteps.store._memory import MemoryStore
from asyncsteps.store._protocol import StepStore

if TYPE_CHECKING:
    from botocore.config import Config

CONCURRENCY = 64
"""Requests side by side, unless said otherwise."""


def open_store(
    url: str | os.PathLike[str],
    *,
    session: Any = None,
    client: Any = None,
    endpoint_url: str | None = None,
    region_name: str | None = None,
    config: "Config | None" = None,
    concurrency: int = CONCURRENCY,
    sse: bool | str | None = None,
    timeout: float | None = None,
    attempts: int | None = None,
) -> AbstractAsyncContextManager[StepStore]:
    """Give the store that ``url`` names, to be used in an ``async with`` block.

    Nothing is read, written or sent before the store's first use.

    Args:
        url: ``memory:`` (a fresh, empty one), ``file:///absolute/path`` or a plain path (a directory, made when
            needed), or ``s3://bucket/prefix``. An S3 URL is the complete prefix, of which nothing is decoded; one
            that is not empty and does not end in a slash gets one.
        session: For S3: an ``aioboto3.Session`` to make the client from.
        client: For S3: an aioboto3 S3 client; it is used and not closed.
        endpoint_url: For S3: the server. None: botocore's environment (``AWS_ENDPOINT_URL_S3``,
            ``AWS_ENDPOINT_URL``) and profiles decide.
        region_name: For S3: the region; None: likewise.
        config: For S3: botocore configuration (retries, timeouts, proxies), merged over the store's own.
        concurrency: How many requests, or calls of the operating system, run side by side.
        sse: For S3: server-side encryption, True for ``AES256`` or a name such as ``aws:kms``.
        timeout: For S3: seconds that a request may take, with all its attempts and the pauses between them; 60
            unless given. A listing gives each page half of it, and tries pages again.
        attempts: For S3: how often a request is tried. None: what ``config`` or ``AWS_MAX_ATTEMPTS`` says, else 6
            times, or 4 where the server cannot be reached.

    Raises:
        StoreURLError: When ``url`` is none of these.
        StoreOptionError: When an option is not for this store, or not usable.
    """
    location = parse_url(url)
    s3_options = {
        "session": session,
        "client": client,
        "endpoint_url": endpoint_url,
        "region_name": region_name,
        "config": config,
        "timeout": timeout,
        "attempts": attempts,
    }
    if isinstance(location, S3Location):
        return _open_s3(location.bucket, location.prefix, concurrency=concurrency, sse=sse, **s3_options)
    given = [
        name for name, value in {**s3_options, "sse": sse}.items() if value is not None and value is not False
    ]
    if given:
        raise StoreOptionError(f"only S3 stores take {', '.join(given)}; leave it out", url=redacted(str(url)))
    _check_concurrency(concurrency)
    match location:
        case MemoryLocation():
            return MemoryStore()
        case DirectoryLocation(path=path):
            return DirectoryStore(path, concurrency=concurrency)


def open_bucket(
    bucket: str,
    prefix: str,
    *,
    session: Any = None,
    client: Any = None,
    endpoint_url: str | None = None,
    region_name: str | None = None,
    config: "Config | None" = None,
    concurrency: int = CONCURRENCY,
    sse: bool | str | None = None,
    timeout: float | None = None,
    attempts: int | None = None,
) -> AbstractAsyncContextManager[StepStore]:
    """Open the S3 store that a workflow's hooks ``get_step_bucket()`` and ``get_step_path_prefix()`` name.

    Args:
        bucket: A bucket's name, or ``host/bucket`` with a host of AWS (of any partition). The host wins over
            botocore's environment and configuration, and an ``endpoint_url`` wins over the host.
        prefix: The complete key prefix; one that is not empty and does not end in a slash gets one.
        session: As for `open_store`, like all that follows.
        client: A client's own endpoint stands, whatever the host.
        endpoint_url: The server.
        region_name: The region; None: the one that the host names, if it does.
        config: Botocore configuration.
        concurrency: How many requests run side by side.
        sse: Server-side encryption.
        timeout: Seconds that a request may take in all.
        attempts: How often a request is tried.

    Raises:
        StoreURLError: When the bucket or the prefix is not usable, or the host is not AWS's.
        StoreOptionError: When an option is not usable.
    """
    host, name = split_bucket(bucket)
    if host is not None and endpoint_url is None and client is None:
        from asyncsteps.store._s3.aws_hosts import check_aws_host

        region = check_aws_host(host, bucket=name)
        endpoint_url = f"https://{host.lower()}"
        region_name = region_name or region
    return _open_s3(
        name,
        prefix,
        session=session,
        client=client,
        endpoint_url=endpoint_url,
        region_name=region_name,
        config=config,
        concurrency=concurrency,
        sse=sse,
        timeout=timeout,
        attempts=attempts,
    )


def _open_s3(
    bucket: str, prefix: str, *, concurrency: int, sse: bool | str | None, **options: Any
) -> AbstractAsyncContextManager[StepStore]:
    from asyncsteps.store._s3.options import ClientOptions
    from asyncsteps.store._s3.store import S3Store

    _check_concurrency(concurrency)
    return S3Store(bucket, prefix, options=ClientOptions(concurrency=concurrency, **options), sse=sse)


def _check_concurrency(concurrency: object) -> None:
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise StoreOptionError(f"concurrency={concurrency!r} is no positive number of requests side by side")
