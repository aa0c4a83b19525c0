"""simpleflow's own deciders and workers, as processes, against a moto server."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from servers import MotoServer, serving

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


@contextlib.contextmanager
def run_swf(server: MotoServer, environment: Mapping[str, str]) -> Iterator[Swf]:
    """Run a decider of all workflows of the examples, and workers of their task lists, in a new domain.

    Args:
        server: The server, from `moto_with_signals`.
        environment: What they get beside the endpoint of that server.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    given = plain | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": server.endpoint,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "examples"), str(ROOT / "tests" / "support")]),
        "PYTHONWARNINGS": "ignore",
        "STEP_BUCKET": "steps",
        **environment,
    }
    with contextlib.ExitStack() as stack:
        server.create_bucket("steps")
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
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
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
            stack.enter_context(simpleflow(given, log, command, f"--domain={DOMAIN}", *options))
        yield Swf(server, client, log)


def moto_with_signals() -> AbstractContextManager[MotoServer]:
    return serving(str(ROOT / "tests" / "support" / "moto_with_signals.py"))


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
