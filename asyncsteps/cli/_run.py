"""The commands that run a workflow's code: run and plan."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

import asyncsteps
from asyncsteps.cli import _output
from asyncsteps.cli._exit import (
    GRACE,
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
from asyncsteps.cli._failures import place_of
from asyncsteps.cli._logging import Level
from asyncsteps.cli._options import COMMON, Common, Flag, Repeated, Selection
from asyncsteps.cli._progress import Follower, followed
from asyncsteps.cli._report import RunReport, write_plan
from asyncsteps.cli._selectors import limits, selectors
from asyncsteps.cli._targets import Target, load

_FOR_MARKS: Final = 0.8
"""The part of the grace that a mark which has begun may take to end."""


@dataclass(slots=True)
class _Code:
    """A target with its arguments, ready to be opened as a workflow.

    Attributes:
        target: The target.
        selection: What to force and skip.
        endpoint_url: The S3 endpoint, or None.
        arguments: The target's arguments, typed.
        url: The store's URL, once it is open.
    """

    target: Target
    selection: Selection
    endpoint_url: str | None
    arguments: dict[str, Any]
    url: str | None = None

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[dict[str, Any]]:
        """Open the store given by ``--store``; yield the arguments for `Workflow.opened` and `Workflow.plan`."""
        ids = {"workflow_id": self.selection.workflow_id, "run_id": self.selection.run_id}
        if self.selection.store is None:
            yield ids | {"endpoint_url": self.endpoint_url}
            return
        async with asyncsteps.open_store(self.selection.store, endpoint_url=self.endpoint_url) as store:
            self.url = store.url
            yield ids | {"store": store}

    def workflow(self) -> type[asyncsteps.Workflow]:
        """Make a workflow that plays the target with its arguments, ``--force`` and ``--skip``."""
        code = self

        class Played(asyncsteps.Workflow):
            version = code.target.workflow.version

            def __init__(self, step_run: asyncsteps.StepRun) -> None:
                super().__init__(step_run)
                for selector, reason in selectors(code.selection.force):
                    step_run.add_forced_steps(selector, reason)
                for selector, reason in selectors(code.selection.skip):
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


def named(given: Sequence[str]) -> dict[str, str]:
    """The parameters ``NAME=VALUE`` by name, for the journal, which hides what is named like a credential."""
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def _code(target: str, selection: Selection, common: Common) -> _Code:
    """Load the target and check the options, as far as possible before the store is opened.

    Raises:
        UsageError: When the target, its parameters or the store is at fault.
    """
    from asyncsteps.cli._params import bind  # imports pydantic, which help does without

    loaded = load(target)
    if selection.store is None and not loaded.has_hooks:
        raise UsageError(
            f"target {target!r} is a function, so that no hooks make its store; give one: --store URL"
        )
    arguments = bind(loaded.function, selection.param, skip=1, target=target)
    return _Code(loaded, selection, common.endpoint_url, arguments)


def run(
    target: str,
    /,
    *,
    selection: Selection,
    max_parallel: int | None = None,
    limit: Repeated = (),
    markers: Path | None = None,
    page: Annotated[Path | None, Parameter(name="--report")] = None,
    grace: float = GRACE,
    quiet: Flag = False,
    log_level: Level | None = None,
    no_journal: Flag = False,
    keep_runs: int | None = None,
    common: Common = COMMON,
) -> int:
    """Play the steps of a workflow that are not done yet.

    Args:
        target: module:name or path/file.py:name, of a Workflow class or an async def main(run, ...).
        selection: What to force and skip.
        max_parallel: How many activities may run at once, 100 unless given.
        limit: SELECTOR=N: how many activities may run at once in the steps that it selects. Repeatable.
        markers: A file to append every marker to, one JSON object a line.
        page: A file to write a page to that shows this run, when it has ended, however it did.
        grace: Seconds that what is under way may take to end after SIGINT or SIGTERM; then the process ends.
        quiet: No progress; errors and the summary are written all the same.
        log_level: Write to stderr what the target logs, from this level on.
        no_journal: Leave no journal of this run beside the store.
        keep_runs: How many runs' journals are kept, 100 unless given.
        common: Options of every command.
    """
    outcome = RunReport(target, selection.workflow_id)
    begun, began = time.monotonic(), datetime.now(UTC)
    about = {"target": target, "parameters": named(selection.param)}

    def write(exit_code: int) -> None:
        outcome.seconds = time.monotonic() - begun
        outcome.store = code.url or selection.store
        outcome.write(exit_code, as_json=common.json)
        if page is not None:
            given = {"store": outcome.store, "force": list(selection.force), "skip": list(selection.skip)}
            _show_run.write_page(page, outcome, exit_code, began=began, about=about | given)

    def write_last(interrupted: Interrupted, told: str) -> None:
        outcome.raised.append(told)
        write(interrupted.code)

    with _output.data_only() if common.json else contextlib.nullcontext():
        options = _run_options(max_parallel, markers, grace)
        options |= {"limits": limits(limit), "until": selection.until}
        options |= {"journal": not no_journal} | ({} if keep_runs is None else {"keep_runs": keep_runs})
        if page is not None:
            from asyncsteps.cli import _show_run  # what a run without it does without

            _show_run.check_file(page, "--report")
        code = _code(target, selection, common)
        options["about"] = about
        with followed(quiet=quiet, with_traceback=common.traceback, log_level=log_level) as follower:
            try:
                exit_code = run_async(
                    lambda: _play(code, outcome, follower, options, with_traceback=common.traceback),
                    grace=grace,
                    report=write_last,
                )
            except Interrupted as interrupted:
                exit_code = interrupted.code
                _output.say(f"asyncsteps: ended by {interrupted}; nothing half done is marked")
            except BrokenOffError as error:
                exit_code = report(error, with_traceback=common.traceback)
                outcome.raised.append(describe(error))
    write(exit_code)
    return exit_code


def _run_options(max_parallel: int | None, markers: Path | None, grace: float) -> dict[str, Any]:
    """The options of `StepRun`; the markers file is opened once, so that it is refused before anything is played.

    Raises:
        UsageError: When it cannot be written, or the grace is no number of seconds.
    """
    if not 0 <= grace <= threading.TIMEOUT_MAX:
        raise UsageError(f"--grace {grace:g} is refused: it is a number of seconds, 0 or more")
    if markers is not None:
        try:
            os.close(os.open(markers, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666))
        except OSError as error:
            raise UsageError(f"--markers {str(markers)!r} cannot be written: {error.strerror}") from error
    options: dict[str, Any] = {"markers_file": markers}
    if grace:
        options["mark_timeout"] = grace * _FOR_MARKS
    return options if max_parallel is None else options | {"max_parallel": max_parallel}


async def _play(
    code: _Code, outcome: RunReport, follower: Follower, options: dict[str, Any], *, with_traceback: bool
) -> ExitCode:
    """Play the code to its end; return the exit code for what it raised and what failed in its steps."""
    raised: Exception | None = None
    try:
        async with (
            code.opening() as given,
            code.workflow().opened(**given, **options, on_marker=follower) as workflow,
        ):
            outcome.run = follower.run = workflow.step_run
            outcome.result = await workflow.run()
    except Exception as error:
        if outcome.run is None:
            raise
        raised = error  # whatever the user's code raises
    run = outcome.run
    if raised is None:
        return ExitCode.FAILED if run.failures else _code_of_until(code.selection.until, run.unmatched_selectors)
    # Failures of steps are already logged; what is left comes from the workflow's own code or from the store.
    told = {id(each) for error in run.failures for each in (error, error.__cause__)}
    for leaf in leaves(raised):
        if id(leaf) not in told:
            outcome.raised.append(describe(leaf))
            outcome.raised_at[describe(leaf)] = place_of(leaf)
            report(leaf, with_traceback=with_traceback)
    return code_of(raised)


def _code_of_until(until: Sequence[str], unmatched: Sequence[str]) -> ExitCode:
    """The exit code of what went well: bad input if all was played since ``--until`` matched nothing."""
    if not until or not set(until) <= set(unmatched):
        return ExitCode.OK
    _output.error(f"--until {', '.join(map(repr, until))} matched no step, so that nothing stopped the run")
    return ExitCode.USAGE


def plan(
    target: str,
    /,
    *,
    selection: Selection,
    show_all: Annotated[bool, Parameter(name="--all", negative=(), show_default=False)] = False,
    common: Common = COMMON,
) -> int:
    """Show what a run would play, force and skip, and why; it plays nothing and writes nothing.

    Args:
        target: module:name or path/file.py:name, of a Workflow class or an async def main(run, ...).
        selection: What to force and skip.
        show_all: Name every step, instead of rolling up many that are decided alike.
        common: Options of every command.
    """
    with _output.data_only() if common.json else contextlib.nullcontext():
        code = _code(target, selection, common)
        found = run_async(lambda: _plan(code))
    if found.complete:
        given = [selector for selector, _ in selectors((*selection.force, *selection.skip))] + [*selection.until]
        for selector in found.unmatched_selectors:
            if selector in given:
                _output.warning(f"selector {selector!r} matches no step of the plan: is it misspelt?")
    store = code.url or selection.store
    write_plan(
        found,
        target=target,
        store=store,
        workflow_id=selection.workflow_id,
        show_all=show_all,
        as_json=common.json,
    )
    return ExitCode.OK


async def _plan(code: _Code) -> asyncsteps.Plan:
    async with code.opening() as given:
        return await code.workflow().plan(**given, until=code.selection.until)
