"""Many histories on all cores: what broke, and how fast it went."""

import gc
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulation.generate import generate
from simulation.history import tell
from simulation.mutants import MUTANTS, mutated

_CHUNK = 250
_MOST_SEEDS = 10_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed whose history broke rules."""

    seed: int
    rules: tuple[str, ...]


def failures(seeds: Iterable[int]) -> Iterator[Failure]:
    """Play the histories of ``seeds``; return those that broke a rule."""
    for number, seed in enumerate(seeds):
        if number % 10 == 0:
            gc.collect()  # histories are played without it
        broken = tell(generate(seed)).broken
        if broken:
            yield Failure(seed, tuple(dict.fromkeys(broken)))


def _chunk(seeds: range) -> tuple[int, list[Failure]]:
    gc.collect()
    gc.freeze()
    return len(seeds), list(failures(seeds))


def campaign(seeds: range, *, jobs: int | None = None) -> list[Failure]:
    """Play the histories of ``seeds`` on ``jobs`` cores (None: all), and print how it goes."""
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    jobs = min(jobs or os.cpu_count() or 1, len(chunks))
    found: list[Failure] = []
    began, played = time.monotonic(), 0
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=40) as pool:
        for count, broken in pool.imap_unordered(_chunk, chunks):
            played += count
            found += broken
            for each in broken:
                print(f"seed {each.seed} breaks {', '.join(each.rules)}", flush=True)
    seconds = time.monotonic() - began
    print(
        f"{played} histories in {seconds:.1f} s on {jobs} cores, {played / seconds / jobs:.0f} a second and core: "
        f"{len(found)} broke a rule"
    )
    return sorted(found, key=lambda failure: failure.seed)


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
