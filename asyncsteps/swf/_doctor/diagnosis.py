"""All checks, from versions to permissions."""

from collections.abc import Sequence
from contextlib import aclosing

from aiobotocore.config import AioConfig

from asyncsteps._errors import StoreURLError
from asyncsteps.store._location import S3Location, parse_url
from asyncsteps.store._s3.bucket import BucketClient
from asyncsteps.store._s3.options import ClientOptions
from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import SwfError
from asyncsteps.swf._constants import STORE_SECONDS
from asyncsteps.swf._doctor.check import Check, Verdict, failed, skipped
from asyncsteps.swf._doctor.s3_checks import Prober
from asyncsteps.swf._doctor.swf_checks import check_swf
from asyncsteps.swf._doctor.versions import check_versions

_ATTEMPTS = 2
"""Fewer attempts than those of whoever works: a doctor says soon what is wrong."""


async def diagnose(
    domain: str,
    store: str,
    *,
    task_lists: Sequence[str] = (),
    workflow_types: Sequence[tuple[str, str]] = (),
    region_name: str | None = None,
    endpoint_url: str | None = None,
    swf_endpoint_url: str | None = None,
) -> list[Check]:
    """Check, from this machine and with its credentials, what deciders and workers need.

    Permissions on S3 are tried on an object of its own below the prefix, which is removed again, by the requests
    that a workflow's store sends: with the encryption that ``SIMPLEFLOW_S3_SSE`` asks for. Of SWF only
    lookups are tried: polling would take tasks away from those who wait for them.

    Args:
        domain: The SWF domain.
        store: The URL of the done steps, ``s3://bucket/prefix``.
        task_lists: The task lists that deciders and workers poll.
        workflow_types: Pairs of name and version that must be registered.
        region_name: The region; None: botocore's environment and configuration decide.
        endpoint_url: The endpoint of S3; None: likewise.
        swf_endpoint_url: The endpoint of SWF; None: likewise.

    Returns:
        The checks, in the order in which they were made. What goes wrong is a check too.

    Raises:
        StoreURLError: When ``store`` is not on S3.
        StoreOptionError: When the endpoint of S3 is no such thing.
        SwfInputError: When the domain or the endpoint of SWF is no such thing.
    """
    location = parse_url(store)
    if not isinstance(location, S3Location):
        raise StoreURLError("done steps on SWF are on S3: give s3://bucket/prefix")
    options = ClientOptions(
        endpoint_url=endpoint_url,
        region_name=region_name,
        timeout=STORE_SECONDS,
        attempts=_ATTEMPTS,
        transport="botocore",  # whose replies have the server's time
    )
    swf = SwfClient(domain, region_name=region_name, endpoint_url=swf_endpoint_url, config=_config())
    versions = check_versions()
    checks = list(versions)
    try:
        async with swf:
            checks += await check_swf(swf, task_lists=task_lists, workflow_types=workflow_types)
    except SwfError as error:
        checks.append(failed("swf", "client", str(error)))
    is_usable = versions[-1].verdict is not Verdict.FAILED
    client = BucketClient(location.bucket, url=f"s3://{location.bucket}/{location.prefix}", options=options)
    async with aclosing(client):
        for_steps = "listing, marking and withdrawing"
        sse = _encryption() if is_usable else None
        prober = Prober(client, location.prefix, sse=sse, area="steps", needed_for=for_steps)
        checks += await prober.check()
        if not is_usable:
            return [*checks, skipped("snapshots", "all", "simpleflow cannot be used here")]
        return checks + await _check_snapshots(client, location, sse)


async def _check_snapshots(client: BucketClient, location: S3Location, sse: str | None) -> list[Check]:
    from asyncsteps.swf._done.snapshots import snapshot_prefix  # imports simpleflow

    prefix = snapshot_prefix(location.prefix)
    if prefix is None:
        said = "an empty prefix has no room for them: long lists come in parts"
        return [skipped("snapshots", "all", said)]
    for_lists = "long lists of done steps"
    return await Prober(client, prefix, sse=sse, area="snapshots", needed_for=for_lists).check()


def _encryption() -> str | None:
    from asyncsteps.swf._sync.stores import encryption  # imports simpleflow

    return encryption()


def _config() -> AioConfig:
    return AioConfig(retries={"mode": "standard", "max_attempts": _ATTEMPTS}, connect_timeout=5, read_timeout=20)
