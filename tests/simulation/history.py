"""Plays one history, and reports the rules that it broke."""

import asyncio
import gc
import inspect
import logging
import random as global_random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch

from tenacity import _utils as tenacity_utils

from simulation.bucket import Bucket, Client
from simulation.loop import HungError, KilledError, SimulatedLoop, ordered, program
from simulation.model import RunModel
from simulation.program import Program
from simulation.spec import History, RunSpec
from simulation.threads import simulated_threads


@dataclass(frozen=True, slots=True)
class Told:
    """How a history went.

    Attributes:
        broken: The rules that were broken, in order.
        events: What happened.
        features: What was exercised.
    """

    broken: tuple[str, ...]
    events: tuple[tuple[Any, ...], ...]
    features: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        return "\n".join(" ".join(map(str, event)) for event in self.events)


def tell(history: History) -> Told:
    """Play a history."""
    with _alone():
        player = _Player(history)
        first = 0
        for end in range(1, len(history.runs) + 1):
            if end == len(history.runs) or not history.runs[end].beside:
                player.play(first, end)
                first = end
    broken = [rule for model in player.models for rule in model.broken]
    return Told(tuple(broken), tuple(player.events), frozenset(player.features))


@contextmanager
def _alone() -> Iterator[None]:
    """Keep what others in this process share from having its say, and as it was."""
    state, level = global_random.getstate(), logging.root.manager.disable
    was_enabled = gc.isenabled()
    gc.disable()  # what it finalises would run at moments that depend on all that went before
    logging.disable()
    try:
        with ordered(), simulated_threads(), patch.object(tenacity_utils, "is_coroutine_callable", _is_coroutine):
            yield
    finally:
        global_random.setstate(state)
        logging.disable(level)
        if was_enabled:
            gc.enable()


_asks_inspect = tenacity_utils.is_coroutine_callable


def _is_coroutine(called: Any) -> bool:
    """What tenacity asks of its callbacks at every attempt, without `inspect`: a tenth of a history's time."""
    code = getattr(called, "__code__", None)
    return _asks_inspect(called) if code is None else bool(code.co_flags & inspect.CO_COROUTINE)


class _Player:
    """Plays the runs of a history, over one bucket, in one course of time."""

    def __init__(self, history: History) -> None:
        self.models: list[RunModel] = []
        self.events: list[tuple[Any, ...]] = []
        self.features: set[str] = set()
        self._history = history
        self._steps = {step.name: step for step in history.steps}
        self._bucket = Bucket(history)
        self._random = Random(history.seed)
        self._now = 0.0
        self._late: list[Callable[[], object]] = []

    def play(self, first: int, end: int) -> None:
        """Play runs side by side: the ``first`` and those before ``end``."""
        history, specs = self._history, self._history.runs[first:end]
        global_random.seed(history.seed + first + 1)
        spec = specs[0]
        crash = spec.crash
        loop = SimulatedLoop(
            self._random,
            start=self._now,
            lag=spec.lag,
            jitter=spec.jitter,
            kill_at=crash.number if crash is not None and crash.at == "callback" else None,
        )
        models = [self._model(spec, f"run{number}") for number, spec in enumerate(specs, start=first + 1)]
        clients = [
            Client(self._bucket, spec, watch=model, random=self._random, loop=loop)
            for spec, model in zip(specs, models, strict=True)
        ]
        self.models += models
        self._bucket.watches = list(models)
        for effect in self._late:
            self.features.add("a request of a run that was killed comes late")
            loop.call_later(self._random.random() * 3, effect)
        programs = [
            Program(history, spec, model, self._steps).main(client, loop)
            for spec, model, client in zip(specs, models, clients, strict=True)
        ]
        crashed = self._run(loop, programs, models)
        self._late = []
        if crash is not None and crash.late and crashed:
            self._late = [effect for client in clients for effect in client.late()]
        for model in models:
            model.check_end(crashed=crashed)
        self._now = loop.time()

    def _model(self, spec: RunSpec, run_id: str) -> RunModel:
        return RunModel(self._history, spec, run_id, self._bucket, self._steps, self.events, self.features)

    def _run(self, loop: SimulatedLoop, programs: list[Any], models: list[RunModel]) -> bool:
        """Run the programs; return whether their process was killed."""
        crashed = True
        if len(programs) > 1:
            self.features.add("two runs at once")
        try:
            loop.run_until_complete(_side_by_side(programs, models))
            crashed = False
            if left := loop.alive():
                models[0].breaks("orphan", f"{len(left)} tasks outlive the program")
        except KilledError:
            models[0].note("KILLED")
            self.features.add("killed")
        except HungError as error:
            models[0].breaks("hang", str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the engine's
            models[0].breaks("engine", f"{type(error).__name__}: {error}")
        for model in models:
            model.alive = False
        loop.bury()
        for each in loop.errors:
            models[0].breaks("loop", each)
        return crashed


async def _side_by_side(programs: list[Any], models: list[RunModel]) -> None:
    tasks = []
    for main, model in zip(programs, models, strict=True):
        program.set(model.run_id)
        tasks.append(asyncio.ensure_future(main))
    program.set("")
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()
