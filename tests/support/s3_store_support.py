"""What the tests of the S3 store share."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from asyncsteps.store import S3Store, open_store

RECORD = {"run_id": "r1", "workflow_id": "w1", "version": "1"}


@contextlib.asynccontextmanager
async def s3_store(bucket: str, endpoint: str, prefix: str = "p", **options: Any) -> AsyncIterator[S3Store]:
    async with open_store(f"s3://{bucket}/{prefix}", endpoint_url=endpoint, **options) as store:
        assert isinstance(store, S3Store)
        yield store


def named(method: str, part: str = "") -> Any:
    return lambda request: request.method == method and part in request.target
