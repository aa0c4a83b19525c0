"""Random histories keep every rule, a seed always gives the same history, and every mutant is caught."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from simulation.bucket import Bucket, Client
from simulation.campaign import campaign, catch, failures
from simulation.generate import generate
from simulation.history import tell
from simulation.loop import SimulatedLoop
from simulation.mutants import MUTANTS, mutated
from simulation.shrink import shrink
from simulation.spec import History, RunSpec, show

TESTS = Path(__file__).parent.parent
CHUNKS, CHUNK = 8, 250

EXERCISED = {
    "a detached task outlives its activity",
    "a limit is reached",
    "a detached task submits after its activity",
    "a name is marked or withdrawn by another run",
    "a request of a run that was killed comes late",
    "a run stops before its end",
    "a thread outlives its attempt",
    "a thread submits",
    "a wait for a signal is ended",
    "killed",
    "the task that has entered the run submits",
    "timeout: schedule_to_close_timeout",
    "timeout: schedule_to_start_timeout",
    "timeout: start_to_close_timeout",
    "two runs at once",
}
"""What some of every few hundred histories have."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_history_breaks_a_rule(chunk: int) -> None:
    """A failing seed is replayed, shrunk and printed by ``make simulate SEED=...``."""
    features: Counter[str] = Counter()
    assert list(failures(range(chunk * CHUNK, (chunk + 1) * CHUNK), features)) == []
    assert not EXERCISED - set(features)


def test_a_campaign_tells_how_it_went_and_what_it_exercised(capfd: pytest.CaptureFixture[str]) -> None:
    assert campaign(range(1_000, 1_006), jobs=1) == []
    *features, last = capfd.readouterr().out.splitlines()
    assert last.startswith("seeds 1000..1006: 6 histories in ")
    assert last.endswith(": 0 broke a rule")
    assert any("had: killed" in line for line in features)


def told_by_another_process(hash_seed: str) -> str:
    code = (
        "from simulation.generate import generate\nfrom simulation.history import tell\n"
        "from simulation.spec import show\n"
        "for seed in range(50): print(show(generate(seed)), tell(generate(seed)))"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'support'}",
    }
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True, env=environment
    ).stdout


def test_a_seed_is_one_history_in_every_process() -> None:
    first = told_by_another_process("1")
    assert len(first) > 100_000
    assert told_by_another_process("2") == first


def test_a_history_is_the_same_again_in_one_process() -> None:
    assert [str(tell(generate(seed))) for seed in range(50)] == [str(tell(generate(seed))) for seed in range(50)]


def test_a_history_that_breaks_a_rule_is_shrunk() -> None:
    with mutated("drop the withdrawal"):
        failure = catch("drop the withdrawal")
        assert failure is not None
        history = generate(failure.seed)
        small = shrink(history, failure.rules[0])
        assert failure.rules[0] in tell(small).broken
        assert len(show(small)) < len(show(history)) / 2


@pytest.mark.parametrize("first_wins", [False, True])
def test_a_mark_may_leave_the_first_one_as_it_is(first_wins: bool) -> None:
    class Watch:
        alive = True

        def requests(self, number: int, what: str, fault: object) -> None: ...

        def marks(self, name: str, record: object) -> None: ...

        def withdraws(self, name: str) -> None: ...

        def others(self, name: str, *, marked: bool) -> None: ...

    history = History(0, (), (), (), done=("a",))
    bucket = Bucket(history)
    random = Random(0)
    loop = SimulatedLoop(random, start=0.0, lag=0.0, jitter=0.0, kill_at=None)

    async def marked() -> bool:
        async with Client(bucket, RunSpec(), watch=Watch(), random=random, loop=loop) as client:
            return await client.mark_done("a", {"run_id": "late"}, first_wins=first_wins)

    assert loop.run_until_complete(marked()) is not first_wins
    assert (bucket.records["a"]["run_id"] == "late") is not first_wins
    loop.bury()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_the_engine_is_caught(mutant: str) -> None:
    """In a process of its own: what a mutant leaves behind is collected at any time."""
    code = "import sys; from simulation.campaign import catch; sys.exit(catch(sys.argv[1]) is None)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code, mutant], env=environment, check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
