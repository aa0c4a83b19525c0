"""Steps on real SWF processes: simpleflow's own deciders and workers against a moto server."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers import MotoServer, _port_of

pytestmark = [pytest.mark.xdist_group("swf_processes"), pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
DOMAIN = "census"
SIMPLEFLOW = """
import aioboto3, asyncsteps.swf.tasks, swf_census, swf_steps_example
from simpleflow.command import cli
cli()
"""
"""The command, with the imports ahead of it that the process of each activity would make anew."""


@dataclass
class Swf:
    """A domain on a moto server, with deciders and workers."""

    server: MotoServer
    client: Any
    log: Path

    def execute(self, workflow: str, version: str, task_list: str, workflow_id: str, **given: Any) -> list[Any]:
        """Play an execution to its end, and give its history."""
        run_id = self.client.start_workflow_execution(
            domain=DOMAIN,
            workflowId=workflow_id,
            workflowType={"name": workflow, "version": version},
            taskList={"name": task_list},
            input=json.dumps(given),
            executionStartToCloseTimeout="1200",
            taskStartToCloseTimeout="300",
            childPolicy="TERMINATE",
        )["runId"]
        execution = {"workflowId": workflow_id, "runId": run_id}

        def closed() -> bool:
            described = self.client.describe_workflow_execution(domain=DOMAIN, execution=execution)
            return bool(described["executionInfo"]["executionStatus"] == "CLOSED")

        wait_until(closed, what=lambda: self.log.read_text()[-3000:])
        events = self.client.get_workflow_execution_history(domain=DOMAIN, execution=execution)["events"]
        return list(events)


def wait_until(condition: Callable[[], bool], *, what: Callable[[], str], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def swf() -> Iterator[Swf]:
    """A moto server with a domain, a decider of all workflows, and workers of their task lists."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "examples"), str(ROOT / "tests" / "support")]),
        "PYTHONWARNINGS": "ignore",
        "STEP_BUCKET": "steps",
    }
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(moto_with_signals())
        server.create_bucket("steps")
        environment["AWS_ENDPOINT_URL"] = server.endpoint
        client: Any = boto3.client(
            "swf",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.register_domain(name=DOMAIN, workflowExecutionRetentionPeriodInDays="1")
        for name, version in (("swf_census", "1"), ("step", "example"), ("customized_step", "example")):
            client.register_workflow_type(domain=DOMAIN, name=name, version=version)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = Path(folder) / "log"
        commands = [
            [
                "decider.start",
                "--task-list=decisions",
                "swf_census.CensusWorkflow",
                "swf_steps_example.StepWorkflow",
                "swf_steps_example.CustomizedStepWorkflow",
            ],
            ["worker.start", "--task-list=census", "--nb-processes=2"],
            ["worker.start", "--task-list=example"],
            ["worker.start", "--task-list=specific_task_list"],
        ]
        for command, *options in commands:
            stack.enter_context(simpleflow(environment, log, command, f"--domain={DOMAIN}", *options))
        yield Swf(server, client, log)


@contextlib.contextmanager
def moto_with_signals() -> Iterator[MotoServer]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                ROOT / "tests" / "support" / "moto_with_signals.py",
                "-H",
                "127.0.0.1",
                "-p",
                "0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield MotoServer(_port_of(process, log.fileno()))
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def simpleflow(environment: dict[str, str], log: Path, command: str, *options: str) -> Iterator[None]:
    """One of simpleflow's own processes, with its children; all are ended at the end."""
    if not any(option.startswith("--nb-processes") for option in options):
        options = ("--nb-processes=1", *options)
    with log.open("ab") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", SIMPLEFLOW, command, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def markers(history: list[Any]) -> list[tuple[str, str, bool, list[str]]]:
    told = [
        json.loads(event["markerRecordedEventAttributes"]["details"])
        for event in history
        if event["eventType"] == "MarkerRecorded"
    ]
    return [(it["step"], it["status"], it["forced"], it["reasons"]) for it in told]


def scheduled(history: list[Any]) -> list[str]:
    return [
        event["activityTaskScheduledEventAttributes"]["activityType"]["name"].rpartition(".")[2]
        for event in history
        if event["eventType"] == "ActivityTaskScheduled"
    ]


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
