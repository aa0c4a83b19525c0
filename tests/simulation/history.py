"""Plays one history, and reports the rules that it broke."""

import gc
import logging
import random as global_random
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.bucket import Bucket, Client
from simulation.loop import HungError, KilledError, SimulatedLoop, ordered_scopes
from simulation.model import RunModel
from simulation.program import Program
from simulation.spec import History, RunSpec, StepDef


@dataclass(frozen=True, slots=True)
class Told:
    """How a history went.

    Attributes:
        broken: The rules that were broken, in order.
        events: What happened.
    """

    broken: tuple[str, ...]
    events: tuple[tuple[Any, ...], ...]

    def __str__(self) -> str:
        return "\n".join(" ".join(map(str, event)) for event in self.events)


def tell(history: History) -> Told:
    """Play a history."""
    steps = {step.name: step for step in history.steps}
    bucket = Bucket(history)
    events: list[tuple[Any, ...]] = []
    broken: list[str] = []
    random = Random(history.seed)
    state, level = global_random.getstate(), logging.root.manager.disable
    was_enabled = gc.isenabled()
    gc.disable()  # what it finalises would have its say at moments that depend on all that went before
    logging.disable()
    now = 0.0
    try:
        with ordered_scopes():
            for number, spec in enumerate(history.runs, start=1):
                global_random.seed(history.seed + number)
                model = RunModel(history, spec, f"run{number}", bucket, steps, events)
                now = _run(history, spec, model, bucket, random, now, steps)
                broken += model.broken
    finally:
        global_random.setstate(state)
        logging.disable(level)
        if was_enabled:
            gc.enable()
    return Told(tuple(broken), tuple(events))


def _run(
    history: History,
    spec: RunSpec,
    model: RunModel,
    bucket: Bucket,
    random: Random,
    now: float,
    steps: dict[str, StepDef],
) -> float:
    """Play one run; the time at its end."""
    crash = spec.crash
    loop = SimulatedLoop(
        random,
        start=now,
        lag=spec.lag,
        jitter=spec.jitter,
        kill_at=crash.number if crash is not None and crash.at == "callback" else None,
    )
    client = Client(bucket, spec, watch=model, random=random, loop=loop)
    crashed = True
    main = Program(history, spec, model, steps).main(client, loop)
    try:
        loop.run_until_complete(main)
        crashed = False
        if left := loop.alive():
            model.breaks("orphan", f"{len(left)} tasks outlive the program")
    except KilledError:
        model.note("KILLED")
    except HungError as error:
        model.breaks("hang", str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the engine's
        model.breaks("engine", f"{type(error).__name__}: {error}")
    model.alive = False
    loop.bury()
    for each in loop.errors:
        model.breaks("loop", each)
    model.check_end(crashed=crashed)
    return loop.time()
