"""A service that plays workflows: start a run, follow it, cancel it, look at it.

POST /runs                   {"workflow_id": "nightly-1", "tables": ["users"], "seconds": 0.5}: 201, or 409
GET  /runs, /runs/{id}       the runs; one of them
DELETE /runs/{id}            cancel it: 202
GET  /runs/{id}/events       server-sent events, from the one behind Last-Event-ID; the last is `end`
GET  /runs/{id}/live         the page of the run, kept up to date
GET  /runs/{id}/report       the page as it is now
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from workflow import Nightly

from asyncsteps import AsyncstepsError, RunClosedError, RunExistsError, RunHandle, Runs, StepStore
from asyncsteps.report import live_story, page

LIVE = (Path(__file__).parent / "live.html").read_text(encoding="utf-8")

WORKFLOW_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

QUIET = 15.0
"""Seconds after which a comment is sent to followers, so that proxies do not take the connection for dead."""

OpenStoreOf = Callable[[str], AbstractAsyncContextManager[StepStore]]


def make_app(open_store_of: OpenStoreOf, *, max_running: int = 4, drain_timeout: float = 1.0) -> Starlette:
    """Make the service.

    Args:
        open_store_of: Opens the store of a workflow id.
        max_running: The most runs at once.
        drain_timeout: Seconds that runs have to end when the service stops.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loop, draining = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        async with Runs(open_store_of, max_running=max_running, drain_timeout=drain_timeout) as runs:
            app.state.runs = runs

            def stop() -> None:
                draining.add(asyncio.ensure_future(runs.drain()))

            # Upon a signal, from its handler: the runs end first, so that those who follow them get the end.
            app.state.stop = lambda: loop.call_soon_threadsafe(stop)
            yield
            await asyncio.gather(*draining)

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/runs", list_runs),
            Route("/runs", start_run, methods=["POST"]),
            Route("/runs/{run_id}", show_run),
            Route("/runs/{run_id}", cancel_run, methods=["DELETE"]),
            Route("/runs/{run_id}/events", follow_run),
            Route("/runs/{run_id}/live", show_live),
            Route("/runs/{run_id}/report", show_report),
        ],
        exception_handlers={HTTPException: told},
    )


async def told(_: Request, error: Exception) -> Response:
    """Answer with an error as JSON."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


def all_runs(request: Request) -> Runs:
    runs: Runs = request.app.state.runs
    return runs


def handle_of(request: Request) -> RunHandle:
    run_id = request.path_params["run_id"]
    handle = all_runs(request).get(run_id)
    if handle is None:
        raise HTTPException(404, f"there is no run {run_id}")
    return handle


def as_json(handle: RunHandle) -> dict[str, Any]:
    told = asdict(handle.snapshot())
    result = handle.result if handle.done and handle.error is None else None
    return {name: each.isoformat() if hasattr(each, "isoformat") else each for name, each in told.items()} | {
        "result": result
    }


async def list_runs(request: Request) -> Response:
    return JSONResponse([as_json(handle) for handle in all_runs(request)])


async def start_run(request: Request) -> Response:
    try:
        given = await request.json()
        workflow_id, tables, seconds = given["workflow_id"], given["tables"], float(given.get("seconds", 0.5))
        if not isinstance(tables, list) or not all(isinstance(table, str) for table in tables):
            raise HTTPException(400, "tables is a list of names")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HTTPException(400, f"give workflow_id, tables and seconds as a JSON object: {error!r}") from error
    if not isinstance(workflow_id, str) or WORKFLOW_ID.fullmatch(workflow_id) is None:
        raise HTTPException(
            400, "workflow_id has 1 to 64 letters, digits, - and _: it names the store of its steps"
        )
    try:
        handle = all_runs(request).start(
            Nightly, workflow_id=workflow_id, params={"tables": tables, "seconds": seconds}
        )
    except RunExistsError as error:
        return JSONResponse({"error": str(error), "run_id": error.run_id}, status_code=409)
    except RunClosedError as error:
        raise HTTPException(503, "the service stops", {"Retry-After": "10"}) from error
    except AsyncstepsError as error:
        raise HTTPException(400, str(error)) from error
    headers = {"Location": f"/runs/{handle.run_id}"}
    return JSONResponse(as_json(handle), status_code=201, headers=headers)


async def show_run(request: Request) -> Response:
    return JSONResponse(as_json(handle_of(request)))


async def cancel_run(request: Request) -> Response:
    handle = handle_of(request)
    if not handle.cancel():
        raise HTTPException(409, f"run {handle.run_id} has ended: it is {handle.state}")
    return JSONResponse(as_json(handle), status_code=202)


async def follow_run(request: Request) -> Response:
    handle = handle_of(request)
    after = request.headers.get("last-event-id", request.query_params.get("after", "0"))
    if not after.isascii() or not after.isdigit():
        raise HTTPException(400, f"{after!r} is not the number of an event")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(handle, int(after)), media_type="text/event-stream", headers=headers)


async def stream(handle: RunHandle, after: int) -> AsyncIterator[str]:
    """The events of a run as server-sent events; a client that goes away cancels this."""
    followers = handle.follow(after=after)
    while True:
        followed = None
        with anyio.move_on_after(QUIET) as quiet:
            followed = await anext(followers, None)
        if followed is not None:
            yield server_sent(followed.event.kind, followed.event.as_dict(), number=followed.number)
        elif quiet.cancelled_caught:
            yield ": still there\n\n"
        else:
            break
    yield server_sent("end", as_json(handle))


def server_sent(kind: str, data: Any, *, number: int | None = None) -> str:
    lines = [f"event: {kind}", f"data: {json.dumps(data, default=str)}"]
    return "\n".join([*([] if number is None else [f"id: {number}"]), *lines, "", ""])


async def show_live(request: Request) -> Response:
    handle = handle_of(request)
    return HTMLResponse(LIVE.replace("{{run_id}}", handle.run_id))


async def show_report(request: Request) -> Response:
    """The page of the run, made of the events that are kept."""
    handle = handle_of(request)
    so_far = handle.snapshot().events
    events = []
    if so_far:
        async for number, event in handle.follow():
            events.append(event)
            if number >= so_far:
                break
    if not events:
        raise HTTPException(404, f"run {handle.run_id} is {handle.state}: nothing has happened yet")
    html = await asyncio.to_thread(lambda: page(live_story(events)))
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})
