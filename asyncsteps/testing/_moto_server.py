"""A moto server: S3, SWF and the rest of AWS on a free port of this machine, for sync and async clients alike.

moto's in-process mock (``mock_aws``) answers botocore with what async clients cannot await.
"""

import contextlib
import http.client
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch
from urllib.parse import quote, unquote

from asyncsteps._errors import MissingExtraError

_RUNNING = re.compile(rb"Running on http://127\.0\.0\.1:(\d+)")
_START_SECONDS = 60.0
_OK = range(200, 300)
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"
)


@dataclass(frozen=True, slots=True)
class MotoServer:
    """A running moto server.

    Its methods speak plain HTTP to its S3, since moto checks no signatures. Create other clients inside
    `as_aws`, or with `endpoint` as their ``endpoint_url``.

    Attributes:
        port: Its port on 127.0.0.1.
    """

    port: int

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make boto3, aioboto3 and simpleflow use the server as AWS, for processes too.

        Add them to the environment that a process needs otherwise: ``os.environ | server.environment``.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SIMPLEFLOW_S3_HOST": "",
        }

    @contextlib.contextmanager
    def as_aws(self) -> Iterator[None]:
        """A block in which new clients use the server as AWS, whatever the environment says of AWS.

        simpleflow's setting ``SIMPLEFLOW_S3_HOST`` is empty in it, so that ``get_step_bucket()`` gives
        ``STEP_BUCKET`` without a host.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(_read_host_again, imported=sys.modules.get("simpleflow.settings"))
            stack.enter_context(patch.dict(os.environ))
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(self.environment)
            if "simpleflow.settings" in sys.modules:
                stack.enter_context(patch("simpleflow.settings.SIMPLEFLOW_S3_HOST", ""))
            _forget_clients()
            stack.callback(_forget_clients)
            yield

    def reset(self) -> None:
        """Forget all buckets, domains and whatever else there is."""
        self.request("POST", "/moto-api/reset")

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket."""
        self.request("PUT", f"/{bucket}")

    def put(self, bucket: str, key: str, body: bytes = b"{}") -> None:
        """Put an object."""
        self.request("PUT", f"/{bucket}/{quote(key)}", body)

    def get(self, bucket: str, key: str) -> bytes:
        """Return the body of an object."""
        return self.request("GET", f"/{bucket}/{quote(key)}")

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of a bucket, the first 1,000, in order."""
        listing = self.request("GET", f"/{bucket}?list-type=2&encoding-type=url").decode()
        return [unquote(key) for key in re.findall(r"<Key>(.*?)</Key>", listing)]

    def request(self, method: str, target: str, body: bytes | None = None) -> bytes:
        """Send a request, and return the body of the answer.

        Raises:
            RuntimeError: When the answer is an error.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, target, body=body, headers={"Authorization": _AUTHORIZATION})
            response = connection.getresponse()
            answer = response.read()
        if response.status not in _OK:
            raise RuntimeError(f"{method} {target}: {response.status} {answer[:500]!r}")
        return answer


@contextlib.contextmanager
def run_moto_server() -> Iterator[MotoServer]:
    """Run a moto server as a process, on a free port, during the block. It takes about two seconds to start.

    Raises:
        MissingExtraError: When moto is not installed.
        RuntimeError: When it does not start.
    """
    if importlib.util.find_spec("moto") is None:
        raise MissingExtraError("testing", "asyncsteps.testing.run_moto_server()")
    with serving("-m", "moto.server") as server:
        yield server


@contextlib.contextmanager
def serving(*program: str) -> Iterator[MotoServer]:
    """Run a Python program that takes moto's options as a process, on a free port, during the block."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - our programs
            [sys.executable, "-W", "ignore", *program, "-H", "127.0.0.1", "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield MotoServer(_port_of(process, log.fileno()))
        finally:
            process.kill()
            process.wait()


def _port_of(process: subprocess.Popen[bytes], log: int) -> int:
    """Poll the server's output for its port; by then it listens."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        written = os.pread(log, 100_000, 0)
        found = _RUNNING.search(written)
        if found:
            return int(found.group(1))
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the moto server did not start: {written.decode(errors='replace')}")
        time.sleep(0.02)


def _read_host_again(*, imported: object) -> None:
    """Read simpleflow's setting again if simpleflow was first imported, and so read it, in the block."""
    settings = sys.modules.get("simpleflow.settings")
    if settings is not None and settings is not imported:
        settings.SIMPLEFLOW_S3_HOST = settings.base.load()["SIMPLEFLOW_S3_HOST"]  # type: ignore[attr-defined]


def _forget_clients() -> None:
    """Discard the clients and buckets that boto3 and simpleflow keep."""
    if "boto3" in sys.modules:
        sys.modules["boto3"].DEFAULT_SESSION = None  # type: ignore[attr-defined]
    if "simpleflow.storage" in sys.modules:
        sys.modules["simpleflow.storage"].BUCKET_CACHE.clear()
        sys.modules["simpleflow.storage"].BUCKET_LOCATIONS_CACHE.clear()
