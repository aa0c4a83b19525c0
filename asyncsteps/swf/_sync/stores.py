"""The stores that sync code works on, opened on the event loop of `run_sync` with simpleflow's settings."""

import os
from contextlib import AbstractAsyncContextManager

from simpleflow import settings

from asyncsteps._plan.names import STRICT, NameRule
from asyncsteps.store import StepStore, open_bucket
from asyncsteps.swf._constants import STORE_SECONDS
from asyncsteps.swf._sync.keeper import shared


def use_store(
    bucket: str, prefix: str, *, step_names: NameRule = STRICT
) -> AbstractAsyncContextManager[StepStore]:
    """Open the store of ``bucket`` (bare or ``host/bucket``) and ``prefix``, encrypted by ``SIMPLEFLOW_S3_SSE``.

    Where the loop keeps things open, it stays open for the calls that follow, as long as the environment that
    botocore reads endpoint, region and credentials from stays the same.
    """
    environment = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
    sse = encryption()
    return shared(
        ("store", bucket, prefix, sse, step_names, environment),
        lambda: open_bucket(bucket, prefix, sse=sse, timeout=STORE_SECONDS, step_names=step_names),
    )


def encryption() -> str | None:
    """The server-side encryption that workflows ask of S3, by simpleflow's setting ``SIMPLEFLOW_S3_SSE``."""
    return "AES256" if settings.SIMPLEFLOW_S3_SSE else None
