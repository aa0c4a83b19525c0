"""Many histories on all cores: what broke, and how fast it went."""

import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulation.generate import generate
from simulation.history import tell
from simulation.mutants import MUTANTS, mutated

_CHUNK = 250
_COLLECT = 25
_MOST_KEPT = 100
_MOST_SEEDS = 10_000
_TOLD = 30.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed whose history broke rules."""

    seed: int
    rules: tuple[str, ...]


def failures(seeds: Iterable[int], features: Counter[str] | None = None) -> Iterator[Failure]:
    """Play the histories of ``seeds``; those that broke a rule. In ``features`` it counts what they exercised."""
    for number, seed in enumerate(seeds):
        if number % _COLLECT == 0:
            gc.collect()  # histories are played without it
        told = tell(generate(seed))
        if features is not None:
            features.update(told.features)
        if told.broken:
            yield Failure(seed, tuple(dict.fromkeys(told.broken)))


def _chunk(seeds: range) -> tuple[range, list[Failure], Counter[str]]:
    gc.collect()
    gc.freeze()
    features: Counter[str] = Counter()
    return seeds, list(failures(seeds, features)), features


def campaign(seeds: range, *, jobs: int | None = None) -> list[Failure]:
    """Play the histories of ``seeds`` on ``jobs`` cores (None: all), and print how it goes.

    A campaign that is broken off goes on from the last seed that it printed. Returns the first failures.
    """
    chunks = (seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK))
    jobs = max(1, min(jobs or os.cpu_count() or 1, -(-len(seeds) // _CHUNK)))
    found: list[Failure] = []
    features: Counter[str] = Counter()
    began, broke, told = time.monotonic(), 0, 0.0

    def pace(played: int) -> str:
        seconds = time.monotonic() - began
        rate = played / seconds / jobs
        return f"{played} histories in {seconds:.0f} s on {jobs} cores, {rate:.0f} a second and core"

    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=40) as pool:
        for chunk, broken, exercised in pool.imap(_chunk, chunks):
            features.update(exercised)
            broke += len(broken)
            found += broken[: _MOST_KEPT - len(found)]
            for each in broken:
                print(f"seed {each.seed} breaks {', '.join(each.rules)}", flush=True)
            if time.monotonic() - told > _TOLD:
                told = time.monotonic()
                print(
                    f"all before seed {chunk.stop}: {pace(chunk.stop - seeds.start)}, {broke} broke a rule",
                    flush=True,
                )
    for feature, count in sorted(features.items()):
        print(f"{count:9} had: {feature}")
    print(f"seeds {seeds.start}..{seeds.stop}: {pace(len(seeds))}: {broke} broke a rule", flush=True)
    return found


def catch(mutant: str, *, most: int = _MOST_SEEDS) -> Failure | None:
    """The first history that a mutant breaks a rule in; None when it gets through ``most`` of them."""
    with mutated(mutant):
        return next(failures(range(most)), None)


def table_of_mutants() -> bool:
    """Print which seed caught each mutant, and the rules that it broke; return whether all were caught."""
    print("| mutant | caught by seed | rules broken |\n| --- | --- | --- |")
    caught = True
    for mutant in MUTANTS:
        failure = catch(mutant)
        caught &= failure is not None
        row = f"{failure.seed} | {', '.join(failure.rules)}" if failure else f"none of {_MOST_SEEDS} |"
        print(f"| {mutant} | {row} |", flush=True)
    return caught
