"""Random workflows that submit names again, under two prefixes, in decisions that are cut short and refused."""

import logging
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import pytest
from simpleflow import Workflow, futures
from simpleflow.base import SubmittableContainer
from simpleflow.canvas import Chain, Group
from simpleflow.swf import constants
from simpleflow.task import TaskFailureContext
from swf_lists import Lists
from swf_simulator import ActivityError, SimulatedSwf, workflow_class
from swf_switches import doing, job
from swf_workflows import LIST, MARK, WITHDRAW, told

from asyncsteps._plan.names import matches
from asyncsteps.swf import Step, WorkflowStepMixin
from asyncsteps.swf._done.payload import size
from asyncsteps.swf._steps import done_list, done_names

NAMES = [f"{group}.{number}" for group in "abc" for number in range(3)]
SELECTORS = [*NAMES, "a", "b", "c", "*"]
PREFIXES = ("one/", "two/")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    done_list._snapshots.clear()
    yield
    done_list._snapshots.clear()
    logging.disable(logging.NOTSET)


class Submitted(NamedTuple):
    """One submission of a step, or a pause."""

    number: int
    name: str = ""
    prefix: str = ""
    force: bool = False
    fails: bool = False

    @property
    def key(self) -> str:
        return self.prefix + self.name


class At(SubmittableContainer):  # type: ignore[misc]
    """Submits a step under a prefix."""

    def __init__(self, prefix: str, step: Step) -> None:
        self.prefix, self.step = prefix, step

    def submit(self, executor: Any) -> Any:
        executor.workflow.prefix = self.prefix
        return executor.workflow.submit(self.step)


class RandomAgain:
    """A random workflow and its execution, with what must hold while it runs."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        prefixes = random.choice([PREFIXES, PREFIXES[:1]])
        names = random.sample(NAMES, random.randint(1, 4))
        self.dependents = {
            name: random.sample([*SELECTORS, name, name], random.choice([0, 1, 2])) for name in names
        }
        self.skipped = random.sample(SELECTORS[:-1], random.choice([0, 0, 1]))
        again = [name for name in names for _ in range(random.choice([1, 2, 3, 4]))]
        random.shuffle(again)
        self.submitted = [
            Submitted(number, name, random.choice(prefixes), random.random() < 0.4, random.random() < 0.3)
            for number, name in enumerate(again)
        ]
        # A name is in one chain: side by side it takes the decisions of its namesake, see docs/reliability.md.
        self.chains: list[list[Submitted]] = [[] for _ in range(random.randint(1, 5))]
        homes = {(prefix, name): random.choice(self.chains) for prefix in prefixes for name in names}
        for it in self.submitted:
            homes[it.prefix, it.name] += [Submitted(random.choice([0, 0, 0, 1, 3])), it]
        self.before = {prefix + name for prefix in prefixes for name in NAMES if random.random() < 0.8}
        self.lists = Lists(gone=random.choice([0, 0, 1, 2, 100]), in_parts=random.random() < 0.2)
        self.trouble = {what: random.choice([0, 0, 1, 2, 4]) for what in (LIST, MARK, WITHDRAW)}
        self.ended: dict[str, bool] = {}
        self.played: list[int] = []
        self.swf = self._swf()

    def _swf(self) -> SimulatedSwf:
        case, random = self, self.random
        params = {"idempotent": random.random() < 0.7}

        def run(self: Any) -> None:
            self.add_skipped_steps(case.skipped, "not wanted")

            def links(number: int, chain: list[Submitted]) -> Iterator[Any]:
                for place, it in enumerate(chain):
                    if it.name:
                        work, selectors = job(f"{it.name}@{it.number}"), case.dependents[it.name]
                        step = Step(it.name, work, force=it.force, force_steps_if_executed=selectors)
                        yield At(it.prefix, step)
                    else:
                        yield from (job(f"pause {number} {place} {pause}") for pause in range(it.number))

            futures.wait(self.submit(Group(*(Chain(*links(*it)) for it in enumerate(case.chains)))))

        def on_task_failure(self: Any, context: TaskFailureContext) -> TaskFailureContext:
            if (context.task_name or "").endswith("DoneTask"):
                context.decision = context.Decision.retry_now
            return context

        attributes = {
            "prefix": PREFIXES[0],
            "get_step_path_prefix": lambda self: self.prefix,
            "get_step_activity_params": lambda self: params,
            "on_task_failure": on_task_failure,
        }
        return SimulatedSwf(
            workflow_class(Workflow, WorkflowStepMixin, run=run, **attributes),
            done=set(self.before),
            activities={doing.name: doing},
            play=self.play,
            one_at_a_time=random.random() < 0.8,
            refuse_first={f"asyncsteps.swf.tasks.{it}" for it in (LIST, MARK, WITHDRAW) if random.random() < 0.5},
        )

    def play(self, swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        short = name.rpartition(".")[2]
        if self.trouble.get(short, 0):
            self.trouble[short] -= 1
            raise ActivityError("not now")
        if short == "doing" and "@" in args[0]:
            self.begins(self.submitted[int(args[0].partition("@")[2])])
        if short == MARK:
            assert self.ended[args[1] + args[2]], "what did not end well is marked"
        return self.lists.play(swf, name, args, kwargs)

    def begins(self, it: Submitted) -> None:
        """An activity of a step is played: neither its own mark is there, nor a stale one."""
        assert it.number not in self.played
        self.played.append(it.number)
        assert it.key not in self.swf.done
        stale = {
            key.removeprefix(it.prefix) for key in self.swf.done - set(self.ended) if key.startswith(it.prefix)
        }
        assert not {name for name in stale if any(matches(dep, name) for dep in self.dependents[it.name])}
        self.ended[it.key] = not it.fails
        if it.fails:
            raise ActivityError("failing")

    def run(self) -> None:
        while self.swf.status == "open":
            assert self.swf.rounds < 1_000, "it does not end"
            done_list._snapshots.clear()
            told_before = len(self.swf.markers)
            self.swf.step()
            for marker in self.swf.markers[told_before:]:
                if marker["status"] == "skipped" and not marker["forced"]:
                    assert {prefix + marker["step"] for prefix in PREFIXES} & self.swf.done, "it is not marked"
            self.random.shuffle(self.swf._open)
            assert self.swf.status != "open" or self.swf.advance(), f"it hangs: {self.swf.event_types[-10:]}"

    def check(self) -> None:
        statuses = Counter(told(self.swf))
        assert self.swf.status == "completed", self.swf.result
        played = [self.submitted[number] for number in self.played]
        for name, count in Counter(it.name for it in self.submitted).items():
            assert statuses[name, "scheduled"] + statuses[name, "skipped"] == count
            assert statuses[name, "scheduled"] == sum(it.name == name for it in played)
            assert statuses[name, "completed"] == sum(it.name == name and not it.fails for it in played)
            if len({it.prefix for it in self.submitted}) == 1:
                self.check_dependents(name)
        assert self.swf.done - set(self.ended) <= self.before
        assert {key for key in self.ended if key in self.swf.done} == {
            key for key, well in self.ended.items() if well
        }

    def check_dependents(self, name: str) -> None:
        """Nothing that the playing of a step forces was skipped as done after it, unless it was played before."""
        played: set[str] = set()
        forced = False
        for marker in self.swf.markers:
            step, status = marker["step"], marker["status"]
            forced = forced or (step, status) == (name, "scheduled")
            if status == "completed":
                played.add(step)
            if forced and status == "skipped" and not marker["forced"] and step not in played:
                assert not any(matches(dep, step) for dep in self.dependents[name])


def play(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = RandomAgain(seed)
    with monkeypatch.context() as patched:
        patched.setattr(done_list, "read_snapshot", execution.lists.read)
        # A place, a marker and a withdrawal belong together, and there is the timer.
        patched.setattr(constants, "MAX_DECISIONS", execution.random.choice([5, 6, 7, 100]))
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
