"""Whether a workflow overrides a hook of the mixin, so that what stands behind its default is not enough."""

from typing import Any


def overrides(workflow: Any, hook: str) -> bool:
    """Whether the workflow's class has a method ``hook`` that is not the mixin's."""
    from asyncsteps.swf._steps.mixin import WorkflowStepMixin

    return getattr(type(workflow), hook) is not getattr(WorkflowStepMixin, hook)
