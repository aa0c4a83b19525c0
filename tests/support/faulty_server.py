"""The bench's model of S3, with faults: throttled, cut before and cut after requests, drawn from a seed.

``python faulty_server.py SEED SHARE LATENCY_MS`` serves on a free port until its stdin ends, then prints what it
did to each key as one line of JSON: how often a PUT took effect, and how often its reply was sent.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import _model_server as model
from bench._control import Settings, serve_until_stdin_ends
from bench._model_bucket import Bucket
from bench._model_http import Request, reply
from bench._model_xml import RequestError


class FaultyServer(model.ModelServer):
    """A model server that draws the faults and counts the effects."""

    def __init__(self, *, seed: int, share: float) -> None:
        super().__init__()
        self.applied: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._draw = random.Random(seed)
        self._share = share

    def fault(self) -> str | None:
        """Draw the fault of a request, or None."""
        if self._draw.random() >= self._share:
            return None
        fault = self._draw.choice(["throttled", "cut before", "cut after"])
        self.faults[fault] += 1
        return fault


class _Connection(model._Connection):
    def __init__(self, server: FaultyServer) -> None:
        super().__init__(server)
        self._faulty = server

    def _take(self, request: Request) -> None:
        fault = self._faulty.fault()
        self._answering = True
        if fault == "throttled":
            answer = reply(503, RequestError(503, "SlowDown", "Please reduce your request rate.").body())
        elif fault == "cut before":
            answer = b""
        else:
            answer = self._faulty.answer(request)
            if request.method == "PUT" and request.key is not None and answer.startswith(b"HTTP/1.1 200"):
                self._faulty.applied[request.key] += 1
                self._faulty.acknowledged[request.key] += fault is None
        if fault in {"cut before", "cut after"}:
            self._later(self._cut)
        else:
            self._later(partial(self._finish, answer, counted=True))

    def _cut(self) -> None:
        self._faulty.counters.end()
        if self._transport is not None:
            self._transport.abort()


async def _main(seed: int, share: float, latency_ms: float) -> None:
    server = FaultyServer(seed=seed, share=share)
    server.settings = Settings(latency_ms=latency_ms)
    server.buckets["load"] = Bucket()
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Connection(server), "127.0.0.1", 0, backlog=1024
    )
    async with listener:
        await serve_until_stdin_ends(listener.sockets[0].getsockname()[1])
    report = {
        "requests": server.counters.requests,
        "peak": server.counters.peak,
        "faults": server.faults,
        "applied": server.applied,
        "acknowledged": server.acknowledged,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
