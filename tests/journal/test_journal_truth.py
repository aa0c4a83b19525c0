"""Random small workflows: what `why` says is what their runs did, and what a run that begins next does."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from asyncsteps import Marker, MemoryStore, Step, StepRun, journal
from asyncsteps._plan.names import matches
from asyncsteps.journal import Now, Reason, Why

NAMES = ["a", "a.x", "a.y", "b", "b.x", "c"]
SELECTORS = [*NAMES, "*"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One step of a workflow: what it forces, and how it behaves."""

    name: str
    dependents: tuple[str, ...]
    always: bool
    alternative: bool


@dataclass(slots=True)
class Night:
    """One run: its selectors, what fails, and what became of it."""

    force: dict[str, str | None]
    skip: dict[str, str | None]
    failing: frozenset[str]
    cancelled_at: str | None
    outcomes: list[Marker] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None


def workflow(rand: random.Random) -> list[Plan]:
    """A workflow; a name may be submitted twice."""
    plans = [
        Plan(
            name,
            tuple(rand.sample(SELECTORS, rand.choice([0, 0, 1, 1, 2]))),
            always=rand.random() < 0.1,
            alternative=rand.random() < 0.2,
        )
        for name in rand.sample(NAMES, rand.randint(2, 6))
    ]
    return [*plans, *rand.sample(plans, rand.choice([0, 0, 1]))]


def given(rand: random.Random) -> dict[str, str | None]:
    """Selectors with and without reasons."""
    return {
        each: rand.choice([None, f"because of {each}"])
        for each in rand.sample(SELECTORS[:-1], rand.choice([0, 0, 1, 2]))
    }


def steps(plans: Sequence[Plan], night: Night) -> Iterator[Step]:
    def activity(name: str) -> Any:
        async def play() -> None:
            if name == night.cancelled_at and night.task is not None:
                night.task.cancel()
                await asyncio.Event().wait()
            if name in night.failing:
                raise ValueError(f"{name} is broken")

        return play

    for plan in plans:
        play = activity(plan.name)
        yield Step(
            plan.name,
            play,
            force=plan.always,
            force_steps_if_executed=plan.dependents,
            activities_if_step_already_done=play if plan.alternative else None,
        )


async def played(store: MemoryStore, plans: Sequence[Plan], night: Night, run_id: str) -> None:
    """Play a night; a cancelled one ends at that step."""

    async def play() -> None:
        async with StepRun(
            store,
            workflow_id="w",
            run_id=run_id,
            force=night.force,
            skip=night.skip,
            on_marker=night.outcomes.append,
        ) as run:
            for step in steps(plans, night):
                await run.submit(step)

    night.task = asyncio.ensure_future(play())
    await asyncio.wait([night.task])
    assert night.task.cancelled() or night.task.result() is None


def lines(reasons: Sequence[Reason]) -> str:
    return "\n".join(line for reason in reasons for line in reason.lines())


def check_run(answer: journal.RunAnswer, night: Night, step: str) -> None:
    """The verdict and the direct reasons are those of the run's own markers."""
    mine = [marker.details for marker in night.outcomes if marker.details["step"] == step]
    if not mine:
        assert answer.verdict.startswith("not decided"), answer.verdict
        return
    last = mine[-1]
    ran = last["status"] == "completed" or (len(mine) > 1 and mine[-2]["status"] == "scheduled")
    direct = [reason.text for reason in answer.because if not reason.text.startswith("its mark was withdrawn by")]
    told = (answer.verdict, lines(answer.because))
    verdict: str = "played" if last["status"] == "completed" else last["status"]
    assert answer.verdict.startswith(verdict if ran or verdict == "skipped" else "skipped, but "), told
    assert direct, told
    if ran and last["forced"]:
        check_forced(direct, set(last["reasons"]), night, step)
    else:
        begin = (
            "it was not done" if ran else "skipped by the selector " if last["forced"] else "it was done already"
        )
        assert all(text.startswith(begin) for text in direct), told


def check_forced(direct: Sequence[str], reasons: set[str], night: Night, step: str) -> None:
    """What is told of a step that was forced is what its marker has, and nothing else."""
    told = (direct, reasons)
    by_code = "the code forces it: Step(..., force=True)"
    assert (by_code in direct) is ("Step is forced" in reasons), told
    given = {reason for reason in reasons if reason.startswith("because")}
    depends = {reason.removeprefix("Dep of ") for reason in reasons if reason.startswith("Dep of ")}
    for reason in given:
        assert any(text.endswith(f"because: {reason}") for text in direct), told
    followed = {
        text.removeprefix("as a dependent of ").partition(",")[0]
        for text in direct
        if text.startswith("as a dependent of ") and "more steps" not in text
    }
    assert followed <= depends, told
    assert followed == depends or (len(followed) == 3 and len(depends) > 4), told
    for text in direct:
        if text.startswith("forced by the selector "):
            selector = text.split("'")[1]
            assert selector in night.force, told
            assert matches(selector, step), told
            assert night.force[selector] is None or night.force[selector] in given, told


def check_chain(reasons: Sequence[Reason], night: Night) -> None:
    """Each dependency in a chain is one that the run had, and ends in what was not done or was asked for."""
    for reason in reasons:
        if reason.text.startswith("as a dependent of ") and "more steps" not in reason.text:
            by = reason.text.removeprefix("as a dependent of ").partition(",")[0]
            assert any(
                marker.details["step"] == by and marker.details["status"] == "scheduled"
                for marker in night.outcomes
            ), reason.text
            assert reason.because, reason.text


def follow(marks: dict[str, str], night: Night, run_id: str) -> None:
    """Note what a run did to marks, as its markers have it."""
    for before, marker in zip([None, *night.outcomes], night.outcomes, strict=False):
        step, status = marker.details["step"], marker.details["status"]
        if status == "completed":
            marks[step] = f"played by run {run_id}"
        elif status in {"failed", "cancelled"} and before is not None and before.details["step"] == step:
            marks[step] = f"{status} in run {run_id}"


async def check_now(store: MemoryStore, plans: Sequence[Plan], step: str, asked: Night, answer: Now) -> None:
    """A run that began now decides as `why` says; a step that forces it meanwhile is named."""
    markers: list[Marker] = []
    copy = MemoryStore(dict(store.records))
    async with (
        copy,
        StepRun(
            copy, workflow_id="w", force=asked.force, skip=asked.skip, journal=False, on_marker=markers.append
        ) as run,
    ):
        for each in steps(plans, asked):
            await run.submit(each)
    mine = [marker.details for marker in markers if marker.details["step"] == step]
    if not mine:
        return
    ran = mine[0]["status"] == "scheduled"
    told = (answer, [marker.details for marker in markers])
    if answer.action == "run":
        assert ran, told
    elif ran:
        causes = {reason.removeprefix("Dep of ") for reason in mine[0]["reasons"]}
        named = [text.partition(",")[0] for text in answer.unless]
        assert causes & set(named) or any("code still forces it" in text for text in answer.unless), told
    if answer.forced:
        assert mine[0]["forced"], told


@pytest.mark.parametrize("seed", range(20))
async def test_what_why_says_is_true(seed: int) -> None:
    await story(random.Random(seed))


@pytest.mark.long
async def test_what_why_says_is_true_of_many() -> None:
    for seed in range(1_000, 1_500):
        try:
            await story(random.Random(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


async def story(rand: random.Random) -> None:
    plans = workflow(rand)
    nights: dict[str, Night] = {}
    async with MemoryStore() as store:
        first = Night({}, {}, frozenset(), None)
        await played(store, plans, first, "r0")  # so that the journals know all dependents
        nights["r0"] = first
        marks = dict.fromkeys(NAMES, "no journal")
        follow(marks, first, "r0")
        for number in range(1, rand.randint(2, 5)):
            await by_hand(rand, store, marks)
            night = Night(
                given(rand),
                given(rand),
                frozenset(rand.sample(NAMES, rand.choice([0, 0, 1, 2]))),
                rand.choice([None, None, None, *NAMES[:2]]),
            )
            await played(store, plans, night, f"r{number}")
            nights[f"r{number}"] = night
            follow(marks, night, f"r{number}")
        await by_hand(rand, store, marks)
        asked = Night(given(rand), given(rand), frozenset(), None)
        for step in NAMES:
            answer = await journal.why(store, step, runs=100, force=asked.force, skip=asked.skip)
            check(answer, store, step, nights, marks)
            await check_now(store, plans, step, asked, answer.now)


async def by_hand(rand: random.Random, store: MemoryStore, marks: dict[str, str]) -> None:
    """Mark and forget a step by hand, as the command does."""
    if rand.random() < 0.3:
        name = rand.choice(NAMES)
        await store.mark_done(name, {"marked_by": "me"})
        await journal.record_by_hand(store, "marked", [name], by="me")
        marks[name] = "marked by hand by me"
    if rand.random() < 0.3 and store.records:
        name = rand.choice(sorted(store.records))
        await journal.record_by_hand(store, "forgotten", [name], by="me")
        await store.withdraw([name])
        marks[name] = "forgotten by hand by me"


def check(answer: Why, store: MemoryStore, step: str, nights: dict[str, Night], marks: dict[str, str]) -> None:
    assert answer.done == (step in store.records)
    assert answer.problems == ()
    text = lines([answer.state])
    if answer.done:
        assert marks[step] in answer.state.text, (text, marks[step])
    elif marks[step].startswith(("failed", "cancelled", "forgotten", "no journal")):
        assert marks[step] in text or "withdrawn by" in text, (text, marks[step])
    else:  # done by the account, and gone: a run withdrew it
        assert "withdrawn by" in text, (text, marks[step])
    assert [each.run.run_id for each in answer.runs] == list(nights)[::-1]
    for each in answer.runs:
        night = nights[each.run.run_id]
        check_run(each, night, step)
        check_chain(each.because, night)
