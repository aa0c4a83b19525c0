"""Durable withdrawal of done marks, on simulated SWF."""

from random import Random
from typing import Any

import pytest
from simpleflow import futures
from simpleflow.canvas import Chain, Group
from swf_simulator import SimulatedSwf, play_activity
from swf_workflows import LIST, MARK, WITHDRAW, play, sequence, start, task, told

from asyncsteps import StepDefinitionError
from asyncsteps.swf import Step
from asyncsteps.swf._done_list import DoneNames
from asyncsteps.swf._done_source import DoneSource


class TestWithdrawal:
    def test_comes_before_the_activities_and_takes_own_and_dependents(self) -> None:
        def run(self: Any) -> None:
            self.add_forced_steps("a", "asked for")
            futures.wait(self.submit(Step("a", task(), force_steps_if_executed=["b"])))
            futures.wait(self.submit(Step("b.c", task())))

        swf = start(run, done=["a", "b.c", "b.d", "c"])
        swf.step()
        swf.advance()
        swf.step()
        swf.advance()
        assert swf.done == {"c"}  # a crash from here on leaves nothing stale
        swf.run()
        assert swf.scheduled == [LIST, WITHDRAW, "work", MARK, "work", MARK]
        assert swf.done == {"a", "b.c", "c"}
        assert swf.markers[2]["reasons"] == ["Dep of a"]

    def test_is_no_activity_where_nothing_is_done(self) -> None:
        swf = play(sequence(["a"], force_steps_if_executed=["b", "c"], force=True), done=["d"])
        assert swf.scheduled == [LIST, "work", MARK]

    def test_can_be_switched_off(self) -> None:
        swf = play(
            sequence(["a", "b"], force_steps_if_executed=["b"]),
            done=["a", "b"],
            kwargs={"force": ["a"]},
            attributes={"withdraw_invalidated": False},
        )
        assert swf.scheduled == [LIST, "work", MARK, "work", MARK]

    def test_is_scheduled_again_when_swf_does_not_know_its_type(self) -> None:
        swf = play(
            sequence(["a"], force_steps_if_executed=["b"]),
            done=["b", "c"],
            refuse_first={f"asyncsteps.swf.tasks.{WITHDRAW}"},
        )
        assert swf.scheduled == [LIST, WITHDRAW, "work", MARK]
        assert swf.done == {"a", "c"}

    def test_a_dependent_waits_while_its_mark_is_withdrawn(self) -> None:
        # Else its new mark could be made first, and be withdrawn with the old one.
        def run(self: Any) -> None:
            slow = Chain(task("slow"), task("slower"), Step("b", task("b")))
            futures.wait(self.submit(Group(slow, Step("a", task("a"), force_steps_if_executed=["b"]))))

        swf = start(run, done=["b"], one_at_a_time=True)
        while swf.calls[-1:] != [("work", ["slower"])]:
            swf.step()
            swf.advance()
        assert swf.step() == []  # the withdrawal is under way, and b could start
        swf.advance()
        swf.run()
        calls = [name if name != "work" else args[0] for name, args in swf.calls]
        assert calls[:6] == ["slow", LIST, "slower", WITHDRAW, "b", "a"]
        assert told(swf)[:2] == [("a", "scheduled"), ("b", "scheduled")]
        assert swf.done == {"a", "b"}

    def test_what_this_run_marked_stays(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("b", task(), force=True)))
            futures.wait(self.submit(Step("a", task(), force_steps_if_executed=["b"])))

        swf = play(run, done=["b"])
        assert swf.scheduled == [LIST, WITHDRAW, "work", MARK, "work", MARK]
        assert swf.done == {"a", "b"}

    def test_of_more_than_an_input_can_name_goes_by_selectors(self) -> None:
        import hashlib

        many = [f"old.{hashlib.sha256(str(n).encode()).hexdigest()}" for n in range(600)]
        taken: list[Any] = []

        def withdraw(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith(WITHDRAW):
                taken.append(kwargs)
                swf.done -= {done for done in swf.done if done.startswith("old.")} - {"old.kept"}
                return 0
            return play_activity(swf, name, args, kwargs)

        def run(self: Any) -> None:
            futures.wait(self.submit(Step("old.kept", task())))
            futures.wait(self.submit(Step("a", task(), force=True, force_steps_if_executed=["old"])))
            futures.wait(self.submit(Step(many[0], task())))

        swf = play(run, done=[*many, "a"], play=withdraw)
        from asyncsteps.swf._done_list import unpack

        assert [it["names"] for it in taken] == [["a"]]
        assert [it["under"] for it in taken] == [["old"]]
        assert unpack(taken[0]["keep"]) == ["old.kept"]
        assert swf.markers[-2]["reasons"] == ["Dep of a"]

    def test_of_more_than_any_input_holds_is_an_error_that_says_so(self) -> None:
        random = Random(1)
        many = [f"old.{random.randbytes(30).hex()}" for _ in range(1_000)]
        workflow: Any = start(lambda self: None).executor
        workflow.reset()
        source = DoneSource(workflow.workflow, "bucket", "prefix")
        source._listed = DoneNames(many)
        with pytest.raises(StepDefinitionError, match="continue as new"):
            source.new_withdrawal("a", 1, many, under=("old",), keep=[f"{name}.new" for name in many])
