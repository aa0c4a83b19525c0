"""All checks, from versions to permissions."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig

from asyncsteps._aws.clients import open_client
from asyncsteps._aws.redaction import redacted
from asyncsteps._errors import StoreURLError
from asyncsteps.store._location import S3Location, parse_url
from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import SwfError
from asyncsteps.swf._doctor.check import Check, Verdict, failed, skipped
from asyncsteps.swf._doctor.s3_checks import Prober
from asyncsteps.swf._doctor.swf_checks import check_swf
from asyncsteps.swf._doctor.versions import check_versions


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

    Permissions on S3 are tried on an object of its own below the prefix, which is removed again. Of SWF only
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
        SwfInputError: When the domain or the endpoint of SWF is no such thing.
    """
    location = parse_url(store)
    if not isinstance(location, S3Location):
        raise StoreURLError("done steps on SWF are on S3: give s3://bucket/prefix")
    swf = SwfClient(domain, region_name=region_name, endpoint_url=swf_endpoint_url, config=_config())
    versions = check_versions()
    checks = list(versions)
    try:
        async with swf:
            checks += await check_swf(swf, task_lists=task_lists, workflow_types=workflow_types)
    except SwfError as error:
        checks.append(failed("swf", "client", str(error)))
    async with AsyncExitStack() as stack:
        try:
            client = await _s3_client(stack, region_name, endpoint_url)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return [*checks, failed("steps", "client", redacted(f"{type(error).__name__}: {error}"))]
        for_steps = "listing, marking and withdrawing"
        prober = Prober(client, location.bucket, location.prefix, area="steps", needed_for=for_steps)
        checks += await prober.check()
        if versions[-1].verdict is Verdict.FAILED:
            return [*checks, skipped("snapshots", "all", "simpleflow cannot be used here")]
        return checks + await _check_snapshots(client, location)


async def _check_snapshots(client: Any, location: S3Location) -> list[Check]:
    from asyncsteps.swf._done.snapshots import snapshot_prefix  # imports simpleflow

    prefix = snapshot_prefix(location.prefix)
    if prefix is None:
        said = "an empty prefix has no room for them: long lists come in parts"
        return [skipped("snapshots", "all", said)]
    for_lists = "long lists of done steps"
    return await Prober(client, location.bucket, prefix, area="snapshots", needed_for=for_lists).check()


async def _s3_client(stack: AsyncExitStack, region_name: str | None, endpoint_url: str | None) -> Any:
    return await open_client(
        "s3",
        stack,
        session=None,
        endpoint_url=endpoint_url,
        region_name=region_name,
        config=_config(),
    )


def _config() -> AioConfig:
    """Fewer attempts than those of whoever works: a doctor says soon what is wrong."""
    return AioConfig(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=5, read_timeout=20)
