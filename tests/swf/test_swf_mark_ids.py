"""The id under which a name is marked first: simpleflow's, so that no decider marks it twice."""

from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.step.tasks import MarkStepDoneTask as TheirMarkStepDoneTask
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_switches import OURS, THEIRS, doing, job
from swf_workflows import MARK, told

from asyncsteps.swf import Step


def second_plays(self: Any) -> Any:
    """The first submission of ``a`` is skipped by a selector, and the second is played."""
    self.add_skipped_steps("a", "not yet")
    futures.wait(self.submit(self.step("a", job("a 1"))))
    futures.wait(self.submit(self.step("a", job("a 2"), force=True)))
    futures.wait(self.submit(self.step("b", job("b 1"))))
    futures.wait(self.submit(self.step("a", job("a 3"), force=True)))


def first_fails(self: Any) -> Any:
    futures.wait(self.submit(self.step("a", job("fail"))))
    futures.wait(self.submit(self.step("a", job("a 2"))))
    futures.wait(self.submit(self.step("b", job("b 1"))))


def begin(mixin: Any, run: Any) -> SimulatedSwf:
    return SimulatedSwf(workflow_class(Workflow, mixin, run=run, name="marked"), activities={doing.name: doing})


def mark_ids(swf: SimulatedSwf, name: str) -> list[str]:
    return [
        event.activity_id
        for event in swf.history.events
        if (event.type, event.state) == ("ActivityTask", "scheduled")
        and event.activity_type["name"].endswith(MARK)
        and event.input["args"][2] == name
    ]


@pytest.mark.parametrize("run", [second_plays, first_fails])
def test_is_simpleflows_though_an_earlier_submission_made_no_mark(run: Any) -> None:
    swf = begin(OURS, run).run()
    assert swf.status == "completed"
    assert swf.done == {"a", "b"}
    ids = mark_ids(swf, "a")
    assert len(set(ids)) == len(ids) == (2 if run is second_plays else 1)
    assert ids[0] == mark_ids(begin(THEIRS, run).run(), "a")[0]
    assert TheirMarkStepDoneTask.__module__ in ids[0]


@pytest.mark.parametrize("run", [second_plays, first_fails])
@pytest.mark.parametrize(("before", "after"), [(THEIRS, OURS), (OURS, THEIRS)])
def test_deciders_that_change_mark_nothing_twice(before: Any, after: Any, run: Any) -> None:
    for rounds in range(1, begin(before, run).run().rounds):
        swf = begin(before, run)
        while "b" not in swf.done:
            if swf.rounds == rounds:
                swf.executor._workflow_class = begin(after, run).workflow
            swf.step()
            swf.advance()
        assert len(mark_ids(swf, "a")) == 1, rounds


def test_one_that_an_earlier_release_recorded_is_found() -> None:
    """It counted the submissions, whether they had made a mark or not."""
    whole = begin(OURS, second_plays).run()
    first, last = mark_ids(whole, "a")
    for rounds in range(1, whole.rounds):
        swf = begin(OURS, second_plays)
        while swf.status == "open":
            if swf.rounds == rounds:
                for event in swf.history.events:
                    if getattr(event, "activity_id", "") == first:
                        event.activity_id = f"{last.rpartition('-')[0]}-2"
            swf.step()
            assert swf.status != "open" or swf.advance()
        assert (swf.done, told(swf)) == (whole.done, told(whole))
        assert swf.scheduled == whole.scheduled


def test_a_mark_that_failed_is_made_anew_by_the_next_submission() -> None:
    failures = iter(["no access today"] * 2)

    def play(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name.endswith(MARK) and (failure := next(failures, None)):
            raise ActivityError(failure)
        return play_activity(swf, name, args, kwargs)

    def run(self: Any) -> None:
        for number in range(2):
            futures.wait(self.submit(Step("a", job(f"a {number}"))))

    swf = begin(OURS, run)
    swf.play = play
    swf.workflow.get_step_activity_params = lambda self: {"raises_on_failure": False}
    swf.run()
    assert swf.status == "completed"
    assert swf.done == {"a"}
    assert len(set(mark_ids(swf, "a"))) == 2
