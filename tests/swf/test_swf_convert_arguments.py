"""Arguments in `to_simpleflow`: one rule for activities, signals, markers and the client; the length of SWF."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import swf_activities as acts
from lazy_object_proxy import Proxy
from simpleflow import canvas, task
from simpleflow import format as simpleflow_format
from simpleflow.format import JumboTooLargeError

from asyncsteps import (
    ActivityTask,
    Chain,
    Group,
    MarkerTask,
    SignalTask,
    Step,
    StepDefinitionError,
    activity,
)
from asyncsteps.swf import SwfInputError, to_simpleflow
from asyncsteps.swf._client.wire import encode
from asyncsteps.swf._errors import NotConvertibleError


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((1, object()), r"argument 2, <object .* is no JSON: object is no JSON value"),
        (({1: "one"},), r"the key 1 is a int"),
        (({"deep": [{"er": {None: 1}}]},), r"the key None is a NoneType"),
        ((float("nan"),), "is no JSON: Out of range float"),
        (({1: "one", "two": b"2"},), r"the key 1 is a int"),
        (([{float("inf")}],), "is no JSON: Out of range float"),
    ],
)
def test_arguments_that_are_no_json_are_refused(arguments: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(NotConvertibleError, match=f"activity swf_activities.add.*{reason}"):
        to_simpleflow(acts.add(*arguments))


def as_sent(submittable: Any) -> tuple[Any, dict[str, Any]]:
    """The arguments of an activity as a worker has them, when simpleflow has sent them."""
    converted = to_simpleflow(submittable)
    sent = json.loads(simpleflow_format.input({"args": converted.args, "kwargs": converted.kwargs}))
    return sent["args"], sent["kwargs"]


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC), "2026-01-02T03:04:05.678Z"),
        (dt.time(1, 2), "01:02:00"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("é".encode(), "é"),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({2, 1}), [1, 2]),
        ({"deep": [dt.date(2026, 1, 2), {"er": {UUID(int=1)}}]}, None),
        (Proxy(lambda: {"rows": [1]}), {"rows": [1]}),
        ([1, "two", None, {"three": 3.5}], [1, "two", None, {"three": 3.5}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_client_takes_as_an_argument_an_activity_takes_too(given: Any, received: Any) -> None:
    by_the_client = json.loads(encode({"args": [given], "kwargs": {"b": given}}, "the input"))
    assert as_sent(acts.add(given, b=given)) == (by_the_client["args"], by_the_client["kwargs"])
    if received is not None:
        assert by_the_client["args"] == [received]
        # The local executor gives what SWF would.
        assert to_simpleflow(acts.add(given)).args == [received]


@pytest.mark.parametrize("given", [object(), {1: "one"}, {(1, 2): "pair"}, float("nan"), [{"a": {None: 1}}]])
def test_what_an_activity_refuses_as_an_argument_the_client_refuses_too(given: Any) -> None:
    with pytest.raises(NotConvertibleError):
        to_simpleflow(acts.add(given))
    with pytest.raises(SwfInputError, match="cannot be written as JSON"):
        encode({"args": [given], "kwargs": {}}, "the input")


def test_sets_are_written_alike_by_every_process() -> None:
    program = (
        "import swf_activities as acts; from asyncsteps.swf import to_simpleflow; "
        "print(to_simpleflow(acts.add({f'table-{n}' for n in range(20)})).args)"
    )
    support = str(Path(__file__).parents[1] / "support")
    written = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": support, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(written) == 1


LONG: Any = "x" * 40_000
EMPTY_INPUT = len('{"args":[""],"kwargs":{}}')


@pytest.mark.parametrize(
    ("submittable", "what"),
    [
        (acts.add(LONG), "activity swf_activities.add"),
        (Step("s", Chain(acts.double(1), Group(acts.add(1, b=LONG)))), "activity swf_activities.add"),
        ((acts.plain, "x" * (32_768 - EMPTY_INPUT + 1)), "activity swf_activities.plain"),
        (acts.add(LONG[:0] + "é" * 6_000), "activity swf_activities.add"),  # \u00e9 is six characters
        (SignalTask("go", "x" * 40_000), "<signal go>"),
        (MarkerTask("seen", "x" * 40_000), "marker"),
    ],
)
def test_what_is_too_long_for_swf_is_refused_when_it_is_submitted(submittable: Any, what: str) -> None:
    says = rf"{what}.* its input is [\d,]+ characters of JSON, and SWF takes 32,768; put it on S3 and give its key"
    with pytest.raises(NotConvertibleError, match=says):
        to_simpleflow(submittable)


def test_what_just_fits_is_taken_by_simpleflow_as_well() -> None:
    args, _ = as_sent((acts.plain, "x" * (32_768 - EMPTY_INPUT)))
    assert len(args[0]) == 32_768 - EMPTY_INPUT
    with pytest.raises(JumboTooLargeError):
        simpleflow_format.input({"args": ["x" * (32_768 - EMPTY_INPUT + 1)], "kwargs": {}})


def test_the_length_and_jumbo_fields_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotConvertibleError, match=r"40,025 characters.* or set SIMPLEFLOW_JUMBO_FIELDS_BUCKET"):
        to_simpleflow(acts.add(LONG))
    monkeypatch.setenv("SIMPLEFLOW_JUMBO_FIELDS_BUCKET", "jumbo/fields")
    assert to_simpleflow(acts.add(LONG)).args == [LONG]
    with pytest.raises(NotConvertibleError, match=r"SWF takes 5,242,880; put it on S3 and give its key$"):
        to_simpleflow(acts.add(150 * LONG))


def test_circular_and_named_arguments() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(NotConvertibleError, match=r"argument 'b', .* is no JSON: Circular reference"):
        to_simpleflow(acts.add(1, b=circle))  # type: ignore[arg-type]
    with pytest.raises(NotConvertibleError, match=r"<signal go>"):
        to_simpleflow(SignalTask("go", object()))
    with pytest.raises(NotConvertibleError, match="marker"):
        to_simpleflow(MarkerTask("seen", object()))


@pytest.mark.parametrize("name", ["context", "simpleflow_middlewares"])
def test_argument_names_that_simpleflow_swallows_are_refused(name: str) -> None:
    with pytest.raises(NotConvertibleError, match=f"an argument called {name} for itself"):
        to_simpleflow(ActivityTask(takes_any, **{name: 1}))


def test_arguments_that_are_not_taken_are_refused_and_those_that_a_chain_adds_are_not_missed() -> None:
    too_many: Any = (acts.add, 1, 2, 3)
    with pytest.raises(StepDefinitionError, match=r"swf_activities\.add .*takes \(a, b=\.\.\.\), and is given 3"):
        to_simpleflow(too_many)
    sends = canvas.Chain(to_simpleflow(acts.add(1)), to_simpleflow((acts.double,)), send_result=True)
    assert [each.args for each in sends.activities] == [[1], []]
    assert to_simpleflow(two_arguments).name.endswith("two_arguments")  # simpleflow's `submit` gives both


def test_what_is_simpleflows_own_is_left_to_it() -> None:
    theirs = task.ActivityTask(acts.theirs, 1, 2, 3, 4)
    assert to_simpleflow(theirs) is theirs
    assert to_simpleflow((acts.theirs, 1, 2, 3, 4)).args == [1, 2, 3, 4]


@activity
def takes_any(**given: Any) -> list[str]:
    return [*given]


@activity
def two_arguments(a: int, b: int) -> int:
    return a + b
