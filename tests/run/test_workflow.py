import json
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from run_support import fails, noop

from asyncsteps import (
    Chain,
    EndpointUnreachableError,
    Group,
    MemoryStore,
    SignalTask,
    Step,
    StepDefinitionError,
    StepOutcome,
    StoreOptionError,
    Workflow,
    WorkflowIdError,
)


class People(Workflow):
    name = "people"
    version = "1.1"

    async def run(self, people_id: str, force_steps: tuple[str, ...] = ()) -> list[str]:
        self.add_forced_steps(force_steps, reason="workflow_init")
        self.add_skipped_steps("mail")
        outcome = await self.submit(self.step("load", (str.upper, people_id), emit_signal=True, save_result=True))
        await self.wait_signal("step.load")
        await self.submit(Group(Step("mail", noop), Chain(SignalTask("DONE"), (noop,))))
        await self.signal("MORE", 1)
        self.record_marker("mine", {"people": people_id})
        return [
            outcome.result,
            str((await self.wait_signal("DONE")).name),
            str((await self.wait_signal("MORE")).args),
        ]


async def test_the_class_form_mirrors_simpleflows() -> None:
    store = MemoryStore()
    async with store:
        outcome = await People.start(
            store, workflow_id="w-1", params={"people_id": "ada", "force_steps": ("load",)}
        )
        assert outcome.result == ["ADA", "DONE", "(1,)"]
        assert [marker.details.get("reasons") for marker in outcome.markers] == [["workflow_init"]] * 2 + [[]] + [
            None
        ]
        outcome.raise_for_failures()
        record = store.records["load"]
        assert record["workflow_id"] == "w-1"
        assert record["version"] == "1.1"
        assert record["run_id"] == outcome.run_id
        assert (await People.start(store, params={"people_id": "bob"})).result[0] == "ADA"
        plan = await People.plan(store, workflow_id="w-1", params={"people_id": "ada"}, skip={"load": "no"})
        assert [(step.step, step.action) for step in plan.decisions] == [("load", "skip"), ("mail", "skip")]
        async with People.opened(store, workflow_id="w-2", version="2") as workflow:
            assert workflow.workflow_id == "w-2"
            assert workflow.get_run_context() == {
                "name": "people",
                "version": "2",
                "run_id": workflow.step_run.run_id,
                "workflow_id": "w-2",
                "tag_list": [],
            }
            await workflow.run("eve")
            assert workflow.get_skipped_steps() == ["mail"]
            assert workflow.get_forced_steps() == []
            assert await workflow.submit(max, 1, 2) == 2


async def test_failures_are_on_the_outcome() -> None:
    class Fails(Workflow):
        async def run(self) -> StepOutcome:
            return await self.submit(Step("a", fails))

    async with MemoryStore() as store:
        outcome = await Fails.start(store, workflow_id="w")
        assert outcome.result.status == "failed"
        with pytest.raises(ExceptionGroup) as caught:
            outcome.raise_for_failures()
        assert caught.value.exceptions == outcome.failures


async def test_bad_workflows_are_refused() -> None:
    with pytest.raises(StepDefinitionError, match="async def run"):

        class Sync(Workflow):
            def run(self) -> None:  # type: ignore[override] # that is the point
                ...

    with pytest.raises(NotImplementedError):
        async with MemoryStore() as store:
            await Workflow.start(store)
    with pytest.raises(WorkflowIdError):
        await People.start(workflow_id="", params={"people_id": "ada"})


class Hooked(Workflow):
    bucket: str

    async def run(self, people_id: str, *, bucket: str) -> Any:
        self.people_id = people_id
        self.bucket = bucket
        await self.submit(noop)
        return (await self.submit(Step("my_step", noop))).status

    def get_step_bucket(self) -> str:
        return self.bucket

    def get_step_path_prefix(self) -> str:
        return f"people/{self.people_id}/steps"


async def test_without_a_store_the_hooks_make_it_with_what_run_has_set(
    s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    params = {"people_id": "42", "bucket": bucket}
    assert [step.action for step in (await Hooked.plan(params=params)).decisions] == ["run"]
    assert (await Hooked.start(params=params)).result == "completed"
    client: Any = boto3.client("s3", endpoint_url=s3_endpoint)
    *journals, found = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert all(each["Key"].startswith(".asyncsteps-journal/") for each in journals)
    assert found["Key"] == "people/42/steps/my_step"
    body = json.loads(client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    assert body["workflow_id"] == "Hooked"
    assert (await Hooked.start(workflow_id="w", params=params)).result == "skipped"
    assert [step.action for step in (await Hooked.plan(params=params)).decisions] == ["skip"]


async def test_the_hooks_store_may_be_on_another_endpoint(s3_endpoint: str, bucket: str) -> None:
    options: Any = {
        "params": {"people_id": "42", "bucket": f"s3.amazonaws.com/{bucket}"},
        "endpoint_url": s3_endpoint,
    }
    assert (await Hooked.start(**options)).result == "completed"
    assert [step.action for step in (await Hooked.plan(**options)).decisions] == ["skip"]
    async with Hooked.opened(endpoint_url=s3_endpoint) as workflow:
        assert await workflow.run(**options["params"]) == "skipped"
        async with workflow.open_step_store(endpoint_url=s3_endpoint) as store:
            assert await store.list_done() == ["my_step"]
    async with MemoryStore() as given:
        with pytest.raises(StoreOptionError, match="give it to open_store"):
            await Hooked.start(given, **options)


async def test_with_a_store_its_url_is_the_prefix_and_the_hooks_are_not_used() -> None:
    class Unhooked(Hooked):
        def get_step_path_prefix(self) -> str:
            raise AssertionError("not used")

    async with MemoryStore() as store:
        params = {"people_id": "42", "bucket": "b"}
        assert (await Unhooked.start(store, params=params)).result == "completed"
        assert list(store.records) == ["my_step"]


async def test_the_default_hooks_are_simpleflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Default(Workflow):
        async def run(self) -> tuple[str, str]:
            return self.get_step_bucket(), self.get_step_path_prefix()

    for name in ("SIMPLEFLOW_S3_HOST", "STEP_BUCKET", "SIMPLEFLOW_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)

    async def hooks() -> Any:
        return (await Default.start(workflow_id="w-1")).result

    assert await hooks() == ("s3.amazonaws.com/step_bucket", "w-1/steps/")
    (tmp_path / "settings_of_mine.py").write_text("STEP_BUCKET = 'from_module'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SIMPLEFLOW_SETTINGS_MODULE", "settings_of_mine")
    assert await hooks() == ("s3.amazonaws.com/from_module", "w-1/steps/")
    sys.modules.pop("settings_of_mine")
    monkeypatch.setenv("STEP_BUCKET", "from_environment")
    monkeypatch.setenv("SIMPLEFLOW_S3_HOST", "s3-eu-west-1.amazonaws.com")
    assert await hooks() == ("s3-eu-west-1.amazonaws.com/from_environment", "w-1/steps/")


async def test_the_step_activity_params_hook_applies_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(Hooked):
        def get_step_activity_params(self) -> dict[str, Any]:
            return {"schedule_to_close_timeout": 0.0001, "task_list": self.people_id}

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(EndpointUnreachableError, match=r"schedule_to_close_timeout of 0\.0001 s"):
        await Patient.start(params={"people_id": "42", "bucket": "a-bucket"})
