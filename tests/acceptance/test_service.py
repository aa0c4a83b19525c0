"""The example service, as a process of its own that is asked over HTTP."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from service_process import Service, service

pytestmark = pytest.mark.long

SLOW = {"workflow_id": "slow", "tables": ["a", "b"], "seconds": 1_000}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as started:
        yield started
        assert started.stop() < 2
        assert started.process.returncode == -signal.SIGTERM  # as uvicorn ends when it has stopped


@pytest.fixture
async def http(running: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(running.url) as session:
        yield session


async def start(http: aiohttp.ClientSession, **given: Any) -> dict[str, Any]:
    async with http.post("/runs", json=given) as answer:
        told: dict[str, Any] = await answer.json()
        assert answer.status == 201, told
        assert answer.headers["Location"] == f"/runs/{told['run_id']}"
        return told


async def get(http: aiohttp.ClientSession, path: str, status: int = 200) -> Any:
    async with http.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


@asynccontextmanager
async def following(
    http: aiohttp.ClientSession, run_id: str, **headers: str
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    async with http.get(f"/runs/{run_id}/events", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield messages(answer)


async def messages(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    message: dict[str, Any] = {}
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            message[name] = value
        elif message:
            yield {**message, "data": json.loads(message["data"])}
            message = {}


async def all_of(http: aiohttp.ClientSession, run_id: str, **headers: str) -> list[dict[str, Any]]:
    async with following(http, run_id, **headers) as events:
        return [event async for event in events]


async def test_a_run_is_started_followed_and_asked_for(http: aiohttp.ClientSession) -> None:
    run = await start(http, workflow_id="n1", tables=["users", "bad_mails"], seconds=0.05)
    events = await all_of(http, run["run_id"])
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("run.started", ["run.ended", "end"])
    assert [int(event["id"]) for event in events[:-1]] == list(range(1, len(events)))
    assert events[-1]["data"]["state"] == "failed"
    assert {event["data"]["step"] for event in events if event["event"] == "step.completed"} == {
        "load.users",
        "report",
    }
    told = await get(http, f"/runs/{run['run_id']}")
    assert told == events[-1]["data"]
    assert told["result"] == "2 tables"
    assert told["failures"][0].startswith("StepFailedError: step 'load.bad_mails' failed")
    assert run["run_id"] in [each["run_id"] for each in await get(http, "/runs")]
    later = await all_of(http, run["run_id"], **{"Last-Event-ID": events[5]["id"]})
    assert later == events[6:]
    again = await start(http, workflow_id="n1", tables=["users", "bad_mails"], seconds=0.05)
    assert (await all_of(http, again["run_id"]))[-1]["data"]["counts"]["skipped"] == 1


async def test_a_second_run_is_refused_and_a_run_is_cancelled(http: aiohttp.ClientSession) -> None:
    run = await start(http, **SLOW)
    async with http.post("/runs", json=SLOW) as answer:
        assert answer.status == 409
        assert (await answer.json())["run_id"] == run["run_id"]
    async with following(http, run["run_id"]) as events:
        async with http.delete(f"/runs/{run['run_id']}") as answer:
            assert answer.status == 202
        assert [event async for event in events][-1]["data"]["state"] == "cancelled"
    async with http.delete(f"/runs/{run['run_id']}") as answer:
        assert answer.status == 409


async def test_a_follower_that_goes_away_leaves_the_run(http: aiohttp.ClientSession) -> None:
    run = await start(http, **SLOW)
    for _ in range(3):
        async with following(http, run["run_id"]) as events:
            assert (await anext(events))["event"] == "run.started"
    assert (await get(http, f"/runs/{run['run_id']}"))["state"] == "running"
    async with http.delete(f"/runs/{run['run_id']}"):
        await all_of(http, run["run_id"])


@pytest.mark.parametrize(
    "given",
    [
        *(b"", b"no json", b"[]", b"3", b'{"workflow_id": "x"}'),
        *(b'{"workflow_id": "../x", "tables": []}', b'{"workflow_id": 3, "tables": []}'),
        b'{"workflow_id": "x", "tables": [3]}',
    ],
)
async def test_what_cannot_be_started_is_refused(http: aiohttp.ClientSession, given: bytes) -> None:
    async with http.post("/runs", data=given) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]


async def test_what_is_not_there_is_not_found(http: aiohttp.ClientSession) -> None:
    for path in ("/runs/none", "/runs/none/events", "/runs/none/live", "/runs/none/report"):
        assert await get(http, path, 404) == {"error": "there is no run none"}
    run = await start(http, workflow_id="n2", tables=[])
    await get(http, f"/runs/{run['run_id']}/events?after=x", 400)


async def test_the_page_of_a_run_is_made_while_it_goes_on_and_afterwards(http: aiohttp.ClientSession) -> None:
    run = await start(http, **SLOW)
    async with following(http, run["run_id"]) as events:
        async for event in events:
            if event["event"] == "step.started":
                break
    async with http.get(f"/runs/{run['run_id']}/report") as answer:
        assert '"outcome":"running"' in await answer.text()
    async with http.delete(f"/runs/{run['run_id']}"):
        await all_of(http, run["run_id"])
    async with http.get(f"/runs/{run['run_id']}/report") as answer:
        assert '"outcome":"cancelled"' in await answer.text()


async def test_sigterm_ends_the_service_and_tells_those_who_follow(tmp_path: Path) -> None:
    with service(tmp_path) as started:
        async with aiohttp.ClientSession(started.url) as http:
            slow = await start(http, **SLOW)
            queued = [await start(http, **{**SLOW, "workflow_id": f"w{number}"}) for number in range(2)][-1]
            followers = [asyncio.create_task(all_of(http, run["run_id"])) for run in (slow, slow, queued)]
            async with following(http, slow["run_id"]) as events:
                await anext(events)
                took = await asyncio.to_thread(started.stop)
                assert [event async for event in events][-1]["event"] == "end"
            ends = [(await each)[-1] for each in followers]
    assert [(each["event"], each["data"]["state"]) for each in ends] == [("end", "cancelled")] * 3
    assert took < 2
    assert started.process.returncode == -signal.SIGTERM
    with service(tmp_path) as again:
        async with aiohttp.ClientSession(again.url) as http:
            run = await start(http, **{**SLOW, "seconds": 0.01})
            assert (await all_of(http, run["run_id"]))[-1]["data"]["state"] == "completed"
        again.stop()
