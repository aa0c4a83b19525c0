"""How steps are decided, as plain functions: those of ``simpleflow.step.utils``, with the same answers.

They need no simpleflow. The planner decides by the same rule, and knows more: what the run has played, and which
decisions the history has fixed.
"""

from collections.abc import Collection, Iterable, Mapping

from asyncsteps._plan.names import matches

__all__ = [
    "get_step_force_reasons",
    "get_step_skip_reasons",
    "should_force_step",
    "should_skip_step",
    "step_is_forced",
    "step_is_skipped_by_force",
    "step_will_run",
]


def should_force_step(step_name: str, force_steps: str | Iterable[str]) -> bool:
    """Whether a selector among ``force_steps`` matches: ``*``, the name itself, or an ancestor of it.

    Unlike simpleflow's, it takes one ``str`` for one selector.
    """
    selectors = (force_steps,) if isinstance(force_steps, str) else force_steps
    return any(matches(selector, step_name) for selector in selectors)


def should_skip_step(step_name: str, skipped_steps: str | Iterable[str]) -> bool:
    """Whether a selector among ``skipped_steps`` matches, as in `should_force_step`."""
    return should_force_step(step_name, skipped_steps)


def step_will_run(
    step_name: str,
    force_steps: str | Iterable[str],
    skipped_steps: str | Iterable[str],
    steps_done: Collection[str],
    force: bool = False,
) -> bool:
    """Whether a step will run: forced beats skipped beats done.

    Args:
        step_name: The step's name.
        force_steps: The selectors that force.
        skipped_steps: The selectors that skip.
        steps_done: The names of the done steps.
        force: Whether the step is forced by itself.
    """
    if step_is_forced(step_name, force_steps, force):
        return True
    return not should_skip_step(step_name, skipped_steps) and step_name not in steps_done


def step_is_forced(step_name: str, force_steps: str | Iterable[str], force: bool) -> bool:
    """Whether a step is forced, by itself or by a selector."""
    return force or should_force_step(step_name, force_steps)


def step_is_skipped_by_force(step_name: str, skipped_steps: str | Iterable[str]) -> bool:
    """Whether a selector skips a step that nothing forces."""
    return should_skip_step(step_name, skipped_steps)


def get_step_force_reasons(step_name: str, step_force_reasons: Mapping[str, Iterable[str]]) -> list[str]:
    """The reasons of the selectors that match, such as ``workflow.steps_forced_reasons`` has them."""
    return [
        reason
        for selector, reasons in step_force_reasons.items()
        if matches(selector, step_name)
        for reason in reasons
    ]


def get_step_skip_reasons(step_name: str, step_skip_reasons: Mapping[str, Iterable[str]]) -> list[str]:
    """The reasons of the selectors that match, such as ``workflow.steps_skipped_reasons`` has them."""
    return get_step_force_reasons(step_name, step_skip_reasons)
