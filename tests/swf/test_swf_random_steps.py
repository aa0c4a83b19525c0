"""Random workflows of steps side by side; their activities end in any order, fail, and are refused by SWF."""

import logging
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.canvas import Chain, Group
from simpleflow.task import TaskFailureContext
from swf_lists import Lists
from swf_simulator import ActivityError, SimulatedSwf, workflow_class
from swf_switches import doing, job
from swf_workflows import LIST, MARK, WITHDRAW, told

from asyncsteps import StoreError
from asyncsteps._plan.names import matches
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._done.payload import Snapshot, size
from asyncsteps.swf._steps import done_list, done_names

NAMES = [f"{group}.{number}" for group in "abc" for number in range(4)]
SELECTORS = [*NAMES, "a", "b", "c", "*", *(f"={name}" for name in NAMES[::2]), "=a"]
PREFIX = "steps/"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    done_list._snapshots.clear()
    yield
    done_list._snapshots.clear()
    logging.disable(logging.NOTSET)


class RandomSwf:
    """A random workflow and its execution, with what must hold while it runs."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        names = random.sample(NAMES, random.randint(1, 7))
        self.dependents = {name: tuple(random.sample(SELECTORS, random.choice([0, 0, 1, 2]))) for name in names}
        self.forced = {name for name in names if random.random() < 0.25}
        self.failing = {name for name in names if random.random() < 0.15}
        self.chains = self._chains(names)
        self.before = {name for name in NAMES if random.random() < 0.6}
        self.lists = Lists(gone=random.choice([0, 0, 1, 2, 100]), in_parts=random.random() < 0.2)
        self.fits = random.random() < 0.4
        self.outages = [random.random() < 0.3 for _ in range(20)]
        self.refused = {what for what in (LIST, MARK, WITHDRAW) if random.random() < 0.2}
        if WITHDRAW in self.refused:
            self.outages = []  # two faults in a row are too many: what is refused tells no names
        self.trouble = {what: random.choice([0, 0, 1, 2, 4]) for what in (LIST, MARK, WITHDRAW)}
        self.marked: set[str] = set()
        self.played: list[str] = []
        self.swf = self._swf()

    def _chains(self, names: list[str]) -> list[list[Any]]:
        chains = []
        left = list(names)
        while left:
            taken = [left.pop() for _ in range(min(len(left), self.random.randint(1, 3)))]
            chains.append([it for name in taken for it in [self.random.randint(0, 4), name]])
        return chains

    def _swf(self) -> SimulatedSwf:
        case, random = self, self.random
        later, params = random.random() < 0.3, {"idempotent": random.random() < 0.7}

        def run(self: Any) -> None:
            def links(number: int, chain: list[Any]) -> Iterator[Any]:
                for place, what in enumerate(chain):
                    if isinstance(what, int):
                        yield from (job(f"pause {number} {place} {pause}") for pause in range(what))
                    else:
                        yield self.step(
                            what,
                            job(what),
                            force=what in case.forced,
                            force_steps_if_executed=case.dependents[what],
                        )

            futures.wait(self.submit(Group(*(Chain(*links(*it)) for it in enumerate(case.chains)))))

        def on_task_failure(self: Any, context: TaskFailureContext) -> TaskFailureContext:
            if (context.task_name or "").endswith("DoneTask"):
                context.decision = context.Decision.retry_later if later else context.Decision.retry_now
                context.retry_wait_timeout = 5
            return context

        attributes = {
            "get_step_path_prefix": lambda self: PREFIX,
            "get_step_activity_params": lambda self: params,
            "on_task_failure": on_task_failure,
        }
        return SimulatedSwf(
            workflow_class(Workflow, WorkflowStepMixin, run=run, **attributes),
            done={PREFIX + name for name in self.before},
            activities={doing.name: doing},
            play=self.play,
            one_at_a_time=random.random() < 0.8,
            refuse_first={f"asyncsteps.swf.tasks.{what}" for what in self.refused},
        )

    def play(self, swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        short = name.rpartition(".")[2]
        if self.trouble.get(short, 0):
            self.trouble[short] -= 1
            raise ActivityError("not now")
        if short == "doing" and args[0] in NAMES:
            self.begins(args[0])
            if args[0] in self.failing:
                raise ActivityError("failing")
        if short == MARK:
            assert args[2] in self.played
            self.marked.add(args[2])
        if short == LIST and self.fits and not kwargs.get("compact"):
            return sorted(key.removeprefix(PREFIX) for key in swf.done)
        return self.lists.play(swf, name, args, kwargs)

    def begins(self, name: str) -> None:
        """An activity of a step is played: nothing stale is marked."""
        self.played.append(name)
        assert name not in self.done or name in self.marked
        stale = {it for it in self.done - self.marked if any(matches(dep, it) for dep in self.dependents[name])}
        assert not stale, f"while {name} plays, {stale} are marked"

    @property
    def done(self) -> set[str]:
        return {key.removeprefix(PREFIX) for key in self.swf.done}

    async def read(self, bucket: str, snapshot: Snapshot) -> list[str] | None:
        if self.outages and self.outages.pop():
            raise StoreError("no answer today")
        return await self.lists.read(bucket, snapshot)

    def run(self) -> None:
        while self.swf.status == "open":
            assert self.swf.rounds < 1_000, "it does not end"
            done_list._snapshots.clear()
            self.swf.step()
            self.random.shuffle(self.swf._open)
            assert self.swf.status != "open" or self.swf.advance(), f"it hangs: {self.swf.event_types[-10:]}"

    def check(self) -> None:
        statuses = told(self.swf)
        assert self.swf.status == "completed", self.swf.result
        assert len(self.played) == len(set(self.played))
        assert len(statuses) == len(set(statuses))
        assert {name for name, _ in statuses} == {what for chain in self.chains for what in chain if what in NAMES}
        completed = {name for name, status in statuses if status == "completed"}
        scheduled = [name for name, status in statuses if status == "scheduled"]
        assert set(self.played) == set(scheduled)
        assert completed == set(scheduled) - self.failing == self.marked
        assert completed <= self.done <= completed | self.before
        assert not self.done & self.failing & set(scheduled)
        for name in scheduled:
            after = statuses[statuses.index((name, "scheduled")) :]
            skipped = {it for it, status in after if status == "skipped"}
            assert not {it for it in skipped if any(matches(dep, it) for dep in self.dependents[name])}
            stale = self.done - completed
            assert not {it for it in stale if any(matches(dep, it) for dep in self.dependents[name])}


def play(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = RandomSwf(seed)
    with monkeypatch.context() as patched:
        patched.setattr(done_list, "read_snapshot", execution.read)
        if execution.random.random() < 0.5:  # names never fit, so they are withdrawn by selectors
            patched.setattr(done_names, "size", lambda value: 100_000 * isinstance(value, list) + size(value))
        execution.run()
    execution.check()


@pytest.mark.parametrize("seed", range(40))
def test_what_must_hold_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    play(seed, monkeypatch)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1_000, 3_000, 50))
def test_what_must_hold_does_for_long(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(first, first + 50):
        try:
            play(seed, monkeypatch)
        except Exception as error:
            error.add_note(f"This was seed {seed}.")
            raise
