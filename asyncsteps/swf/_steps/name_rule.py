"""The setting ``step_names`` of a workflow: which names and selectors its steps may have."""

from typing import TYPE_CHECKING, Any

from asyncsteps._errors import SelectorError, StepDefinitionError, StepNameError
from asyncsteps._plan.names import SIMPLEFLOW, STRICT, NameRule, as_selectors, check_step_name

if TYPE_CHECKING:
    from asyncsteps.swf._steps.step import Step

_REMEDY = "; step_names = 'simpleflow' on the workflow takes it as simpleflow does"


def rule_of(workflow: Any) -> NameRule:
    """The rule that a workflow, or a workflow class, sets for the names of its steps.

    Raises:
        StepDefinitionError: When it is none.
    """
    rule: NameRule = getattr(workflow, "step_names", STRICT)
    if rule not in (STRICT, SIMPLEFLOW):
        raise StepDefinitionError(
            f"step_names = {rule!r} is refused: it is 'strict', which is asyncsteps' own rule, or 'simpleflow'"
        )
    return rule


def listing_options(rule: NameRule) -> dict[str, Any]:
    """The arguments that tell the listing and withdrawing activities of a rule; none for our own."""
    return {} if rule == STRICT else {"step_names": rule}


def selectors_of_workflow(workflow: Any, given: object) -> tuple[str, ...]:
    """What a caller gives as selectors, by the workflow's rule.

    Raises:
        SelectorError: When one is malformed.
    """
    try:
        return as_selectors(given, by=rule_of(workflow))
    except SelectorError as error:
        if isinstance(error.selector, str):
            raise SelectorError(error.selector, error.rule + _REMEDY) from None
        raise


def check_step(workflow: Any, step: "Step") -> None:
    """Check the names in a step by the workflow's rule; `Step` itself keeps the wider one.

    Raises:
        StepNameError: When the step's name breaks it.
        SelectorError: When a selector of its dependents does.
    """
    if rule_of(workflow) == SIMPLEFLOW:
        return
    try:
        check_step_name(step.step_name)
    except StepNameError as error:
        raise StepNameError(error.name, error.rule + _REMEDY) from None
    if step.force_steps_if_executed:
        selectors_of_workflow(workflow, step.force_steps_if_executed)
