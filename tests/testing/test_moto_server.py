"""`asyncsteps.testing`: a moto server that every client takes for AWS, and what it leaves behind: nothing."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aioboto3
import boto3
import pytest
from simpleflow import Workflow, activity, futures, settings, storage
from simpleflow.exceptions import TaskFailed
from simpleflow.local import Executor
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_simulator import workflow_class

import asyncsteps
from asyncsteps import MissingExtraError
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.testing import MotoServer, run_moto_server


@activity.with_attributes(task_list="test", version="1")
def work() -> int:
    return 1


def play(mixin: Any, prefix: str) -> Any:
    """Play one step with the hooks' defaults, but for the prefix; simpleflow's or ours."""

    def run(self: Any) -> None:
        futures.wait(self.submit(self.step("a", work)))

    workflow = workflow_class(Workflow, mixin, run=run, get_step_path_prefix=lambda self: prefix)
    del workflow.get_step_bucket
    executor: Any = Executor(workflow)
    executor.run()
    return [marker.details["status"] for marker in executor.list_markers(all=True)]


def client(service: str) -> Any:
    return boto3.client(service)


async def test_sync_and_async_clients_take_it_for_aws(moto_aws: MotoServer) -> None:
    client("s3").create_bucket(Bucket="one")
    moto_aws.put("one", "steps/load.users")
    async with aioboto3.Session().client("s3") as s3:
        listed: Any = await s3.list_objects_v2(Bucket="one")
        assert [entry["Key"] for entry in listed["Contents"]] == ["steps/load.users"]
    async with asyncsteps.open_store("s3://one/steps") as store:
        assert await store.list_done() == ["load.users"]
    assert [item.key for item in storage.list_keys("one", "steps")] == ["steps/load.users"]
    assert moto_aws.get("one", "steps/load.users") == b"{}"
    client("swf").register_domain(name="d", workflowExecutionRetentionPeriodInDays="1")
    assert client("swf").list_domains(registrationStatus="REGISTERED")["domainInfos"]


def test_the_default_bucket_is_there_for_our_steps_and_simpleflows(moto_aws: MotoServer) -> None:
    moto_aws.create_bucket(settings.STEP_BUCKET)
    assert play(WorkflowStepMixin, "ours") == ["scheduled", "completed"]
    assert play(WorkflowStepMixin, "ours") == ["skipped"]
    assert moto_aws.keys(settings.STEP_BUCKET) == ["ours/a"]
    assert WorkflowStepMixin.get_step_bucket(None) == settings.STEP_BUCKET  # type: ignore[arg-type]


def test_each_test_begins_with_an_empty_server(moto_aws: MotoServer) -> None:
    moto_aws.create_bucket("mine")
    moto_aws.put("mine", "key")
    moto_aws.reset()
    with pytest.raises(RuntimeError, match="404"):
        moto_aws.keys("mine")


def under_the_mock() -> None:
    """What docs/simpleflow-tests.md says of the mock; where this fails, the page is out of date."""
    from moto import mock_aws

    with mock_aws():
        client("s3").create_bucket(Bucket=settings.STEP_BUCKET)
        assert play(TheirMixin, "theirs") == ["scheduled", "completed"]
        with pytest.raises(TaskFailed, match="object bytes can't be used in 'await' expression"):
            play(WorkflowStepMixin, "ours")


def test_the_in_process_mock_serves_simpleflow_and_not_us() -> None:
    """In a process of its own: importing moto leaves a handler in every client of botocore."""
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-c", "from test_moto_server import under_the_mock; under_the_mock()"],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr


def test_afterwards_everything_is_as_it_was(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    before, host = dict(os.environ), settings.SIMPLEFLOW_S3_HOST
    with pytest.raises(LookupError), moto_server.as_aws():  # noqa: PT012 - the block is what is tested
        assert "AWS_PROFILE" not in os.environ
        assert "AWS_ENDPOINT_URL_S3" not in os.environ
        assert {name: os.environ[name] for name in moto_server.environment} == moto_server.environment
        assert settings.SIMPLEFLOW_S3_HOST == ""
        boto3.client("s3")
        raise LookupError
    assert dict(os.environ) == before
    assert host == settings.SIMPLEFLOW_S3_HOST != ""
    assert boto3.DEFAULT_SESSION is None
    assert not storage.BUCKET_CACHE


def test_simpleflow_may_be_imported_inside() -> None:
    program = (
        "import sys; from asyncsteps.testing import MotoServer\n"
        "with MotoServer(9).as_aws():\n"
        "    assert 'simpleflow' not in sys.modules\n"
        "    from simpleflow import settings\n"
        "    assert settings.SIMPLEFLOW_S3_HOST == ''\n"
        "print(settings.SIMPLEFLOW_S3_HOST)"
    )
    for given, expected in (
        ({}, "s3.amazonaws.com"),
        ({"SIMPLEFLOW_S3_HOST": "s3.eu-west-1.amazonaws.com"}, None),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == (expected or given["SIMPLEFLOW_S3_HOST"])


def test_each_server_is_a_process_of_its_own_that_ends_with_its_block(moto_server: MotoServer) -> None:
    moto_server.create_bucket("only-there")
    with run_moto_server() as other:
        assert other.port != moto_server.port
        with pytest.raises(RuntimeError, match="404"):
            other.keys("only-there")
    with pytest.raises(ConnectionRefusedError):
        other.keys("only-there")


def test_without_moto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'asyncsteps\[testing\]'"), run_moto_server():
        pass


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="the moto server did not start"), run_moto_server():
        pass
