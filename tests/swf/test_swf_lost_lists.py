"""Withdrawals by selectors, in executions whose list of done steps is lost and made anew."""

from collections.abc import Iterator
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.canvas import Chain, Group
from swf_family import repaired
from swf_lists import Lists
from swf_simulator import SimulatedSwf, workflow_class
from swf_switches import doing, job
from swf_workflows import MARK, WITHDRAW, told

from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._steps import done_list, done_names

PREFIX = "steps/"
OLD = [f"old.{number:02d}" for number in range(30)]


@pytest.fixture(autouse=True)
def by_selectors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few names are too many for an input."""
    monkeypatch.setattr(done_names, "MAX_INPUT_CHARS", 200)
    done_list._snapshots.clear()
    yield
    done_list._snapshots.clear()


def begin(run: Any, lists: Lists, monkeypatch: pytest.MonkeyPatch, *, done: Any = OLD) -> SimulatedSwf:
    monkeypatch.setattr(done_list, "read_snapshot", lists.read)
    workflow = workflow_class(
        Workflow, WorkflowStepMixin, run=run, name="lost", get_step_path_prefix=lambda self: PREFIX
    )
    return SimulatedSwf(
        workflow, done={PREFIX + name for name in done}, activities={doing.name: doing}, play=lists.play
    )


def play(swf: SimulatedSwf, lists: Lists, *, lost: int = -1) -> SimulatedSwf:
    """Play to the end, each decision in a process of its own; the snapshot is lost after so many decisions."""
    while swf.status == "open":
        done_list._snapshots.clear()
        if swf.rounds == lost:
            lists.gone = len(lists.written)
        swf.step()
        assert swf.status != "open" or swf.advance(), swf.event_types[-5:]
    return swf


def replaying(self: Any) -> None:
    for name, dependents in (("a", ["old"]), ("old.03", []), ("new", []), ("old.07", []), ("b", ["old"])):
        futures.wait(self.submit(self.step(name, job(name), force_steps_if_executed=dependents)))


@pytest.mark.parametrize("lost", range(2, 14))
def test_nothing_is_marked_or_played_twice(lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = Lists()
    whole = play(begin(replaying, lists, monkeypatch), lists)
    lists = Lists()
    swf = play(begin(replaying, lists, monkeypatch), lists, lost=lost)
    assert swf.status == "completed"
    assert whole.scheduled.count(WITHDRAW) == 1
    for what in (WITHDRAW, MARK, "doing"):
        assert swf.scheduled.count(what) == whole.scheduled.count(what)
    assert swf.done == whole.done
    assert told(swf) == told(whole)


def test_what_is_withdrawn_later_does_not_change_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(self: Any) -> None:
        futures.wait(self.submit(self.step("first", job("first"))))
        futures.wait(self.submit(self.step("second", job("second"))))
        seen.append(self.get_steps_done())
        futures.wait(self.submit(self.step("a", job("a"), force_steps_if_executed=["old"])))
        for name in ("old.03", "old.07"):
            futures.wait(self.submit(self.step(name, job(name))))

    lists = Lists()
    swf = begin(run, lists, monkeypatch)
    play(swf, lists, lost=4)
    assert swf.status == "completed"
    assert swf.scheduled.count(WITHDRAW) == 1
    assert len(lists.written) == 2
    assert all(names == OLD for names in seen)
    assert len(seen) > 4


def test_a_repair_marks_what_is_withdrawn_by_selectors_though_it_was_not_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the former execution's mark would count, which is withdrawn with the others."""

    def run_with(names: str) -> Any:
        def run(self: Any) -> None:
            for name in names.split():
                futures.wait(
                    self.submit(self.step(name, job(name), force_steps_if_executed=["old"] if name == "a" else ()))
                )

        return run

    lists = Lists()
    former = play(begin(run_with("old.new"), lists, monkeypatch), lists)
    swf = begin(run_with("a old.new"), lists, monkeypatch, done=[*OLD, "old.new"])
    with repaired(swf, former):
        play(swf, lists)
    assert swf.scheduled.count(WITHDRAW) == 1
    assert PREFIX + "old.new" in swf.done


@pytest.mark.parametrize("one_at_a_time", [False, True])
@pytest.mark.parametrize("pauses", range(1, 9))
def test_what_this_execution_has_played_stays_though_it_comes_later_in_the_code(
    pauses: int, one_at_a_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Any) -> None:
        a = self.step("a", job("a"), force_steps_if_executed=["old"])
        slow = Chain(*(job(f"pause {number}") for number in range(pauses)), a)
        new = [self.step(name, Chain(job(f"{name} 1"), job(f"{name} 2"))) for name in ("old.new", "old.03")]
        futures.wait(self.submit(Group(slow, *new)))

    lists = Lists()
    swf = begin(run, lists, monkeypatch)
    swf.one_at_a_time = one_at_a_time
    play(swf, lists)
    assert swf.scheduled.count(WITHDRAW) == 1
    assert swf.done == {PREFIX + name for name, status in told(swf) if status == "completed"}
    assert PREFIX + "old.new" in swf.done
