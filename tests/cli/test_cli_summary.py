"""The summary of a run: what is told of 10, 300 and 2,000 steps, and how it is wrapped."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asyncsteps.cli import _styled, _tree
from asyncsteps.cli._alike import Told, alike
from asyncsteps.cli._failures import Place, place_of
from asyncsteps.cli._styled import Line, duration, line, whole
from asyncsteps.cli._submissions import StepReport
from asyncsteps.cli._summary import counted, decided
from asyncsteps.cli._tree import roll_up

BEGAN = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
AT_LINE_7 = Place("etl.load", "table='users'", "etl.py:7 in load", "raise ValueError(table)")


def step(name: str, status: str = "completed", seconds: float = 0.5, **more: Any) -> StepReport:
    given = {"forced": False, "reasons": [], "was_done": False, **more}
    return StepReport(
        name,
        status,
        queued=BEGAN,
        started=BEGAN if status in {"completed", "failed"} else None,
        finished=BEGAN + timedelta(seconds=seconds),
        **given,
    )


def plain(lines: Iterable[Line]) -> list[str]:
    return [each.plain for each in lines]


class TestDecided:
    def test_each_of_a_few_steps_is_told_with_its_time(self) -> None:
        steps = [step("a.x", seconds=0.123), step("a.y", seconds=72), step("b", seconds=3_720.9)]
        assert plain(decided(steps, {})) == [
            "  played a.x in 0.12 s",
            "  played a.y in 1 min 12 s",
            "  played b in 1 h 02 min",
        ]

    def test_reasons_are_left_out_where_the_step_was_not_done(self) -> None:
        reasons = [f"Dep of census.m{number}" for number in range(226)]
        forced: dict[str, Any] = {"forced": True, "reasons": reasons}
        steps = [step("report.graph", **forced), step("report.size", **forced, was_done=True)]
        assert plain(decided(steps, {})) == [
            "  played report.graph in 0.50 s",
            "  played report.size in 0.50 s: Dep of census.m0 and 225 more",
        ]

    def test_reasons_are_told_where_it_is_not_known(self) -> None:
        steps = [step("a", forced=True, reasons=["new data"], was_done=None)]
        assert plain(decided(steps, {})) == ["  played a in 0.50 s: new data"]

    def test_many_steps_are_rolled_up_with_the_slowest(self) -> None:
        steps = [step(f"load.t{number % 3}.p{number}", seconds=number / 1_000) for number in range(2_000)]
        already: dict[str, Any] = {"reasons": ["Step was already played"], "was_done": True}
        steps += [step(f"old.s{number}", "skipped", **already) for number in range(4)]
        assert plain(decided(steps, {})) == [
            "  played load.t0 (667), load.t1 (667), load.t2 (666)",
            "  slowest load.t1.p1999 2.00 s, load.t0.p1998 2.00 s, load.t2.p1997 2.00 s",
            "  skipped old.s0, old.s1, old.s2, old.s3: Step was already played",
        ]

    def test_many_reasons_are_collapsed(self) -> None:
        told = [Told(f"transform.t{number}", [f"Dep of extract.t{number}"], forced=True) for number in range(500)]
        lines = plain(alike("played", told))
        assert len(lines) == 13
        assert lines[0] == "  played transform.t0: Dep of extract.t0"
        assert lines[-1] == (
            "  played transform (488), each for its own reason, which --json tells: "
            "Dep of extract.t12 and 487 more"
        )

    def test_what_was_stopped_is_told(self) -> None:
        steps = [step("a", "cancelled"), step("b", "scheduled")]
        assert plain(decided(steps, {})) == ["  cancelled a", "  still under way b"]

    def test_control_characters_of_names_break_no_line(self) -> None:
        assert plain(decided([step("a\nb\tc")], {})) == [r"  played a\nb\tc in 0.50 s"]


class TestFailures:
    def test_one_is_told_with_its_place(self) -> None:
        failed = step("load.users", "failed", error="ValueError: users", attempts=3)
        assert plain(decided([failed], {"load.users": AT_LINE_7})) == [
            "  failed load.users after 0.50 s and 3 attempts",
            "    ValueError: users",
            "    in etl.load(table='users')",
            "    at etl.py:7 in load: raise ValueError(table)",
        ]

    def test_those_at_one_line_are_told_once(self) -> None:
        names = [f"load.t{number}" for number in range(300)]
        failed = [step(name, "failed", error=f"ValueError: {name}") for name in names]
        lines = plain(decided(failed, dict.fromkeys(names, AT_LINE_7)))
        assert len(lines) == 5
        assert lines[-1] == "    299 more failed at the same line: load (299)"

    def test_those_of_other_kinds_are_told_apart_and_many_rolled_up(self) -> None:
        failed = [step(f"load.t{number}", "failed", error=f"ValueError: {number}") for number in range(30)]
        lines = plain(decided(failed, {}))
        assert lines[:2] == ["  failed load.t0 after 0.50 s", "    ValueError: 0"]
        assert len(lines) == 8 * 2 + 1
        assert lines[-1] == "  failed load (22), for other reasons, which --json tells"

    def test_an_error_of_several_lines_is_one(self) -> None:
        (_, error) = plain(decided([step("a", "failed", error="E: one\n  two\n" + "x" * 1_000)], {}))
        assert error.startswith("    E: one two xxx")
        assert error.endswith("x…")
        assert len(error) < 510


class TestCounted:
    def test_the_first_line(self) -> None:
        counts = {"played": 1_234, "skipped": 0, "failed": 0, "cancelled": 0, "still under way": 0}
        assert counted(counts, 42.04).plain == "played 1,234 · skipped 0 · failed 0 in 42.0 s"
        stopped = {**counts, "cancelled": 2, "still under way": 1}
        told = "played 1,234 · skipped 0 · failed 0 · cancelled 2 · still under way 1 in 2 min 05 s"
        assert counted(stopped, 125.9).plain == told

    @pytest.mark.parametrize(
        ("seconds", "exact", "rounded"),
        [
            (0.004, "0.00 s", "0 s"),
            (9.99, "9.99 s", "9 s"),
            (59.94, "59.9 s", "59 s"),
            (60, "1 min 00 s", "1 min 00 s"),
            (3_599.9, "59 min 59 s", "59 min 59 s"),
            (90_061, "25 h 01 min", "25 h 01 min"),
        ],
    )
    def test_durations(self, seconds: float, exact: str, rounded: str) -> None:
        assert (duration(seconds), whole(seconds)) == (exact, rounded)


SOURCE = """
import json
import urllib.parse


def outer(table, rows, *, password, url, **more):
    inner(rows)


def inner(rows):
    raise ValueError(rows)  # here


def in_the_library(text):
    json.loads(text)


class Loader:
    def __init__(self, config):
        self.config = config

    def execute(self, config):
        raise KeyError(config)


class Strange:
    def __repr__(self):
        raise RuntimeError("no repr")


def strange(value):
    raise ValueError
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the user's own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    module = ModuleType("own")
    exec(compile(SOURCE, str(path), "exec"), vars(module))
    return module


def failed(call: Any, *arguments: Any, **named: Any) -> Place:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it raises
        call(*arguments, **named)
    # What the test itself has on the stack is no part of the activity.
    trace = raised.value.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return place_of(raised.value.with_traceback(trace))


class TestPlaces:
    def test_the_innermost_line_and_the_outermost_arguments(self, code: ModuleType) -> None:
        place = failed(
            code.outer, "users", [1, 2, 3, 4, 5], password="hunter2", url="s3://AKIA:hunter2@b/x", day=3
        )
        assert place.where == "own.py:11 in inner"
        assert place.source == "raise ValueError(rows)  # here"
        assert place.arguments == "table='users', rows=[1, 2, 3, ...], password=***, url='s3://***@b/x', day=3"

    def test_the_users_own_line_and_not_the_librarys(self, code: ModuleType) -> None:
        place = failed(code.in_the_library, "{")
        assert (place.where, place.source) == ("own.py:15 in in_the_library", "json.loads(text)")

    def test_what_is_named_like_a_credential_is_hidden_within_values(self, code: ModuleType) -> None:
        config = {"api_key": "hunter2", "host": "h", "more": {"Token": "hunter2"}}
        place = failed(code.Loader(config).execute, config)
        assert place.arguments == "config={'api_key': ***, 'host': 'h', 'more': {'Token': ***}}"
        place = failed(code.Loader(config).execute, "password=hunter2&x=1")
        assert place.arguments is not None
        assert "hunter2" not in place.arguments

    def test_arguments_that_are_long_or_strange_are_shortened(self, code: ModuleType) -> None:
        place = failed(code.strange, "x" * 10_000)
        assert place.arguments is not None
        assert len(place.arguments) < 60
        strange = failed(code.strange, code.Strange()).arguments
        assert strange is not None
        assert strange.startswith("value=<Strange instance at 0x")

    def test_the_activity_is_named_by_its_note(self, code: ModuleType) -> None:
        error = ValueError()
        error.add_note("2 more of the 3 members of a group failed beside this")
        error.add_note("in activity etl.load")
        assert place_of(ExceptionGroup("two", [error])) == Place("etl.load", None, None, None)

    def test_an_error_without_a_trace_has_no_place(self) -> None:
        assert place_of(ValueError()) == Place(None, None, None, None)


class TestWrapping:
    def _wrapped(self, given: Line, width: int) -> list[str]:
        console = _styled.console_like(sys.stdout, width=width)
        return [each.plain for each in _styled.wrapped(given, console)]

    def test_between_words(self) -> None:
        given = line("  ", ("played", "green"), " ingest.users, ingest.mails: the reason")
        assert self._wrapped(given, 24) == ["  played ingest.users,", "    ingest.mails: the", "    reason"]
        assert self._wrapped(given, 80) == [given.plain]

    def test_a_word_that_is_longer_than_a_line_is_broken(self) -> None:
        assert self._wrapped(line("x" * 25, hang=2), 10) == ["x" * 10, f"  {'x' * 8}", f"  {'x' * 7}"]

    def test_not_between_a_number_and_its_unit(self) -> None:
        assert self._wrapped(line("it took 12 s", hang=0), 10) == ["it took", "12 s"]
        assert self._wrapped(line("it took 1 min 12 s", hang=0), 11) == ["it took", "1 min 12 s"]

    def test_wide_characters_take_two_columns(self) -> None:
        assert self._wrapped(line("订单 明细表", hang=0), 6) == ["订单", "明细表"]

    def test_the_styles_stay_where_they_are(self) -> None:
        console = _styled.console_like(sys.stdout, width=11)
        first, second = _styled.wrapped(line("one two ", ("three four", "red"), hang=1), console)
        assert (first.plain, second.plain) == ("one two", " three four")
        assert {span.style for span in second.spans if span.style} == {"red"}


class TestTree:
    def test_levels_are_opened_evenly(self) -> None:
        names = [f"in.{table}.{part}" for table in ("x", "y") for part in range(5)] + ["out.a", "out.b"]
        closed = ["├── in (10)", "└── out (2)"]

        def draw(lines: int) -> list[str]:
            return [branch.text for branch in _tree.draw(_tree.grow(names), lines=lines)]

        assert draw(3) == closed
        two = ["├── in (10)", "│   ├── x (5)", "│   └── y (5)", "└── out (2)", "    ├── a", "    └── b"]
        assert draw(6) == two
        assert draw(15) == two  # not one of x and y alone
        assert len(draw(16)) == 16

    def test_one_line_names_groups_or_few_steps(self) -> None:
        assert roll_up(["a.x", "a.y", "b"]) == "a.x, a.y, b"
        assert roll_up([f"census.m{number}" for number in range(226)] + ["report.x"]) == "census (226), report.x"
        assert roll_up([f"only.g{number}.s" for number in range(9)]) == "only (9)"
        assert roll_up([f"s{number}" for number in range(500)]).endswith("s6, s7, and 492 more")
        many = [f"g{number}.s{each}" for number in range(20) for each in range(2)]
        assert roll_up(many).endswith("g7 (2), and 12 more groups (24)")
