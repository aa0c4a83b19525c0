"""Each fault of a network or of S3, before each kind of request: what is tried, seen and stored.

Over both transports: what is sent past botocore first has the same outcome, and is one request more for each call.
A real proxy before a real server; docs/reliability.md has a row for each fault, which the last test compares.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore.config import Config
from servers import (
    Answer,
    Cut,
    Delay,
    Drip,
    Fault,
    FaultProxy,
    Hold,
    MotoServer,
    Request,
    Shorten,
    error_answer,
    run_fault_proxy,
    slow_down,
)

from asyncsteps import Step, StepRun
from asyncsteps._errors import (
    AccessDeniedError,
    ClockSkewError,
    EndpointUnreachableError,
    StepFailedError,
    StoreError,
    ThrottledError,
    WrongRegionError,
)
from asyncsteps.store import DonePage, S3Store, StepStore, open_store
from asyncsteps.store._s3 import direct

pytestmark = pytest.mark.usefixtures("no_retry_pauses")

RECORD = {"run_id": "r1"}
ODD = "odd\ufffe"  # XML cannot carry it: it is deleted by a request of its own


def method(name: str) -> Callable[[Request], bool]:
    return lambda request: request.method == name and not request.is_listing


def is_listing(request: Request) -> bool:
    return request.is_listing


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request.

    Attributes:
        matches: Whether a request is of this kind.
        use: A use of the store that sends one.
        result: What it returns when all is well.
        repeated: What it returns when the request has taken effect before.
        key: The name that it is about.
        done: Whether that name is marked once the request has taken effect.
    """

    matches: Callable[[Request], bool]
    use: Callable[[StepStore], Awaitable[object]]
    result: object
    repeated: object
    key: str = "done"
    done: bool = True


KINDS: dict[str, Kind] = {
    "page": Kind(
        is_listing, lambda store: store.done_page(), DonePage(("done", ODD), None), DonePage(("done", ODD), None)
    ),
    "listing": Kind(is_listing, lambda store: store.list_done(), ["done", ODD], ["done", ODD]),
    "look-up": Kind(method("HEAD"), lambda store: store.is_done("done"), True, True),
    "record": Kind(method("GET"), lambda store: store.read_done("done"), RECORD, RECORD),
    "mark": Kind(method("PUT"), lambda store: store.mark_done("new", RECORD), True, True, "new"),
    "first mark": Kind(
        method("PUT"), lambda store: store.mark_done("new", RECORD, first_wins=True), True, False, "new"
    ),
    "withdrawal": Kind(method("POST"), lambda store: store.withdraw(["done"]), ["done"], [], done=False),
    "odd withdrawal": Kind(method("DELETE"), lambda store: store.withdraw([ODD]), [ODD], [], ODD, done=False),
}
BODILESS = {"look-up", "mark", "first mark", "odd withdrawal"}
"""Their replies have no body that anything depends on."""


@dataclass(frozen=True, slots=True)
class Row:
    """A class of faults, and what is expected of it.

    Attributes:
        make: Makes the fault.
        error: What a fault that stays ends in; None: nothing.
        tried: The requests that arrive then; ``others`` for the kinds that are not named.
        says: What the error says.
        applied: Whether the requests take effect though they fail.
        retried: Whether a fault that passes is survived.
        errors: The errors of single kinds that have another one.
    """

    make: Callable[[], Fault]
    error: type[StoreError] | None
    tried: Mapping[str, int]
    says: str = ""
    applied: bool = False
    retried: bool = True
    errors: Mapping[str, type[StoreError] | None] = field(default_factory=dict)


Unreachable = EndpointUnreachableError
# When a connection breaks before a byte of the reply, aiohttp sends what is idempotent once more: so each of the
# four attempts is sent twice. A deletion by POST is not.
BROKEN = {"others": 8, "withdrawal": 4}
WITHOUT_BODY_FINE: Mapping[str, type[StoreError] | None] = dict.fromkeys(BODILESS)
FAILING = {"others": 6, "listing": 12}
NOT_OF_S3 = {"others": 3, "listing": 6}
ONCE = {"others": 1}

ROWS: dict[str, Row] = {
    "delay": Row(lambda: Delay(0.05), None, ONCE),
    "cut before it was applied": Row(Cut, Unreachable, BROKEN, r"after 4 attempts"),
    "cut after it was applied": Row(
        lambda: Cut(after_bytes=0), Unreachable, BROKEN, r"after 4 attempts", applied=True
    ),
    "cut within the reply": Row(
        lambda: Cut(after_bytes=-1),
        Unreachable,
        {"others": 8, "page": 4, "listing": 4, "record": 3, "withdrawal": 4, "first mark": 5},
        r"after [34] attempts",
        applied=True,
    ),
    "half of the body": Row(
        Shorten,
        StoreError,
        {"others": 1, "page": 6, "listing": 12, "record": 2, "withdrawal": 6},
        applied=True,
        errors=WITHOUT_BODY_FINE,
    ),
    "stall": Row(lambda: Hold(asyncio.Event()), Unreachable, {"others": 1, "listing": 2}, "after", retried=False),
    "drip": Row(lambda: Drip(0.3), Unreachable, {"others": 1, "listing": 2}, "after", applied=True, retried=False),
    "500": Row(lambda: error_answer(500, "InternalError"), StoreError, FAILING, r"after \d+ attempts"),
    "503 SlowDown": Row(slow_down, ThrottledError, {"others": 6, "listing": 8}, r"after \d attempts"),
    "200 and no XML": Row(
        lambda: Answer(200, b"\xff\x00"),
        StoreError,
        {**FAILING, "look-up": 3, "record": 3},
        r"after \d+ attempts",
        errors={"look-up": Unreachable, "record": Unreachable},
    ),
    "200 and a login page": Row(
        lambda: Answer(200, b"<html>log in</html>"),
        Unreachable,
        NOT_OF_S3,
        "none of S3's",
        errors={"withdrawal": StoreError},
    ),
    "200 and nothing": Row(
        lambda: Answer(200), Unreachable, NOT_OF_S3, "none of S3's", errors={"withdrawal": StoreError}
    ),
    "502 and a page": Row(
        lambda: Answer(502, b"<html>bad gateway"), Unreachable, {"others": 6, "listing": 4}, r"after \d attempts"
    ),
    "redirect to a region": Row(
        lambda: error_answer(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-9"}),
        WrongRegionError,
        {"others": 2},
        "'eu-west-9'; pass that region_name",
    ),
    "redirect to a server": Row(
        lambda: Answer(302, headers={"Location": "http://127.0.0.1:1/?token=planted"}),
        Unreachable,
        {"others": 2, "listing": 4},
        r"redirect to 'http://127.0.0.1:1/\?token=\*\*\*'",
    ),
    "expired credentials": Row(
        lambda: error_answer(400, "ExpiredToken"),
        AccessDeniedError,
        {"others": 1, "look-up": 2},
        "AWS_SESSION_TOKEN",
        retried=False,
    ),
    "expired request": Row(
        lambda: error_answer(403, "RequestExpired"),
        ClockSkewError,
        ONCE,
        "set the clock",
        retried=False,
        errors={"look-up": AccessDeniedError},
    ),
    "skewed clock": Row(
        lambda: error_answer(403, "RequestTimeTooSkewed", Date="Thu, 01 Jan 2026 00:00:00 GMT"),
        ClockSkewError,
        ONCE,
        "set the clock",
        retried=False,
    ),
    "denied": Row(
        lambda: error_answer(403, "AccessDenied"), AccessDeniedError, ONCE, "permission s3:", retried=False
    ),
}
TAKEN = {"delay", "stall", "drip"}
"""Faults after which a request sent past botocore is not sent again by it: all is well, or the time is over."""


def check_sent(fault: str, kind: str, sent: Sequence[Request]) -> None:
    """Check what was sent to a store that sends small requests past botocore first."""
    row = ROWS[fault]
    tried = row.tried.get(kind, row.tried["others"])
    calls = [request.headers.get("amz-sdk-invocation-id") for request in sent]
    direct, by_botocore = calls.count(None), len(calls) - calls.count(None)
    if kind == "withdrawal":  # by POST
        assert (direct, by_botocore) == (0, tried)
    elif fault in TAKEN or (fault == "half of the body" and kind in {*BODILESS, "record"}):
        assert (direct, by_botocore) == (tried, 0)
    else:
        assert calls[0] is None
        # The request that took effect when cut in its reply was the first; botocore's are answered with a 412.
        stored = (fault, kind) == ("cut within the reply", "first mark")
        assert by_botocore == tried - stored
        # aiohttp sends twice here, too.
        assert 1 <= direct <= len({*calls} - {None}) * (2 if fault.startswith("cut") else 1)


CASES = [(fault, kind, transport) for fault in ROWS for kind in KINDS for transport in ("botocore", None)]
EVERY_TIME = [
    (fault, kind, transport)
    for fault, kind, transport in CASES
    if kind == "mark"
    or (kind in {"page", "first mark"} and transport is None)
    or fault in {"cut after it was applied", "500"}
]
AT_LENGTH = [case for case in CASES if case not in EVERY_TIME]


async def outcome(use: Callable[[StepStore], Awaitable[object]], store: StepStore) -> object:
    try:
        return await use(store)
    except StoreError as error:
        return error


async def check(
    fault: str, kind: str, transport: str | None, server: MotoServer, bucket: str, proxy: FaultProxy
) -> None:
    row, what = ROWS[fault], KINDS[kind]
    too_slow = fault in {"stall", "drip"}
    options: dict[str, Any] = {"timeout": 1.5, "config": Config(read_timeout=60)} if too_slow else {}
    says = row.says if transport else re.sub(r"after \S+ attempts", r"after \\d+ attempts", row.says)
    for name in ("done", ODD):
        server.put(bucket, f"p/{name}", b'{"run_id": "r1"}')
    async with (
        open_store(f"s3://{bucket}/p", endpoint_url=proxy.endpoint) as patient,
        open_store(f"s3://{bucket}/p", endpoint_url=proxy.endpoint, transport=transport, **options) as store,
    ):
        assert await store.is_done("done")
        assert isinstance(store, S3Store)
        assert store.transport == (transport or "direct")
        if kind == "first mark":
            assert await store.mark_done("proof", RECORD, first_wins=True)
            await patient.withdraw(["proof"])
        if row.retried:
            proxy.inject(row.make(), when=what.matches)
            passed = await outcome(what.use, store)
            assert passed == what.result or (isinstance(passed, StoreError) and row.error is None)
            assert (f"p/{what.key}" in server.keys(bucket)) is what.done
            if what.key == "new":
                await patient.withdraw(["new"])
            else:
                await patient.mark_done(what.key, RECORD)
        proxy.rule = None
        before = len(proxy.requests)
        proxy.inject(row.make(), times=100, when=what.matches)
        stayed = await outcome(what.use, store)
        proxy.rule = None
        sent = [request for request in proxy.requests[before:] if what.matches(request)]
        expected = row.errors.get(kind, row.error)
        if expected is None:
            assert stayed == what.result
        else:
            assert type(stayed) is expected or (kind == "record" and isinstance(stayed, expected))
            assert expected is not row.error or re.search(says, str(stayed))
        if transport:
            assert len(sent) == row.tried.get(kind, row.tried["others"])
        else:
            check_sent(fault, kind, sent)
        applied = row.applied or expected is None
        there = f"p/{what.key}" in server.keys(bucket)
        assert there is (what.done if applied else what.key != "new")
        # Whatever was reported: the next question is answered by what is stored, and a second try succeeds.
        assert await patient.is_done(what.key) is there
        again = await what.use(patient)
        assert again == (what.repeated if there is what.done else what.result)
        assert (f"p/{what.key}" in server.keys(bucket)) is what.done


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected answer is followed by no time for which botocore sends all."""
    monkeypatch.setattr(direct, "_PAUSE", 0.0)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(("fault", "kind", "transport"), EVERY_TIME)
async def test_a_fault(
    fault: str, kind: str, transport: str | None, moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    await check(fault, kind, transport, moto_server, bucket, fault_proxy)


@pytest.mark.long
@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(("fault", "kind", "transport"), AT_LENGTH)
async def test_a_fault_at_length(
    fault: str, kind: str, transport: str | None, moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    await check(fault, kind, transport, moto_server, bucket, fault_proxy)


@pytest.mark.parametrize("kind", ["page", "listing", "mark", "withdrawal"])
@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://nowhere.invalid"], ids=["refused", "no such host"]
)
async def test_an_endpoint_that_is_not_there(endpoint: str, kind: str) -> None:
    async with open_store("s3://bucket/p", endpoint_url=endpoint) as store:
        with pytest.raises(
            EndpointUnreachableError, match=r"after 4 attempts: EndpointConnectionError.*endpoint_url"
        ):
            await KINDS[kind].use(store)


@pytest.mark.parametrize(
    "config", [None, Config(read_timeout=9), AioConfig(connector_args={"keepalive_timeout": 1})]
)
async def test_a_redirect_is_not_followed_to_another_server(
    bucket: str, s3_endpoint: str, fault_proxy: FaultProxy, config: Config | None
) -> None:
    """It would be asked without a signature, and would seem to store what is marked."""
    async with run_fault_proxy(s3_endpoint) as other:
        other.rule = lambda _: Answer(200, headers={"ETag": "other"})
        fault_proxy.rule = lambda request: Answer(307, headers={"Location": other.endpoint + request.target})
        async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint, config=config) as store:
            for kind in ("mark", "look-up", "withdrawal"):
                with pytest.raises(EndpointUnreachableError, match="is not followed"):
                    await KINDS[kind].use(store)
        assert other.requests == []


async def test_a_lost_reply_of_a_conditional_put_is_told_from_anothers_mark(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    """Two runs mark at once; each loses its reply and sends again: one of them is told that it was first."""
    async with (
        open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as one,
        open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as two,
    ):
        for store in (one, two):
            await store.mark_done("proof", RECORD, first_wins=True)
        for number in range(5):
            fault_proxy.inject(Cut(after_bytes=0), times=2, when=method("PUT"))
            won = await asyncio.gather(
                *(store.mark_done(f"s{number}", {"by": by}, first_wins=True) for store, by in ((one, 1), (two, 2)))
            )
            assert sorted(won) == [False, True]
            assert await one.read_done(f"s{number}") == {"by": 1 if won[0] else 2}


async def test_credentials_that_expire_in_mid_run_lose_no_mark(
    moto_server: MotoServer, bucket: str, fault_proxy: FaultProxy
) -> None:
    expired = error_answer(400, "ExpiredToken")
    played: list[str] = []

    async def work(name: str) -> None:
        played.append(name)

    async def play(store: StepStore) -> list[str]:
        async with StepRun(store, workflow_id="w", journal=False) as run:
            submitted = [run.submit(Step(name, (work, name))) for name in "abcd"]
            await asyncio.gather(*submitted, return_exceptions=True)
        for failure in run.failures:
            assert "ExpiredToken" in str(failure)
            assert "AWS_SESSION_TOKEN" in str(failure)
        return [
            failure.step
            for failure in run.failures
            if isinstance(failure, StepFailedError | StoreError) and failure.step
        ]

    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        fault_proxy.rule = lambda request: expired if "/p/c" in request.path or "/p/d" in request.path else None
        assert await play(store) == ["c", "d"]
        assert moto_server.keys(bucket) == ["p/a", "p/b"]
        fault_proxy.rule = None
        assert await play(store) == []
    assert played == [*"abcd", *"cd"]
    assert moto_server.keys(bucket) == [f"p/{name}" for name in "abcd"]


async def test_a_mark_whose_replies_are_all_lost_fails_its_step_and_is_seen_by_the_next(
    bucket: str, fault_proxy: FaultProxy
) -> None:
    played: list[str] = []

    async def work() -> None:
        played.append("a")

    async with open_store(f"s3://{bucket}/p", endpoint_url=fault_proxy.endpoint) as store:
        fault_proxy.inject(Cut(after_bytes=0), times=100, when=method("PUT"))
        async with StepRun(store, workflow_id="w") as run:
            with pytest.raises(EndpointUnreachableError, match="after 5 attempts"):  # the first past botocore
                await run.submit(Step("a", work))
            [failure] = run.failures
            assert isinstance(failure, StepFailedError)
            assert failure.step == "a"
            fault_proxy.rule = None
            assert (await run.submit(Step("a", work))).status == "skipped"
    assert played == ["a"]


@pytest.mark.parametrize("fault", ROWS)
def test_the_documentation_has_a_row_for_each_fault(fault: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    [cells] = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith(f"| {fault} | ")]
    row = ROWS[fault]
    assert {int(number) for number in re.findall(r"\d+", cells[1])} == set(row.tried.values())
    errors = {error.__name__ for error in (row.error, *row.errors.values()) if error is not None}
    if fault == "half of the body":
        errors.add("RecordError")  # a kind of StoreError
    assert set(re.findall(r"`(\w+)`", cells[2])) == errors
