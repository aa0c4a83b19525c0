"""Starting executions with the async SWF client: simpleflow's input, the class's attributes, what is refused."""

# simpleflow is untyped.
# mypy: allow-subclassing-any
import datetime as dt
import json
from typing import Any, cast
from uuid import UUID

import pytest
from simpleflow import Workflow
from simpleflow import format as simpleflow_format
from simpleflow.swf.mapper.models.history.base import History
from simpleflow.swf.utils import set_workflow_class_name
from swf_client_support import Decider, Ingest, client, session

from asyncsteps.swf._client.client import SwfClient
from asyncsteps.swf._client.errors import (
    ExecutionAlreadyStartedError,
    ExecutionNotFoundError,
    SwfDomainNotFoundError,
    SwfInputError,
    WorkflowTypeNotFoundError,
)
from asyncsteps.swf._client.wire import encode


async def test_the_input_and_the_parameters_reach_swf_in_simpleflows_form(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest, 42, "é", workflow_id="w", tags=["a", "b"], people={"id": 7})
    started = decider.history("w", execution.run_id)[0]["workflowExecutionStartedEventAttributes"]
    assert started["taskList"] == {"name": "ingest"}
    assert started["executionStartToCloseTimeout"] == "3600"
    assert started["taskStartToCloseTimeout"] == "60"
    assert started["childPolicy"] == "TERMINATE"
    as_simpleflow_has_it: dict[str, Any] = {"args": [42, "é"], "kwargs": {"people": {"id": 7}}}
    set_workflow_class_name(as_simpleflow_has_it, Ingest)
    assert started["input"] == simpleflow_format.input(as_simpleflow_has_it)


async def test_simpleflows_decider_finds_args_and_kwargs_in_what_was_started(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(Ingest, 1, workflow_id="w", size=2)
    history = History.from_event_list(decider.history("w", execution.run_id))
    found = cast("Any", history)[0].input  # what simpleflow's Executor.replay reads
    assert (found.get("args", ()), found.get("kwargs", {})) == ([1], {"size": 2})


async def test_what_is_given_beats_the_class(decider: Decider) -> None:
    async with client(decider) as swf:
        execution = await swf.start(
            Ingest,
            task_list="other",
            tags="one",
            execution_timeout="86400",
            decision_tasks_timeout=5.0,
            child_policy="ABANDON",
            input={"args": [], "kwargs": {"task_list": "the workflow's own"}},
        )
        assert (await execution.describe()).tags == ("one",)
    event = decider.history(execution.workflow_id, execution.run_id)[0]["workflowExecutionStartedEventAttributes"]
    assert event["taskList"] == {"name": "other"}
    assert event["executionStartToCloseTimeout"] == "86400"
    assert event["taskStartToCloseTimeout"] == "5"
    assert event["childPolicy"] == "ABANDON"
    assert json.loads(event["input"])["kwargs"] == {"task_list": "the workflow's own"}


async def test_a_class_computes_task_list_and_tags_from_the_input(decider: Decider) -> None:
    class Computed(Ingest):
        @staticmethod
        def get_task_list(workflow: type, user: str) -> str:
            return f"list-{user}"

        @staticmethod
        def get_tag_list(workflow: type, user: str) -> list[str]:
            return [user]

    async with client(decider) as swf:
        execution = await swf.start(Computed, "ann")
        info = await execution.describe()
    assert (info.task_list, info.tags) == ("list-ann", ("ann",))


async def test_a_name_and_version_start_what_the_type_has_defaults_for(decider: Decider) -> None:
    async with client(decider) as swf:
        assert await swf.register("plain", version="2", task_list="t") is True
        assert await swf.register("plain", version="2") is False
        execution = await swf.start("plain", {"a": 1}, version="2")
        info = await execution.describe()
    assert (info.workflow, info.version, info.task_list) == ("plain", "2", "t")
    assert info.is_open
    assert execution.workflow_id.startswith("plain-2-")


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC),
        dt.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001  simpleflow takes it
        dt.date(2026, 1, 2),
        dt.time(1, 2, 3, 456789),
        dt.time(1, 2),
        UUID(int=7),
        {3},
        b"caf\xc3\xa9 \xff",
        {"b": 1, "a": [None, True, 1.5, "é\n"]},
    ],
    ids=repr,
)
def test_values_are_encoded_as_simpleflow_encodes_them(value: object) -> None:
    data = {"args": [value], "kwargs": {}}
    assert encode(data, "the input") == simpleflow_format.input(data)


class Nameless(Workflow):
    version = "1"


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((Nameless,), {}, "Nameless has no name"),
        (("plain",), {}, "has no version"),
        ((Ingest, object()), {}, "object is no JSON value"),
        ((Ingest, "x" * 32_768), {}, "SWF takes 32,768"),
        ((Ingest,), {"workflow_id": ""}, "workflowId"),
        ((Ingest,), {"workflow_id": 7}, "workflowId, value: 7"),
        ((Ingest,), {"tags": [None]}, r"tagList\[0\], value: None"),
        ((Ingest,), {"tags": 7}, "tagList, value: 7"),
        ((Ingest,), {"child_policy": 7}, "childPolicy, value: 7"),
        ((Ingest,), {"execution_timeout": 1.5}, "execution_timeout must be whole seconds"),
        ((Ingest,), {"decision_tasks_timeout": float("inf")}, "decision_tasks_timeout"),
        ((Ingest, 1), {"input": {"args": []}}, "not both"),
        ((Ingest,), {"input": {"arguments": []}}, "'args' and 'kwargs'"),
    ],
)
async def test_bad_input_is_refused_before_swf_is_asked(
    args: tuple[Any, ...], kwargs: dict[str, Any], says: str
) -> None:
    nobody = "http://127.0.0.1:9"  # asking it would be another error
    async with SwfClient("domain", session=session(), endpoint_url=nobody) as swf:
        with pytest.raises(SwfInputError, match=says):
            await swf.start(*args, **kwargs)


async def test_a_second_execution_with_the_same_id_tells_the_run_that_is_open(decider: Decider) -> None:
    async with client(decider) as swf:
        first = await swf.start(Ingest, workflow_id="twice")
        await swf.start(Ingest, workflow_id="another")
        with pytest.raises(ExecutionAlreadyStartedError, match="another workflow_id") as caught:
            await swf.start(Ingest, workflow_id="twice")
        assert (caught.value.workflow_id, caught.value.run_id) == ("twice", first.run_id)
        assert await swf.find_open("twice") == first


async def test_unknown_domain_type_and_execution_have_their_own_errors(decider: Decider) -> None:
    async with SwfClient("nowhere", endpoint_url=decider.endpoint) as swf:
        with pytest.raises(SwfDomainNotFoundError, match=r"aws swf register-domain --name nowhere") as caught:
            await swf.start(Ingest)
        assert caught.value.domain == "nowhere"
        assert caught.value.endpoint == decider.endpoint
    async with client(decider) as swf:
        with pytest.raises(WorkflowTypeNotFoundError, match="register workflow type 'ghost', version '1'"):
            await swf.start("ghost", version="1", task_list="t")
        decider.swf.deprecate_workflow_type(
            domain=decider.domain, workflowType={"name": "test.ingest", "version": "v1"}
        )
        with pytest.raises(WorkflowTypeNotFoundError, match="deprecated"):
            await swf.start(Ingest)
        ghost = swf.get("ghost", "0" * 32)
        for ask in (ghost.result, ghost.wait_closed, ghost.describe, ghost.terminate):
            with pytest.raises(ExecutionNotFoundError) as missing:
                await ask()
            assert (missing.value.workflow_id, missing.value.run_id) == ("ghost", "0" * 32)
        with pytest.raises(ExecutionNotFoundError):
            await anext(ghost.markers())
        with pytest.raises(ExecutionNotFoundError):
            await swf.find_open("ghost")


async def test_a_missing_default_is_named(decider: Decider) -> None:
    async with client(decider) as swf:
        with pytest.raises(SwfInputError, match=r"executionStartToCloseTimeout.*give it to start"):
            await swf.start("test.ingest", version="v1")
