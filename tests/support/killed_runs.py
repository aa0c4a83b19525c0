"""A program for test_run_crash: histories of runs that are killed, and what logs and marks say after each.

A history is one store, one workflow and one seed: runs that are killed with SIGKILL, each at a moment drawn from
the seed, then one that nothing disturbs and one that has nothing to do. Prints a line of JSON: the kills by kind,
and for each problem the seed that replays it.

The kinds of moments: a time; after the n-th line of the activities' log; before the n-th system call that changes
the directory; before the n-th request reaches the S3 server, or after it has had its effect, before its reply.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aioboto3
from botocore.config import Config
from crash_model import CrashModel
from crash_program import CHAIN_OF_DEPENDENTS, Log, Player, Program, random_program
from forking import Tell, fork, forked
from killing_proxy import KillingProxy, as_user_agent
from system_calls import SystemCalls

from asyncsteps import StepStore, open_store

_RUNS_A_KILL = 4
"""How many runs are tried for each kill: some end before it."""


@dataclass(slots=True)
class Place:
    """Where the marks are: a directory, or a bucket behind a proxy that kills.

    Attributes:
        bucket: The bucket, or None.
        proxy: The proxy before it.
    """

    bucket: str | None = None
    proxy: KillingProxy | None = None
    session: aioboto3.Session = field(default_factory=aioboto3.Session)

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("time", "line", "call") if self.proxy is None else ("time", "line", "before", "after")

    def open(self, root: Path, kill: str = "") -> AbstractAsyncContextManager[StepStore]:
        """Open the store of a history in this process, which the proxy is to kill at ``kill``."""
        if self.proxy is None:
            return open_store(root / "store")
        config = Config(user_agent_extra=kill or None)
        url = f"s3://{self.bucket}/{root.name}/steps"
        return open_store(url, endpoint_url=self.proxy.endpoint, session=self.session, config=config)

    def warm_up(self) -> None:
        """Load in this process what its forks will need: they take a tenth of the time then."""

        async def ask() -> None:
            async with self.open(Path("nothing")) as store:
                await store.list_done()

        asyncio.run(ask())
        assert threading.active_count() == 1, "a process with threads had better not be forked"

    def settle(self) -> None:
        """Wait for the requests that a killed process has sent."""
        if self.proxy is not None:
            self.proxy.settle()


@dataclass(frozen=True, slots=True)
class Kill:
    """When a run is killed.

    Attributes:
        kind: What is counted; "time" for seconds, "" for never.
        number: How many of it.
    """

    kind: str = ""
    number: float = 0


class History:
    """One history.

    Args:
        root: Its directory.
        seed: What its moments are drawn from.
        place: Where its marks are.
        program: What its runs play.
        withdraw: Whether its runs withdraw what they make stale.
    """

    def __init__(
        self, root: Path, seed: int | str, place: Place, program: Program, *, withdraw: bool = True
    ) -> None:
        root.mkdir()
        self._root = root
        self.seed = seed
        self._rng = random.Random(seed)
        self.place = place
        self.program = program
        self._withdraw = withdraw
        self.forced: dict[str, list[str]] = {}
        self.log = root / "log"
        self._seconds = 0.2
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []

    def play(self, *kills: Kill, forced: tuple[str, ...] = (), flaky: bool = False) -> bool:
        """Play a run that is killed, check what is left, and return whether it was."""
        kill = kills[0] if kills else Kill()
        run = f"r{len(self.forced)}"
        self.forced[run] = list(forced)
        begun = time.monotonic()
        child = fork(lambda tell: self.run(run, kill, tell, flaky=flaky))
        if kill.kind == "time":
            time.sleep(kill.number)  # the moment is what is drawn
            os.kill(child.pid, signal.SIGKILL)
        ended = child.ended()
        killed = ended.signal == signal.SIGKILL
        if killed:
            self.kills[kill.kind] += 1
        else:
            self._seconds = time.monotonic() - begun
        self.place.settle()
        self.check(
            f"{run} forced {list(forced)}, killed: {kill if killed else killed}", complete=not (killed or flaky)
        )
        return killed

    def run(self, run: str, kill: Kill, _: Tell, *, flaky: bool = False) -> None:
        """Play a run in this process, which is killed at its moment."""

        def reached(number: int) -> None:
            if kill == Kill("line", number):
                os.kill(os.getpid(), signal.SIGKILL)

        if kill.kind == "call":
            SystemCalls(self._root / "store", lambda _: None, kill_at=int(kill.number))
        fails = random.Random(f"{self.seed} {run}")
        unlucky = [name for name in self.program.specs if flaky and fails.random() < 0.05]
        player = Player(self.program, Log(self.log, run, reached), unlucky.__contains__)
        mark = as_user_agent(kill.kind, int(kill.number)) if kill.kind in {"before", "after"} else ""

        async def main() -> None:
            async with self.place.open(self._root, mark) as store:
                await player.play(store, force=self.forced[run], withdraw_invalidated=self._withdraw)

        asyncio.run(main())

    def check(self, after: str, *, complete: bool) -> None:
        """Check log and marks."""
        model = CrashModel(self.program, self.forced)
        model.follow(self.log)
        model.check_marks(self.marks())
        if complete:
            model.check_all_done()
        self.problems += [f"seed {self.seed}, {after}: {problem}" for problem in model.problems]

    def marks(self) -> Mapping[str, Any]:
        """What a fresh process reads."""

        async def read(tell: Tell) -> None:
            async with self.place.open(self._root) as store:
                foreign: list[str] = []
                names = await store.list_done(on_foreign=foreign.append)
                records = await asyncio.gather(*map(store.read_done, names))
                for each in zip(names, records, strict=True):
                    tell(each)
                assert not foreign, foreign

        return dict(forked(lambda tell: asyncio.run(read(tell))).told)

    def played(self) -> int:
        """How many activities have begun."""
        return self.log.read_text().count('"what": "begin"') if self.log.exists() else 0

    def at_random(self, kills: int) -> None:
        """Play runs until so many were killed, then one that nothing disturbs, then one with nothing to do."""
        rng, runs = self._rng, 0
        while self.kills.total() < kills and runs < kills * _RUNS_A_KILL and not self.problems:
            runs += 1
            kind = rng.choice(self.place.kinds)
            number = rng.uniform(0, self._seconds) if kind == "time" else rng.randint(1, 30)
            names = rng.sample(sorted(self.program.specs), rng.choice((0, 1, 2)))
            forced = tuple(name.partition(".")[0] if rng.random() < 0.3 else name for name in names)
            self.play(Kill(kind, number), forced=forced, flaky=True)
        if self.problems:
            return
        self.play()
        played = self.played()
        self.play()
        if self.played() != played:
            self.problems.append(f"seed {self.seed}: a run with nothing to do played")


def at_random(base: Path, place: Place, *, first: int, kills: int, each: int) -> dict[str, Any]:
    """Play histories of ``each`` kills until there are so many."""
    counted: Counter[str] = Counter()
    problems: list[str] = []
    seed = first
    while counted.total() < kills and not problems:
        program = random_program(random.Random(seed))
        history = History(base / f"seed-{seed}", seed, place, program)
        history.at_random(min(each, kills - counted.total()))
        counted += history.kills
        problems += history.problems
        seed += 1
    return {"kills": counted, "histories": seed - first, "problems": problems}


def at_every_line(base: Path, *, withdraw: bool) -> dict[str, Any]:
    """Kill a forced run of a chain of dependents after each of the lines that it writes, until a problem shows."""
    counted: Counter[str] = Counter()
    problems: list[str] = []
    line = 0
    while counted.total() == line and not problems:
        line += 1
        history = History(base / f"line-{line}", line, Place(), CHAIN_OF_DEPENDENTS, withdraw=withdraw)
        history.play()
        history.play(Kill("line", line), forced=("a",))
        history.play()
        counted += history.kills
        problems += history.problems
    return {"kills": counted, "problems": problems}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--each", type=int, default=10, help="kills in a history")
    parser.add_argument("--port", type=int, help="of a moto server")
    parser.add_argument("--bucket")
    parser.add_argument("--every-line", choices=("withdraw", "keep"))
    given = parser.parse_args()
    logging.disable()  # of activities that fail as they are to
    if given.every_line:
        told = at_every_line(given.base, withdraw=given.every_line == "withdraw")
    elif given.port is None:
        told = at_random(given.base, Place(), first=given.seed, kills=given.kills, each=given.each)
    else:
        with KillingProxy(given.port) as proxy:
            place = Place(given.bucket, proxy)
            place.warm_up()
            told = at_random(given.base, place, first=given.seed, kills=given.kills, each=given.each)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
