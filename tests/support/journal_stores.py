"""The stores that runs leave journals in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from journals import OpenStore

from asyncsteps import StepStore, open_store


@pytest.fixture(params=["memory", "directory", "s3", "s3 by botocore"])
def open_one(request: pytest.FixtureRequest) -> OpenStore:
    if request.param == "memory":
        return lambda: open_store("memory:")
    if request.param == "directory":
        path: Path = request.getfixturevalue("tmp_path")
        return lambda: open_store(path / "steps")
    bucket, endpoint = request.getfixturevalue("bucket"), request.getfixturevalue("s3_endpoint")
    transport = "botocore" if request.param == "s3 by botocore" else None
    return lambda: open_store(f"s3://{bucket}/wf/steps", endpoint_url=endpoint, transport=transport)


@pytest.fixture
async def store(open_one: OpenStore) -> AsyncIterator[StepStore]:
    async with open_one() as opened:
        yield opened
