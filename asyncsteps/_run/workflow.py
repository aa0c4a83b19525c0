"""Workflows: a run as a class, with simpleflow's hooks that name the store."""

import importlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, Unpack, cast

from asyncsteps._errors import StepDefinitionError, StoreOptionError, WorkflowIdError
from asyncsteps._plan.model import Marker, T_co
from asyncsteps._run.base import BaseRun
from asyncsteps._run.dry_run import Plan
from asyncsteps._run.options import RunOptions
from asyncsteps._run.run import StepRun
from asyncsteps._tasks.step import Step
from asyncsteps.store._protocol import StepStore

R = TypeVar("R")

_SETTINGS = {"SIMPLEFLOW_S3_HOST": "s3.amazonaws.com", "STEP_BUCKET": "step_bucket", "SIMPLEFLOW_S3_SSE": False}
"""simpleflow's settings for its storage, and its defaults."""


@dataclass(frozen=True, slots=True)
class WorkflowOutcome(Generic[T_co]):
    """The outcome of one run of a workflow.

    Attributes:
        result: What ``run`` returned.
        markers: The markers, in order of recording.
        failures: The failures, each once.
        run_id: The run's id.
        stopped_after: The step that the run has stopped after, by its ``until``; the result is None then.
    """

    result: T_co
    markers: tuple[Marker, ...]
    failures: tuple[Exception, ...]
    run_id: str
    stopped_after: str | None = None

    def raise_for_failures(self) -> None:
        """Raise all failures, if there are any.

        Raises:
            ExceptionGroup: Holding `failures`.
        """
        if self.failures:
            raise ExceptionGroup(f"{len(self.failures)} failures in run {self.run_id}", list(self.failures))


class _Returns(Protocol[T_co]):
    """A workflow whose ``run`` returns a ``T_co``."""

    async def run(self, *args: Any, **kwargs: Any) -> T_co: ...


class Workflow(BaseRun, Generic[T_co]):
    """A workflow as a class: derive from it, and define ``async def run(self, ...)``.

    ``await MyWorkflow.start(store, workflow_id=...)`` plays one run. The store's URL is the complete prefix.
    Without a store, the hooks `get_step_bucket` and `get_step_path_prefix` name one. They are called when the run
    first needs it, so they may use what ``run`` has set by then.

    ``Workflow[T]`` is one whose ``run`` returns a ``T``; a plain ``Workflow`` may return anything.

    Attributes:
        name: The workflow's name.
        version: Its version, recorded in done marks.
        task_list: For SWF only.
    """

    name: ClassVar[str | None] = None
    version: ClassVar[str | None] = None
    task_list: ClassVar[str | None] = None

    step = Step
    """Makes a `Step`, as in ``self.step(name, activities)``."""

    def __init__(self, step_run: StepRun) -> None:
        self.step_run = step_run
        self._parts, self._dispatch = step_run._parts, step_run._dispatch  # noqa: SLF001 - of the same base

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check the subclass's ``run``.

        Raises:
            StepDefinitionError: When it is not an ``async def``.
        """
        super().__init_subclass__(**kwargs)
        if not iscoroutinefunction(cls.run):
            raise StepDefinitionError(
                f"{cls.__qualname__}.run is refused: define it with 'async def run(self, ...)'"
            )

    async def run(self, *args: Any, **kwargs: Any) -> T_co:
        """The workflow's code; subclasses define it, with parameters of their own."""
        raise NotImplementedError(f"{type(self).__qualname__} defines no run()")

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        store: StepStore | None = None,
        *,
        workflow_id: str | None = None,
        endpoint_url: str | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncIterator[Self]:
        """Open a workflow over an entered run, for an ``async with`` block; await its ``run`` yourself.

        Args:
            store: An open store. None: open the one that the hooks name, and close it with the block.
            workflow_id: Recorded in done marks, and part of the default prefix. If the default prefix is not
                used, it may be None; the class's name is then recorded.
            endpoint_url: The S3 server of the store that the hooks name, instead of the host in ``host/bucket``.
                None: that host, or botocore's environment and profiles.
            options: Those of `StepRun`; ``version`` and ``step_activity_params`` are the class's.

        Raises:
            WorkflowIdError: When the id is empty, or missing although the default prefix needs it.
            StoreOptionError: When ``endpoint_url`` is given beside a store, which has its own.
        """
        async with _hooked(cls, store, workflow_id, endpoint_url, options) as (run, hooks):
            hooks.workflow = workflow = cls(run)
            yield workflow

    @classmethod
    async def start(
        cls: type[_Returns[R]],
        store: StepStore | None = None,
        *,
        workflow_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        endpoint_url: str | None = None,
        **options: Unpack[RunOptions],
    ) -> WorkflowOutcome[R]:
        """Play one run to its end, with ``params`` as the parameters of ``run``.

        The other arguments, and the errors, are those of `opened`. An exception of ``run`` is raised as it is.
        """
        result: Any = None
        async with cast("type[Workflow[R]]", cls).opened(
            store, workflow_id=workflow_id, endpoint_url=endpoint_url, **options
        ) as workflow:
            result = await workflow.run(**params or {})
        run = workflow.step_run
        return WorkflowOutcome(result, tuple(run.markers), tuple(run.failures), run.run_id, run.stopped_after)

    @classmethod
    async def plan(
        cls,
        store: StepStore | None = None,
        *,
        workflow_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        endpoint_url: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Plan:
        """Return what a run would decide, without playing or writing anything. See `StepRun.plan`."""
        options["journal"] = False
        async with _hooked(cls, store, workflow_id, endpoint_url, options) as (run, hooks):

            async def code(shadow: StepRun) -> None:
                hooks.workflow = workflow = cls(shadow)
                await workflow.run(**params or {})

            return await run.plan(code)

    @property
    def workflow_id(self) -> str:
        """The workflow's id, as it is recorded."""
        return self.step_run.workflow_id

    def get_run_context(self) -> dict[str, Any]:
        """What identifies the run, with simpleflow's keys."""
        run = self.step_run
        return {
            "name": self.name or type(self).__name__,
            "version": run.version,
            "run_id": run.run_id,
            "workflow_id": run.workflow_id,
            "tag_list": [],
        }

    def get_step_bucket(self) -> str:
        """The bucket of the done steps, as ``bucket`` or ``host/bucket``; simpleflow's settings by default.

        Those are ``SIMPLEFLOW_S3_HOST`` and ``STEP_BUCKET``, from the environment or the module that
        ``SIMPLEFLOW_SETTINGS_MODULE`` names.
        """
        return f"{_setting('SIMPLEFLOW_S3_HOST')}/{_setting('STEP_BUCKET')}"

    def get_step_path_prefix(self) -> str:
        """The key prefix of the done steps; ``{workflow_id}/steps/`` by default."""
        return f"{self.workflow_id}/steps/"

    def get_step_activity_params(self) -> Mapping[str, Any]:
        """Parameters of the listing and marking activities. Native runs honour ``retry`` and the timeouts."""
        return {}

    def open_step_store(self, *, endpoint_url: str | None = None) -> AbstractAsyncContextManager[StepStore]:
        """Open the store that the hooks and ``SIMPLEFLOW_S3_SSE`` describe, for an ``async with`` block.

        Args:
            endpoint_url: The S3 server; as for `opened`.
        """
        from asyncsteps.store import open_bucket

        return open_bucket(
            self.get_step_bucket(),
            self.get_step_path_prefix(),
            endpoint_url=endpoint_url,
            sse=bool(_setting("SIMPLEFLOW_S3_SSE")),
        )


class _Hooks:
    """Calls a workflow's hooks when its run first needs a store or parameters."""

    workflow: Workflow

    def __init__(self, store: StepStore | None, endpoint_url: str | None, stack: AsyncExitStack) -> None:
        self._store = store
        self._endpoint_url = endpoint_url
        self._stack = stack

    async def open_store(self) -> StepStore:
        if self._store is None:
            opened = self.workflow.open_step_store(endpoint_url=self._endpoint_url)
            self._store = await self._stack.enter_async_context(opened)
        return self._store

    def params(self) -> Mapping[str, Any]:
        return self.workflow.get_step_activity_params()


@asynccontextmanager
async def _hooked(
    cls: type[Workflow],
    store: StepStore | None,
    workflow_id: str | None,
    endpoint_url: str | None,
    options: RunOptions,
) -> AsyncIterator[tuple[StepRun, _Hooks]]:
    """Enter a run that gets its store and parameters from a workflow's hooks. The store is closed after it."""
    if store is not None and endpoint_url is not None:
        raise StoreOptionError(
            "endpoint_url is for the store that the hooks make; give it to open_store() instead",
            url=store.url,
        )
    if workflow_id is None:
        if store is None and cls.get_step_path_prefix is Workflow.get_step_path_prefix:
            raise WorkflowIdError(
                f"{cls.__qualname__} is given no workflow_id, and its done steps' prefix is made from it: all "
                "workflows without one would share their steps; give workflow_id=..., or a store, or define "
                "get_step_path_prefix()"
            )
        workflow_id = cls.name or cls.__name__
    async with AsyncExitStack() as stack:
        hooks, target = _Hooks(store, endpoint_url, stack), f"{cls.__module__}:{cls.__qualname__}"
        given = RunOptions(version=cls.version, step_activity_params=hooks.params, about={"target": target})
        given.update(options)
        async with StepRun(hooks.open_store, workflow_id=workflow_id, **given) as run:
            yield run, hooks


def _setting(name: str) -> object:
    """One of simpleflow's settings, found as simpleflow finds it."""
    if name in os.environ:
        return os.environ[name]
    module = os.environ.get("SIMPLEFLOW_SETTINGS_MODULE")
    settings = importlib.import_module(module) if module else None
    return getattr(settings, name, _SETTINGS[name])
