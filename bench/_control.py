"""How the bench talks to the servers it starts: seeding, settings and counters, beside what they serve."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bench._counters import Counters
from bench._shapes import digest, make_names

SEEDED_BUCKET = "bench"
"""The bucket that a server seeds."""


@dataclass(slots=True)
class Settings:
    """How the model server treats requests.

    Attributes:
        latency_ms: What it waits before each answer, in milliseconds.
        requests_per_second: What it answers in a second before it says 503 SlowDown; 0: any number.
    """

    latency_ms: float = 0
    requests_per_second: float = 0


@dataclass(frozen=True, slots=True)
class Seed:
    """What a bucket is filled with: the names of a shape below a prefix, and one unrecognised key on either side.

    Attributes:
        bucket: The bucket.
        prefix: What stands before each name.
        names: The names.
    """

    bucket: str
    prefix: str
    names: list[str]

    def all_keys(self) -> list[str]:
        """All keys of the bucket."""
        return ["0-before", *(self.prefix + name for name in self.names), "~after"]


class Controlled(Protocol):
    """A server that the bench starts."""

    counters: Counters
    settings: Settings

    def seed(self, seed: Seed) -> None:
        """Replace a bucket by one that holds the seed's keys."""
        ...


def _seed(server: Controlled, given: dict[str, Any]) -> dict[str, Any]:
    seed = Seed(given.get("bucket", SEEDED_BUCKET), given["prefix"], make_names(given["shape"], given["count"]))
    server.seed(seed)
    return {"count": len(seed.names), "digest": digest(seed.names)}


def _set(server: Controlled, given: dict[str, Any]) -> dict[str, Any]:
    server.settings = Settings(**given)
    return {}


def _reset(server: Controlled, given: dict[str, Any]) -> dict[str, Any]:
    del given
    server.counters.reset()
    return {}


def _count(server: Controlled, given: dict[str, Any]) -> dict[str, Any]:
    del given
    return server.counters.as_row()


_CALLS: dict[str, Callable[[Controlled, dict[str, Any]], dict[str, Any]]] = {
    "/_model/seed": _seed,
    "/_model/set": _set,
    "/_model/reset": _reset,
    "/_model/counters": _count,
}


def control_reply(server: Controlled, path: str, body: bytes) -> tuple[int, bytes]:
    """Do what a control request asks; its status, and its reply as JSON."""
    if path not in _CALLS:
        return 404, json.dumps({"error": f"no control call {path!r}"}).encode()
    try:
        return 200, json.dumps(_CALLS[path](server, json.loads(body or b"{}"))).encode()
    except (KeyError, TypeError, ValueError) as error:
        return 400, json.dumps({"error": str(error)}).encode()


def announce(port: int) -> None:
    """Tell the bench, which reads this process's stdout, where to find the server."""
    print(json.dumps({"port": port}), flush=True)


async def serve_until_stdin_ends(port: int) -> None:
    """Announce the port, then stay until whoever started this process closes its stdin, or dies."""
    announce(port)
    await asyncio.to_thread(sys.stdin.read)
