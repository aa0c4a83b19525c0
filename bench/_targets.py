"""What the benches run against: a model server, a moto server, or a URL that is somebody's."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench._control import SEEDED_BUCKET
from bench._measure import ROOT
from bench._report import Options, say

SERVERS = {"model": "bench._model_server", "moto": "bench._moto"}
"""The module that serves, by the target's name."""

UNSIGNED = "bare aiohttp"
"""The peer whose requests are not signed, which only the model server accepts."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class TargetError(Exception):
    """The target is none, or may not be used so; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys lie, as a job's JSON values have it.

    Attributes:
        bucket: The bucket.
        prefix: The keys' complete prefix.
        endpoint_url: The endpoint; None: what botocore's environment says.
    """

    bucket: str
    prefix: str
    endpoint_url: str | None

    def job(self) -> dict[str, Any]:
        """The place as part of a job."""
        url = f"s3://{self.bucket}/{self.prefix}"
        return {"bucket": self.bucket, "prefix": self.prefix, "endpoint_url": self.endpoint_url, "url": url}


class Target:
    """A place to list and to mark in, and what can be known about the requests that it gets.

    Attributes:
        name: ``model``, ``moto``, or the URL.
        place: Where its keys lie.
        env: Environment variables for the processes that use it.
    """

    def __init__(self, name: str, place: Place, env: Mapping[str, str]) -> None:
        self.name = name
        self.place = place
        self.env = dict(env)

    @property
    def ours(self) -> bool:
        """Whether the bench started it, and so may seed it and read its counters."""
        return self.name in SERVERS

    def peers_of(self, peers: Iterable[str], options: Options) -> list[str]:
        """Those that the options name, or all, less the one that this target refuses."""
        accepted = [name for name in peers if name != UNSIGNED or self.name == "model"]
        return [name for name in accepted if not options.peers or name in options.peers]

    def _call(self, call: str, given: Mapping[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.place.endpoint_url}/_model/{call}", data=json.dumps(given).encode(), method="POST"
        )
        with _DIRECT.open(request, timeout=300) as answer:
            said: dict[str, Any] = json.loads(answer.read())
        return said

    def seed(self, shape: str, count: int) -> str:
        """Fill a server that the bench started; the digest of the names that it now holds."""
        given = {"prefix": self.place.prefix, "shape": shape, "count": count}
        return str(self._call("seed", given)["digest"])

    def set(self, *, latency_ms: float = 0, requests_per_second: float = 0) -> None:
        """Change how the model server treats requests."""
        self._call("set", {"latency_ms": latency_ms, "requests_per_second": requests_per_second})

    def reset(self) -> None:
        """Start counting anew."""
        if self.ours:
            self._call("reset", {})

    def counters(self) -> dict[str, Any]:
        """What was counted since `reset`; empty for a URL."""
        return self._call("counters", {}) if self.ours else {}


def local_environment(endpoint_url: str) -> dict[str, str]:
    """What makes every S3 client of a process use a server of the bench, and nothing of this machine's own."""
    return {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def parse_url(url: str) -> Place:
    """The place that a URL names.

    Raises:
        TargetError: When it names none.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc:
        return Place(parts.netloc, parts.path.lstrip("/"), None)
    bucket, _, prefix = parts.path.lstrip("/").partition("/")
    if parts.scheme in {"http", "https"} and parts.netloc and bucket:
        return Place(bucket, prefix, f"{parts.scheme}://{parts.netloc}")
    raise TargetError(
        f"{url!r} is no target: give model, moto, s3://bucket/prefix or http(s)://host[:port]/bucket/prefix"
    )


@contextmanager
def open_target(options: Options) -> Iterator[Target]:
    """The target that the options name; a server that is started for it is ended again."""
    if options.target not in SERVERS:
        place = parse_url(options.target)
        prefix = place.prefix if not place.prefix or place.prefix.endswith("/") else f"{place.prefix}/"
        env = {} if place.endpoint_url is None else {"AWS_ENDPOINT_URL": place.endpoint_url}
        yield Target(options.target, Place(place.bucket, prefix, place.endpoint_url), env)
        return
    say(f"starting a {options.target} server")
    server = subprocess.Popen(
        [sys.executable, "-m", SERVERS[options.target]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        start_new_session=True,  # an interrupt is for this process, which ends the server
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        if not line:
            raise TargetError(f"the {options.target} server ended before it served; see its message above")
        endpoint = f"http://127.0.0.1:{json.loads(line)['port']}"
        yield Target(options.target, Place(SEEDED_BUCKET, "bench/steps/", endpoint), local_environment(endpoint))
    finally:
        server.stdin.close()
        server.wait(timeout=30)
        server.stdout.close()
