"""What the tests of the SWF client's faults share: a decider, and a client that never retries."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from servers import FaultProxy
from swf_client_support import Decider, session


@pytest.fixture
def decider(s3_endpoint: str) -> Decider:
    decider = Decider(s3_endpoint)
    decider.register()
    return decider


@pytest.fixture
async def once(fault_proxy: FaultProxy) -> AsyncIterator[Any]:
    """A caller's client that never retries, so that a fault is not hidden."""
    config = AioConfig(retries={"total_max_attempts": 1})
    async with session().client("swf", endpoint_url=fault_proxy.endpoint, config=config) as client:
        yield client
