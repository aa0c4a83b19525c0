"""Outages of S3 for real deciders and workers: simpleflow's own processes, with a proxy before moto's S3."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from servers import FaultProxy, Request, error_answer, run_fault_proxy, slow_down
from swf_processes import Swf, markers, moto_with_signals, run_swf, scheduled

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("swf_outage_processes"), pytest.mark.timeout(600)]

MODULES = ["json", "logging"]


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Swf, FaultProxy]]:
    """Deciders and workers that reach S3 through a proxy, by one attempt a request, and SWF without."""
    with (
        moto_with_signals() as server,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(run_fault_proxy(server.endpoint)) as proxy,
        run_swf(server, {"AWS_ENDPOINT_URL_S3": proxy.endpoint, "AWS_MAX_ATTEMPTS": "1"}) as swf,
    ):
        yield swf, proxy


def reads_a_snapshot(request: Request) -> bool:
    return request.method == "GET" and not request.is_listing and "asyncsteps-snapshots" in request.path


def play(swf: Swf, folder: Path) -> list[Any]:
    """An execution that finds one of its steps done, in a list too long for a result."""
    workflow_id = f"census-{uuid.uuid4().hex}"
    for number in range(70):
        name = "".join(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {part}").hex for part in range(28))
        swf.server.put("steps", f"{workflow_id}/steps/{name}")
    swf.server.put("steps", f"{workflow_id}/steps/census.json")
    counted = {"module": "json", "files": 1, "lines": 1, "functions": 1, "classes": 1}
    (folder / "json.json").write_text(json.dumps(counted))
    history = swf.execute("swf_census", "1", "decisions", workflow_id, args=[str(folder), MODULES], kwargs={})
    assert history[-1]["eventType"] == "WorkflowExecutionCompleted", swf.log.read_text()[-3000:]
    assert [(name, status) for name, status, _, _ in markers(history)] == [
        ("census.json", "skipped"),
        ("census.logging", "scheduled"),
        ("census.logging", "completed"),
        ("report.largest", "scheduled"),
        ("report.largest", "completed"),
    ]
    return history


def timers(history: list[Any]) -> list[str]:
    return [
        event["timerStartedEventAttributes"]["startToFireTimeout"]
        for event in history
        if event["eventType"] == "TimerStarted" and "snapshot" in event["timerStartedEventAttributes"]["timerId"]
    ]


def test_a_decider_waits_while_s3_is_out(world: tuple[Swf, FaultProxy], tmp_path: Path) -> None:
    swf, proxy = world
    proxy.inject(slow_down(), when=reads_a_snapshot)
    proxy.inject(error_answer(500, "InternalError"), when=reads_a_snapshot)
    history = play(swf, tmp_path)
    assert timers(history) == ["10", "20"]
    assert scheduled(history).count("GetStepsDoneTask") == 2  # the first one answers that there are too many
    assert "attempt 2 of 11 failed" in swf.log.read_text()


def test_a_decider_that_may_not_read_has_the_list_come_in_parts(
    world: tuple[Swf, FaultProxy], tmp_path: Path
) -> None:
    swf, proxy = world
    proxy.inject(error_answer(403, "AccessDenied"), times=99, when=reads_a_snapshot)
    history = play(swf, tmp_path)
    proxy.rule = None
    assert timers(history) == []
    assert scheduled(history).count("GetStepsDoneTask") > 2
    log = swf.log.read_text()
    assert "s3:GetObject" in log
    assert "comes in parts" in log


def test_workers_try_again_when_s3_fails_once(world: tuple[Swf, FaultProxy], tmp_path: Path) -> None:
    swf, proxy = world
    proxy.inject(slow_down(), when=lambda request: request.method == "PUT" and "/steps/" in request.path)
    history = play(swf, tmp_path)
    failed = [event for event in history if event["eventType"] == "ActivityTaskFailed"]
    assert [event["activityTaskFailedEventAttributes"]["reason"].split(":")[0] for event in failed] == [
        "ThrottledError"
    ]
