"""`to_simpleflow`: what native submittables become, and what is refused."""

import functools
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import swf_activities as acts
from simpleflow import Workflow, canvas, settings, signal, task
from simpleflow.activity import Activity as SfActivity
from simpleflow.canvas import FuncGroup
from simpleflow.local.executor import Executor as LocalExecutor

from asyncsteps import (
    ActivityTask,
    Chain,
    Group,
    MarkerTask,
    SignalTask,
    Step,
    StepDefinitionError,
    WaitForSignal,
)
from asyncsteps.swf import Step as SwfStep
from asyncsteps.swf import to_simpleflow
from asyncsteps.swf._errors import NotConvertibleError


class Plays(Workflow):  # type: ignore[misc]
    """A workflow that submits what its class is given, and gives the result or raises the exception."""

    name = "plays"
    version = "1"
    task_list = "plays"
    submittable: Any = None

    def run(self) -> Any:
        future = self.submit(self.submittable)
        if future.exception is not None:
            raise future.exception
        return future.result


def plays(submittable: Any) -> type[Plays]:
    return type("PlaysThis", (Plays,), {"submittable": submittable})


def play(submittable: Any) -> Any:
    """What simpleflow's local executor makes of it, in this thread."""
    return LocalExecutor(plays(submittable)).run()


# What comes out.


def test_attributes_become_simpleflows() -> None:
    converted = to_simpleflow(acts.double)
    assert isinstance(converted, SfActivity)
    assert converted.name == "swf_activities.double"
    assert converted.callable is acts.double
    assert (converted.version, converted.task_list, converted.task_priority) == ("7", "heavy", 5)
    assert (converted.retry, converted.raises_on_failure, converted.idempotent) == (3, True, True)
    assert converted.task_start_to_close_timeout == "60"
    assert converted.task_schedule_to_close_timeout == "120"
    assert converted.task_schedule_to_start_timeout == "2"  # SWF knows whole seconds
    assert converted.task_heartbeat_timeout == "NONE"
    assert converted.meta == {"binaries": {}}


def test_attributes_that_are_not_given_are_those_of_simpleflows_decorator() -> None:
    converted, theirs = to_simpleflow(acts.add), acts.theirs
    assert converted.version == theirs.version
    assert converted.task_list == settings.ACTIVITY_DEFAULT_TASK_LIST
    assert converted.task_start_to_close_timeout == theirs.task_start_to_close_timeout
    assert converted.task_schedule_to_close_timeout == theirs.task_schedule_to_close_timeout
    assert converted.task_schedule_to_start_timeout == theirs.task_schedule_to_start_timeout
    assert converted.task_heartbeat_timeout == theirs.task_heartbeat_timeout
    assert (converted.task_priority, converted.idempotent) == (theirs.task_priority, theirs.idempotent)
    assert (converted.retry, converted.raises_on_failure, converted.meta) == (0, False, {})


def test_an_activity_task_keeps_its_arguments_and_its_own_attributes() -> None:
    native = acts.add(3, b=4)
    native.propagate_attribute("task_list", "its-own")
    converted = to_simpleflow(native)
    assert isinstance(converted, task.ActivityTask)
    assert (converted.args, converted.kwargs) == ([3], {"b": 4})
    assert converted.activity.task_list == "its-own"
    assert to_simpleflow(acts.add(3)).activity.task_list == settings.ACTIVITY_DEFAULT_TASK_LIST


def test_what_simpleflow_propagates_stays_with_the_one_task() -> None:
    first, second = to_simpleflow(acts.add(1)), to_simpleflow(acts.add(1))
    first.propagate_attribute("raises_on_failure", True)
    assert second.activity.raises_on_failure is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (acts.plain, None),
        ((acts.plain, 4), 5),
        (acts.Plain, None),
        ((acts.Plain, 4), 6),
        ((acts.double, 4), 8),
        (acts.double(4), 8),
        (acts.named(), 6),
        (ActivityTask(acts.plain, n=1), 2),
        ((acts.theirs, 4), 4),
        (task.ActivityTask(acts.theirs, 4), 4),
    ],
)
def test_every_form_is_played_by_the_local_executor(given: Any, expected: Any) -> None:
    converted = to_simpleflow(given)
    if expected is None:
        assert isinstance(converted, task.ActivityTask)
    else:
        assert play(converted) == expected


def test_chains_keep_their_options() -> None:
    native = Chain(
        acts.add(1), acts.double, send_result=True, bubbles_exception_on_failure=False, raises_on_failure=True
    )
    converted = to_simpleflow(native)
    assert type(converted) is canvas.Chain
    assert (converted.send_result, converted.break_on_failure) == (True, True)
    assert converted.bubbles_exception_on_failure is False
    assert [each.activity.raises_on_failure for each in converted.activities] == [True, True]
    assert play(to_simpleflow(Chain(acts.add(1), acts.double, send_result=True))) == [2, 4]
    loose = to_simpleflow(Chain(acts.add(1), break_on_failure=False))
    assert (loose.break_on_failure, loose.bubbles_exception_on_failure) == (False, True)


def test_groups_keep_their_options_and_nest() -> None:
    native = Group(acts.add(1), Chain(acts.double(2), (acts.plain, 3)), max_parallel=1)
    converted = to_simpleflow(native)
    assert type(converted) is canvas.Group
    assert (converted.max_parallel, converted.bubbles_exception_on_failure) == (1, True)
    assert play(converted) == [2, [4, 4]]


def test_steps_become_ours_for_simpleflow() -> None:
    native = Step(
        "a.b",
        Chain(acts.add(1)),
        force=True,
        activities_if_step_already_done=acts.double(1),
        emit_signal=True,
        force_steps_if_executed=["c", "d"],
        bubbles_exception_on_failure=True,
    )
    converted = to_simpleflow(native)
    assert isinstance(converted, SwfStep)
    assert isinstance(converted.activities, canvas.Chain)
    assert isinstance(converted.activities_if_step_already_done, task.ActivityTask)
    assert converted.rules() == native.rules
    assert converted.bubbles_exception_on_failure is True
    assert isinstance(to_simpleflow(Chain(native, acts.add(1))).activities[0], SwfStep)


def test_signals_and_markers() -> None:
    chain = Chain(SignalTask("go", 1, propagate=False, why="x"), WaitForSignal("go"), MarkerTask("seen", {"n": 1}))
    converted = to_simpleflow(chain)
    executor = LocalExecutor(plays(converted))
    executor.run()
    assert isinstance(converted.activities[1], signal.WaitForSignal)
    assert executor.signals_sent == {"go"}
    assert [(marker.name, marker.details) for marker in executor.list_markers(all=True)] == [("seen", {"n": 1})]


def test_a_signal_carries_what_the_chain_sends_on() -> None:
    sent: list[Any] = []

    class Recording(LocalExecutor):  # type: ignore[misc]
        def signal(self, name: str, *args: Any, **kwargs: Any) -> Any:
            sent.append((name, args, kwargs["propagate"]))
            return super().signal(name, *args, **kwargs)

    converted = to_simpleflow(Chain(acts.add(1), SignalTask("go", "first", propagate=False), send_result=True))
    Recording(plays(converted)).run()
    assert sent == [("go", ("first", 2), False)]


def test_what_is_simpleflows_passes_through() -> None:
    chain = canvas.Chain(task.ActivityTask(acts.theirs, 1))
    for theirs in (acts.theirs, chain, chain.activities[0], Plays, SwfStep("s", chain), FuncGroup(lambda: chain)):
        assert to_simpleflow(theirs) is theirs
    child = to_simpleflow((Plays, 1))
    assert isinstance(child, task.WorkflowTask)
    assert child.args == [1]


def test_results_of_simpleflow_may_be_arguments() -> None:
    class Two(Workflow):  # type: ignore[misc]
        name, version, task_list = "two", "1", "two"

        def run(self) -> Any:
            first = self.submit(to_simpleflow(acts.add(1)))
            return self.submit(to_simpleflow(acts.double(first))).result

    assert LocalExecutor(Two).run() == 4


# What is refused.


@pytest.mark.parametrize(
    ("given", "what", "reason"),
    [
        (lambda: None, "<lambda>", "it is a lambda"),
        (acts.closure(1), "swf_activities.within", "it is a closure"),
        (acts.local(), "swf_activities.within", r"it is local to local\(\)"),
        (acts.bound, "swf_activities.method", "the attribute Plain.method of a class"),
        (acts.undecorated, "swf_activities.undecorated", "it is async.* decorate it with asyncsteps.activity"),
        (acts.AsyncPlain, "swf_activities.AsyncPlain", "it is async"),
        (acts.decorated_elsewhere, "swf_activities.hidden", "it is async.* under the name that a worker imports"),
        (
            acts.misnamed,
            "swf_activities.add",
            "finds <activity swf_activities.add> there, which is something else",
        ),
        (acts.nowhere, "no.such.module.load", "there is no module 'no.such.module'"),
        (functools.partial(acts.plain, 1), "swf_activities.plain", "which is something else"),
        (acts.theirs_async, "swf_activities.theirs_async", "it is async"),
        ((acts.theirs_async,), "swf_activities.theirs_async", "it is async"),
        (canvas.Group(canvas.Chain(acts.theirs_async)), "swf_activities.theirs_async", "it is async"),
    ],
)
def test_what_no_worker_could_play_is_refused_by_name(given: Any, what: str, reason: str) -> None:
    with pytest.raises(NotConvertibleError, match=reason) as caught:
        to_simpleflow(given)
    assert caught.value.what.endswith(what)
    assert what in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_what_is_refused_is_found_however_deep_it_lies() -> None:
    with pytest.raises(NotConvertibleError, match="undecorated"):
        to_simpleflow(Step("s", Group(acts.add(1), Chain(acts.double(1), acts.undecorated))))
    with pytest.raises(NotConvertibleError, match="undecorated"):
        to_simpleflow(Step("s", acts.add(1), activities_if_step_already_done=acts.undecorated))


def test_what_simpleflow_cannot_do_is_refused() -> None:
    with pytest.raises(NotConvertibleError, match="save_result=True is for native runs"):
        to_simpleflow(Step("s", acts.add(1), save_result=True))
    with pytest.raises(NotConvertibleError, match="not what its activities return"):
        to_simpleflow(Chain(Step("s", acts.add(1)), acts.double, send_result=True))
    with pytest.raises(NotConvertibleError, match="takes no arguments"):
        to_simpleflow((canvas.Chain(), 1))


@pytest.mark.parametrize("given", [[acts.add(1)], None, 3, "text"])
def test_what_nobody_could_submit_is_refused_as_everywhere(given: Any) -> None:
    with pytest.raises(StepDefinitionError):
        to_simpleflow(given)


async def test_a_coroutine_is_refused_and_closed() -> None:
    coroutine = acts.undecorated()
    with pytest.raises(StepDefinitionError, match="submit the function"):
        to_simpleflow(coroutine)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        await coroutine


def test_functions_of_the_main_program_may_be_played_in_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            from asyncsteps import activity
            from asyncsteps.swf import to_simpleflow

            @activity
            async def load(n):
                return n

            assert to_simpleflow(load(1)).activity.name == "__main__.load"
        """)
    )
    subprocess.run([sys.executable, "-W", "error", program], check=True, timeout=60)


def test_async_activities_on_the_plain_local_executor() -> None:
    assert play(to_simpleflow(acts.double(4))) == 8
    assert play(to_simpleflow(acts.Fetch("users"))) == "users of local"
    with pytest.raises(Exception, match="so it is"):
        play(to_simpleflow(acts.fail("so it is")))


# Which container holds what: the table of docs/bridge.md.

NATIVE = [acts.double, acts.double(4), (acts.double, 4), Chain(acts.double(4)), Group(acts.double(4))]
THEIRS = [acts.theirs, task.ActivityTask(acts.theirs, 4), (acts.theirs, 4), canvas.Chain((acts.theirs, 4))]


@pytest.mark.parametrize("container", [Chain, Group, functools.partial(Step, "s")])
@pytest.mark.parametrize("member", THEIRS)
def test_a_native_container_refuses_what_is_simpleflows_and_says_where_it_goes(
    container: Any, member: Any
) -> None:
    with pytest.raises(StepDefinitionError, match=r"it is simpleflow's.*asyncsteps\.swf\.to_simpleflow"):
        container(member)


@pytest.mark.parametrize("container", [canvas.Chain, canvas.Group, functools.partial(SwfStep, "s")])
def test_a_container_of_simpleflows_kind_holds_both(container: Any) -> None:
    for member in THEIRS:
        container(member)
    for member in NATIVE:
        container(to_simpleflow(member))
    mixed = canvas.Chain(task.ActivityTask(acts.theirs, 1), to_simpleflow(Group(acts.double(2), acts.add(2))))
    assert play(mixed) == [1, [4, 3]]


@pytest.mark.parametrize("member", [*NATIVE, *THEIRS])
def test_a_step_for_simpleflow_takes_both_as_they_are(member: Any) -> None:
    assert isinstance(SwfStep("s", member), SwfStep)


@pytest.mark.parametrize("member", NATIVE)
def test_what_is_native_goes_into_simpleflows_containers_by_conversion_alone(member: Any) -> None:
    with pytest.raises(ValueError, match="should be a Submittable"):
        canvas.Chain(member)
