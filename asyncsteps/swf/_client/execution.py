"""A handle on one execution: to wait for it, follow its markers, signal, cancel, terminate and describe it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

from asyncsteps._plan.model import STEP_MARKER, Marker
from asyncsteps.swf._client.api import SwfApi
from asyncsteps.swf._client.errors import (
    ExecutionCanceledError,
    ExecutionContinuedAsNewError,
    ExecutionError,
    ExecutionFailedError,
    ExecutionTerminatedError,
    ExecutionTimedOutError,
)
from asyncsteps.swf._client.history import Run
from asyncsteps.swf._client.polling import Follower, Poller
from asyncsteps.swf._client.records import CloseStatus, Closure, ExecutionInfo, HistoryEvent
from asyncsteps.swf._client.start import without_none
from asyncsteps.swf._client.wire import encode, read_info

_T = TypeVar("_T")

_FAILURES: dict[CloseStatus, tuple[type[ExecutionError], str]] = {
    CloseStatus.FAILED: (ExecutionFailedError, "the execution failed"),
    CloseStatus.TIMED_OUT: (ExecutionTimedOutError, "the execution timed out; raise its execution_timeout"),
    CloseStatus.TERMINATED: (ExecutionTerminatedError, "the execution was terminated"),
    CloseStatus.CANCELED: (ExecutionCanceledError, "the execution was canceled"),
    CloseStatus.CONTINUED_AS_NEW: (
        ExecutionContinuedAsNewError,
        "the run continued as a new one; give follow_runs=True to follow it",
    ),
}


class Execution:
    """One run of a workflow on SWF, as returned by `SwfClient.start` and `SwfClient.get`.

    Use it inside the client's block, from any number of tasks; they share its polls.
    """

    def __init__(self, api: SwfApi, poller: Poller, run: Run) -> None:
        self._api = api
        self._poller = poller
        self._run = run

    @property
    def workflow_id(self) -> str:
        """The workflow id."""
        return self._run.workflow_id

    @property
    def run_id(self) -> str:
        """The run id."""
        return self._run.run_id

    def __repr__(self) -> str:
        return f"<Execution {self.workflow_id!r} run {self.run_id!r} in domain {self._api.domain!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Execution) and (self._api.domain, self._run) == (other._api.domain, other._run)

    def __hash__(self) -> int:
        return hash((self._api.domain, self._run))

    async def wait_closed(self, *, follow_runs: bool = True) -> Closure:
        """Wait until the execution has closed, and return how it did.

        Args:
            follow_runs: Whether to follow a run that continues as new into the next one.

        Raises:
            SwfError: When the execution is unknown, or SWF cannot be reached for too long.
        """
        return (await self._wait(follow_runs=follow_runs))[1]

    async def result(self, *, follow_runs: bool = True) -> Any:
        """Wait until the execution has closed, and return what the workflow returned.

        Args:
            follow_runs: Whether to follow a run that continues as new into the next one.

        Returns:
            The decoded JSON; a `JumboField` when simpleflow stored the result on S3.

        Raises:
            ExecutionError: When it failed, timed out, was terminated or canceled, or (without ``follow_runs``)
                continued as new; with the reason and the details.
            SwfError: When the execution is unknown, or SWF cannot be reached for too long.
        """
        run, closure = await self._wait(follow_runs=follow_runs)
        if closure.status is CloseStatus.COMPLETED:
            return closure.result
        kind, message = _FAILURES[closure.status]
        if closure.reason:
            message = f"{message}: {closure.reason}"
        raise kind(message, closure, domain=self._api.domain, workflow_id=run.workflow_id, run_id=run.run_id)

    async def _wait(self, *, follow_runs: bool) -> tuple[Run, Closure]:
        run = self._run
        while True:
            with self._poller.following(run, markers=False) as follower:
                while follower.closure is None:
                    if follower.error is not None:
                        raise follower.error
                    await follower.changed.wait()
                closure = follower.closure
            if closure.new_run_id is None or not follow_runs:
                return run, closure
            run = run._replace(run_id=closure.new_run_id)

    async def markers(
        self, name: str | None = STEP_MARKER, *, follow_runs: bool = True
    ) -> AsyncGenerator[Marker, None]:
        """Yield the execution's markers in order, each once: those recorded so far, then new ones until it closes.

        A marker's ``details`` is decoded JSON (a `JumboField` when simpleflow stored it on S3), ``at`` is SWF's
        time in UTC.

        Args:
            name: Only markers with this name; None: all.
            follow_runs: Whether to follow a run that continues as new into the next one.

        Raises:
            SwfError: When the execution is unknown, or SWF cannot be reached for too long.
        """
        run: Run | None = self._run
        while run is not None:
            with self._poller.following(run, markers=True) as follower:
                async with aclosing(_each(follower, follower.markers)) as markers:
                    async for marker in markers:
                        if name is None or marker.name == name:
                            yield marker
                run = _next_run(run, follower.closure, follow_runs=follow_runs)

    async def events(self, *, live: bool = True, follow_runs: bool = True) -> AsyncGenerator[HistoryEvent, None]:
        """Yield all events of the execution's history in order, each once.

        Args:
            live: Whether to go on with new events until the execution closes; False: those recorded so far.
            follow_runs: Whether to follow a run that continues as new into the next one.

        Raises:
            SwfError: When the execution is unknown, or SWF cannot be reached (for too long, when ``live``).
        """
        run: Run | None = self._run
        while run is not None and live:
            with self._poller.following(run, markers=True, events=True) as follower:
                async with aclosing(_each(follower, follower.events)) as events:
                    async for event in events:
                        yield event
                run = _next_run(run, follower.closure, follow_runs=follow_runs)
        while run is not None:
            news = await self._poller.read(run)
            for event in news.events:
                yield event
            run = _next_run(run, news.closure, follow_runs=follow_runs)

    async def signal(self, name: str, *args: Any, propagate: bool = False, **kwargs: Any) -> None:
        """Signal the execution, with arguments in simpleflow's format.

        Args:
            name: The signal's name, such as ``step.load.users``.
            *args: What ``wait_signal(name)`` returns in the workflow, together with ``kwargs``.
            propagate: Whether simpleflow passes the signal on to the execution's parent and children.
            **kwargs: See ``args``.

        Raises:
            ExecutionNotFoundError: When the execution is unknown, or closed.
        """
        payload = {"args": list(args), "kwargs": kwargs, "__propagate": propagate}
        await self._ask("signal_workflow_execution", signalName=name, input=encode(payload, f"signal {name!r}"))

    async def request_cancel(self) -> None:
        """Request the workflow to cancel itself, which it may ignore.

        Raises:
            ExecutionNotFoundError: When the execution is unknown, or closed.
        """
        await self._ask("request_cancel_workflow_execution")

    async def terminate(
        self, reason: str | None = None, *, details: str | None = None, child_policy: str | None = None
    ) -> None:
        """Close the execution immediately, without the workflow's consent.

        Args:
            reason: Why, at most 256 characters.
            details: Further details, at most 32,768 characters.
            child_policy: What happens to its children: TERMINATE, REQUEST_CANCEL or ABANDON; None: the policy that
                it was started with.

        Raises:
            ExecutionNotFoundError: When the execution is unknown, or closed.
        """
        await self._ask(
            "terminate_workflow_execution",
            **without_none(reason=reason, details=details, childPolicy=child_policy),
        )

    async def describe(self) -> ExecutionInfo:
        """Describe the execution as it is now.

        Raises:
            ExecutionNotFoundError: When it is unknown.
        """
        answer = await self._api.call(
            "describe_workflow_execution",
            expect="executionInfo",
            about=self._about,
            execution={"workflowId": self.workflow_id, "runId": self.run_id},
        )
        return read_info(answer["executionInfo"], answer)

    @property
    def _about(self) -> dict[str, str | None]:
        return {"workflow_id": self.workflow_id, "run_id": self.run_id}

    async def _ask(self, operation: str, **parameters: Any) -> None:
        await self._api.call(
            operation, about=self._about, workflowId=self.workflow_id, runId=self.run_id, **parameters
        )


async def _each(follower: Follower, what: list[_T]) -> AsyncGenerator[_T, None]:
    """Yield what a follower has read, and then what it goes on reading, until its run has closed."""
    seen = 0
    while True:
        while seen < len(what):
            seen += 1
            yield what[seen - 1]
        if follower.complete:
            return
        if follower.error is not None:
            raise follower.error
        await follower.changed.wait()


def _next_run(run: Run, closure: Closure | None, *, follow_runs: bool) -> Run | None:
    """Return the run that a closed one continued as, if it is to be followed."""
    new_run_id = closure.new_run_id if closure is not None and follow_runs else None
    return run._replace(run_id=new_run_id) if new_run_id is not None else None
