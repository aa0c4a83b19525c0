"""The async SWF client: starts executions of simpleflow workflows, waits for them, follows and controls them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

import anyio

from asyncsteps.swf._client.api import ClientOptions, SwfApi
from asyncsteps.swf._client.errors import (
    SwfClientClosedError,
    SwfInputError,
    WorkflowTypeExistsError,
)
from asyncsteps.swf._client.execution import Execution
from asyncsteps.swf._client.history import Run
from asyncsteps.swf._client.launch import start_execution
from asyncsteps.swf._client.lookups import Lookups
from asyncsteps.swf._client.pacing import PollLimits
from asyncsteps.swf._client.polling import Poller
from asyncsteps.swf._client.start import registration, start_parameters, workflow_type

CLOSE_GRACE = 5.0
"""Seconds that closing the connections may take when the client's block is cancelled."""


class SwfClient(Lookups):
    """Starts and follows executions in one SWF domain, thousands of them on one event loop.

    All executions that are waited for or followed share one poller and one polling rate. An execution is polled
    often while it has news, and at growing intervals while it has none. Polling all of ``n`` executions once takes
    at least ``n / polls_per_second`` seconds. ::

        async with SwfClient("people") as swf:
            execution = await swf.start(IngestWorkflow, 42, workflow_id="ingest-42")
            async for marker in execution.markers():
                print(marker.details["step"], marker.details["status"])
            print(await execution.result())

    Args:
        domain: The SWF domain.
        session: The caller's session, of aioboto3 or aiobotocore.
        client: The caller's aiobotocore ``swf`` client, instead of session, endpoint and region; it is not closed.
        endpoint_url: The endpoint; None: botocore's environment and configuration decide.
        region_name: The region; None: likewise.
        config: An ``AioConfig`` of aiobotocore (retries, timeouts, proxies), which overrides the client's own.
        concurrency: The most requests at once; polls take at most half of them.
        polls_per_second: The most history requests a second, over all executions. SWF throttles
            ``GetWorkflowExecutionHistory`` for the whole account; the rate is then halved, and recovers slowly.
        min_poll_interval: Seconds between polls of an execution that has news.
        max_poll_interval: Seconds between polls of an execution that has had none for long.
        poll_patience: Seconds for which polls may fail (unreachable, throttled) before callers get the error.

    Raises:
        SwfInputError: When an argument is out of range.
    """

    def __init__(
        self,
        domain: str,
        *,
        session: Any = None,
        client: Any = None,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        config: Any = None,
        concurrency: int = 32,
        polls_per_second: float = 20.0,
        min_poll_interval: float = 0.5,
        max_poll_interval: float = 15.0,
        poll_patience: float = 300.0,
    ) -> None:
        self._options = ClientOptions(
            domain=domain,
            client=client,
            session=session,
            endpoint_url=endpoint_url,
            region_name=region_name,
            config=config,
            concurrency=concurrency,
        )
        self.domain = domain
        self._limits = PollLimits(polls_per_second, min_poll_interval, max_poll_interval, poll_patience)
        self._stack = AsyncExitStack()
        self._api: SwfApi | None = None
        self._entered = False
        self._poller_tasks: anyio.abc.TaskGroup | None = None
        self._poller: Poller | None = None

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SwfClientClosedError("an SwfClient is entered once: make another one", domain=self.domain)
        self._entered = True
        self._api = await self._options.open(self._stack)
        self._poller = Poller(self._api, self._limits, slots=max(1, self._options.concurrency // 2))
        self._poller_tasks = anyio.create_task_group()
        await self._poller_tasks.__aenter__()
        self._poller_tasks.start_soon(self._poller.run, name="asyncsteps.swf poller")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._api is not None
        assert self._poller_tasks is not None
        self._api.close()
        try:
            self._poller_tasks.cancel_scope.cancel()
            # Not given the block's own exception, which the task group would wrap in an exception group.
            await self._poller_tasks.__aexit__(None, None, None)
        finally:
            with anyio.move_on_after(CLOSE_GRACE, shield=True):
                await self._stack.aclose()

    def _open(self) -> tuple[SwfApi, Poller]:
        if self._api is None or self._poller is None:
            raise SwfClientClosedError(
                "the SWF client is not entered: use it inside `async with SwfClient(...) as swf:`",
                domain=self.domain,
            )
        self._api.check_open()
        return self._api, self._poller

    async def start(
        self,
        workflow: object,
        *args: Any,
        workflow_id: str | None = None,
        version: str | None = None,
        task_list: str | None = None,
        tags: str | list[str] | tuple[str, ...] | None = None,
        execution_timeout: float | str | None = None,
        decision_tasks_timeout: float | str | None = None,
        child_policy: str | None = None,
        lambda_role: str | None = None,
        task_priority: int | str | None = None,
        input: Mapping[str, Any] | None = None,  # noqa: A002  SWF's and simpleflow's own word
        **kwargs: Any,
    ) -> Execution:
        """Start an execution of a simpleflow workflow, whose deciders call ``run(*args, **kwargs)``.

        An option that is not given is taken from the workflow's class (``get_task_list`` or ``task_list``,
        likewise the tags, ``execution_timeout``, ``decision_tasks_timeout``, ``child_policy``, ``task_priority``),
        else from the defaults that the type was registered with.

        Args:
            workflow: A simpleflow `Workflow` class, or the name of a workflow type.
            *args: Arguments of ``run``: JSON values, and types that simpleflow writes as JSON.
            workflow_id: 1 to 256 characters, no ``: / |``; None: name, version and a unique suffix. At most one
                execution with an id is open at a time.
            version: The workflow type's version.
            task_list: The task list that its deciders poll.
            tags: At most 5 tags.
            execution_timeout: Seconds that the execution may take; at most a year.
            decision_tasks_timeout: Seconds that a decision may take, or ``"NONE"``.
            child_policy: What happens to its children when it is terminated: TERMINATE, REQUEST_CANCEL or ABANDON.
            lambda_role: The ARN of the role for its Lambda tasks.
            task_priority: The priority of its decision tasks.
            input: ``{"args": [...], "kwargs": {...}}`` instead of ``args`` and ``kwargs``, for keyword arguments
                with the name of an option.
            **kwargs: Keyword arguments of ``run``.

        Returns:
            A handle on the execution; without a ``workflow_id`` also when the first reply was lost.

        Raises:
            SwfInputError: When a value is refused, by this client or by SWF, or a default is missing.
            SwfDomainNotFoundError: When the domain is not registered.
            WorkflowTypeNotFoundError: When the type is not registered, or deprecated.
            ExecutionAlreadyStartedError: When an execution with this id is open.
            SwfError: When SWF refuses for another reason, or cannot be reached.
        """
        kind = workflow_type(workflow, version)
        parameters = start_parameters(
            kind,
            args=args,
            kwargs=kwargs,
            workflow_id=workflow_id,
            given={
                "task_list": task_list,
                "tags": tags,
                "execution_timeout": execution_timeout,
                "decision_tasks_timeout": decision_tasks_timeout,
                "child_policy": child_policy,
                "lambda_role": lambda_role,
                "task_priority": task_priority,
                "input": input,
            },
        )
        api, _ = self._open()
        run_id = await start_execution(api, kind, parameters, is_own_id=workflow_id is None)
        return self.get(parameters["workflowId"], run_id)

    def get(self, workflow_id: str, run_id: str) -> Execution:
        """Return a handle on an execution that was started elsewhere, without a request.

        Raises:
            SwfInputError: When an id is missing; `find_open` finds the run id of an open execution.
        """
        api, poller = self._open()
        if not workflow_id or not run_id:
            raise SwfInputError(
                f"workflow_id {workflow_id!r} and run_id {run_id!r} must not be empty; "
                "`await swf.find_open(workflow_id)` finds the run id of an open execution",
                domain=self.domain,
            )
        return Execution(api, poller, Run(workflow_id, run_id))

    async def register(
        self,
        workflow: object,
        *,
        version: str | None = None,
        task_list: str | None = None,
        execution_timeout: float | str | None = None,
        decision_tasks_timeout: float | str | None = None,
        child_policy: str | None = None,
        description: str | None = None,
    ) -> bool:
        """Register a workflow type with its defaults, as simpleflow does before it first starts one.

        An option that is not given is taken from the workflow's class, else it has simpleflow's default: 300
        seconds for either timeout, child policy TERMINATE.

        Returns:
            Whether it was registered by this call; False when it was registered before, and is left unchanged.

        Raises:
            SwfDomainNotFoundError: When the domain is not registered.
        """
        kind = workflow_type(workflow, version)
        parameters = registration(
            kind,
            given={
                "task_list": task_list,
                "execution_timeout": execution_timeout,
                "decision_tasks_timeout": decision_tasks_timeout,
                "child_policy": child_policy,
                "description": description,
            },
        )
        api, _ = self._open()
        try:
            await api.call("register_workflow_type", about={"workflow_type": str(kind)}, **parameters)
        except WorkflowTypeExistsError:
            return False
        return True
