"""Steps on real SWF processes: simpleflow's own deciders and workers against a moto server."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from swf_processes import Swf, markers, moto_with_signals, run_swf, scheduled

pytestmark = [pytest.mark.xdist_group("swf_processes"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def swf() -> Iterator[Swf]:
    """A moto server with a domain, a decider of all workflows, and workers of their task lists."""
    with moto_with_signals() as server, run_swf(server, {}) as swf:
        yield swf


class TestCensus:
    def test_plays_then_skips_then_replays_what_is_forced(self, swf: Swf, tmp_path: Path) -> None:
        modules = ["json", "logging"]
        workflow_id = f"census-{uuid.uuid4().hex}"
        keys = [f"{workflow_id}/steps/{name}" for name in ("census.json", "census.logging", "report.largest")]

        def census(**kwargs: Any) -> list[Any]:
            history = swf.execute(
                "swf_census", "1", "decisions", workflow_id, args=[str(tmp_path), modules], kwargs=kwargs
            )
            assert history[-1]["eventType"] == "WorkflowExecutionCompleted", swf.log.read_text()[-3000:]
            assert [key for key in swf.server.keys("steps") if key.startswith(workflow_id)] == keys
            return history

        deps = ["Dep of census.json", "Dep of census.logging"]
        first = census()
        told = markers(first)
        assert told[:2] == [("census.json", "scheduled", False, []), ("census.logging", "scheduled", False, [])]
        assert sorted(told[2:4]) == [
            ("census.json", "completed", False, []),
            ("census.logging", "completed", False, []),
        ]
        assert told[4:] == [
            ("report.largest", "scheduled", True, deps),
            ("report.largest", "completed", True, deps),
        ]
        assert sorted(scheduled(first)) == sorted(
            ["GetStepsDoneTask", *["count", "MarkStepDoneTask"] * 2, "report", "MarkStepDoneTask"]
        )
        body = json.loads(swf.server.get("steps", keys[0]))
        assert body["workflow_id"] == workflow_id
        assert set(body) == {"run_id", "workflow_id", "version"}

        done = ["Step was already played"]
        second = census()
        assert markers(second) == [
            (name, "skipped", False, done) for name in ("census.json", "census.logging", "report.largest")
        ]
        assert scheduled(second) == ["GetStepsDoneTask"]

        third = census(force=["census.json"])
        assert markers(third) == [
            ("census.json", "scheduled", True, ["asked for"]),
            ("census.logging", "skipped", False, done),
            ("census.json", "completed", True, ["asked for"]),
            ("report.largest", "scheduled", True, deps[:1]),
            ("report.largest", "completed", True, deps[:1]),
        ]
        assert scheduled(third) == [
            "GetStepsDoneTask",
            "WithdrawStepsDoneTask",
            "count",
            "MarkStepDoneTask",
            "report",
            "MarkStepDoneTask",
        ]


class TestSimpleflowsExample:
    def test_step_workflow(self, swf: Swf) -> None:
        workflow_id = f"step-{uuid.uuid4().hex}"
        names = ["my_step", "my_step_force", "my_step_with_callback_done", "my_step_with_signal"]
        for name in names[1:3]:
            swf.server.put("steps", f"{workflow_id}/steps/{name}")
        history = swf.execute("step", "example", "decisions", workflow_id)
        assert history[-1]["eventType"] == "WorkflowExecutionCompleted", swf.log.read_text()[-3000:]
        assert [(name, status) for name, status, _, _ in markers(history)] == [
            ("my_step", "scheduled"),
            ("my_step", "completed"),
            ("my_step_force", "scheduled"),
            ("my_step_force", "completed"),
            ("my_step_with_callback_done", "skipped"),
            ("my_step_with_signal", "scheduled"),
            ("my_step_with_signal", "completed"),
        ]
        assert signals(history) == ["DONE", "step.my_step_with_signal"]
        assert [key for key in swf.server.keys("steps") if key.startswith(workflow_id)] == [
            f"{workflow_id}/steps/{name}" for name in names
        ]

    def test_customized_step_workflow(self, swf: Swf) -> None:
        people = uuid.uuid4().hex
        for name in ("d", "e"):
            swf.server.put("steps", f"people/{people}/steps/{name}")
        history = swf.execute("customized_step", "example", "decisions", f"custom-{people}", args=[people, ["e"]])
        assert history[-1]["eventType"] == "WorkflowExecutionCompleted", swf.log.read_text()[-3000:]
        tasks = [
            event["activityTaskScheduledEventAttributes"]
            for event in history
            if event["eventType"] == "ActivityTaskScheduled"
        ]
        lists = {(task["activityType"]["name"].rpartition(".")[2], task["taskList"]["name"]) for task in tasks}
        assert lists == {
            ("GetStepsDoneTask", "specific_task_list"),
            ("MarkStepDoneTask", "specific_task_list"),
            ("WithdrawStepsDoneTask", "specific_task_list"),
            ("multiply", "example"),
        }
        assert markers(history) == [
            ("a.b.c", "scheduled", True, []),
            ("a.b.c", "completed", True, []),
            ("d", "skipped", False, ["Step was already played"]),
            ("e", "scheduled", True, ["workflow_init"]),
            ("e", "completed", True, ["workflow_init"]),
        ]
        assert [key for key in swf.server.keys("steps") if people in key] == [
            f"people/{people}/steps/{name}" for name in ("a.b.c", "d", "e")
        ]


def signals(history: list[Any]) -> list[str]:
    return [
        event["workflowExecutionSignaledEventAttributes"]["signalName"]
        for event in history
        if event["eventType"] == "WorkflowExecutionSignaled"
    ]
