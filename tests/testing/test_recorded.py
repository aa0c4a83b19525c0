"""Runs and plans that can be asked what they decide, and assertions whose messages show why."""

from textwrap import dedent
from typing import Any

import pytest
from run_support import fails, noop

from asyncsteps import Group, MemoryStore, Step, StepDefinitionError, StepNameError, StepRun, Workflow
from asyncsteps.testing import PlannedRun, RunRecord, planned, play, recorded_run


async def three(run: StepRun, *, last: str = "c") -> str:
    await run.submit(Step("a", noop, force_steps_if_executed=["b"]))
    await run.submit(Step("b", noop))
    await run.submit(Step(last, noop))
    return last


class Three(Workflow[str]):
    async def run(self, last: str = "c") -> str:
        return await three(self.step_run, last=last)


async def test_a_run_tells_what_it_played_and_why() -> None:
    async with recorded_run(done=["a", "b", "c"], force={"a": "new rates"}) as run:
        await three(run)
        run.assert_played("a", "b")
    run.assert_skipped("c")
    run.assert_forced("a", "b")
    run.assert_because("a", "new rates")
    run.assert_because("b", "Dep of a")
    run.assert_because("c", "Step was already played")
    assert (run.played, run.skipped, run.forced) == (["a", "b"], ["c"], ["a", "b"])
    assert repr(run) == "<RecordedRun played=['a', 'b'] skipped=['c']>"
    assert [each.ended for each in run.decisions] == ["completed", "completed", None]


async def test_a_store_is_given_and_one_name_is_one_step() -> None:
    async with MemoryStore() as store:
        async with recorded_run(store, done="bb", workflow_id="w", run_id="r") as run:
            await run.submit(Group(Step("bb", noop), Step("b", noop)))
        run.assert_played("b")
        assert store.records["b"]["run_id"] == "r"
        assert await store.list_done() == ["b", "bb"]
        with pytest.raises(StepNameError):
            async with recorded_run(store, done=["/x"]):
                pass


async def test_a_failed_assertion_shows_the_decisions_and_their_reasons() -> None:
    async with recorded_run(done=["b"], skip={"c": "Sunday"}) as run:
        await three(run)
        await run.submit(Step("d", fails))
        with pytest.raises(AssertionError) as raised:
            run.assert_played("a", "c")
    assert str(raised.value) == dedent("""\
        played: expected a, c, but was a, b, d
          not played: c
          played too: b, d
          step  decision     why           ended
          a     run          was not done  completed
          b     forced run   Dep of a      completed
          c     forced skip  Sunday
          d     run          was not done  failed: ValueError: no luck""")


async def test_what_is_under_way_and_what_cannot_be_stored_are_shown_too() -> None:
    async with recorded_run() as run:

        async def look() -> None:
            with pytest.raises(AssertionError, match=r"x +run +was not done +under way"):
                run.assert_played()

        await run.submit(Step("x", look))
        with pytest.raises(
            AssertionError, match=r"played: expected x, x, but was x\n  in another order, or another"
        ):
            run.assert_played("x", "x")
        with pytest.raises(StepNameError):
            await run.submit(Step("z" * 2000, noop))
        run.assert_played("x")


async def test_assertions_on_reasons_name_what_is_missing() -> None:
    async with recorded_run() as run:
        with pytest.raises(AssertionError, match="step 'a' was not submitted\nNo step was decided"):
            run.assert_because("a", "Dep of b")
        await run.submit(Step("a", noop))
        with pytest.raises(AssertionError, match=r"step 'a': expected because of \['Dep of b'\], but was because"):
            run.assert_because("a", "Dep of b")
        with pytest.raises(TypeError, match="at least one reason"):
            run.assert_because("a")
        with pytest.raises(AssertionError, match="skipped: expected a, but was nothing"):
            run.assert_skipped("a")
        with pytest.raises(AssertionError, match="forced: expected a, but was nothing"):
            run.assert_forced("a")


@pytest.mark.parametrize("code", [three, Three])
async def test_functions_and_workflows_are_played(code: Any) -> None:
    record = await play(code, done=["b"], params={"last": "d"}, force="a")
    assert isinstance(record, RunRecord)
    record.assert_played("a", "b", "d")
    record.assert_because("b", "Dep of a")
    assert (record.result, record.failures) == ("d", ())
    assert repr(record) == "<RunRecord played=['a', 'b', 'd'] skipped=[]>"


async def test_submittables_are_played_one_after_the_other() -> None:
    record = await play([Step("a", fails), Step("b", noop)])
    record.assert_played("a", "b")
    assert [str(failure) for failure in record.failures] == ["step 'a' failed: ValueError: no luck"]
    record = await play([Step("a", noop), Step("b", noop)], until="a")
    record.assert_played("a")
    assert record.result is None
    record = await play(Three, until="a")
    assert record.result is None


async def test_an_exception_of_the_code_is_raised() -> None:
    with pytest.raises(ValueError, match="no luck"):
        await play(fails_at_once)


async def fails_at_once(run: StepRun) -> None:
    raise ValueError("no luck")


@pytest.mark.parametrize("code", [three, Three])
async def test_given_these_are_done_what_runs(code: Any) -> None:
    plan = await planned(code, done=["a", "b"], force="a", params={"last": "d"})
    assert isinstance(plan, PlannedRun)
    plan.assert_played("a", "b", "d")
    plan.assert_forced("a", "b")
    plan.assert_because("b", "Dep of a")
    assert plan.withdrawn == ["a", "b"]
    assert plan.incomplete is None
    plan = await planned(code, done=["a", "b", "c"])
    plan.assert_played()
    plan.assert_skipped("a", "b", "c")
    with pytest.raises(AssertionError, match=r"b +skip +Step was already played"):
        plan.assert_played("b")


async def test_a_plan_over_a_store_writes_nothing() -> None:
    async with MemoryStore({"a": {}}) as store:
        plan = await planned(three, store, force="a")
        assert plan.played == ["a", "b", "c"]
        with pytest.raises(AssertionError, match=r"a +forced run .* withdraws a\n"):
            plan.assert_played()
        assert store.records == {"a": {}}
        assert await store.journal_files.names() == []
        with pytest.raises(StepDefinitionError, match="not both"):
            await planned(three, store, done=["b"])


async def count() -> int:
    return 1


async def test_assertions_on_a_plan_that_ends_early_fail() -> None:
    async def branches(run: StepRun) -> None:
        if await run.submit(count):
            await run.submit(Step("a", noop))

    plan = await planned(branches)
    assert plan.incomplete is not None
    assert plan.played == []
    with pytest.raises(AssertionError, match="played: what was decided is not all: the code needs the result"):
        plan.assert_played()


async def test_parameters_that_nothing_takes_are_refused() -> None:
    for refused in (planned, play):
        with pytest.raises(StepDefinitionError, match=r"params=\{'x': 1\} is refused"):
            await refused([Step("a", noop)], params={"x": 1})
