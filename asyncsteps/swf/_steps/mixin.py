"""`WorkflowStepMixin`: the hooks of simpleflow's mixin of the same name, over our own planner."""

import abc
import posixpath
from collections.abc import KeysView, Sequence
from typing import TYPE_CHECKING, Any

from simpleflow import activity, futures, settings, task
from simpleflow.workflow import Workflow

from asyncsteps._plan.names import STRICT, NameRule
from asyncsteps.swf import _simpleflow as sf
from asyncsteps.swf._steps.name_rule import check_step, listing_options, rule_of, selectors_of_workflow
from asyncsteps.swf._steps.run import run_of
from asyncsteps.swf._steps.run_hook import around_run, is_wrapped
from asyncsteps.swf._steps.step import Step
from asyncsteps.swf.constants import STEP_ACTIVITY_PARAMS_DEFAULT
from asyncsteps.swf.tasks import GetStepsDoneTask


class WorkflowStepMixin(metaclass=abc.ABCMeta):  # noqa: B024 - it has simpleflow's metaclass
    """What a simpleflow workflow derives from to use steps: ``class W(Workflow, WorkflowStepMixin)``.

    The hooks, their defaults and the selectors are those of ``simpleflow.step.workflow.WorkflowStepMixin``.
    """

    withdraw_invalidated: bool = True
    """Whether playing a step withdraws the done marks that it invalidates; False: they stay, as in simpleflow."""

    step_names: NameRule = STRICT
    """Which names and selectors steps may have: ``strict``, by asyncsteps' own rule; or ``simpleflow``, whatever
    simpleflow plays, where the key stays under the prefix."""

    if TYPE_CHECKING:
        # What the mixin uses of `Workflow`.
        executor: Any
        task_list: Any

        def submit(self, submittable: Any, *args: Any, **kwargs: Any) -> Any: ...
        def get_run_context(self) -> dict[str, Any]: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # `Workflow` usually comes first, so `run` cannot be overridden by inheritance.
        super().__init_subclass__(**kwargs)
        rule_of(cls)
        run = getattr(cls, "run", None)
        if run is not None and run is not Workflow.run and not is_wrapped(run):
            cls.run = around_run(run)  # type: ignore[attr-defined]

    def get_step_bucket(self) -> str:
        """The S3 bucket of the done marks, bare or as ``host/bucket``; by default from simpleflow's settings.

        Where ``SIMPLEFLOW_S3_HOST`` is empty it is bare.
        """
        return "/".join(filter(None, (settings.SIMPLEFLOW_S3_HOST, settings.STEP_BUCKET)))

    def get_step_path_prefix(self) -> str:
        """The key prefix of the done marks; by default ``{workflow_id}/steps/``."""
        context = self.get_run_context()
        workflow_id = context.get("workflow_id", "default")
        if workflow_id == "local" and not sf.runs_on_swf(self.executor):
            run_of(self).warn_of_shared_prefix()
        return posixpath.join(workflow_id, "steps/")

    def get_step_activity_params(self) -> dict[str, Any]:
        """Extra parameters for the listing, marking and withdrawing activities, merged over the defaults."""
        return {}

    def add_forced_steps(self, steps: str | Sequence[str], reason: str | None = None) -> None:
        """Force the steps that the selectors match, in submissions not yet decided; one ``str`` is one selector.

        Raises:
            SelectorError: When one is malformed.
        """
        run_of(self).add_selectors(selectors_of_workflow(self, steps), reason, forces=True)

    def get_forced_steps(self) -> list[str]:
        """The forced selectors, in order of addition."""
        return run_of(self).selectors(forcing=True)

    def add_skipped_steps(self, steps: str | Sequence[str], reason: str | None = None) -> None:
        """Skip the steps that the selectors match, unless they are forced; one ``str`` is one selector.

        Raises:
            SelectorError: When one is malformed.
        """
        run_of(self).add_selectors(selectors_of_workflow(self, steps), reason, forces=False)

    def get_skipped_steps(self) -> list[str]:
        """The skipped selectors, in order of addition."""
        return run_of(self).selectors(forcing=False)

    @property
    def steps_forced(self) -> frozenset[str]:
        """The forced selectors; `add_forced_steps` adds to them."""
        return frozenset(run_of(self).selectors(forcing=True))

    @property
    def steps_forced_reasons(self) -> dict[str, KeysView[str]]:
        """The reasons of each forced selector, in order of addition."""
        return run_of(self).reasons(forcing=True)

    @property
    def steps_skipped(self) -> frozenset[str]:
        """The skipped selectors; `add_skipped_steps` adds to them."""
        return frozenset(run_of(self).selectors(forcing=False))

    @property
    def steps_skipped_reasons(self) -> dict[str, KeysView[str]]:
        """The reasons of each skipped selector, in order of addition."""
        return run_of(self).reasons(forcing=False)

    def _get_step_activity_params(self) -> dict[str, Any]:
        params = dict(STEP_ACTIVITY_PARAMS_DEFAULT)
        if hasattr(self, "task_list"):
            params["task_list"] = self.task_list
        params.update(self.get_step_activity_params() or {})
        return params

    def _overrides_hook(self, name: str) -> bool:
        """Whether the class has its own method in place of the mixin's hook ``name``."""
        return getattr(type(self), name) is not getattr(WorkflowStepMixin, name)

    def step(self, *args: Any, **kwargs: Any) -> Step:
        """Make a `Step`.

        Raises:
            StepNameError: When the name breaks the rule that the workflow sets.
            SelectorError: When a selector is malformed by that rule.
        """
        step = Step(*args, **kwargs)
        check_step(self, step)
        return step

    def _submit_step(self, step: Step) -> futures.Future:
        """Submit a step to this workflow; `Step.submit` calls it."""
        check_step(self, step)
        return run_of(self).submit(step)

    def get_steps_done_activity(self) -> task.ActivityTask:
        """Make the activity task whose result is the list of all done steps, which must fit a payload of SWF."""
        listing = run_of(self).listing_class()
        return task.ActivityTask(
            activity.Activity(listing, **self._get_step_activity_params()),
            self.get_step_bucket(),
            self.get_step_path_prefix(),
            **(listing_options(rule_of(self)) if listing is GetStepsDoneTask else {}),
        )

    def get_steps_done(self) -> list[str]:
        """List all done steps, however many: on SWF as this execution listed them first, elsewhere as of now."""
        return run_of(self).list_done()
