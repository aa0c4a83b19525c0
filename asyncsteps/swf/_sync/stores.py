"""The stores that sync code works on, opened on the event loop of `run_sync` with simpleflow's settings."""

import os
from contextlib import AbstractAsyncContextManager

from simpleflow import settings

from asyncsteps.store import StepStore, open_bucket
from asyncsteps.swf._sync.keeper import shared


def use_store(bucket: str, prefix: str) -> AbstractAsyncContextManager[StepStore]:
    """A store of ``bucket`` (bare or ``host/bucket``) and ``prefix``, encrypted as ``SIMPLEFLOW_S3_SSE`` says.

    It is kept open for the calls that follow, where the loop does so, while the environment stays the same that
    botocore reads endpoint, region and credentials from.
    """
    environment = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
    sse = "AES256" if settings.SIMPLEFLOW_S3_SSE else None
    return shared(("store", bucket, prefix, sse, environment), lambda: open_bucket(bucket, prefix, sse=sse))
