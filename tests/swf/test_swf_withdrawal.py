"""Durable withdrawal of done marks, on simulated SWF."""

import hashlib
from random import Random
from typing import Any

import pytest
from simpleflow import futures
from simpleflow.canvas import Chain, Group
from swf_simulator import ActivityError, SimulatedSwf, play_activity
from swf_workflows import LIST, MARK, WITHDRAW, play, sequence, start, task, told

from asyncsteps import StepDefinitionError
from asyncsteps.swf import Step
from asyncsteps.swf._done.payload import SortedNames, unpack
from asyncsteps.swf._steps.done_names import DoneNames


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

    def test_steps_with_the_same_dependents_wait_for_the_one_withdrawal(self) -> None:
        # Else one of them could play and be marked, and the execution die, with the dependent's old mark in place.
        def run(self: Any) -> None:
            futures.wait(
                self.submit(Group(*(Step(f"a.{n}", task(n), force_steps_if_executed=["b"]) for n in "123")))
            )
            futures.wait(self.submit(Step("b", task("b"))))

        swf = start(run, done=["b"])
        swf.step()
        swf.advance()
        swf.step()
        assert swf.scheduled == [LIST, WITHDRAW]
        swf.advance()
        swf.run()
        assert swf.scheduled.count(WITHDRAW) == 1
        assert [name for name, status in told(swf) if status == "scheduled"] == ["a.1", "a.2", "a.3", "b"]
        assert swf.done == {"a.1", "a.2", "a.3", "b"}

    def test_a_dependent_waits_while_the_withdrawal_of_its_mark_is_tried_again(self) -> None:
        failures = iter(["no access today"])

        def fail_once(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith(WITHDRAW) and (failure := next(failures, None)):
                raise ActivityError(failure)
            return play_activity(swf, name, args, kwargs)

        def run(self: Any) -> None:
            slow = Chain(task("slow"), task("slower"), Step("b", task("b")))
            futures.wait(self.submit(Group(slow, Step("a", task("a"), force_steps_if_executed=["b"]))))

        swf = play(run, done=["b"], one_at_a_time=True, play=fail_once)
        calls = [name if name != "work" else args[0] for name, args in swf.calls]
        assert calls[:5] == ["slow", LIST, "slower", WITHDRAW, WITHDRAW]
        assert sorted(calls[5:]) == sorted(["a", "b", MARK, MARK])
        assert swf.done == {"a", "b"}

    def test_one_that_failed_for_good_withdrew_nothing(self) -> None:
        refused: list[Any] = []

        def refuse(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith(WITHDRAW) and len(refused) < 2:
                refused.append(kwargs["names"])
                raise ActivityError("no access today")
            return play_activity(swf, name, args, kwargs)

        lenient = {"raises_on_failure": False}
        swf = play(
            sequence(["a", "c"], force_steps_if_executed=["b"]),
            done=["b"],
            play=refuse,
            attributes={"get_step_activity_params": lambda self: lenient},
        )
        assert refused == [["b"], ["b"]]  # tried again once, as its retry says
        assert swf.scheduled == [LIST, WITHDRAW, WITHDRAW, WITHDRAW, "work", MARK]
        assert told(swf) == [("a", "scheduled"), ("c", "scheduled"), ("c", "completed")]
        assert swf.done == {"c"}

    def test_a_step_that_is_played_again_in_its_execution_and_fails_is_not_done(self) -> None:
        seen: list[str] = []

        def fail_again(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith("work") and args == ["b"]:
                seen.append("b")
                if len(seen) > 1:
                    raise ActivityError("not this time")
            return play_activity(swf, name, args, kwargs)

        def run(self: Any) -> None:
            futures.wait(self.submit(Step("b", task("b"))))
            futures.wait(self.submit(Step("a", task("a"), force_steps_if_executed=["b"])))
            futures.wait(self.submit(Step("b", task("b"))))
            futures.wait(self.submit(Step("c", task("c"))))

        swf = play(run, done=[], play=fail_again)
        assert swf.done == {"a", "c"}
        assert [status for step, status in told(swf) if step == "b"] == ["scheduled", "completed", "scheduled"]
        assert swf.scheduled.count(WITHDRAW) == 1

    def test_what_this_run_marked_stays(self) -> None:
        def run(self: Any) -> None:
            futures.wait(self.submit(Step("b", task(), force=True)))
            futures.wait(self.submit(Step("a", task(), force_steps_if_executed=["b"])))

        swf = play(run, done=["b"])
        assert swf.scheduled == [LIST, WITHDRAW, "work", MARK, "work", MARK]
        assert swf.done == {"a", "b"}

    def test_of_more_than_an_input_can_name_goes_by_selectors(self) -> None:
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
        assert [it["names"] for it in taken] == [["a"]]
        assert [it["under"] for it in taken] == [["old"]]
        assert unpack(taken[0]["keep"]) == ["old.kept"]
        assert swf.markers[-2]["reasons"] == ["Dep of a"]

    def test_by_selectors_takes_the_step_itself_though_this_run_had_marked_it(self) -> None:
        many = [f"old.{hashlib.sha256(str(n).encode()).hexdigest()}" for n in range(600)]
        again, taken = many[0], []

        def withdraw(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith(WITHDRAW):
                taken.append(kwargs)
                kept = {"a", *unpack(kwargs["keep"])} if kwargs.get("under") else swf.done - set(kwargs["names"])
                swf.done &= kept
                return 0
            if args == ["fails"]:
                raise ActivityError("not this time")
            return play_activity(swf, name, args, kwargs)

        def run(self: Any) -> None:
            futures.wait(self.submit(Step(again, task(), force=True)))
            futures.wait(self.submit(Step(again, task("fails"), force=True, force_steps_if_executed=["old"])))
            futures.wait(self.submit(Step(again, task("third"))))

        swf = play(run, done=[*many, "a"], play=withdraw)
        assert [it["names"] for it in taken] == [[again], []]
        statuses = [status for _, status in told(swf)]
        assert statuses == ["scheduled", "completed", "scheduled", "scheduled", "completed"]
        assert swf.calls[-2] == ("work", ["third"])
        assert swf.done == {again, "a"}

    def test_by_selectors_lets_what_they_match_wait_though_it_was_not_done(self) -> None:
        # What they match is found when it is withdrawn: a mark made meanwhile would go too.
        many = [f"old.{hashlib.sha256(str(n).encode()).hexdigest()}" for n in range(600)]
        marked: list[str] = []

        def withdraw(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            if name.endswith(WITHDRAW):
                swf.done -= {done for done in swf.done if done.startswith("old.")}
                return 0
            if name.endswith(MARK):
                marked.append(args[2])
            return play_activity(swf, name, args, kwargs)

        def run(self: Any) -> None:
            a = Step("a", task("a"), force_steps_if_executed=["old"])
            futures.wait(self.submit(Group(a, Step("old.new", task("new")), Step("other", task("other")))))

        swf = start(run, done=many, play=withdraw)
        while WITHDRAW not in swf.scheduled:
            swf.step()
            if WITHDRAW not in swf.scheduled:
                swf.advance()
        assert told(swf) == [("a", "scheduled"), ("other", "scheduled")]
        swf.run()
        assert sorted(marked) == ["a", "old.new", "other"]
        assert swf.done == set(marked)

    def test_of_more_than_any_input_holds_is_an_error_that_says_so(self) -> None:
        random = Random(1)
        many = [f"old.{random.randbytes(30).hex()}" for _ in range(1_000)]
        workflow: Any = start(lambda self: None).executor
        workflow.reset()
        names = DoneNames(workflow.workflow, "bucket", "prefix")
        names._listed = SortedNames(many)
        with pytest.raises(StepDefinitionError, match="continue as new"):
            names.new_withdrawal("a", 1, None, names=many, under=("old",), keep=[f"{name}.new" for name in many])
