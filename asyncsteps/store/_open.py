"""Opens stores, by URL or by the bucket and prefix that a workflow's hooks return."""

import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from asyncsteps._aws.redaction import redacted
from asyncsteps._errors import StoreOptionError
from asyncsteps._plan.names import SIMPLEFLOW, STRICT, NameRule
from asyncsteps.store._directory.store import DirectoryStore
from asyncsteps.store._location import DirectoryLocation, MemoryLocation, S3Location, parse_url, split_bucket
from asyncsteps.store._memory import MemoryStore
from asyncsteps.store._protocol import StepStore

if TYPE_CHECKING:
    from botocore.config import Config

_CALLS = 64
"""The default number of operating system calls at once."""


def open_store(
    url: str | os.PathLike[str],
    *,
    session: Any = None,
    client: Any = None,
    endpoint_url: str | None = None,
    region_name: str | None = None,
    config: "Config | None" = None,
    concurrency: int | None = None,
    sse: bool | str | None = None,
    timeout: float | None = None,
    attempts: int | None = None,
    transport: str | None = None,
) -> AbstractAsyncContextManager[StepStore]:
    """Return the store that ``url`` names, to be entered with ``async with``.

    Nothing is read, written or sent before the store is first used.

    Args:
        url: ``memory:`` (a new, empty store), ``file:///absolute/path`` or a plain path (a directory, created when
            needed), or ``s3://bucket/prefix``. An S3 URL holds the complete prefix, which is not decoded; a slash
            is appended unless it is empty or ends in one.
        session: For S3: the session, of aioboto3 or aiobotocore, to create the client from.
        client: For S3: the S3 client, of aioboto3 or aiobotocore, to use; it is not closed.
        endpoint_url: For S3: the server. None: botocore's environment (``AWS_ENDPOINT_URL_S3``,
            ``AWS_ENDPOINT_URL``) and profiles decide.
        region_name: For S3: the region. None: botocore's environment and profiles decide.
        config: For S3: botocore configuration (retries, timeouts, proxies), which overrides the store's own.
        concurrency: The most requests, or operating system calls, at once. To S3 there are as many as it bears,
            from 8 up to this. None: 256 requests (half of the files that the process may open, if that is less),
            or 64 calls.
        sse: For S3: server-side encryption, True for ``AES256`` or a name such as ``aws:kms``.
        timeout: For S3: seconds that a look-up, a mark, a withdrawal (of 1,000 names) or a page may take, with all
            its requests, retries and pauses; 60 by default. Waiting for a connection does not count.
        attempts: For S3: how often a request is tried. None: what ``config`` or ``AWS_MAX_ATTEMPTS`` says, else 6
            times, or 4 while the server cannot be reached.
        transport: For S3: ``botocore`` sends every request through botocore. None: small requests are signed and
            sent past it, at a quarter of its CPU time, where nothing speaks against that: not with a ``client``,
            handlers of events in the ``session``, a signature other than Signature Version 4, or ``attempts=1``.
            Whatever is not answered as hoped is sent again by botocore. `S3Store.transport` tells.

    Raises:
        StoreURLError: When ``url`` is none of these.
        StoreOptionError: When an option does not apply to this store, or its value cannot be used.
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
        "transport": transport,
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
            return DirectoryStore(path, concurrency=_CALLS if concurrency is None else concurrency)


def open_bucket(
    bucket: str,
    prefix: str,
    *,
    session: Any = None,
    client: Any = None,
    endpoint_url: str | None = None,
    region_name: str | None = None,
    config: "Config | None" = None,
    concurrency: int | None = None,
    sse: bool | str | None = None,
    timeout: float | None = None,
    attempts: int | None = None,
    transport: str | None = None,
    step_names: NameRule = STRICT,
) -> AbstractAsyncContextManager[StepStore]:
    """Open the S3 store that a workflow's hooks ``get_step_bucket()`` and ``get_step_path_prefix()`` name.

    ``bucket`` is a bucket's name, or ``host/bucket`` with an AWS host of any partition. The host wins over
    botocore's environment and configuration, and decides the region unless ``region_name`` is given;
    ``endpoint_url`` or the endpoint of a given ``client`` win over the host. ``prefix`` is the complete key
    prefix; a slash is appended unless it is empty or ends in one. ``step_names`` says which
    keys are steps: those whose names keep the rule of asyncsteps (``strict``), or those that simpleflow would play
    under this prefix (``simpleflow``). The other options are those of `open_store`.

    Raises:
        StoreURLError: When the bucket or the prefix cannot be used, or the host is not one of AWS.
        StoreOptionError: When an option's value cannot be used.
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
        step_names=step_names,
        timeout=timeout,
        attempts=attempts,
        transport=transport,
    )


def _open_s3(
    bucket: str,
    prefix: str,
    *,
    concurrency: int | None,
    sse: bool | str | None,
    step_names: NameRule = STRICT,
    **options: Any,
) -> AbstractAsyncContextManager[StepStore]:
    from asyncsteps.store._s3.options import ClientOptions
    from asyncsteps.store._s3.store import S3Store

    _check_concurrency(concurrency)
    if step_names not in {STRICT, SIMPLEFLOW}:
        raise StoreOptionError(f"step_names={step_names!r} is no rule of step names: {STRICT!r} or {SIMPLEFLOW!r}")
    if step_names == SIMPLEFLOW and not prefix:
        raise StoreOptionError(
            "step_names='simpleflow' needs a prefix: without one every object of the bucket would be a step"
        )
    client_options = ClientOptions(concurrency=concurrency, **options)
    return S3Store(bucket, prefix, options=client_options, sse=sse, step_names=step_names)


def _check_concurrency(concurrency: object) -> None:
    if concurrency is None:
        return
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise StoreOptionError(f"concurrency={concurrency!r} is no positive number of requests side by side")
