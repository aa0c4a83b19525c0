"""What forced what, back to what began it."""

from datetime import UTC, datetime

from asyncsteps.report import RootCause, StepSpan, root_causes

AT = datetime(2026, 11, 24, tzinfo=UTC)


def played(step: str, *reasons: str, status: str = "completed") -> StepSpan:
    return StepSpan(step=step, status=status, forced=bool(reasons), reasons=reasons, queued=AT)


def test_chains_lead_back_to_the_selector_that_was_given() -> None:
    spans = [
        played("load", "wrong export"),
        played("clean", "Dep of load"),
        played("report", "Dep of clean"),
        played("other"),
    ]
    assert root_causes(spans) == [RootCause("wrong export", False, ("load", "clean", "report"))]


def test_a_step_that_ran_because_it_was_not_done_is_a_cause() -> None:
    assert root_causes([played("load"), played("report", "Dep of load")]) == [RootCause("load", True, ("report",))]


def test_who_is_forced_by_several_counts_for_each_and_the_largest_comes_first() -> None:
    spans = [
        played("a", "first"),
        played("b", "second"),
        played("c", "Dep of a", "Dep of b"),
        played("d", "Dep of b"),
    ]
    assert root_causes(spans) == [
        RootCause("second", False, ("b", "c", "d")),
        RootCause("first", False, ("a", "c")),
    ]


def test_cycles_end() -> None:
    spans = [played("a", "asked for"), played("b", "Dep of a"), played("a", "Dep of b"), played("b", "Dep of a")]
    assert root_causes(spans) == [RootCause("asked for", False, ("a", "b"))]


def test_steps_of_a_cycle_that_are_asked_in_any_order_have_the_same_causes() -> None:
    spans = [played("b", "Dep of a"), played("a", "Dep of b", "asked for"), played("c", "Dep of b")]
    assert root_causes(spans) == [RootCause("asked for", False, ("b", "a", "c"))]


def test_what_was_skipped_was_forced_by_nothing() -> None:
    assert root_causes([played("a", "left out", status="skipped")]) == []
