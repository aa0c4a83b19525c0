"""How many activities run at once in the steps that a selector matches."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import pytest
from run_support import run_over

from asyncsteps import Group, MemoryStore, SelectorError, Status, Step, StepDefinitionError, StepRun, activity
from asyncsteps._tasks import limits as limits_module
from asyncsteps._tasks.limits import are_free
from asyncsteps.testing import run_virtually


class Gauge:
    """Counts what runs at once by a key; what waits for what it has submitted does not run."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.peaks: Counter[str] = Counter()

    async def work(self, key: str, seconds: float = 1.0) -> None:
        self.running[key] += 1
        self.peaks[key] = max(self.peaks[key], self.running[key])
        try:
            await anyio.sleep(seconds)
        finally:
            self.running[key] -= 1


def play(
    body: Callable[[StepRun, Gauge], Awaitable[object]], limits: Mapping[str, int], *, max_parallel: int = 100
) -> tuple[Gauge, float]:
    """Play a run in virtual time; return the gauge, and how many seconds it took."""
    gauge = Gauge()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with run_over(MemoryStore(), limits=limits, max_parallel=max_parallel) as run:
            await body(run, gauge)
            limiter = run._parts.limiter
            assert limiter.limits.free == dict(limits)
            assert limiter.free == max_parallel
        return loop.time() - began

    return gauge, run_virtually(main())


def many(gauge: Gauge, name: str, count: int) -> list[Step]:
    return [Step(f"{name}.s{number}", (gauge.work, name)) for number in range(count)]


def test_a_limit_holds_for_its_steps_and_leaves_others_alone() -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        await run.submit(Group(*many(gauge, "load", 6), *many(gauge, "mail", 6)))

    gauge, seconds = play(body, {"load": 2})
    assert gauge.peaks == {"load": 2, "mail": 6}
    assert seconds == 3


def test_the_limit_of_a_group_and_that_of_a_part_of_it_both_hold() -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        steps = many(gauge, "load.stripe", 4) + many(gauge, "load.bank", 8)
        await run.submit(Group(*steps))

    gauge, seconds = play(body, {"load": 3, "load.stripe": 1, "*": 50})
    assert gauge.peaks == {"load.stripe": 1, "load.bank": 2}
    assert seconds == 4


def test_a_limit_counts_what_runs_in_a_nested_step_to_the_steps_around_it() -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        async def outer(name: str) -> None:
            await gauge.work("all")
            await run.submit(Group(*(Step(f"inner.{name}.{n}", (gauge.work, "all")) for n in range(3))))
            await gauge.work("all")

        await run.submit(Group(*(Step(f"outer.{name}", (outer, name)) for name in "abc")))

    gauge, seconds = play(body, {"outer": 2})
    assert gauge.peaks == {"all": 2}
    assert seconds == 9  # what is within the first two goes before the third


@pytest.mark.parametrize("max_parallel", [1, 2, 100])
@pytest.mark.parametrize("limits", [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}, {"a": 2, "b": 1}])
def test_limits_taken_in_opposite_orders_do_not_block_each_other(
    limits: dict[str, int], max_parallel: int
) -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        async def outer(other: str, number: int) -> None:
            await gauge.work(other)
            await run.submit(Step(f"{other}.inner{number}", (gauge.work, "inner")))
            await gauge.work(other)

        steps = [Step(f"a.outer{n}", (outer, "b", n)) for n in range(3)]
        steps += [Step(f"b.outer{n}", (outer, "a", n)) for n in range(3)]
        await run.submit(Group(*steps))
        assert run.counts[Status.COMPLETED] == 12

    gauge, _ = play(body, limits, max_parallel=max_parallel)
    assert gauge.peaks["inner"] <= min(max_parallel, sum(limits.values()) if len(limits) == 2 else 100)


def test_what_waits_for_a_limit_holds_no_slot() -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        await run.submit(Group(*many(gauge, "load", 10), *many(gauge, "mail", 3)))
        assert run.markers[-1].details["step"] == "load.s9"

    gauge, seconds = play(body, {"load": 1}, max_parallel=2)
    assert gauge.peaks == {"load": 1, "mail": 1}
    assert seconds == 10


def test_an_activity_whose_submissions_wait_for_a_limit_gives_its_slot_to_others() -> None:
    ended: list[str] = []

    async def body(run: StepRun, gauge: Gauge) -> None:
        async def outer() -> None:
            await run.submit(Step("api.inner", (gauge.work, "api")))
            ended.append("outer")

        async def other() -> None:
            await gauge.work("other", 2)
            ended.append("other")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.submit, Step("api.first", (gauge.work, "api", 5.0)))
            await anyio.sleep(0.5)
            tasks.start_soon(run.submit, outer)
            await anyio.sleep(0.5)
            tasks.start_soon(run.submit, other)

    gauge, seconds = play(body, {"api": 1}, max_parallel=2)
    assert ended == ["other", "outer"]
    assert gauge.peaks["api"] == 1
    assert seconds == 6


def test_those_that_wait_for_several_limits_are_not_overtaken_for_ever() -> None:
    order: list[str] = []

    async def body(run: StepRun, gauge: Gauge) -> None:
        async def told(name: str) -> None:
            order.append(name)
            await gauge.work("any")

        def step(name: str) -> Step:
            return Step(name, (told, name))

        # Both needs what the steps of x and those of y need, and one of either runs at any time.
        async def nested(number: int) -> None:
            await run.submit(step(f"y.both{number}"))

        async def stream(kind: str) -> None:
            for number in range(40):
                await run.submit(step(f"{kind}.s{number}"))

        async with anyio.create_task_group() as tasks:
            for number, kind in enumerate("xxyy"):
                await anyio.sleep(0.1)
                tasks.start_soon(stream, f"{kind}.of{number}")
            tasks.start_soon(run.submit, Step("x.outer", (nested, 0)))

    gauge, _ = play(body, {"x": 1, "y": 1})
    assert gauge.peaks["any"] == 2
    assert 16 < order.index("y.both0") < 60  # of 161: it is overtaken a few times, and then no more


def test_time_spent_waiting_for_a_limit_does_not_count_as_running() -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        @activity(start_to_close_timeout=1.5)
        async def short() -> None:
            await gauge.work("load")

        @activity(start_to_close_timeout=2.5)
        async def outer() -> None:
            await gauge.work("outer")
            await run.submit(Step("load.inner", short()))

        steps = [Step(f"load.s{number}", short()) for number in range(4)]
        await run.submit(Group(Step("outer", outer()), *steps))
        assert run.failures == []

    gauge, seconds = play(body, {"load": 1})
    assert gauge.peaks["load"] == 1
    assert seconds == 5


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.5])
def test_no_permit_is_lost_when_waits_for_limits_are_cancelled(moment: float) -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        async def outer(name: str) -> None:
            await run.submit(Group(*(Step(f"load.{name}.{n}", (gauge.work, "load")) for n in range(2))))

        with anyio.move_on_after(moment):
            await run.submit(Group(*(Step(f"o.{name}", (outer, name)) for name in "abc"), (anyio.sleep, 2)))
        await run.submit(Group(*many(gauge, "load", 4)))

    gauge, seconds = play(body, {"load": 2, "o": 2}, max_parallel=3)
    assert gauge.peaks["load"] == 2
    assert seconds == min(moment, 3) + 2


def test_many_that_wait_for_a_limit_cost_no_search_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(run: StepRun, gauge: Gauge) -> None:
        await run.submit(Group(*many(gauge, "load", 1500)))

    looked = 0

    def counted(*args: Any) -> bool:
        nonlocal looked
        looked += 1
        return are_free(*args)

    monkeypatch.setattr(limits_module, "are_free", counted)
    gauge, seconds = play(body, {"load": 30})
    assert seconds == 50
    assert gauge.peaks["load"] == 30
    assert looked < 3 * 1500


@pytest.mark.parametrize("total", [0, -1, True, 1.5, "3", None])
def test_a_limit_is_a_count(total: Any) -> None:
    with pytest.raises(StepDefinitionError, match=r"limits=.*'load'.*an int of at least 1"):
        StepRun(MemoryStore(), workflow_id="w", limits={"load": total})


def test_limits_are_a_mapping_of_selectors() -> None:
    with pytest.raises(SelectorError, match=r"'a\.\*'"):
        StepRun(MemoryStore(), workflow_id="w", limits={"a.*": 1})
    with pytest.raises(StepDefinitionError, match="mapping of selector to int"):
        StepRun(MemoryStore(), workflow_id="w", limits=["a"])  # type: ignore[arg-type]


async def test_a_limit_that_matches_no_step_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async with run_over(MemoryStore(), limits={"lod": 1, "load": 1}) as run:
        await run.submit(Step("load.users", (anyio.sleep, 0)))
        assert run.unmatched_selectors == ["lod"]
    assert [record.args[0] for record in caplog.records if record.levelname == "WARNING"] == ["lod"]  # type: ignore[index]
