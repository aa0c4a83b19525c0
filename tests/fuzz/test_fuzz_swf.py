"""What comes from SWF: markers and payloads of histories, forms of the done list, inputs of activities."""

import base64
import contextlib
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from fuzzing import examples, hostile_json, hostile_text, json_values, refused, step_names
from hypothesis import example, given
from hypothesis import strategies as st
from stub_aws import Reply, stub_client

from asyncsteps import MemoryStore
from asyncsteps._plan.names import is_step_name
from asyncsteps.store import StepStore
from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import SwfError
from asyncsteps.swf._client.records import JumboField
from asyncsteps.swf._client.wire import decode, encode
from asyncsteps.swf._done.payload import FORM, VERSION, Part, Snapshot, pack, part_form, read_form
from asyncsteps.swf._errors import DoneListError
from asyncsteps.swf._steps.history import (
    _LISTINGS,
    _MARK,
    _WITHDRAW,
    MarkerIndex,
    listings,
    own_changes,
)
from asyncsteps.swf.tasks import GetStepsDoneTask, MarkStepDoneTask, WithdrawStepsDoneTask

marker_fields = st.fixed_dictionaries(
    {},
    optional={
        "step": step_names | json_values,
        "status": st.sampled_from(["scheduled", "skipped", "completed", "failed"]) | json_values,
        "forced": st.booleans() | json_values,
        "reasons": st.lists(hostile_text, max_size=2) | json_values,
    },
)
payloads = st.one_of(
    hostile_text, hostile_json, json_values.map(json.dumps), marker_fields.map(json.dumps), st.none()
)


@examples(200)
@given(st.lists(payloads, max_size=4))
@example(['{"step": "a", "status": "scheduled", "reasons": 5}'])
@example(['{"step": "a", "status": ["scheduled"]}'])
@example(['{"step": "a", "status": "scheduled", "reasons": [[]]}'])
@example(['{"step": ' + "[" * 30_000])
def test_any_marker_of_a_history_is_a_decision_or_is_none_of_ours(texts: list[str | None]) -> None:
    events = [{"state": "recorded", "details": text} for text in texts]
    index = MarkerIndex({"log.step": events})
    for text in texts:
        with contextlib.suppress(ValueError, TypeError, RecursionError, KeyError):
            step = json.loads(text or "")["step"]
            if isinstance(step, str):
                for taken in (index.take_decision(step, None), index.take_completion(step, None)):
                    assert (
                        taken is None
                        or isinstance(taken, str)
                        or all(isinstance(reason, str) for reason in taken.decision.reasons)
                    )


calls = st.fixed_dictionaries(
    {},
    optional={
        "args": st.lists(hostile_text | json_values, max_size=3) | json_values,
        "kwargs": st.dictionaries(
            st.sampled_from(["again", "after", "compact", "or_count", "names"]),
            st.booleans() | hostile_text | st.lists(hostile_text, max_size=2) | json_values,
        )
        | json_values,
    },
)
activities = st.fixed_dictionaries(
    {"name": st.sampled_from([*_LISTINGS, _MARK, _WITHDRAW, "other"])},
    optional={"input": calls | json_values},
)


@examples(100)
@given(st.lists(activities, max_size=3))
@example([{"name": _WITHDRAW, "input": {"args": ["b", "p"]}}, {"name": _MARK, "input": {"args": ["b", "p"]}}])
@example([{"name": name, "input": {"args": [[], {}], "kwargs": {"compact": True}}} for name in _LISTINGS])
@example([{"name": name, "input": "no JSON"} for name in (*_LISTINGS, _MARK, _WITHDRAW)])
def test_any_input_of_an_activity_in_a_history_is_a_call_of_ours_or_is_none(scheduled: list[Any]) -> None:
    history: Any = SimpleNamespace(activities=dict(enumerate(scheduled)))
    for listing in listings(history):
        assert [type(part) for part in listing.place] == [str, str]
        assert (type(listing.again), type(listing.after), hash(listing)) == (int, str, hash(listing))
    for names in own_changes(history, ("b", "p"), until=9):
        assert all(isinstance(name, str) for name in names)


@examples(200)
@given(
    payloads
    | st.tuples(hostile_text, st.integers().map(str)).map(lambda pair: "simpleflow+s3://" + " ".join(pair))
)
@example("simpleflow+s3://b/k " + "9" * 5_000)
@example("simpleflow+s3://b/k \u0663")
@example("[" * 30_000)
def test_any_payload_is_decoded(payload: str | None) -> None:
    read = decode(payload)
    assert read is None or isinstance(read, str | int | float | list | dict | JumboField)


@examples(100)
@given(json_values | st.binary() | st.sets(st.integers()) | st.builds(object))
def test_any_value_is_encoded_or_refused(value: Any) -> None:
    error = refused(lambda: encode(value, "the input"), SwfError)
    assert error is None or str(error).startswith("the input")


def packed(lines: str, *, count: object = None, **more: object) -> dict[str, Any]:
    """A list in the compact form, of any lines."""
    data = base64.b85encode(zlib.compress(lines.encode(errors="surrogatepass"))).decode()
    count = lines.count("\n") + 1 if count is None else count
    return {"form": FORM, "version": VERSION, "count": count, "packed": data, **more}


forms = st.one_of(
    json_values,
    st.lists(json_values | step_names, max_size=3),
    st.fixed_dictionaries(
        {"form": st.just(FORM), "version": st.just(VERSION) | json_values},
        optional={
            "count": st.integers(-1, 3) | json_values,
            "packed": hostile_text | json_values,
            "through": step_names | json_values,
            "snapshot": json_values
            | st.dictionaries(st.sampled_from(["prefix", "name"]), json_values | hostile_text),
        },
    ),
    st.lists(
        st.tuples(st.sampled_from(["0", "1", "-1", "ffffff", "x", " 2", "1_0"]), hostile_text | step_names),
        max_size=4,
    ).map(lambda pairs: packed("\n".join(f"{shared}\t{rest}" for shared, rest in pairs))),
    st.lists(step_names, max_size=3).map(lambda names: pack(set(names))),
)
LONG = {
    "form": FORM,
    "version": VERSION,
    "count": 1,
    "packed": base64.b85encode(zlib.compress(b"\n" * 2**27)).decode(),
}
"""128 MiB in 130 kB, as long as a snapshot may be."""

BOMB = packed(f"0\t{'a' * 100_000}\n" + "\n".join(["ffffff\ta"] * 100_000))


@examples(200)
@given(forms)
@example({"form": FORM, "version": VERSION, "snapshot": {"prefix": "p"}})
@example({"form": FORM, "version": VERSION, "snapshot": {"prefix": [], "name": {}}, "count": 1})
@example({"form": FORM, "version": VERSION, "snapshot": 5, "count": 1})
@example(pack(["a"]) | {"through": 5})
@example(pack([]) | {"through": ""})
@example(pack(["a", "b"]) | {"through": "a"})
@example([5])
@example(BOMB)
@example(LONG)
@example(pack(["a"]) | {"packed": base64.b85encode(zlib.compress(b"0\ta")[:-5]).decode()})
def test_any_result_of_a_listing_is_a_list_or_is_refused(form: Any) -> None:
    read: list[Part | Snapshot] = []
    error = refused(lambda: read.append(read_form(form)), DoneListError)
    assert form is not LONG or "does not end within" in str(error)
    for each in read:
        if isinstance(each, Part):
            assert all(isinstance(name, str) for name in each.names)
            assert each.through is None or each.through == each.names[-1]
        else:
            assert (type(each.prefix), type(each.name), hash(each)) == (str, str, hash(each))


@examples(60)
@given(st.lists(step_names, unique=True, max_size=20), st.integers(200, 2_000))
def test_a_list_comes_through_in_parts_of_any_size(names: list[str], limit: int) -> None:
    left, taken = sorted(names), list[str]()
    while True:
        part = read_form(json.loads(json.dumps(part_form(left, limit=limit))))
        assert isinstance(part, Part)
        taken += part.names
        if part.through is None:
            break
        left = [name for name in left if name > part.through]
    assert taken == sorted(names)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The store behind the activities, in memory."""
    store = MemoryStore({"a": {}, "a.b": {}, "c": {}})

    @asynccontextmanager
    async def use_store(bucket: str, prefix: str) -> AsyncIterator[StepStore]:
        async with MemoryStore(store.records) as opened:
            yield opened
            store.records.clear()
            store.records.update(opened.records)

    monkeypatch.setattr("asyncsteps.swf.tasks.use_store", use_store)
    return store


def texts_of(given_names: Any) -> list[str]:
    """The names or selectors that an argument can mean: a text is one."""
    if isinstance(given_names, str):
        return [given_names]
    return [text for text in given_names if isinstance(text, str)] if isinstance(given_names, list | dict) else []


arguments = st.lists(hostile_text | step_names | json_values, max_size=4)


@examples(80)
@given(names=json_values | arguments, under=json_values | arguments, keep=json_values | forms)
@example(names="ac", under=(), keep=None)
@example(names=(), under=["*"], keep={"packed": 5})
def test_any_input_of_a_withdrawal_withdraws_what_it_names_or_is_refused(
    stored: MemoryStore, names: Any, under: Any, keep: Any
) -> None:
    before = {"a", "a.b", "c"}
    stored.records.update({name: {} for name in before})
    errors = (DoneListError, ValueError, TypeError)
    refused(lambda: WithdrawStepsDoneTask("bucket", "path", names, under, keep).execute(), *errors)
    gone = before - set(stored.records)
    named, selectors = texts_of(names), texts_of(under)
    assert all(
        name in named or any(each in {"*", name} or name.startswith(f"{each}.") for each in selectors)
        for name in gone
    )


@examples(60)
@given(name=json_values | hostile_text | step_names, after=json_values | hostile_text, compact=st.booleans())
def test_any_input_of_a_mark_or_a_listing_is_done_or_refused(
    stored: MemoryStore, name: Any, after: Any, *, compact: bool
) -> None:
    refused(lambda: MarkStepDoneTask("bucket", "path", name).execute(), ValueError, TypeError)
    assert all(map(is_step_name, stored.records))
    refused(lambda: GetStepsDoneTask("bucket", "path", compact, after).execute(), ValueError, TypeError)


answers = st.one_of(
    st.binary(max_size=20),
    hostile_json.map(str.encode),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "events": st.lists(
                st.fixed_dictionaries(
                    {
                        "eventId": st.integers(-1, 3),
                        "eventTimestamp": st.integers(0, 2**31),
                        "eventType": st.sampled_from(["MarkerRecorded", "WorkflowExecutionCompleted", "Odd"]),
                    },
                    optional={
                        "markerRecordedEventAttributes": st.fixed_dictionaries(
                            {}, optional={"markerName": st.just("m")}
                        ),
                        "workflowExecutionCompletedEventAttributes": st.fixed_dictionaries({}),
                    },
                ),
                max_size=3,
            ),
            "executionInfo": json_values,
            "executionInfos": st.lists(st.fixed_dictionaries({}, optional={"execution": json_values}), max_size=2),
            "runId": st.just("r") | json_values,
            "__type": hostile_text
            | st.sampled_from(["UnknownResourceFault", "ThrottlingException", "LimitExceededFault"]),
            "message": hostile_text | json_values,
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@examples(60)
@given(status=st.sampled_from([200, 200, 400, 403, 500, 503]), body=answers)
@example(status=200, body=b'{"executionInfos": [{}]}')
@example(status=200, body=b'{"executionInfo": {}}')
@example(status=200, body=b'{"events": []}')
@example(status=200, body=b"[]")
@example(status=200, body=b'{"events": [{"eventId": 0, "eventTimestamp": 0, "eventType": "MarkerRecorded"}]}')
async def test_any_answer_is_read_or_is_an_error_of_the_client(status: int, body: bytes) -> None:
    asked = 0

    def reply(request: Any) -> Reply:
        nonlocal asked
        asked += b"GetWorkflowExecutionHistory" in request.headers["X-Amz-Target"]
        if asked > 3:  # an execution that tells nothing is followed without end
            return Reply(400, b'{"__type": "UnknownResourceFault", "message": "gone"}')
        return Reply(status, body)

    options: dict[str, Any] = {"poll_patience": 0, "polls_per_second": 10_000, "min_poll_interval": 0.001}
    async with (
        stub_client("swf", reply) as client,
        SwfClient("domain", client=client, **options) as swf,
    ):
        execution = swf.get("w", "r")

        async def markers() -> None:
            async with aclosing(execution.markers(follow_runs=False)) as found:
                async for _ in found:
                    break

        async def listed() -> None:
            async with aclosing(swf.list_open()) as found:
                async for _ in found:
                    break

        async def events() -> None:
            async with aclosing(execution.events(live=False, follow_runs=False)) as found:
                async for _ in found:
                    pass

        for call in (
            lambda: swf.start("name", version="v", workflow_id="w", task_list="t"),
            lambda: swf.find_open("w"),
            execution.describe,
            lambda: execution.signal("s"),
            listed,
            events,
            markers,
        ):
            with contextlib.suppress(SwfError):
                await call()
