"""Makes what a run tells its story to: its journal, and its subscribers; each is imported where it is used."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from asyncsteps.store._protocol import StepStore

if TYPE_CHECKING:
    from asyncsteps._run.events import Events
    from asyncsteps._run.journal import Journal


def journal_of(
    store: Callable[[], StepStore | None],
    facts: Mapping[str, Any],
    identity: Mapping[str, Any],
    *,
    about: Mapping[str, Any] | None,
    keep_runs: int,
    timeout: float,
) -> "Journal":
    """Return the journal of a run."""
    from asyncsteps._run.journal import Journal
    from asyncsteps._run.journal_facts import facts_of

    return Journal(
        identity["run_id"],
        identity["workflow_id"],
        store=store,
        facts=facts_of(facts, about),
        keep_runs=keep_runs,
        timeout=timeout,
    )


def events_of(given: object, identity: Mapping[str, Any], *, timeout: float) -> "Events | None":
    """Return what gives events to the callables given, or None; raise `StepDefinitionError` if one is none."""
    if not given and isinstance(given, tuple | list | frozenset | set):
        return None
    from asyncsteps._run.events import Events, as_subscribers

    subscribers = as_subscribers(given)
    return Events(subscribers, identity, timeout=timeout) if subscribers else None
