"""``simpleflow activity.rerun``: a step's activities, taken from a history on a moto server, played again here."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from servers import MotoServer
from swf_client_support import Decider, complete, schedule

from asyncsteps.swf._logging import import_simpleflow

TASKS = "asyncsteps.swf.tasks"


@pytest.fixture
def decider(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decider]:
    """A domain, where simpleflow's own clients find it too: it keeps those that it has made."""
    import_simpleflow()
    from simpleflow.boto3_utils import _client_var

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    decider = Decider(moto_server.endpoint)
    decider.register()
    before = _client_var.set({})
    yield decider
    _client_var.reset(before)


def scheduled(decider: Decider, workflow_id: str, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Schedule an activity in an execution that then completes; the execution's run, and the event."""
    decider.swf.register_activity_type(domain=decider.domain, name=f"{TASKS}.{name}", version="1.0")
    run_id = decider.start(workflow_id)
    given = {"args": args, "kwargs": kwargs}
    decider.decide([schedule(f"{TASKS}.{name}", f"activity-{name}", version="1.0", given=given)])
    decider.wake(workflow_id)
    decider.decide([complete()])
    events = decider.history(workflow_id, run_id)
    event = next(it["eventId"] for it in events if it["eventType"] == "ActivityTaskScheduled")
    return {"run_id": run_id, "scheduled_id": event}


def rerun(decider: Decider, workflow_id: str, **which: Any) -> None:
    import_simpleflow()
    import simpleflow.command

    command: Any = simpleflow.command.activity_rerun

    given = {"input": None, "scheduled_id": None, "activity_id": None, **which}
    command.callback(domain=decider.domain, workflow_id=workflow_id, **given)


@pytest.mark.parametrize("by", ["scheduled_id", "activity_id"])
def test_a_mark_is_written_again(decider: Decider, moto_server: MotoServer, bucket: str, by: str) -> None:
    event = scheduled(decider, "w", "MarkStepDoneTask", bucket, "w/steps/", "a.b")
    if by == "activity_id":
        event = {"run_id": event["run_id"], "activity_id": "activity-MarkStepDoneTask"}
    rerun(decider, "w", **event)
    assert moto_server.keys(bucket) == ["w/steps/a.b"]
    assert json.loads(moto_server.get(bucket, "w/steps/a.b"))["workflow_id"] == "w"


def test_a_withdrawal_is_made_again(decider: Decider, moto_server: MotoServer, bucket: str) -> None:
    for name in ("a", "b"):
        moto_server.put(bucket, f"w/steps/{name}")
    event = scheduled(decider, "w", "WithdrawStepsDoneTask", bucket, "w/steps/", names=["a"])
    rerun(decider, "w", **event)
    assert moto_server.keys(bucket) == ["w/steps/b"]


@pytest.mark.parametrize("form", [{}, {"compact": True}, {"or_count": True}])
def test_a_listing_is_made_again(
    decider: Decider,
    moto_server: MotoServer,
    bucket: str,
    form: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto_server.put(bucket, "w/steps/a")
    event = scheduled(decider, "w", "GetStepsDoneTask", bucket, "w/steps/", **form)
    import_simpleflow()
    said: list[str] = []
    monkeypatch.setattr("simpleflow.command.logger.info", lambda text, *args: said.append(text))
    rerun(decider, "w", **event)
    assert said[-1] == 'Result (JSON): ["a"]'
