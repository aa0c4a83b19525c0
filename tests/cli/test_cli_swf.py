"""asyncsteps swf follow and history, against a moto server with a decider played by hand."""

import asyncio
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import Ended, command, installed
from servers import Fault, FaultProxy, Request
from swf_client_support import (
    Decider,
    Ingest,
    PagedHistories,
    complete,
    fail,
    marker,
    operation_of,
    refusal,
    schedule,
)

from asyncsteps.swf._steps.history import PLACE_MARKER


def step(name: str, status: str, *reasons: str, forced: bool = False) -> dict[str, Any]:
    return marker({"step": name, "status": status, "forced": forced, "reasons": list(reasons)})


def swf(decider: Decider, *arguments: str, endpoint: str | None = None) -> Ended:
    where = ("--domain", decider.domain, "--swf-endpoint-url", endpoint or decider.endpoint)
    return command("swf", *arguments, *where)


def played(decider: Decider, workflow_id: str = "w") -> str:
    """An execution with a step of every fate, that has closed."""
    decider.swf.register_activity_type(domain=decider.domain, name="ingest.load", version="1")
    run_id = decider.start(workflow_id)
    decider.decide(
        [
            step("load", "scheduled", "asked for", forced=True),
            step("census", "skipped", "Step was already played"),
            step("broken", "scheduled"),
            schedule("ingest.load", "broken-1", version="1"),
        ]
    )
    task = decider.swf.poll_for_activity_task(domain=decider.domain, taskList={"name": "workers"})
    decider.swf.respond_activity_task_failed(taskToken=task["taskToken"], reason="no\x1b[31m luck", details="{}")
    decider.decide([step("load", "completed", "asked for", forced=True), complete({"rows": 3})])
    return run_id


class TestHistory:
    @pytest.mark.parametrize("words", [("history", "w"), ("follow", "w", "--quiet")])
    def test_an_execution_is_written_as_a_page_as_a_run_is(
        self, decider: Decider, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        run_id = played(decider)
        path = tmp_path / "page.html"
        assert swf(decider, *words, "--report", str(path)).code == (words[0] == "follow")
        data = re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
        assert data is not None
        shown = json.loads(data[1])
        assert shown["names"] == [0, "broken", 0, "census", 0, "load"]
        assert shown["status"] == "130"  # failed, skipped, completed
        assert shown["forced"] == "001"
        assert (shown["run"]["run"], shown["run"]["outcome"]) == (run_id, "completed")

    def test_a_page_that_cannot_be_written_is_said(self, decider: Decider, tmp_path: Path) -> None:
        played(decider)
        ended = swf(decider, "history", "w", "--report", str(tmp_path / "no" / "page.html"))
        assert (ended.code, ended.out) == (2, "")
        assert "cannot be written" in ended.err

    def test_an_execution_is_shown_as_a_run_is(self, decider: Decider) -> None:
        run_id = played(decider)
        shown = swf(decider, "history", "w")
        assert shown.code == 0
        first, *rest = shown.out.splitlines()
        assert first.startswith("completed · played 1 · skipped 1 · failed 1 in ")
        assert first.endswith(f"(workflow w, run {run_id})")
        assert rest == [
            "  played load: asked for",
            "  skipped census: Step was already played",
            "  failed broken",
            "  ingest.load failed: no\\u001b[31m luck",
            'result: {"rows": 3}',
        ]

    def test_as_json(self, decider: Decider) -> None:
        run_id = played(decider)
        shown = swf(decider, "history", "w", "--run-id", run_id, "--json").json
        assert (shown["status"], shown["workflow"], shown["version"]) == ("COMPLETED", Ingest.name, Ingest.version)
        assert shown["run_ids"] == [run_id]
        assert shown["counts"] == {"played": 1, "skipped": 1, "failed": 1, "unfinished": 0, "running": 0}
        assert [(it["step"], it["status"], it["forced"]) for it in shown["steps"]] == [
            ("load", "completed", True),
            ("census", "skipped", False),
            ("broken", "failed", False),
        ]
        load = shown["steps"][0]
        assert load["seconds"] >= 0
        assert load["queued"] == load["started"] <= load["finished"]
        assert [(it["what"], it["how"], it["reason"]) for it in shown["failures"]] == [
            ("ingest.load", "failed", "no\x1b[31m luck")
        ]
        assert len(shown["errors"]) == 1
        assert (shown["result"], shown["exit_code"]) == ({"rows": 3}, 0)

    def test_steps_of_one_name_under_several_prefixes_keep_apart(self, decider: Decider) -> None:
        decider.start("w")
        place = marker({"bucket": "bucket", "prefix": "other/"}, PLACE_MARKER)
        begun = [step("a", "scheduled"), place, step("a", "scheduled")]
        decider.decide([*begun, place, step("b", "scheduled"), step("b", "skipped"), step("a", "completed")])
        shown = swf(decider, "history", "w", "--json").json
        steps = [("a", "completed"), ("a", "running"), ("b", "running"), ("b", "skipped")]
        assert [(it["step"], it["status"]) for it in shown["steps"]] == steps
        decider.wake("w")
        decider.decide([place, step("a", "completed"), complete()])
        shown = swf(decider, "history", "w", "--json").json
        assert [it["status"] for it in shown["steps"]] == ["completed", "completed", "failed", "skipped"]
        assert [it.partition(": ")[0] for it in shown["errors"]] == ["step b under s3://bucket/other/"]
        assert [it["store"] for it in shown["steps"]] == [None, *["s3://bucket/other/"] * 2, None]

    @pytest.mark.parametrize("told", ["no JSON", "[1]", '{"bucket": 1}'])
    def test_places_of_other_forms_keep_apart(self, decider: Decider, told: str) -> None:
        decider.start("w")
        place = marker(told, PLACE_MARKER)
        decider.decide([step("a", "scheduled"), place, step("a", "scheduled"), step("a", "completed"), complete()])
        shown = swf(decider, "history", "w", "--json")
        assert shown.code == 0
        assert [(it["status"], it["store"]) for it in shown.json["steps"]] == [
            ("completed", None),
            ("failed", None),
        ]

    def test_namesakes_are_told_apart(self, decider: Decider) -> None:
        decider.start("w")
        place = marker({"bucket": "s3.amazonaws.com/b", "prefix": "x/steps"}, PLACE_MARKER)
        begun = [step("a", "scheduled", "asked", forced=True), place, step("a", "scheduled")]
        decider.decide([*begun, place, step("a", "completed"), place, step("c", "skipped", "why")])
        told = swf(decider, "history", "w").out.splitlines()[1:]
        assert told == [
            "  played a under s3://b/x/steps",
            "  skipped c under s3://b/x/steps: why",
            "  running a: asked",
        ]
        decider.wake("w")
        decider.decide([step("a", "completed"), complete()])
        lines = [line.partition(" in ")[0] for line in swf(decider, "follow", "w").err.splitlines()]
        assert lines == [
            "scheduled a (forced: asked)",
            "scheduled a under s3://b/x/steps",
            "played a under s3://b/x/steps",
            "skipped c under s3://b/x/steps: why",
            "played a",
        ]

    def test_an_open_execution_is_shown_as_it_is_now(self, decider: Decider) -> None:
        decider.start("w")
        decider.decide([step("a", "scheduled")])
        shown = swf(decider, "history", "w")
        assert shown.code == 0
        assert shown.out.startswith("open · played 0 · skipped 0 · failed 0 · running 1 in ")
        assert "  running a\n" in shown.out

    def test_a_name_that_is_decided_again_had_failed_before(self, decider: Decider) -> None:
        decider.start("w")
        decider.decide([step("a", "scheduled")])
        decider.wake("w")
        decider.decide([step("a", "scheduled"), step("a", "completed"), complete()])
        shown = swf(decider, "follow", "w", "--json")
        assert [it["status"] for it in shown.json["steps"]] == ["failed", "completed"]
        assert (shown.code, shown.json["errors"]) == (0, [])

    def test_the_newest_of_an_id_is_shown(self, decider: Decider) -> None:
        decider.start("w")
        decider.decide([complete("first")])
        decider.start("w")
        assert swf(decider, "history", "w", "--json").json["status"] == "OPEN"

    @pytest.mark.parametrize("details", ['"text"', "no json", '{"step": 1}', '{"step": "a"}', "[]"])
    def test_markers_of_other_forms_are_left_out(self, decider: Decider, details: str) -> None:
        decider.start("w")
        decider.decide([marker(details), marker({"step": "a"}, name="my.own"), complete()])
        assert swf(decider, "history", "w", "--json").json["steps"] == []


class TestErrors:
    @pytest.mark.parametrize("words", [("history",), ("follow",)])
    def test_an_execution_that_swf_does_not_know(self, decider: Decider, words: tuple[str, ...]) -> None:
        ended = swf(decider, *words, "nobody")
        assert (ended.code, ended.out) == (3, "")
        assert "no execution has this workflow id" in ended.err
        assert swf(decider, *words, "nobody", "--json").json["exit_code"] == 3
        assert swf(decider, *words, "nobody", "--run-id", "none").code == 3

    def test_a_domain_that_does_not_exist(self, decider: Decider) -> None:
        ended = command("swf", "history", "w", "--domain", "none", "--swf-endpoint-url", decider.endpoint)
        assert ended.code == 3
        assert "register it" in ended.err

    def test_usage(self, decider: Decider) -> None:
        assert command("swf", "history", "w").code == 2
        assert swf(decider, "follow").code == 2
        assert swf(decider, "follow", "w", endpoint="nonsense").code == 2
        secret = command("swf", "history", "w", "--domain=d", "--swf-endpoint-url=http://me:secret@127.0.0.1:1/")
        assert secret.code == 2
        assert "secret" not in secret.err

    def test_the_domain_may_come_from_the_environment(self, decider: Decider) -> None:
        played(decider)
        env = {"SWF_DOMAIN": decider.domain, "AWS_ENDPOINT_URL_SWF": decider.endpoint}
        assert command("swf", "history", "w", env=env).code == 0


class TestFollow:
    def test_a_closed_execution_is_told_and_ends_with_how_it_ended(self, decider: Decider) -> None:
        played(decider)
        ended = swf(decider, "follow", "w")
        assert ended.code == 1  # a step has failed
        told = ended.err.splitlines()
        assert told[:4] == [
            "scheduled load (forced: asked for)",
            "skipped census: Step was already played",
            "scheduled broken",
            "asyncsteps: warning: ingest.load failed: no\\u001b[31m luck",
        ]
        assert told[4].startswith("played load in ")
        assert ended.out.startswith("completed · played 1")
        assert swf(decider, "follow", "w", "--quiet").err.splitlines() == told[3:4]

    def test_an_execution_that_failed(self, decider: Decider) -> None:
        decider.start("w")
        decider.decide([step("a", "scheduled"), fail("broken", "details")])
        ended = swf(decider, "follow", "w", "--json")
        assert (ended.code, ended.json["exit_code"], ended.json["reason"]) == (1, 1, "broken")
        assert ended.json["counts"]["unfinished"] == 1
        assert ended.json["errors"] == [
            "step a: it did not end",
            "the execution closed as FAILED: broken",
        ]

    @pytest.mark.parametrize("how", ["terminated", "canceled"])
    def test_an_execution_that_was_ended(self, decider: Decider, how: str) -> None:
        decider.start("w")
        if how == "terminated":
            decider.swf.terminate_workflow_execution(domain=decider.domain, workflowId="w", reason="enough")
        else:
            decision = {"decisionType": "CancelWorkflowExecution", "cancelWorkflowExecutionDecisionAttributes": {}}
            try:
                decider.decide([decision])
            except decider.swf.exceptions.ClientError:
                pytest.skip("moto does not cancel")
        ended = swf(decider, "follow", "w")
        assert ended.code == 1
        assert ended.out.startswith(how)

    async def test_live_through_throttling_until_it_closes(
        self, decider: Decider, fault_proxy: FaultProxy
    ) -> None:
        """The execution advances with each poll, so its markers are recorded while it is followed."""
        decider.start("w")
        advances = iter(
            [
                [step("a", "scheduled")],
                [step("a", "completed"), step("b", "skipped", "Step was already played")],
                [complete("end")],
            ]
        )
        polls = itertools.count()

        def advance(request: Request) -> Fault | None:
            if operation_of(request) != "GetWorkflowExecutionHistory":
                return None
            if next(polls) % 2:
                return refusal("ThrottlingException")
            decisions = next(advances, None)
            if decisions is not None:
                decider.decide(decisions)
                decider.wake("w") if decisions[-1]["decisionType"] == "RecordMarker" else None
            return None

        fault_proxy.rule = advance
        ended = await asyncio.to_thread(
            installed, "swf", "follow", "w", "--domain", decider.domain, "--swf-endpoint-url", fault_proxy.endpoint
        )
        assert ended.code == 0
        told = [line for line in ended.err.splitlines() if "warning" not in line]
        assert told[0] == "scheduled a"
        assert told[1].startswith("played a in ")
        assert told[2:] == ["skipped b: Step was already played"]
        assert "SWF throttles" in ended.err
        assert ended.out.startswith("completed · played 1 · skipped 1 · failed 0 in ")

    async def test_a_run_that_continues_as_new_is_followed(
        self, decider: Decider, fault_proxy: FaultProxy
    ) -> None:
        first = decider.start("first")
        decider.decide([step("a", "scheduled"), step("a", "completed")])
        second = decider.start("second")
        decider.decide([step("a", "skipped", "Step was already played"), complete("end")])
        histories = PagedHistories(decider)
        histories.extra[first] = [
            {
                "eventType": "WorkflowExecutionContinuedAsNew",
                "workflowExecutionContinuedAsNewEventAttributes": {"newExecutionRunId": second, "input": "{}"},
            }
        ]
        histories.aliases["first", second] = ("second", second)
        fault_proxy.rule = histories
        for verb in ("follow", "history"):
            ended = await asyncio.to_thread(
                installed,
                *("swf", verb, "first", "--run-id", first, "--json", "--domain", decider.domain),
                *("--swf-endpoint-url", fault_proxy.endpoint),
            )
            assert (ended.code, ended.json["status"], ended.json["run_ids"]) == (0, "COMPLETED", [first, second])
            assert [it["status"] for it in ended.json["steps"]] == ["completed", "skipped"]
            assert ended.json["result"] == "end"

    async def test_what_does_not_pass_ends_it(self, decider: Decider, fault_proxy: FaultProxy) -> None:
        run_id = decider.start("w")

        def deny(request: Request) -> Fault | None:
            return refusal("AccessDeniedException") if operation_of(request).startswith("Get") else None

        fault_proxy.rule = deny
        ended = await asyncio.to_thread(
            installed,
            *("swf", "follow", "w", "--run-id", run_id, "--domain", decider.domain, "--json"),
            *("--swf-endpoint-url", fault_proxy.endpoint),
        )
        assert ended.code == ended.json["exit_code"] == 3
        assert "swf:GetWorkflowExecutionHistory" in json.dumps(ended.json["errors"])
