"""Outages of S3 at every request of an execution, its workers' and its deciders', on simulated SWF over real S3.

Each request of each workflow fails in turn, in every way: once; then it and all requests after it, as where S3 is
out; the first of each kind also with all of its kind after it, as where a permission is missing. A stall lasts for
the first of each kind alone.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from servers import Cut, Fault, FaultProxy, Hold, MotoServer, Request, error_answer, slow_down
from simpleflow import Workflow, activity, futures
from simpleflow.canvas import Group
from simpleflow.task import ActivityTask
from simpleflow.utils import format_exc
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_workflows import LIST, MARK, WITHDRAW, work

from asyncsteps import AsyncstepsError
from asyncsteps.store._listing import fetching
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._steps import done_list
from asyncsteps.swf._sync import stores
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

PREFIX = "people/steps/"
TASKS: dict[str, Any] = {LIST: GetStepsDoneTask, MARK: MarkStepDoneTask, WITHDRAW: WithdrawStepsDoneTask}

FAULTS: dict[str, tuple[Callable[[], Fault], str]] = {
    "503": (slow_down, "ThrottledError"),
    "500": (lambda: error_answer(500, "InternalError"), "StoreError"),
    "403": (lambda: error_answer(403, "AccessDenied"), "AccessDeniedError: s3:"),
    "cut": (Cut, "EndpointUnreachableError"),
    "reply lost": (lambda: Cut(after_bytes=0), "EndpointUnreachableError"),
    "stall": (lambda: Hold(asyncio.Event()), "EndpointUnreachableError"),
}
"""The ways in which a request fails, and what an execution that fails of it calls the error."""

doing = activity.Activity(work.callable, "doing", idempotent=True)


def job(what: str) -> ActivityTask:
    return ActivityTask(doing, what)


def one_by_one(self: Any) -> list[str]:
    for name in ("a", "b", "c"):
        futures.wait(self.submit(self.step(name, job(name), emit_signal=True)))
    return ["a", "b", "c"]


def dependents(self: Any) -> None:
    self.add_forced_steps("a", "asked for")
    futures.wait(self.submit(self.step("a", job("a"), force_steps_if_executed=["b", "c"])))
    futures.wait(self.submit(self.step("b.d", job("b.d"))))
    futures.wait(self.submit(self.step("c", job("c"), activities_if_step_already_done=job("instead of c"))))


def side_by_side(self: Any) -> None:
    steps = [self.step(name, job(name), force_steps_if_executed=["d"]) for name in ("a", "b", "c")]
    futures.wait(self.submit(Group(*steps)))
    futures.wait(self.submit(self.step("d", job("d"))))


def one_that_fails(self: Any) -> None:
    futures.wait(self.submit(self.step("a", job("fail"), force=True)))
    futures.wait(self.submit(self.step("b", job("b"))))


def alternatives(self: Any) -> None:
    for name in ("a", "b"):
        futures.wait(
            self.submit(self.step(name, job(name), activities_if_step_already_done=job(f"instead of {name}")))
        )


def loop_over_what_is_done(self: Any) -> list[str]:
    futures.wait(self.submit(self.step("new", job("new"))))
    names = list(self.get_steps_done())
    futures.wait(self.submit(Group(*(job(f"{name} again") for name in names))))
    return names


def two_prefixes(self: Any) -> None:
    submitted = []
    for self.prefix in (PREFIX, f"{PREFIX}other/"):
        submitted += [
            self.submit(self.step(name, job(f"{self.prefix.removeprefix(PREFIX)}{name}"))) for name in ("a", "b")
        ]
    futures.wait(*submitted)


@dataclass(frozen=True)
class Case:
    """A workflow, what is done before, and whether the list of that is too long for a result."""

    run: Callable[..., Any]
    done: tuple[str, ...] = ()
    long_list: bool = False


CASES = {
    case.run.__name__ + (" with a long list" if case.long_list else ""): case
    for case in (
        Case(one_by_one, ("b",)),
        Case(dependents, ("a", "b.d", "b.e", "c", "d")),
        Case(side_by_side, ("b", "d")),
        Case(one_that_fails, ("a",)),
        Case(alternatives, ("a",)),
        Case(loop_over_what_is_done, ("old", "older")),
        Case(two_prefixes, ("a", "other.b")),
        Case(loop_over_what_is_done, ("old", "older"), long_list=True),
        Case(dependents, ("a", "b.d", "b.e", "c", "d"), long_list=True),
    )
}

Outcome = dict[str, Any]
Fails = Callable[[int, Request], bool]
"""Whether the n-th request, from 0 on, fails."""


@dataclass
class Bench:
    """Executions on one bucket, behind a proxy that fails what it is told to."""

    case: Case
    bucket: str
    server: MotoServer
    proxy: FaultProxy

    def execute(self, fails: Fails | None = None, fault: Fault | None = None) -> Outcome:
        """Play an execution, each of whose decisions is taken by a process of its own, and tell what came of it.

        Args:
            fails: Which requests fail.
            fault: How.
        """
        self._reset()
        self.proxy.requests.clear()
        count = iter(range(1_000_000))

        def rule(request: Request) -> Fault | None:
            return fault if fails is not None and fails(next(count), request) else None

        self.proxy.rule = rule
        workflow = workflow_class(
            Workflow,
            WorkflowStepMixin,
            run=self.case.run,
            prefix=PREFIX,
            get_step_bucket=lambda _: self.bucket,
            get_step_path_prefix=lambda self: self.prefix,
        )
        swf = SimulatedSwf(workflow, activities={doing.name: doing}, play=play_on_s3)
        while swf.status == "open":
            done_list._snapshots.clear()
            swf.step()
            assert swf.status != "open" or swf.advance(), f"it hangs after {swf.event_types[-10:]}"
        self.proxy.rule = None
        return {
            "status": swf.status,
            "result": swf.result.get("result"),
            "reason": swf.result.get("reason"),
            "markers": Counter(json.dumps(marker) for marker in swf.markers),
            "played": {args[0] for name, args in swf.calls if name == "doing"},
            "marks": {key for key in self.server.keys(self.bucket) if key.startswith(PREFIX)},
        }

    def _reset(self) -> None:
        wanted = {f"{PREFIX}{name.replace('other.', 'other/')}" for name in self.case.done}
        present = set(self.server.keys(self.bucket))
        for key in present - wanted:
            self.server.request("DELETE", f"/{self.bucket}/{key}")
        for key in wanted - present:
            self.server.put(self.bucket, key)


def play_on_s3(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The activities of steps as a worker plays them, with the reason that it gives when they fail."""
    task = TASKS.get(name.rpartition(".")[2])
    if task is None:
        return play_activity(swf, name, args, kwargs)
    try:
        return task(*args, **kwargs).execute()
    except AsyncstepsError as error:
        raise ActivityError(format_exc(error)) from error


def kind(request: Request) -> tuple[str, bool, bool]:
    """What a permission is given for: the operation, on the marks or on the snapshots."""
    where = request.query.get("prefix", request.path)
    return request.method, request.is_listing, "asyncsteps-snapshots" in where


def check_every_request(bench: Bench, name: str) -> None:
    bench.execute()  # the clients are made, and the bucket is seen
    plain = bench.execute()
    requests = list(bench.proxy.requests)
    assert plain["status"] == "completed"
    before = {f"{PREFIX}{it.replace('other.', 'other/')}" for it in bench.case.done}
    make, error = FAULTS[name]
    kinds: set[tuple[str, bool, bool]] = set()
    for index, failing in enumerate(requests):
        what = f"{name} at request {index}, {failing.method} {failing.target}"

        def once(number: int, _: Request, index: int = index) -> bool:
            return number == index

        def of_its_kind(number: int, request: Request, index: int = index, failing: Request = failing) -> bool:
            return number >= index and kind(request) == kind(failing)

        def from_here_on(number: int, _: Request, index: int = index) -> bool:
            return number >= index

        assert bench.execute(once, make()) == plain, f"once {what}"
        lasting: list[Fails] = [from_here_on, of_its_kind]
        if kind(failing) in kinds:
            del lasting[0 if name == "stall" else 1 :]  # stalls take seconds each
        for fails in lasting:
            outcome = bench.execute(fails, make())
            if outcome["status"] == "completed":
                assert outcome == plain, what
                continue
            assert error in outcome["reason"], what
            assert f"bucket '{bench.bucket}'" in outcome["reason"], what
            # What is marked was played, and what was marked and is not was to be played again.
            assert outcome["marks"] - before <= plain["marks"] - before, what
            played = {key for key in outcome["marks"] if key.removeprefix(PREFIX) in outcome["played"]}
            assert outcome["marks"] - before <= played, what
            assert outcome["played"] <= plain["played"], what
            assert not outcome["markers"] - plain["markers"], what
        kinds.add(kind(failing))


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    bucket: str,
    moto_server: MotoServer,
    fault_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    """One attempt a request, so that what SWF and deciders do about failures is seen, and no pauses."""
    case = CASES[request.param]
    monkeypatch.setattr(logging.getLogger("simpleflow"), "level", logging.CRITICAL)  # several lines a replay
    monkeypatch.setattr(fetching, "_BACKOFF", 0.001)
    monkeypatch.setenv("AWS_ENDPOINT_URL", fault_proxy.endpoint)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    if case.long_list:
        monkeypatch.setattr("asyncsteps.swf.tasks.short_form", lambda names: None)
    yield Bench(case, bucket, moto_server, fault_proxy)
    done_list._snapshots.clear()


@pytest.mark.parametrize("bench", ["loop_over_what_is_done with a long list"], indirect=True)
async def test_every_request_of_a_workflow_refused(bench: Bench) -> None:
    await asyncio.to_thread(check_every_request, bench, "503")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("bench", CASES, indirect=True)
async def test_every_request_in_every_way(bench: Bench, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "stall":
        monkeypatch.setattr(stores, "STORE_SECONDS", 2)
        monkeypatch.setattr(done_list, "SNAPSHOT_WAITS", (10, 20))
    await asyncio.to_thread(check_every_request, bench, fault)
