"""The numbers of the live display: counts, rates, the time left, the groups that fit."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from asyncsteps.cli._tally import Tally

BEGAN = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def take(tally: Tally, status: str, names: Iterable[str], seconds: float = 0.0, *, forced: bool = False) -> None:
    for name in names:
        tally.take({"step": name, "status": status, "forced": forced, "reasons": []}, at(seconds))


def names(group: str, count: int) -> list[str]:
    return [f"{group}.s{number}" for number in range(count)]


@pytest.fixture
def tally() -> Tally:
    return Tally(BEGAN)


class TestCounts:
    def test_each_end_is_told_apart(self, tally: Tally) -> None:
        take(tally, "scheduled", ["a.1", "a.2", "a.3", "a.4", "a.5"])
        take(tally, "completed", ["a.1"])
        take(tally, "completed", ["a.2"], forced=True)
        take(tally, "failed", ["a.3"])
        take(tally, "skipped", ["a.6"])
        take(tally, "cancelled", ["a.4"])
        tally.look(["a.5"], at(1))
        (row,) = tally.rows(5)
        assert dict(row.ends) == {"played": 1, "forced": 1, "failed": 1, "skipped": 1, "cancelled": 1}
        assert (row.ended, row.known, row.running, row.under_way) == (5, 6, 1, 1)
        assert (tally.running, tally.queued) == (1, 0)

    def test_running_and_queued_are_apart(self, tally: Tally) -> None:
        take(tally, "scheduled", names("a", 10))
        tally.look(names("a", 3), at(1))
        assert (tally.running, tally.queued) == (3, 7)

    def test_a_step_that_fails_before_it_is_scheduled_counts_once(self, tally: Tally) -> None:
        take(tally, "failed", ["a.1"])
        take(tally, "scheduled", ["a.1"])
        take(tally, "completed", ["a.1"])
        (row,) = tally.rows(5)
        assert (row.ended, row.known) == (2, 2)


class TestRates:
    def test_of_the_last_seconds(self, tally: Tally) -> None:
        for second in range(60):
            take(tally, "skipped", [f"a.{second}.{number}" for number in range(100 if second < 30 else 4)], second)
        assert tally.rate(at(59.999)) == pytest.approx(4, rel=0.01)

    def test_is_unknown_at_first(self, tally: Tally) -> None:
        take(tally, "skipped", names("a", 10))
        assert tally.rate(at(1)) is None
        assert tally.rate(at(5)) == pytest.approx(2)

    def test_what_was_recorded_before_it_was_followed_is_no_news(self, tally: Tally) -> None:
        take(tally, "skipped", names("a", 1_000), -100)
        assert tally.elapsed(at(5)) == 105
        assert tally.rate(at(5)) is None

    def test_a_clock_that_is_put_back_breaks_nothing(self, tally: Tally) -> None:
        take(tally, "scheduled", names("a", 9))
        tally.look(names("a", 2), at(5))
        tally.look(names("a", 2), at(-50))
        assert tally.elapsed(at(-50)) == 0
        assert (tally.rate(at(-50)), tally.left(at(-50))) == (None, None)
        assert tally.slowest(1, at(-50)) == [("a.s0", 0.0)]


class TestTimeLeft:
    def test_is_what_is_scheduled_at_the_rate_of_what_is_played(self, tally: Tally) -> None:
        take(tally, "skipped", names("b", 1_000), 9)  # no step that is queued will be as quick
        take(tally, "scheduled", names("a", 120))
        take(tally, "completed", names("a", 20), 9)
        tally.look([f"a.s{number}" for number in range(20, 30)], at(10))
        assert tally.left(at(10)) == pytest.approx(100 / (20 / 9), rel=0.01)

    def test_is_unknown_while_few_have_been_played(self, tally: Tally) -> None:
        take(tally, "scheduled", names("a", 100))
        take(tally, "completed", names("a", 4), 9)
        assert tally.left(at(10)) is None

    def test_is_unknown_where_nothing_is_queued(self, tally: Tally) -> None:
        take(tally, "scheduled", names("a", 30))
        take(tally, "completed", names("a", 20), 9)
        tally.look([f"a.s{number}" for number in range(20, 30)], at(10))
        assert tally.left(at(10)) is None


class TestSlowest:
    def test_counts_from_the_start_and_not_from_the_queue(self, tally: Tally) -> None:
        take(tally, "scheduled", ["a.1", "a.2"], 1)
        tally.look(["a.1"], at(2))
        tally.look(["a.1"], at(20))
        tally.look(["a.1", "a.2"], at(20.2))
        assert tally.slowest(5, at(30)) == [("a.1", 29.0), ("a.2", 10.0)]

    def test_of_an_execution_that_was_under_way_before(self, tally: Tally) -> None:
        take(tally, "scheduled", ["a.1"], -600)
        tally.look(["a.1"], at(0.1))
        assert tally.slowest(5, at(1)) == [("a.1", 601.0)]


class TestRows:
    def _labels(self, tally: Tally, at_most: int) -> list[str]:
        return [row.label for row in tally.rows(at_most)]

    def test_as_many_levels_as_fit(self, tally: Tally) -> None:
        for top in ("in", "out"):
            for below in ("x", "y", "z"):
                take(tally, "skipped", names(f"{top}.{below}", 2))
        take(tally, "skipped", ["in.itself", "alone"])
        assert self._labels(tally, 8) == ["(no group)", "in", "in.x", "in.y", "in.z", "out.x", "out.y", "out.z"]
        assert self._labels(tally, 7) == ["(no group)", "in", "out"]
        assert [row.ended for row in tally.rows(7)] == [1, 7, 6]

    def test_one_group_is_opened(self, tally: Tally) -> None:
        for number in range(50):
            take(tally, "skipped", names(f"only.one.g{number:02}", 1), number)
        assert self._labels(tally, 4) == ["only.one.g47", "only.one.g48", "only.one.g49", "47 more groups"]
        assert tally.rows(4)[-1].ended == 47

    def test_the_most_active_are_shown_in_a_steady_order(self, tally: Tally) -> None:
        for number in range(10):
            take(tally, "skipped", names(f"g{number}", 1), number)
        take(tally, "scheduled", ["g2.more"], 20)
        take(tally, "skipped", ["g0.more"], 30)
        assert self._labels(tally, 4) == ["g0", "g2", "g9", "7 more groups"]

    def test_there_are_none_before_the_first_step(self, tally: Tally) -> None:
        assert tally.rows(5) == []

    def test_groups_without_number_are_bounded(self, tally: Tally) -> None:
        take(tally, "skipped", [f"g{number}.x.y.z.deep.deeper.s" for number in range(3_000)])
        assert len(tally._groups) <= 2_000  # what drawing costs follows it
        rows = tally.rows(10)
        assert sum(row.ended for row in rows) == 3_000
        assert len(rows) == 10
