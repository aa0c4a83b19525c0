"""``python -m simulation``: play histories, or one of them with all that happens in it."""

import argparse
import sys

from simulation.campaign import campaign, table_of_mutants
from simulation.generate import generate
from simulation.history import tell
from simulation.mutants import MUTANTS, mutated
from simulation.shrink import shrink
from simulation.spec import History, show


def _seeds(given: str) -> range:
    """A count, or a range such as ``1000..2000``."""
    first, dots, last = given.partition("..")
    return range(int(first), int(last)) if dots else range(int(first))


def _describe(history: History) -> None:
    for part in (*history.steps, *history.lanes, *history.runs):
        print(show(part))
    print(f"max_parallel={history.max_parallel}, limits={history.limits}, page={history.page}")
    print(f"done={history.done}\n\n{tell(history)}")


def _replay(seed: int, mutant: str | None, *, shrinks: bool) -> bool:
    """Play one history and print it, shrunk where it breaks a rule; return whether it breaks none."""
    with mutated(mutant):
        history = generate(seed)
        broken = tell(history).broken
        if broken and shrinks:
            history = shrink(history, broken[0])
            print(f"shrunk, to what still breaks {broken[0]!r}:")
        _describe(history)
    print(f"\nseed {seed} breaks {', '.join(dict.fromkeys(broken)) or 'no rule'}")
    return not broken


def main() -> int:
    """Run the command; 1 when a rule was broken, or a mutant got through."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="play one history, and print it")
    what.add_argument("--seeds", type=_seeds, help="how many histories, or which: FIRST..END")
    what.add_argument("--mutants", action="store_true", help="print which seed catches each mutant")
    parser.add_argument("--jobs", type=int, help="how many cores (all)")
    parser.add_argument("--mutant", choices=MUTANTS, help="with --seed: of this mutant")
    parser.add_argument("--whole", action="store_true", help="with --seed: do not shrink")
    given = parser.parse_args()
    if given.mutants:
        return 0 if table_of_mutants() else 1
    if given.seed is not None:
        return 0 if _replay(given.seed, given.mutant, shrinks=not given.whole) else 1
    broken = campaign(given.seeds, jobs=given.jobs)
    for failure in broken[:1]:
        _replay(failure.seed, None, shrinks=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
