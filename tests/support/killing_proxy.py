"""A proxy before an S3 server, in a process of its own, that kills the process that sends the n-th request."""

import asyncio
import http.client
import os
import re
import signal
import time
from collections import Counter
from types import TracebackType
from typing import Self

from forking import Child, fork
from servers import Answer, Cut, Fault, FaultProxy, Request

_KILL = re.compile(r"kill-(before|after)/(\d+)-(\d+)")
_IDLE = "/-/idle"


def as_user_agent(kind: str, number: int) -> str:
    """What a process adds to its user agent to be killed at its n-th request: before or after it has effect."""
    return f"kill-{kind}/{os.getpid()}-{number}"


class _Killing(FaultProxy):
    """Kills clients that ask for it."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.rule = self._kill
        self._seen: Counter[int] = Counter()

    def _kill(self, request: Request) -> Fault | None:
        if request.path == _IDLE:  # the connections of a process that was killed end when all it sent is read
            return Answer(200 if len(self._handlers) == 1 else 503)
        found = _KILL.search(request.headers.get("user-agent", ""))
        if found is None:
            return None
        pid = int(found[2])
        self._seen[pid] += 1
        if self._seen[pid] != int(found[3]):
            return None
        os.kill(pid, signal.SIGKILL)
        return Cut() if found[1] == "before" else None


class KillingProxy:
    """The proxy; a block.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._port = 0
        self._child: Child | None = None
        self._alive = -1

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        read, write = os.pipe()
        parent, self._alive = os.pipe()
        self._child = fork(lambda _: asyncio.run(self._serve(write, parent)))
        os.close(write)
        os.close(parent)
        with os.fdopen(read) as pipe:
            self._port = int(pipe.readline())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._child is not None
        os.close(self._alive)
        self._child.ended()

    async def _serve(self, tell_port: int, parent: int) -> None:
        os.close(self._alive)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(parent, ended.set)  # also where the parent was killed
        async with _Killing(self._server) as proxy:
            os.write(tell_port, f"{proxy.endpoint.rpartition(':')[2]}\n".encode())
            os.close(tell_port)
            await ended.wait()

    def settle(self) -> None:
        """Wait until nothing that a killed client has sent is under way."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            connection.request("GET", _IDLE)
            idle = connection.getresponse().status == 200
            connection.close()
            if idle:
                return
            time.sleep(0.005)
