"""asyncsteps swf doctor, the command: its table, JSON and exit codes."""

import pytest
from commands import Ended, command
from servers import MotoServer
from swf_client_support import Decider, Ingest
from swf_workflows import LIST


def doctor(decider: Decider, store: str, *more: str) -> Ended:
    where = ("--endpoint-url", decider.endpoint, "--swf-endpoint-url", decider.endpoint)
    return command("swf", "doctor", "--domain", decider.domain, "--store", store, *where, *more)


class TestCommand:
    def test_all_is_well(self, decider: Decider, bucket: str, moto_server: MotoServer) -> None:
        moto_server.put(bucket, "wf/steps/a")
        ended = doctor(
            decider, f"s3://{bucket}/wf/steps", "--task-list", "ingest", "--workflow-type", f"{Ingest.name}:v1"
        )
        assert ended.code == 0, ended.out
        lines = ended.out.splitlines()
        areas = [line for line in lines if not line.startswith(" ")]
        assert areas == [
            "versions here",
            "Amazon SWF",
            "the done steps",
            "the snapshots of long lists",
            "all is well",
        ]
        assert all(line.split()[0] == "ok" for line in lines if line.startswith(" "))
        assert any(line.endswith("is registered, and keeps closed executions for 1 day") for line in lines)
        assert moto_server.keys(bucket) == ["wf/steps/a"]

    def test_as_json_what_is_missing_is_named(self, decider: Decider, bucket: str) -> None:
        ended = doctor(decider, f"s3://{bucket}/wf/steps", "--workflow-type", "unheard.of:2", "--json")
        assert ended.code == ended.json["exit_code"] == 1
        (failure,) = (check for check in ended.json["checks"] if check["verdict"] == "failed")
        assert failure["name"] == "workflow type unheard.of 2"
        assert len(ended.json["errors"]) == 1

    def test_tasks_that_wait_are_a_warning(self, decider: Decider, bucket: str) -> None:
        decider.start("w")
        ended = doctor(decider, f"s3://{bucket}/wf/steps", "--task-list", "ingest", "--json")
        assert ended.code == 0
        (warned,) = (check for check in ended.json["checks"] if check["verdict"] == "warning")
        assert warned["name"] == "task list ingest"
        assert warned["detail"].startswith("1 decision and 0 activities wait")

    def test_activity_types_that_are_registered(self, decider: Decider, bucket: str) -> None:
        for name in (LIST, "MarkStepDoneTask", "WithdrawStepsDoneTask"):
            decider.swf.register_activity_type(
                domain=decider.domain, name=f"asyncsteps.swf.tasks.{name}", version="1.0"
            )
        checks = doctor(decider, f"s3://{bucket}/wf/steps", "--json").json["checks"]
        (types,) = (check for check in checks if check["name"] == "activity types of steps")
        assert types["detail"] == "registered, among 3 of the domain"

    @pytest.mark.parametrize("store", ["file:///tmp/steps", "memory:", "s3://No_Bucket!/x", "ftp://x/y"])
    def test_a_store_that_workers_of_swf_cannot_use(self, decider: Decider, store: str) -> None:
        assert doctor(decider, store).code == 2

    def test_usage(self, decider: Decider, bucket: str) -> None:
        assert doctor(decider, f"s3://{bucket}/p", "--workflow-type", "ingest").code == 2
        assert command("swf", "doctor", "--domain", "d").code == 2

    def test_an_empty_prefix_has_no_snapshots(self, decider: Decider, bucket: str) -> None:
        checks = doctor(decider, f"s3://{bucket}", "--json").json["checks"]
        (snapshots,) = (check for check in checks if check["area"] == "snapshots")
        assert snapshots["verdict"] == "skipped"
