"""The commands that run a workflow's code: run and plan."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import (
    BrokenOffError,
    ExitCode,
    Interrupted,
    UsageError,
    broken_off,
    code_of,
    describe,
    leaves,
    report,
    run_async,
)
from asyncsteps.cli._params import bind
from asyncsteps.cli._progress import Follower, followed
from asyncsteps.cli._report import RunReport, write_plan
from asyncsteps.cli._store import open_store
from asyncsteps.cli._targets import Target, load

_END_OF_SELECTOR: Final = re.compile(r"(?<!\\)=")


@dataclass(frozen=True, slots=True)
class Request:
    """The options of ``run`` and ``plan``."""

    target: str
    store: str | None
    endpoint_url: str | None
    workflow_id: str
    run_id: str | None
    force: Sequence[str]
    skip: Sequence[str]
    params: Sequence[str]
    max_parallel: int | None = None
    markers: Path | None = None


@dataclass(slots=True)
class _Code:
    """A target with its arguments, ready to be opened as a workflow.

    Attributes:
        request: The options.
        target: The target.
        arguments: The target's arguments, typed.
        url: The store's URL, once it is open.
    """

    request: Request
    target: Target
    arguments: dict[str, Any]
    url: str | None = None

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[dict[str, Any]]:
        """Open the store given by ``--store``; yield the arguments for `Workflow.opened` and `Workflow.plan`."""
        request = self.request
        common = {"workflow_id": request.workflow_id, "run_id": request.run_id}
        if request.store is None:
            yield common | {"endpoint_url": request.endpoint_url}
            return
        async with open_store(request.store, request.endpoint_url) as store:
            self.url = store.url
            yield common | {"store": store}

    def workflow(self) -> type[asyncsteps.Workflow]:
        """Make a workflow that plays the target with its arguments, ``--force`` and ``--skip``."""
        code = self

        class Played(asyncsteps.Workflow):
            version = code.target.workflow.version

            def __init__(self, step_run: asyncsteps.StepRun) -> None:
                super().__init__(step_run)
                for selector, reason in selectors(code.request.force):
                    step_run.add_forced_steps(selector, reason)
                for selector, reason in selectors(code.request.skip):
                    step_run.add_skipped_steps(selector, reason)
                self.played = code.target.workflow(step_run)

            async def run(self) -> Any:
                try:
                    return await self.played.run(**code.arguments)
                except (asyncio.CancelledError, GeneratorExit) as error:
                    task = asyncio.current_task()
                    if task is not None and task.cancelling():
                        raise
                    raise broken_off(error) from error

            def get_step_activity_params(self) -> Mapping[str, Any]:
                return self.played.get_step_activity_params()

            @asynccontextmanager
            async def open_step_store(
                self, *, endpoint_url: str | None = None
            ) -> AsyncIterator[asyncsteps.StepStore]:
                async with self.played.open_step_store(endpoint_url=endpoint_url) as store:
                    code.url = store.url
                    yield store

        return Played


def selectors(given: Sequence[str]) -> list[tuple[str, str | None]]:
    r"""Split ``SELECTOR[=REASON]`` into pairs; ``\=`` is an ``=`` that belongs to the selector."""
    pairs: list[tuple[str, str | None]] = []
    for text in given:
        selector, *reason = _END_OF_SELECTOR.split(text, maxsplit=1)
        pairs.append((selector.replace(r"\=", "="), (reason[0] or None) if reason else None))
    return pairs


def _code(request: Request) -> _Code:
    """Load the target and check the options, as far as possible before the store is opened.

    Raises:
        UsageError: When the target, its parameters, the store or the markers file is at fault.
    """
    if request.markers is not None:
        try:
            os.close(os.open(request.markers, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666))
        except OSError as error:
            raise UsageError(f"--markers {str(request.markers)!r} cannot be written: {error.strerror}") from error
    target = load(request.target)
    if request.store is None and not target.has_hooks:
        raise UsageError(
            f"target {target.text!r} is a function, so that no hooks make its store; give one: --store URL"
        )
    return _Code(request, target, bind(target.function, request.params, skip=1, target=target.text))


def run(request: Request, *, quiet: bool, as_json: bool, with_traceback: bool) -> int:
    """Play a workflow and report on it."""
    outcome = RunReport(request.target, request.workflow_id)
    begun = time.monotonic()
    with _output.data_only() if as_json else contextlib.nullcontext():
        code_to_run = _code(request)
        with followed(quiet=quiet, with_traceback=with_traceback) as follower:
            try:
                code = run_async(lambda: _play(code_to_run, outcome, follower, with_traceback=with_traceback))
            except Interrupted as interrupted:
                code = interrupted.code
                _output.say(f"asyncsteps: ended by {interrupted}; nothing half done is marked")
            except BrokenOffError as error:
                code = report(error, with_traceback=with_traceback)
                outcome.raised.append(describe(error))
    outcome.seconds = time.monotonic() - begun
    outcome.store = code_to_run.url or request.store
    outcome.write(code, as_json=as_json)
    return code


async def _play(code: _Code, outcome: RunReport, follower: Follower, *, with_traceback: bool) -> ExitCode:
    """Play the code to its end; return the exit code for what it raised and what failed in its steps."""
    options: dict[str, Any] = {"on_marker": follower, "markers_file": code.request.markers}
    if code.request.max_parallel is not None:
        options["max_parallel"] = code.request.max_parallel
    raised: Exception | None = None
    try:
        async with code.opening() as given, code.workflow().opened(**given, **options) as workflow:
            outcome.run = follower.run = workflow.step_run
            outcome.result = await workflow.run()
    except Exception as error:
        if outcome.run is None:
            raise
        raised = error  # whatever the user's code raises
    run = outcome.run
    if raised is None:
        return ExitCode.FAILED if run.failures else ExitCode.OK
    # Failures of steps are already logged; what is left comes from the workflow's own code or from the store.
    told = {id(each) for error in run.failures for each in (error, error.__cause__)}
    for leaf in leaves(raised):
        if id(leaf) not in told:
            outcome.raised.append(describe(leaf))
            report(leaf, with_traceback=with_traceback)
    return code_of(raised)


def plan(request: Request, *, show_all: bool, as_json: bool) -> int:
    """Report what a run would decide."""
    with _output.data_only() if as_json else contextlib.nullcontext():
        code = _code(request)
        found = run_async(lambda: _plan(code))
    if found.complete:
        given = [selector for selector, _ in selectors((*request.force, *request.skip))]
        for selector in found.unmatched_selectors:
            if selector in given:
                _output.warning(f"selector {selector!r} matches no step of the plan: is it misspelt?")
    store = code.url or request.store
    write_plan(
        found,
        target=request.target,
        store=store,
        workflow_id=request.workflow_id,
        show_all=show_all,
        as_json=as_json,
    )
    return ExitCode.OK


async def _plan(code: _Code) -> asyncsteps.Plan:
    async with code.opening() as given:
        return await code.workflow().plan(**given)
