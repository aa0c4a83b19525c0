"""What a marker tells of times."""

from datetime import UTC, datetime, timedelta

from asyncsteps import Marker

QUEUED = datetime(2026, 11, 24, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return QUEUED + timedelta(seconds=seconds)


def test_a_step_that_ran_waited_until_it_began() -> None:
    marker = Marker("log.step", {}, after(7), started=after(2), queued=QUEUED)
    assert (marker.queue_seconds, marker.seconds) == (2, 5)


def test_a_step_in_which_nothing_has_begun_waits_until_now() -> None:
    marker = Marker("log.step", {}, after(7), queued=QUEUED)
    assert (marker.queue_seconds, marker.seconds) == (7, None)


def test_other_markers_have_no_such_times() -> None:
    marker = Marker("mine", None, after(7))
    assert (marker.queue_seconds, marker.seconds) == (None, None)
