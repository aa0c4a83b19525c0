"""`diagnose`: against a moto server, and against one that denies one thing after the other."""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import Callable
from email.utils import format_datetime
from typing import Any

import pytest
from servers import Answer, Fault, FaultProxy, Hold, MotoServer, Request, error_answer
from swf_client_support import Decider, Ingest, operation_of, refusal

from asyncsteps import StepNameError
from asyncsteps._plan.names import PROBES, NameRule
from asyncsteps.store import open_bucket
from asyncsteps.swf import Check, SwfInputError, diagnose
from asyncsteps.swf._doctor.clock import check_clock
from asyncsteps.swf._sync.stores import use_store

SNAPSHOTS = ".asyncsteps-snapshots"


async def checks_by(proxy: FaultProxy, decider: Decider, bucket: str) -> dict[tuple[str, str], Check]:
    checks = await diagnose(
        decider.domain,
        f"s3://{bucket}/wf/steps",
        task_lists=["ingest"],
        workflow_types=[(Ingest.name, Ingest.version)],
        endpoint_url=proxy.endpoint,
        swf_endpoint_url=proxy.endpoint,
    )
    return {(check.area, check.name): check for check in checks}


def verdicts(checks: dict[tuple[str, str], Check], *but: str) -> set[str]:
    return {str(check.verdict) for check in checks.values() if check.verdict not in but}


def on_s3(
    method: str, *, part: str = "/wf/steps/", conditional: bool = False
) -> Callable[[Request], Fault | None]:
    """Deny a method on objects of S3 below a prefix."""

    def deny(request: Request) -> Fault | None:
        where = f"/{deleted(request)}" if method == "DELETE" else request.path
        if method not in {request.method, "DELETE"} or operation_of(request) or part not in where:
            return None
        return error_answer(403, "AccessDenied") if ("if-none-match" in request.headers) == conditional else None

    return deny


def deleted(request: Request) -> str:
    """The key that a request deletes, as the requests of a store do; empty for others."""
    is_deletion = request.method == "POST" and "delete" in request.query and not operation_of(request)
    return request.body.decode().partition("<Key>")[2].partition("</Key>")[0] if is_deletion else ""


class TestDenials:
    @pytest.mark.parametrize(
        ("method", "conditional", "name", "permission"),
        [
            ("PUT", False, "PUT", "s3:PutObject"),
            ("PUT", True, "conditional PUT", "s3:PutObject"),
            ("DELETE", False, "DELETE", "s3:DeleteObject"),
        ],
    )
    @pytest.mark.parametrize(("area", "part"), [("steps", "/wf/steps/"), ("snapshots", f"/{SNAPSHOTS}/")])
    async def test_each_permission_on_objects(
        self,
        decider: Decider,
        bucket: str,
        fault_proxy: FaultProxy,
        moto_server: MotoServer,
        method: str,
        conditional: bool,
        name: str,
        permission: str,
        area: str,
        part: str,
    ) -> None:
        fault_proxy.rule = on_s3(method, part=part, conditional=conditional)
        checks = await checks_by(fault_proxy, decider, bucket)
        denied = checks.pop((area, name))
        assert denied.verdict == "failed"
        assert f"allow {permission}" in denied.detail
        assert denied.detail.count(permission) == 1
        assert verdicts(checks, "ok") == ({"skipped"} if name == "PUT" else set())
        left = moto_server.keys(bucket)
        assert len(left) == (name == "DELETE")
        assert all(PROBES in key for key in left)
        if left:
            assert left[0] in denied.detail
            fault_proxy.rule = None
            again = await checks_by(fault_proxy, decider, bucket)
            assert again[area, "probes"].verdict == "warning"

    async def test_a_deletion_that_is_not_answered(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("asyncsteps.swf._doctor.s3_checks._CLEAN_UP_SECONDS", 0.5)
        release = asyncio.Event()
        fault_proxy.rule = lambda request: Hold(release) if deleted(request) else None
        checks = await checks_by(fault_proxy, decider, bucket)
        release.set()
        for area in ("steps", "snapshots"):
            assert checks[area, "DELETE"].verdict == "failed"
            assert "no answer within 0.5 s; the probe is left: remove s3://" in checks[area, "DELETE"].detail

    @pytest.mark.parametrize("area", ["steps", "snapshots"])
    async def test_get_and_list(self, decider: Decider, bucket: str, fault_proxy: FaultProxy, area: str) -> None:
        part = "wf/steps/" if area == "steps" else SNAPSHOTS

        for listing in (False, True):

            def deny(request: Request, *, listing: bool = listing) -> Fault | None:
                where = request.query.get("prefix", "") if request.is_listing else request.path
                if operation_of(request) or request.method != "GET" or request.is_listing != listing:
                    return None
                return error_answer(403, "AccessDenied") if part in where else None

            fault_proxy.rule = deny
            checks = await checks_by(fault_proxy, decider, bucket)
            denied = checks.pop((area, "LIST" if listing else "GET"))
            assert denied.verdict == "failed"
            assert denied.detail.count("s3:ListBucket" if listing else "s3:GetObject") == 1
            assert verdicts(checks, "ok") == set()

    @pytest.mark.parametrize(
        ("operation", "name"),
        [
            ("DescribeDomain", "domain"),
            ("DescribeWorkflowType", f"workflow type {Ingest.name} v1"),
            ("ListActivityTypes", "activity types of steps"),
            ("CountPendingActivityTasks", "task list ingest"),
        ],
    )
    async def test_what_only_the_doctor_asks_is_a_warning(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy, operation: str, name: str
    ) -> None:
        def deny(request: Request) -> Fault | None:
            return refusal("AccessDeniedException", "no") if operation_of(request) == operation else None

        fault_proxy.rule = deny
        checks = await checks_by(fault_proxy, decider, bucket)
        denied = checks.pop(("swf", name))
        assert denied.verdict == "warning"
        assert denied.detail.count(f"swf:{operation}") == 1
        assert verdicts(checks, "ok") == set()

    async def test_credentials_that_are_not_accepted(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy
    ) -> None:
        def deny(request: Request) -> Fault | None:
            if operation_of(request):
                return refusal("UnrecognizedClientException", "bad token")
            return error_answer(403, "InvalidAccessKeyId")

        fault_proxy.rule = deny
        checks = await checks_by(fault_proxy, decider, bucket)
        assert checks["swf", "domain"].verdict == "failed"
        assert checks["steps", "bucket"].verdict == "failed"
        assert "credentials" in checks["steps", "bucket"].detail


class TestWhatElseIsWrong:
    async def test_no_bucket_and_no_domain(self, decider: Decider, fault_proxy: FaultProxy) -> None:
        decider.domain = "none"
        checks = await checks_by(fault_proxy, decider, f"none-{uuid.uuid4().hex}")
        assert "register it" in checks["swf", "domain"].detail
        assert checks["swf", "types and task lists"].verdict == "skipped"
        assert "no such bucket" in checks["steps", "bucket"].detail
        assert checks["steps", "objects"].verdict == "skipped"

    async def test_a_deprecated_domain(self, decider: Decider, bucket: str, fault_proxy: FaultProxy) -> None:
        decider.swf.deprecate_domain(name=decider.domain)
        assert "deprecated" in (await checks_by(fault_proxy, decider, bucket))["swf", "domain"].detail

    @pytest.mark.usefixtures("no_retry_pauses")
    async def test_nobody_listens(self, decider: Decider, bucket: str) -> None:
        nobody = "http://127.0.0.1:9"
        checks = await diagnose(decider.domain, f"s3://{bucket}/p", endpoint_url=nobody, swf_endpoint_url=nobody)
        failures = [check for check in checks if check.verdict == "failed"]
        assert [(check.area, check.name) for check in failures] == [
            ("swf", "domain"),
            ("steps", "bucket"),
            ("snapshots", "bucket"),
        ]

    async def test_a_server_that_ignores_conditions(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy
    ) -> None:
        fault_proxy.drop_headers = {"if-none-match"}
        checks = await checks_by(fault_proxy, decider, bucket)
        assert checks["steps", "conditional PUT"].verdict == "warning"

    async def test_a_doctor_that_is_stopped_leaves_no_probe(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy, moto_server: MotoServer
    ) -> None:
        release = asyncio.Event()

        def is_get(request: Request) -> bool:
            return request.method == "GET" and PROBES in request.path

        fault_proxy.rule = lambda request: Hold(release) if is_get(request) else None
        task = asyncio.ensure_future(checks_by(fault_proxy, decider, bucket))
        await fault_proxy.wait_for(lambda proxy: any(map(is_get, proxy.requests)))
        assert len(moto_server.keys(bucket)) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert moto_server.keys(bucket) == []

    async def test_a_domain_that_is_none(self, bucket: str) -> None:
        with pytest.raises(SwfInputError):
            await diagnose("", f"s3://{bucket}/p")

    @pytest.mark.parametrize(
        ("seconds", "verdict"), [(0, "ok"), (59, "ok"), (-61, "warning"), (299, "warning"), (-301, "failed")]
    )
    def test_the_clock(self, seconds: int, verdict: str) -> None:
        now = dt.datetime.now(dt.UTC)
        check = check_clock("swf", now - dt.timedelta(seconds=seconds), now)
        assert check.verdict == verdict
        assert verdict == "ok" or ("ahead" if seconds > 0 else "behind") in check.detail

    async def test_the_clock_is_compared_with_the_servers_date(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy
    ) -> None:
        late = format_datetime(dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
        body = {
            "domainInfo": {"name": decider.domain, "status": "REGISTERED"},
            "configuration": {"workflowExecutionRetentionPeriodInDays": "1"},
        }

        def stale(request: Request) -> Fault | None:
            if operation_of(request) != "DescribeDomain":
                return None
            headers = {"Content-Type": "application/x-amz-json-1.0", "Date": late}
            return Answer(200, json.dumps(body).encode(), headers)

        fault_proxy.rule = stale
        clock = (await checks_by(fault_proxy, decider, bucket))["swf", "clock"]
        assert clock.verdict == "failed"
        assert "3,600 s ahead" in clock.detail or "3,599 s" in clock.detail or "3,601 s" in clock.detail


class TestEncryption:
    """The requests of the doctor are those of a workflow's store, by ``SIMPLEFLOW_S3_SSE``."""

    @pytest.fixture(params=[True, False])
    def encrypts(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
        monkeypatch.setattr("simpleflow.settings.SIMPLEFLOW_S3_SSE", request.param)
        return bool(request.param)

    async def test_a_bucket_that_demands_it(
        self, decider: Decider, bucket: str, fault_proxy: FaultProxy, encrypts: bool
    ) -> None:
        explicit = (
            "User: arn:aws:iam::123456789012:user/w is not authorized to perform: s3:PutObject on resource: "
            f'"arn:aws:s3:::{bucket}/wf" with an explicit deny in a resource-based policy'
        )

        def demand(request: Request) -> Fault | None:
            is_encrypted = request.headers.get("x-amz-server-side-encryption") == "AES256"
            if request.method != "PUT" or is_encrypted:
                return None
            return error_answer(403, "AccessDenied", explicit)

        fault_proxy.rule = demand
        checks = await checks_by(fault_proxy, decider, bucket)
        for area in ("steps", "snapshots"):
            put, again = checks[area, "PUT"], checks[area, "conditional PUT"]
            assert (put.verdict, again.verdict) == (("ok", "ok") if encrypts else ("failed", "skipped"))
            assert ("AES256" if encrypts else "set SIMPLEFLOW_S3_SSE") in put.detail
            assert encrypts or ("explicit deny" in put.detail and put.detail.count("s3:PutObject") == 1)

    async def test_a_put_is_that_of_a_mark(
        self,
        decider: Decider,
        bucket: str,
        fault_proxy: FaultProxy,
        encrypts: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await checks_by(fault_proxy, decider, bucket)
        monkeypatch.setenv("AWS_ENDPOINT_URL", fault_proxy.endpoint)
        async with use_store(bucket, "wf/steps") as store:
            await store.mark_done("a", {})
        probe, *_, mark = (request for request in fault_proxy.requests if request.method == "PUT")
        own = {"authorization", "content-length", "amz-sdk-invocation-id", "x-amz-content-sha256", "x-amz-date"}
        differing = {
            name
            for name in probe.headers.keys() | mark.headers.keys()
            if probe.headers.get(name) != mark.headers.get(name)
        }
        assert differing <= own
        assert ("x-amz-server-side-encryption" in probe.headers) is encrypts


@pytest.mark.parametrize("step_names", ["strict", "simpleflow"])
async def test_a_probe_never_looks_like_a_step(
    bucket: str, fault_proxy: FaultProxy, decider: Decider, step_names: NameRule
) -> None:
    seen: list[str] = []
    async with open_bucket(bucket, "wf/steps", endpoint_url=decider.endpoint, step_names=step_names) as store:
        loop = asyncio.get_running_loop()
        looks: list[asyncio.Task[Any]] = []

        def look(request: Request) -> Fault | None:
            if request.method == "PUT" and "if-none-match" in request.headers:
                looks.append(loop.create_task(store.list_done(on_foreign=seen.append)))
                looks.append(loop.create_task(store.done_page()))
            return None

        fault_proxy.rule = look
        await checks_by(fault_proxy, decider, bucket)
        names, page, *_ = [await look for look in looks]
        assert (names, page.names) == ([], ())
        with pytest.raises(StepNameError, match="doctor" if step_names == "simpleflow" else "'/'"):
            await store.mark_done(f"{PROBES}a", {})
    assert seen
    assert all(key.startswith(PROBES) for key in seen)
