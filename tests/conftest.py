"""Shared fixtures: one moto server per session, a bucket per test, a fault proxy, a clean AWS environment."""

import importlib
import importlib.util
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fuzz_timers
import leaks
import pytest
import sendable_reports
from hypothesis import HealthCheck, settings
from servers import FaultProxy, MotoServer, run_fault_proxy

# Runs import these late. pytest parses what it imports, as asyncsteps is its plugin, and a garbage collection amid
# that, which ends what a test has left of a run, makes Python 3.11 fail (SystemError: recursion depth mismatch).
for late in ("asyncsteps._run.events", "asyncsteps._run.journal", "asyncsteps._run.journal_facts"):
    importlib.import_module(late)

# `make test-browser` installs what tests of pages need; `make test`, which plays none of them, does without.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]

if TYPE_CHECKING:
    from swf_client_support import Decider

# Properties play the same examples at each `make test`; others with --hypothesis-profile=long or fuzz.
settings.register_profile(
    "test",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("test"), max_examples=2_000)
settings.register_profile("fuzz", settings.get_profile("long"), derandomize=False, max_examples=20_000)
settings.load_profile("test")


def pytest_configure(config: pytest.Config) -> None:
    """Watch for leaks, make reports sendable, and restore SIGINT where it is ignored, as in background jobs."""
    for plugin in (leaks, sendable_reports, fuzz_timers):
        config.pluginmanager.register(plugin, plugin.__name__)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ca_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single certificate: each client, also of an ``http://`` endpoint, parses the bundle, for some 30 ms."""
    import botocore

    bundle = (Path(botocore.__file__).parent / "cacert.pem").read_text(encoding="utf-8")
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("ca") / "bundle.pem"
    path.write_text(bundle.partition(end)[0] + end, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch, ca_bundle: Path) -> None:
    """No test sees the machine's own AWS configuration; what tests start inherits this."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca_bundle))
    for name, value in leaks.CREDENTIALS.items():  # which `leaks` looks for in all that comes out
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def no_retry_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore retries at once: its pauses are random parts of 1, 2, 4, … seconds, and no option shortens them."""
    monkeypatch.setattr("botocore.retryhandler.random.random", lambda: 0.0)


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
    """A proxy in front of the moto server that records requests and injects faults."""
    async with run_fault_proxy(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
def decider(s3_endpoint: str) -> "Decider":
    """Plays the part of a decider, in a new domain of SWF."""
    from swf_client_support import Decider

    decider = Decider(s3_endpoint)
    decider.register()
    return decider


@pytest.fixture
def at_moto(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds of steps find S3 at the moto server; simpleflow's own keep the clients that they have made."""
    import boto3
    from simpleflow import storage

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    resource: Any = boto3.resource("s3", endpoint_url=s3_endpoint)
    monkeypatch.setattr(storage, "get_bucket", resource.Bucket)


@pytest.fixture
async def once(fault_proxy: FaultProxy) -> AsyncIterator[Any]:
    """A caller's SWF client that never retries, so that a fault is not hidden."""
    from aiobotocore.config import AioConfig
    from swf_client_support import session

    config = AioConfig(retries={"total_max_attempts": 1})
    async with session().client("swf", endpoint_url=fault_proxy.endpoint, config=config) as client:
        yield client
