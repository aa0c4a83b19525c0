"""What the public names are generic in, for type checkers to read; nobody runs it.

A line with ``type: ignore`` must be an error, of every checker. `test_checkers` and ``make check`` see to it.
"""

from typing import Any, assert_type

from asyncsteps import (
    Activity,
    ActivityTask,
    Chain,
    Group,
    Marker,
    MarkerTask,
    Signal,
    SignalTask,
    Step,
    StepOutcome,
    StepRun,
    StepStore,
    Submittable,
    WaitForSignal,
    Workflow,
    WorkflowOutcome,
    activity,
)


@activity
async def load(table: str) -> int:
    return len(table)


@activity(retry=3)
def render(title: str, *, pages: int = 1) -> bytes:
    return title.encode() * pages


@activity
async def merge(table: str, before: int) -> int:
    return len(table) + before


async def fetch(table: str) -> int:
    return len(table)


def parse(text: str) -> list[str]:
    return text.split()


class Report:
    def __init__(self, title: str) -> None:
        self.title = title

    def execute(self) -> list[str]:
        return [self.title]


class AsyncReport:
    def __init__(self, title: str) -> None:
        self.title = title

    async def execute(self) -> dict[str, str]:
        return {"title": self.title}


# The result of a step is that of its activities.
assert_type(Step("a", load("users")), Step[int])
assert_type(Step("a", render("users")), Step[bytes])
assert_type(Step("a", load), Step[int])
assert_type(Step("a", (load, "users")), Step[int])
assert_type(Step("a", fetch), Step[int])
assert_type(Step("a", (fetch, "users")), Step[int])
assert_type(Step("a", parse), Step[list[str]])
assert_type(Step("a", (parse, "a b")), Step[list[str]])
assert_type(Step("a", (Report, "title")), Step[list[str]])
assert_type(Step("a", (AsyncReport, "title")), Step[dict[str, str]])
assert_type(Step("a", ActivityTask(Report, "title")), Step[list[str]])
assert_type(Step("a", Step("a.b", load("users"))), Step[int])
assert_type(Step("a", Chain(load("a"), load("b"))), Step[list[Any]])
assert_type(Step("a", Group(load("a"), load("b"))), Step[list[Any]])
assert_type(Step("a", WaitForSignal("go")), Step[Signal])
assert_type(Step("a", MarkerTask("m")), Step[Marker])
assert_type(Step("a", load("users"), activities_if_step_already_done=load("old")), Step[int])
assert_type(Step("a", load("users"), activities_if_step_already_done=render("old")), Step[int | bytes])
assert_type(Step("a", load("users"), False, (print, "skipped")), Step[Any])
assert_type(Step("a", load("users"), True, None, True, ["b"], True, save_result=True), Step[int])


async def outcomes(run: StepRun) -> None:
    outcome = await run.submit(Step("a", load("users")))
    assert_type(outcome, StepOutcome[int])
    assert_type(outcome.result, int)
    good: int = outcome.result
    bad: str = outcome.result  # type: ignore[assignment]
    rendered = await run.submit(Step("b", render("users")))
    bad = rendered.result  # type: ignore[assignment]
    bad = (await run.submit(Step("c", (fetch, "users")))).result  # type: ignore[assignment]
    assert_type(await run.submit(Step("d", Group(load("a")))), StepOutcome[list[Any]])
    assert good or bad


# Arguments are checked, but for those in tuples.
load(3)  # type: ignore[arg-type]
load("users", 4)  # type: ignore[call-arg]
load()  # type: ignore[call-arg]
render("users", 2)  # type: ignore[call-arg]
render("users", page=2)  # type: ignore[call-arg]
ActivityTask(load, "users")
ActivityTask(load, 3)  # type: ignore[call-overload]
ActivityTask(fetch, "users", 4)  # type: ignore[call-overload]
ActivityTask(Report)  # type: ignore[call-overload]
assert_type(ActivityTask(fetch, "users"), ActivityTask[int])
assert_type(ActivityTask(parse, "users"), ActivityTask[list[str]])
assert_type(ActivityTask(load, "users"), ActivityTask[int])


def members(group: Group) -> None:
    group.append(load, "users")
    group.append((load, "users"))
    group.append(load("users"))
    group.append(load, 3)  # type: ignore[call-overload]
    group.append(fetch)  # type: ignore[call-overload]
    group += [load("users"), Step("a", load("users"))]


async def submissions(run: StepRun) -> None:
    assert_type(await run.submit(load, "users"), int)
    assert_type(await run.submit(render, "users", pages=2), bytes)
    assert_type(await run.submit(fetch, "users"), int)
    assert_type(await run.submit(parse, "a b"), list[str])
    assert_type(await run.submit(Report, "title"), list[str])
    assert_type(await run.submit(AsyncReport, "title"), dict[str, str])
    assert_type(await run.submit(WaitForSignal("go")), Signal)
    assert_type(await run.submit(MarkerTask("m")), Marker)
    assert_type(await run.submit(Group(load("a"))), list[Any])
    assert_type(await run.submit(load("a")), int)
    assert_type(await run.submit(a_step()), StepOutcome)
    await run.submit(SignalTask("go"))
    await run.submit(print, "any", "number")
    await run.submit(load, 3)  # type: ignore[call-overload]
    await run.submit(load, "users", 4)  # type: ignore[call-overload]
    await run.submit(render, "users", page=2)  # type: ignore[call-arg]
    await run.submit(fetch)  # type: ignore[call-overload]
    await run.submit(Step("a", load("users")), 1)  # type: ignore[call-overload]


# What cannot be submitted is an error already.
Step("a", [load, load])  # type: ignore[call-overload]
Step("a", fetch("users"))  # type: ignore[call-overload]
Group([load("a"), load("b")])  # type: ignore[arg-type]
Chain(load("a"), 5)  # type: ignore[arg-type]
Chain(load("a"), (merge, "b"), render, send_result=True)


# The bare names mean "of anything": no checker asks for what is in the brackets.
def a_step() -> Step:
    return Step("a", load("users"))


def a_task(of: Activity) -> ActivityTask:
    return of("users")


def anything(given: list[Submittable]) -> Group:
    return Group(*given)


def of_outcome(outcome: StepOutcome) -> Any:
    return outcome.result


def of_objects(steps: list[Step[int]]) -> list[Step[object]]:
    return [*steps]


class Untyped(Workflow):
    async def run(self, *, table: str) -> int:
        assert_type((await self.submit(self.step("a", load(table)))).result, int)
        return 1


class Typed(Workflow[int]):
    async def run(self, table: str = "users") -> int:
        return len(table)


class Wrong(Workflow[int]):
    async def run(self, table: str = "users") -> str:  # type: ignore[override]
        return table


async def workflows(store: StepStore) -> None:
    assert_type(await Typed.start(store, workflow_id="w"), WorkflowOutcome[int])
    assert_type((await Untyped.start(store, params={"table": "a"})).result, int)
    bad: str = (await Typed.start(store)).result  # type: ignore[assignment]
    bad = (await Untyped.start(store)).result  # type: ignore[assignment]
    any_of: list[type[Workflow]] = [Typed, Untyped]
    assert_type(await any_of[0].start(store), WorkflowOutcome[Any])
    assert bad
