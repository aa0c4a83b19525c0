"""Workflows at random for processes that are killed, and how a process plays them: each activity keeps a log.

The log is outside of the store, appended to and synchronised: a line at the begin and at the end of each activity,
and one for each marker, which is how a run acknowledges a mark.
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from asyncsteps import ActivityTask, Chain, Group, Step, StepRun, StepStore, activity
from asyncsteps._plan.names import matches

LONG = "Long " + "name " * 60  # of several directories


@dataclass(frozen=True, slots=True)
class Spec:
    """A step.

    Attributes:
        name: Its name.
        activities: Of each activity: whether it is a plain ``def``, the milliseconds that it takes, and whether
            its first attempt fails.
        dependents: Selectors of the steps that it forces.
        save_result: Whether its result is kept.
        side_by_side: Whether its activities are a group; else they are a chain.
        inner: Steps that its first activity submits; that one is async.
    """

    name: str
    activities: tuple[tuple[bool, int, bool], ...]
    dependents: tuple[str, ...] = ()
    save_result: bool = False
    side_by_side: bool = False
    inner: tuple["Spec", ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A workflow: stages, one after the other, of steps side by side. Dependents are in later stages."""

    stages: tuple[tuple[Spec, ...], ...]
    max_parallel: int = 4

    @property
    def specs(self) -> dict[str, Spec]:
        """All steps by name, inner ones too."""
        found: dict[str, Spec] = {}
        unseen = [spec for stage in self.stages for spec in stage]
        while unseen:
            spec = unseen.pop()
            found[spec.name] = spec
            unseen += spec.inner
        return found

    def dependents(self, name: str) -> list[str]:
        """The names that playing ``name`` forces."""
        selectors = self.specs[name].dependents
        return [each for each in self.specs if any(matches(selector, each) for selector in selectors)]


CHAIN_OF_DEPENDENTS = Program(
    (
        (Spec("a", ((False, 0, False),), ("b",)),),
        (Spec("b", ((False, 0, False),), ("c",)),),
        (Spec("c", ((False, 0, False),)),),
    )
)


def random_program(rng: random.Random) -> Program:
    """Make a workflow."""
    names = [
        [f"s{stage}.{'xyz'[number]}" for number in range(rng.randint(1, 3))] for stage in range(rng.randint(3, 4))
    ]
    names[1].append(LONG + "x")
    names[2].append(LONG + "y")
    stages = []
    for number, stage in enumerate(names):
        later = [name for names_of in names[number + 1 :] for name in names_of]
        stages.append(tuple(_random_spec(rng, name, later) for name in stage))
    return Program(tuple(stages), max_parallel=rng.choice((1, 2, 8)))


def _random_spec(rng: random.Random, name: str, later: list[str]) -> Spec:
    inner = []
    if rng.random() < 0.3 and not name.startswith(LONG):
        inner = [_random_spec(rng, f"{name}.in{each}", []) for each in range(rng.randint(1, 2))]
    return Spec(
        name,
        tuple(
            (rng.random() < 0.4 and not (inner and not number), rng.randint(0, 6), rng.random() < 0.15)
            for number in range(rng.randint(1, 3))
        ),
        dependents=tuple(rng.sample(later, min(len(later), rng.choice((0, 1, 1, 2))))),
        save_result=rng.random() < 0.3,
        side_by_side=rng.random() < 0.3,
        inner=tuple(inner),
    )


@dataclass(slots=True)
class Log:
    """The log of a process.

    Attributes:
        path: The file.
        run: The id of the run.
        reached: Called after each line with the number of lines of this process.
    """

    path: Path
    run: str
    reached: Callable[[int], object] = lambda _: None
    _count: int = 0
    _descriptor: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, what: str, step: str, **more: Any) -> None:
        """Append a line, and synchronise it."""
        with self._lock:
            if self._descriptor < 0:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            line = json.dumps({"what": what, "step": step, "run": self.run, **more}) + "\n"
            assert os.write(self._descriptor, line.encode()) == len(line)
            os.fsync(self._descriptor)
            self._count += 1
            self.reached(self._count)


class Player:
    """Plays a program in a process.

    Args:
        program: The program.
        log: The log.
        flaky: Gives whether an activity fails at all its attempts, by the name of its step.
    """

    def __init__(self, program: Program, log: Log, flaky: Callable[[str], bool]) -> None:
        self._program = program
        self._log = log
        self._flaky = flaky
        self._failed: set[tuple[str, int]] = set()

    async def play(self, store: StepStore, **options: Any) -> None:
        """Play all of it."""
        async with StepRun(
            store,
            workflow_id="w",
            run_id=self._log.run,
            max_parallel=self._program.max_parallel,
            on_marker=lambda marker: self._log.write("marker", **marker.details),
            **options,
        ) as run:
            for stage in self._program.stages:
                outcomes = await run.submit(Group(*(self._step(run, spec) for spec in stage)))
                for spec, outcome in zip(stage, outcomes, strict=True):
                    if spec.save_result and outcome.error is None:
                        self._log.write("result", spec.name, result=outcome.result)

    def _step(self, run: StepRun, spec: Spec, *, bubbles: bool = False) -> Step:
        played = [self._activity(run, spec, number) for number in range(len(spec.activities))]
        kind = Group if spec.side_by_side else Chain
        return Step(
            spec.name,
            kind(*played),
            force_steps_if_executed=spec.dependents,
            save_result=spec.save_result,
            bubbles_exception_on_failure=bubbles,
        )

    def _activity(self, run: StepRun, spec: Spec, number: int) -> ActivityTask[Any]:
        in_thread, milliseconds, _ = spec.activities[number]

        def begin() -> None:
            self._log.write("begin", spec.name, activity=number)

        def end() -> str:
            self._fail_if_due(spec, number)
            self._log.write("end", spec.name, activity=number)
            return f"{self._log.run}/{number}"

        async def work() -> str:
            begin()
            if spec.inner and not number:
                await run.submit(Chain(*(self._step(run, each, bubbles=True) for each in spec.inner)))
            await anyio.sleep(milliseconds / 1000)
            return end()

        def work_in_thread() -> str:
            begin()
            time.sleep(milliseconds / 1000)
            return end()

        return activity(retry=1, retry_wait=0.001)(work_in_thread if in_thread else work)()

    def _fail_if_due(self, spec: Spec, number: int) -> None:
        first_fails = spec.activities[number][2] and (spec.name, number) not in self._failed
        if first_fails or self._flaky(spec.name):
            self._failed.add((spec.name, number))
            self._log.write("fail", spec.name, activity=number)
            raise RuntimeError("no luck")
