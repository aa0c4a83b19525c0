"""Shared fixtures: a moto server a session, a bucket a test, a fault proxy, a clean AWS environment."""

import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator

import leaks
import pytest
from hypothesis import HealthCheck, settings
from servers import FaultProxy, MotoServer, run_fault_proxy, run_moto_server

# Properties play the same examples at each `make test`; others with --hypothesis-profile=long or fuzz.
settings.register_profile(
    "test",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("test"), max_examples=1_000)
settings.register_profile("fuzz", settings.get_profile("long"), derandomize=False, max_examples=10_000)
settings.load_profile("test")


def pytest_configure(config: pytest.Config) -> None:
    """Watch for leaks of credentials.

    Where the tests were started with interrupts ignored, as shells start what goes on in the background.

    What they start would inherit that, and the tests of interrupts wait in vain.
    """
    config.pluginmanager.register(leaks, "leaks")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the machine's own AWS configuration; what tests start inherits this."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in leaks.CREDENTIALS.items():  # which `leaks` looks for in all that comes out
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def no_retry_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore retries at once: its pauses are random parts of 1, 2, 4, … seconds, and no option shortens them."""
    monkeypatch.setattr("botocore.retryhandler.random.random", lambda: 0.0)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """One real moto server a test session (a worker's, under pytest-xdist)."""
    with run_moto_server() as server:
        yield server


@pytest.fixture
def s3_endpoint(moto_server: MotoServer) -> str:
    return moto_server.endpoint


@pytest.fixture
def bucket(moto_server: MotoServer) -> str:
    """The name of a fresh, empty bucket."""
    name = f"steps-{uuid.uuid4().hex}"
    moto_server.create_bucket(name)
    return name


@pytest.fixture
async def fault_proxy(s3_endpoint: str) -> AsyncIterator[FaultProxy]:
    """A proxy before the moto server, that records requests and injects faults."""
    async with run_fault_proxy(s3_endpoint) as proxy:
        yield proxy
