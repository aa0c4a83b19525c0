"""A program for test_two_runs: two processes at once play one workflow on one prefix, one of them killed or not.

Prints a line of JSON: what was wrong, and how many steps both have played.
"""

import argparse
import json
import logging
import random
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from crash_program import Program, random_program
from forking import fork
from killed_runs import History, Kill, Place
from killing_proxy import KillingProxy


class Pair(History):
    """A history whose runs are at once.

    Attributes:
        both: How many steps both have played.
    """

    both: int = 0

    def play_both(self, kill: Kill, forced: tuple[str, ...]) -> None:
        """Play a pair, of which the second is killed, or not; then, if one was killed, a run by itself."""
        self.forced |= {"one": list(forced), "two": list(forced)}
        children = [fork(partial(self.run, run, moment)) for run, moment in (("one", Kill()), ("two", kill))]
        ended = [child.ended() for child in children]
        assert ended[0].signal is None
        killed = ended[1].signal == signal.SIGKILL
        self.kills[kill.kind] += killed
        self.place.settle()
        whole = {"one"} if killed else {"one", "two"}
        self._check(whole, all_done=not killed)
        if killed:
            self.forced["three"] = []
            assert fork(lambda tell: self.run("three", Kill(), tell)).ended().signal is None
            self._check({*whole, "three"}, all_done=True)

    def _check(self, whole: set[str], *, all_done: bool) -> None:
        ends: dict[tuple[str, str], set[int]] = {}
        completed: Counter[tuple[str, str]] = Counter()
        decided: set[tuple[str, str]] = set()
        for text in self.log.read_text().splitlines():
            line = json.loads(text)
            key = (line["run"], line["step"])
            if line["what"] == "end":
                ends.setdefault(key, set()).add(line["activity"])
            elif line.get("status") in {"completed", "skipped"}:
                decided.add(key)
                completed[key] += line["status"] == "completed"
        outer = [spec.name for stage in self.program.stages for spec in stage]
        marks = self.marks()
        problems = [f"{run} did not end {name}" for run in whole for name in outer if (run, name) not in decided]
        problems += [
            f"{run} completed {name} {times} times" for (run, name), times in completed.items() if times > 1
        ]
        problems += [f"{name} is not marked" for name in outer if all_done and name not in marks]
        for name, record in marks.items():
            problems += [f"{name}: {each}" for each in _problems_of(self.program, name, record, ends)]
        self.problems += [f"seed {self.seed}: {each}" for each in problems]
        self.both = sum(completed["one", name] and completed["two", name] for name in outer)


def _problems_of(
    program: Program, name: str, record: Mapping[str, Any], ends: Mapping[tuple[str, str], set[int]]
) -> list[str]:
    """What is wrong with a mark: whoever has written it has played all of its activities."""
    run, spec = record["run_id"], program.specs[name]
    numbers = range(len(spec.activities))
    if ends.get((run, name)) != set(numbers):
        return [f"marked by {run}, which has not played it"]
    if spec.save_result and record["result"] != [f"{run}/{number}" for number in numbers]:
        return [f"marked by {run} with the result {record['result']}"]
    return []


def play_pairs(base: Path, place: Place, *, first: int, pairs: int) -> dict[str, Any]:
    """Play pairs, each with a seed of its own."""
    problems: list[str] = []
    both, kills = 0, 0
    for seed in range(first, first + pairs):
        rng = random.Random(seed)
        program = random_program(rng)
        pair = Pair(base / f"pair-{seed}", seed, place, program)
        kill = Kill("line", rng.randint(5, 40)) if rng.random() < 0.5 else Kill()
        names = sorted(program.specs)
        pair.play_both(kill, tuple(rng.sample(names, rng.choice((0, 0, 1, len(names))))))
        problems += pair.problems
        both += pair.both
        kills += pair.kills.total()
    return {"problems": problems, "both": both, "kills": kills}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--port", type=int, help="of a moto server")
    parser.add_argument("--bucket")
    given = parser.parse_args()
    logging.disable()  # of activities that fail as they are to
    if given.port is None:
        told = play_pairs(given.base, Place(), first=given.seed, pairs=given.pairs)
    else:
        with KillingProxy(given.port) as proxy:
            place = Place(given.bucket, proxy)
            place.warm_up()
            told = play_pairs(given.base, place, first=given.seed, pairs=given.pairs)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
