"""The plugin for pytest: fixtures, none of which is used unless a test asks for it. Installed with asyncsteps.

It loads nothing of asyncsteps before a fixture is used. ``-p no:asyncsteps`` leaves it out.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from asyncsteps.store import MemoryStore, StepStore
    from asyncsteps.testing import MotoServer, RecordedRun, VirtualClock

    OpenRun = Callable[..., contextlib.AbstractAsyncContextManager[RecordedRun]]

__all__ = ["moto_aws", "moto_server", "s3_step_store", "step_run", "step_store", "virtual_time"]

_BUCKET = "steps"


@pytest.fixture
def step_store() -> "MemoryStore":
    """An open store in memory, empty."""
    from asyncsteps.store import MemoryStore

    store = MemoryStore()
    with contextlib.suppress(StopIteration):
        store.__aenter__().send(None)  # nothing of it awaits, so it needs no event loop
    return store


@pytest.fixture
def step_run(step_store: "MemoryStore") -> "OpenRun":
    """A callable that opens runs over the fixture `step_store`, as `asyncsteps.testing.recorded_run` does."""
    from asyncsteps.testing import recorded_run

    return functools.partial(recorded_run, step_store)


@pytest.fixture
def virtual_time(request: pytest.FixtureRequest) -> "Iterator[VirtualClock]":
    """The clock of an async test whose waits take no time; see `asyncsteps.testing.virtual_time`.

    For tests that pytest-asyncio or anyio's plugin run. What other async fixtures do takes its time.
    """
    from asyncsteps.testing import VirtualClock
    from asyncsteps.testing import virtual_time as block

    item: Any = request.node
    test = getattr(item, "obj", None)
    if not inspect.iscoroutinefunction(test):
        raise pytest.UsageError(
            f"{item.nodeid} asks for virtual_time and is no async test: use asyncsteps.testing.run_virtually(...)"
        )
    clock = VirtualClock()

    @functools.wraps(test)
    async def virtual(*args: Any, **kwargs: Any) -> Any:
        with block(clock):
            return await test(*args, **kwargs)

    item.obj = virtual
    yield clock
    item.obj = test


@pytest.fixture(scope="session")
def moto_server() -> "Iterator[MotoServer]":
    """A moto server on a free port, one a session (a worker's, under pytest-xdist); see the extra ``testing``."""
    from asyncsteps.testing import run_moto_server

    with run_moto_server() as server:
        yield server


@pytest.fixture
def moto_aws(moto_server: "MotoServer") -> "Iterator[MotoServer]":
    """The server, empty, which boto3, aioboto3, simpleflow and asyncsteps use as AWS during the test."""
    moto_server.reset()
    with moto_server.as_aws():
        yield moto_server


@pytest.fixture
def s3_step_store(moto_aws: "MotoServer") -> "contextlib.AbstractAsyncContextManager[StepStore]":
    """An S3 store in an empty bucket of `moto_aws`, to be entered: ``async with s3_step_store as store:``."""
    from asyncsteps.store import open_store

    moto_aws.create_bucket(_BUCKET)
    return open_store(f"s3://{_BUCKET}/steps", endpoint_url=moto_aws.endpoint)
