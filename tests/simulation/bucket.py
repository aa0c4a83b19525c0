"""An S3 in memory, and the clients that runs reach it through: slow, throttled, cut off, killed."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from random import Random
from typing import Any, Protocol, TypeVar

from asyncsteps._errors import EndpointUnreachableError, StoreError, ThrottledError
from asyncsteps._plan.names import is_step_name, matches
from asyncsteps.store._common import BaseStore, KeyFilter
from asyncsteps.store._protocol import DonePage, OnProgress
from simulation.loop import SimulatedLoop
from simulation.spec import FaultKind, History, RunSpec

T = TypeVar("T")

FOREIGN = "b/"
"""A key in the bucket that is not a step name."""

PATIENCE = 60.0
"""Seconds after which a client gives up a reply."""


class Watch(Protocol):
    """What is told of each effect, before it is had."""

    alive: bool

    def requests(self, number: int, what: str, fault: FaultKind | None) -> None: ...

    def marks(self, name: str, record: Mapping[str, Any]) -> None: ...

    def withdraws(self, name: str) -> None: ...

    def others(self, name: str, *, marked: bool) -> None: ...


class Bucket:
    """What is stored: each name with its record."""

    def __init__(self, history: History) -> None:
        self.page = history.page
        self.watches: list[Watch] = []
        self.records: dict[str, dict[str, Any]] = {
            name: {"run_id": "before", "result": ["before"]} for name in sorted(history.done)
        }

    def put(self, watch: Watch, name: str, record: dict[str, Any] | None) -> None:
        """Have the record of a name be another, or gone, by the client of ``watch``."""
        if record is None:
            watch.withdraws(name)
            del self.records[name]
        else:
            watch.marks(name, record)
            self.records[name] = record
        for other in self.watches:
            if other is not watch:
                other.others(name, marked=record is not None)

    def names_after(self, start: str) -> tuple[list[str], str | None]:
        """A page of keys in order, and the last of them unless it reaches the end."""
        keys = sorted([*self.records, FOREIGN])
        page = keys[bisect_right(keys, start) :][: self.page + 1]
        through = page[self.page - 1] if len(page) > self.page else None
        return [key for key in page[: self.page] if is_step_name(key)], through


class Client(BaseStore):
    """One run's client of the bucket.

    Args:
        bucket: The bucket.
        spec: The run's faults and latency.
        watch: Told of each request and effect.
        random: Decides latencies.
        loop: The run's loop; killed where the spec says so.
    """

    def __init__(
        self, bucket: Bucket, spec: RunSpec, *, watch: Watch, random: Random, loop: SimulatedLoop
    ) -> None:
        super().__init__()
        self._bucket = bucket
        self._latency = spec.latency
        self._faults: dict[int, FaultKind] = {fault.request: fault.kind for fault in spec.faults}
        self._crash = spec.crash
        self._watch = watch
        self._random = random
        self._loop = loop
        self._sent = 0
        self._wire: dict[int, Callable[[], object]] = {}
        self.under_way = 0

    @property
    def url(self) -> str:
        return "s3://simulated/"

    async def _send(self, what: str, effect: Callable[[bool], T]) -> T:
        self._require_open()
        if not self._watch.alive:
            raise StoreError("this client is dead")
        number = self._sent
        self._sent += 1
        fault = self._faults.get(number)
        self._watch.requests(number, what, fault)
        self.under_way += 1
        try:
            return await self._exchange(what, number, fault, effect)
        finally:
            self.under_way -= 1

    def late(self) -> list[Callable[[], object]]:
        """The effects of what is on the wire as the process is killed, and which it may still have."""
        return list(self._wire.values())

    async def _exchange(self, what: str, number: int, fault: FaultKind | None, effect: Callable[[bool], T]) -> T:
        if fault not in {"throttle", "before", "stall"}:
            self._wire[number] = lambda: effect(fault == "partial")
        try:
            await asyncio.sleep(self._latency * self._random.random())
        except asyncio.CancelledError:
            self._wire.pop(number, None)
            if fault == "cancel_applied" and self._watch.alive:
                effect(False)  # it was on its way
            raise
        await self._kill("request", number)
        if fault == "throttle":
            raise ThrottledError(f"simulated {what}: slow down")
        if fault == "before":
            raise EndpointUnreachableError(f"simulated {what}: connection refused")
        if fault == "stall":
            await asyncio.sleep(PATIENCE)
            raise EndpointUnreachableError(f"simulated {what}: no reply")
        self._wire.pop(number)
        result = effect(fault == "partial")
        await self._kill("applied", number)
        if fault in {"after", "partial"}:
            raise EndpointUnreachableError(f"simulated {what}: connection reset")
        await asyncio.sleep(PATIENCE if fault == "lost" else self._latency * self._random.random())
        if fault == "lost":
            raise EndpointUnreachableError(f"simulated {what}: reply lost")
        return result

    async def _kill(self, at: str, number: int) -> None:
        if self._crash is not None and self._crash.at == at and self._crash.number == number:
            self._watch.alive = False
            self._loop.kill()
            await self._loop.create_future()

    async def done_page(self, start_after: str = "") -> DonePage:
        names, through = await self._send("done_page", lambda _: self._bucket.names_after(start_after))
        return DonePage(tuple(names), through)

    async def _batches(
        self, under: str, key_filter: KeyFilter, on_progress: OnProgress | None
    ) -> AsyncGenerator[list[str], None]:
        start: str | None = ""
        while start is not None:
            after = start
            names, start = await self._send("list_done", lambda _: self._bucket.names_after(after))  # noqa: B023
            yield [name for name in names if matches(under, name)]

    async def is_done(self, name: str) -> bool:
        self._checked(name)
        return await self._send("is_done", lambda _: name in self._bucket.records)

    async def mark_done(self, name: str, record: Mapping[str, Any], *, first_wins: bool = False) -> bool:
        self._checked(name)

        def put(_: bool) -> bool:
            if first_wins and name in self._bucket.records:
                return False
            self._bucket.put(self._watch, name, dict(record))
            return True

        return await self._send(f"mark_done {name}", put)

    async def read_done(self, name: str) -> dict[str, Any] | None:
        self._checked(name)
        return await self._send(f"read_done {name}", lambda _: self._bucket.records.get(name))

    async def withdraw(self, names: Iterable[str]) -> list[str]:
        wanted = self._checked_names(names)

        def delete(partial: bool) -> list[str]:
            there = [name for name in wanted if name in self._bucket.records]
            for name in there[: len(there) // 2] if partial else there:
                self._bucket.put(self._watch, name, None)
            return there

        return await self._send(f"withdraw {' '.join(wanted)}", delete)
