"""Executions whose deciders change in the middle: from simpleflow's steps to ours, or back, at any decision."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from simpleflow import Workflow, activity, futures
from simpleflow.canvas import Chain, Group
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from simpleflow.task import ActivityTask
from swf_simulator import ActivityError, SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, work

from asyncsteps.swf import WorkflowStepMixin

OURS, THEIRS = WorkflowStepMixin, TheirMixin

doing = activity.Activity(work.callable, "doing", idempotent=True)
"""Ids of activities that are not idempotent are counted in order of submission, which differs at every replay."""


def job(what: str) -> ActivityTask:
    return ActivityTask(doing, what)


def played(future: Any) -> Any:
    """The result of a step that was played, as users of simpleflow read it."""
    return future.result[-1][1]


# The workflows.


def in_a_row(self: Any) -> Any:
    results = []
    for name in "abcd":
        future = self.submit(self.step(name, job(f"{name} 1")))
        futures.wait(future)
        results.append(played(future))
    return results


def partly_done(self: Any) -> Any:
    results = []
    for name in ("a", "done.a", "done.b", "b", "done.c", "c"):
        future = self.submit(self.step(name, Chain(job(f"{name} 1"), job(f"{name} 2"))))
        futures.wait(future)
        results.append(len(future.result[-1]))
    return results


def side_by_side(self: Any) -> Any:
    names = ("a", "b", "done.a", "c")
    futures.wait(
        self.submit(Group(*(self.step(name, Chain(job(f"{name} 1"), job(f"{name} 2"))) for name in names)))
    )
    last = self.submit(self.step("last", Group(job("last 1"), job("last 2"))))
    futures.wait(last)
    return played(last)


def dependents(self: Any) -> Any:
    self.add_forced_steps(["done.a"], "asked for")
    first = self.submit(self.step("done.a", job("done.a 1"), force_steps_if_executed=["done.b", "done.c"]))
    futures.wait(first)
    second = self.submit(self.step("done.b", job("done.b 1"), force_steps_if_executed=["done.a.b"]))
    third = self.submit(self.step("done.c", job("done.c 1")))
    futures.wait(second, third)
    last = self.submit(self.step("e", job("e 1")))
    futures.wait(last)
    return [played(each) for each in (first, second, third, last)]


def alternatives_and_signals(self: Any) -> Any:
    for name in ("a", "done.a", "b", "done.b"):
        step = self.step(
            name, job(f"{name} 1"), activities_if_step_already_done=job(f"{name} instead"), emit_signal=True
        )
        futures.wait(self.submit(step))


def failures(self: Any) -> Any:
    futures.wait(self.submit(self.step("a", Chain(job("a 1"), job("a fails"), job("a 3")))))
    inner = self.step("b", job("b fails"), bubbles_exception_on_failure=True)
    chain = self.submit(Chain(job("before"), inner, self.step("never", job("never"))))
    futures.wait(chain)
    last = self.submit(self.step("c", job("c 1")))
    futures.wait(last)
    return [chain.exception is not None, played(last)]


def forced_and_skipped(self: Any) -> Any:
    self.add_forced_steps(["done.a"], "asked for")
    self.add_skipped_steps(["b"], "not wanted")
    for name in ("a", "b.c", "done.a.b", "b.d"):
        futures.wait(self.submit(self.step(name, job(f"{name} 1"))))
    forced = self.submit(self.step("done.b", job("done.b 1"), force=True))
    futures.wait(forced)
    return played(forced)


WORKFLOWS: dict[str, Callable[[Any], Any]] = {
    "steps in a row": in_a_row,
    "some of them done": partly_done,
    "side by side": side_by_side,
    "forced dependents": dependents,
    "alternatives and signals": alternatives_and_signals,
    "failures": failures,
    "forced and skipped": forced_and_skipped,
}

DONE = ("done.a", "done.a.b", "done.b", "done.c", "elsewhere")


# What comes of an execution.


@dataclass(frozen=True)
class Outcome:
    """How an execution ended, and what was done in it.

    Attributes:
        end: Its status, and its result or the first line of why it failed.
        done: The done names in the bucket.
        work: How often each of the user's activities was played.
        signals: The signals that were sent.
        markers: The details of its markers, with their reasons sorted.
    """

    end: tuple[str, str]
    done: frozenset[str]
    work: tuple[tuple[str, int], ...]
    signals: tuple[str, ...]
    markers: tuple[str, ...]

    def differences(self, other: "Outcome") -> tuple[str, ...]:
        """The names of the attributes in which two outcomes differ."""
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name) != getattr(other, name))


def outcome(swf: SimulatedSwf) -> Outcome:
    given = swf.result or {}
    end = given.get("result") if swf.status == "completed" else given.get("reason")
    return Outcome(
        (swf.status, str(end)),
        frozenset(swf.done),
        tuple(sorted(Counter(str(args[0]) for name, args in swf.calls if name == "doing").items())),
        tuple(sorted(it.signal_name for it in swf.history.events if it.state == "signal_execution_initiated")),
        tuple(sorted(json.dumps({**it, "reasons": sorted(it["reasons"])}, sort_keys=True) for it in swf.markers)),
    )


def fail_where_told(swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if str(args[0]).endswith(" fails"):
        raise ActivityError(args[0])
    return play_activity(swf, name, args, kwargs)


@cache
def class_of(workflow: str, mixin: Any, version: str = "1") -> Any:
    return workflow_class(
        Workflow,
        mixin,
        run=WORKFLOWS[workflow],
        name=f"switched-{workflow}",
        version=version,
        task_list=f"deciders-{version}",
        get_step_activity_params=lambda self: {"task_list": "workers"},
    )


def begin(
    workflow: str, mixin: Any, *, one_at_a_time: bool, version: str = "1", done: Iterable[str] = DONE
) -> SimulatedSwf:
    return SimulatedSwf(
        class_of(workflow, mixin, version),
        done=set(done),
        activities={**ACTIVITIES, doing.name: doing},
        play=fail_where_told,
        one_at_a_time=one_at_a_time,
    )


def decided_by(swf: SimulatedSwf, workflow: str, mixin: Any) -> None:
    """Let deciders with this mixin take the execution's next decisions."""
    swf.executor._workflow_class = class_of(workflow, mixin)


@dataclass(frozen=True)
class Switch:
    """A point of a workflow's execution at which its deciders changed.

    Attributes:
        workflow: The workflow.
        rounds: How many decisions were taken before.
        differs: In what it ended differently from executions that deciders of one kind take to their end, the
            one kind as well as the other.
        end: How it ended.
    """

    workflow: str
    rounds: int
    differs: tuple[str, ...]
    end: tuple[str, str]


def switches(workflow: str, before: Any, after: Any) -> Iterator[Switch]:
    """Change the deciders after each decision of the workflow but the last, however its activities end."""
    for one_at_a_time in (False, True):
        whole, other = (begin(workflow, mixin, one_at_a_time=one_at_a_time).run() for mixin in (before, after))
        for rounds in range(1, whole.rounds):
            swf = begin(workflow, before, one_at_a_time=one_at_a_time)
            for _ in range(rounds):
                swf.step()
                swf.advance()
            decided_by(swf, workflow, after)
            ended = outcome(swf.run())
            neither = set(outcome(whole).differences(ended)) & set(outcome(other).differences(ended))
            yield Switch(workflow, rounds, tuple(sorted(neither)), ended.end)
