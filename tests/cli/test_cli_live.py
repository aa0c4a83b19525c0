"""The live display of a run: its lines at fixed widths and times, and what a terminal shows of it."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from commands import COMMAND, environment
from rich.cells import cell_len
from terminal import Terminal

from asyncsteps import Marker
from asyncsteps.cli import _output
from asyncsteps.cli._progress import Lively, followed
from asyncsteps.cli._region import Region
from asyncsteps.cli._styled import Line, line

BEGAN = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)

FLOW = """
import asyncio
import time
from pathlib import Path

from asyncsteps import Group, Step


def loud():
    print("printed by a step")
    raise ValueError("no luck")


async def main(run, *, folder: Path):
    async def wait():
        while not (folder / "go").exists():
            await asyncio.sleep(0.01)

    await run.submit(Group(Step("load.users", wait), Step("load.mails", loud), Step("report.daily", wait)))


async def hard(run, *, folder: Path):
    await run.submit(Step("hold", (time.sleep, 1_000)))
"""


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


class Played:
    """A run as far as it is followed."""

    def __init__(self, *under_way: str) -> None:
        self.under_way = under_way
        self.queued = ()


def marker(step: str, status: str, seconds: float, **details: object) -> Marker:
    details = {"step": step, "status": status, "forced": False, "reasons": [], **details}
    return Marker("log.step", details, at(seconds), at(0) if status != "scheduled" else None)


def follow(*, ascii_only: bool = False) -> Lively:
    """Follow a run of 40 steps in two groups, 12 seconds after its beginning."""
    times = iter([0.0, 12.0])
    lively = Lively(clock=lambda: at(next(times, 12.0)), ascii_only=ascii_only)
    for number in range(20):
        for group in ("extract.users", "transform"):
            lively(marker(f"{group}.s{number}", "scheduled", 1))
        lively(marker(f"extract.users.s{number}", "failed" if number == 7 else "completed", number / 2, error="E"))
    lively.run = Played("transform.s0", "transform.s1")
    return lively


def plain(lines: list[Line]) -> list[str]:
    return [each.plain for each in lines]


class TestLines:
    def test_of_80_columns(self) -> None:
        assert plain(follow().drawn(80, 24)) == [
            "12 s · played 19 · failed 1 · running 2 · queued 18 · 1.6/s · about 13 s left",
            "extract.users ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━xx 20/20  1 failed",
            "transform     ▪▪▪┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈  0/20  2 running",
            "slowest now: transform.s0 11.0 s · transform.s1 11.0 s",
        ]

    def test_of_40_columns(self) -> None:
        assert plain(follow().drawn(40, 24)) == [
            "12 s · played 19 · failed 1 · running 2",
            "queued 18 · 1.6/s · about 13 s left",
            "extract.users ━━━━━━━━━━━━━━━━━━━x 20/20",
            "transform     ▪▪┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈  0/20",
            "slowest now: transform.s0 11.0 s",
        ]

    def test_in_ascii(self) -> None:
        lines = plain(follow(ascii_only=True).drawn(80, 24))
        assert "".join(lines).isascii()
        assert lines[2] == "transform     >>>.............................  0/20  2 running"

    @pytest.mark.parametrize("height", [2, 9, 24])
    @pytest.mark.parametrize("width", [20, 40, 57, 80, 200])
    def test_of_names_that_are_long_wide_and_hostile(self, width: int, height: int) -> None:
        lively = Lively(clock=lambda: at(5))
        steps = [f"{'订单明细表' * 6}.{number}.🙂\x1b[2J\u202e\n.s" for number in range(30)]
        for step in steps:
            lively(marker(step, "scheduled", 1))
        lively.run = Played(*steps[:4])
        lines = lively.drawn(width, height)
        assert len(lines) < height or height == 2
        text = "".join(each.text().plain for each in lines)
        assert not {"\x1b", "\u202e", "\n"} & set(text)
        if width >= 40:
            assert max(cell_len(each.text().plain) for each in lines) <= width

    def test_before_anything_has_happened(self) -> None:
        assert plain(Lively(clock=lambda: BEGAN).drawn(80, 24)) == ["0 s · played 0 · running 0"]

    def test_what_is_forced_skipped_and_cancelled_is_told(self) -> None:
        lively = Lively(clock=lambda: at(1))
        for number, status in enumerate(("completed", "skipped", "cancelled")):
            lively(marker(f"a.s{number}", status, 0, forced=True))
        lines = plain(lively.drawn(80, 24))
        assert lines[0] == "1 s · played 1 (1 forced) · skipped 1 · cancelled 1 · running 0"
        assert lines[1] == f"a {'╍' * 11}{'─' * 11}{'-' * 10} 3/3"

    def test_each_failure_is_told_once_when_it_comes(self) -> None:
        lively = follow()
        told: list[Line] = []
        lively.above = told.append
        lively.drawn(80, 24)
        lively.drawn(80, 24)
        assert plain(told) == ["failed extract.users.s7 after 3.50 s: E"]

    def test_markers_of_users_are_no_steps(self) -> None:
        lively = Lively(clock=lambda: BEGAN)
        lively(Marker("mine", {"step": "a", "status": "failed"}, BEGAN))
        assert plain(lively.drawn(80, 24)) == ["0 s · played 0 · running 0"]


@contextmanager
def on(terminal: Terminal, *, stdout: bool = True) -> Iterator[None]:
    """Have the terminal for the standard streams of this process."""
    with ExitStack() as stack:
        for name in ("stdout", "stderr") if stdout else ("stderr",):
            stream = stack.enter_context(open(terminal.theirs, "w", encoding="utf-8", closefd=False))
            stack.enter_context(patch(f"sys.{name}", stream))
        stack.enter_context(patch.dict(os.environ, {"TERM": "xterm"}))
        for name in ("COLUMNS", "LINES", "CI", "NO_COLOR"):
            os.environ.pop(name, None)
        yield


def bars(width: int, height: int) -> list[Line]:
    return [line("x" * (width - 1)) for _ in range(2)]


def bare(region: Region, terminal: Terminal) -> list[str]:
    """Draw once, and return what the terminal shows."""
    region._redraw()
    terminal.read()
    return terminal.lines


class TestRegion:
    def test_what_is_handed_over_appears_above(self) -> None:
        with Terminal(20, 10) as terminal, on(terminal):
            region = Region(bars)
            assert bare(region, terminal) == ["x" * 19] * 2
            region.above(line("a line that is wrapped between words"))
            assert bare(region, terminal) == [
                "a line that is",
                "    wrapped between",
                "    words",
                *["x" * 19] * 2,
            ]
            region.above("\x1b[31mred\x1b[0m and\x1b[2J")
            assert bare(region, terminal)[3:] == ["red and", *["x" * 19] * 2]
            assert (terminal.screen.buffer[3][0].fg, terminal.screen.buffer[3][5].fg) == ("red", "default")

    def test_it_scrolls_and_leaves_no_trace(self) -> None:
        with Terminal(20, 6) as terminal, on(terminal):
            region = Region(bars)
            for number in range(10):
                region.above(f"line {number}")
                bare(region, terminal)
            region._redraw(last=True)
            terminal.read()
            assert terminal.lines == [f"line {number}" for number in range(10)]

    def test_a_terminal_that_is_made_narrower(self) -> None:
        with Terminal(40, 12) as terminal, on(terminal):
            region = Region(bars)
            region.above("above")
            bare(region, terminal)
            region._widths = [39, 39]
            terminal.written = b""
            terminal.resize(20, 12)  # where each line has become two
            bare(region, terminal)
            assert terminal.written.startswith(b"\r\x1b[3A\x1b[J")

    def test_it_is_never_higher_than_the_terminal(self) -> None:
        with Terminal(20, 4) as terminal, on(terminal):
            region = Region(lambda width, height: [line(str(number)) for number in range(50)])
            for _ in range(3):
                assert bare(region, terminal) == ["0", "1", "2"]

    def test_a_fault_of_the_display_loses_no_message(self) -> None:
        def broken(width: int, height: int) -> list[Line]:
            raise ZeroDivisionError

        with Terminal(80, 6) as terminal, on(terminal):
            region = Region(broken)
            region.above("a message")
            bare(region, terminal)
            assert terminal.lines[0] == "a message"
            assert "there is no live display from here on: ZeroDivisionError()" in terminal.lines[1]

    def test_a_terminal_that_is_gone_ends_nothing(self) -> None:
        terminal = Terminal(20, 6)
        with on(terminal):
            region = Region(bars)
            with region.shown():
                os.close(terminal._ours)
                print("nobody sees this")
            assert region._lost
        terminal.hang_up()

    def test_stderr_that_is_closed_meanwhile_ends_nothing(self) -> None:
        with Terminal(20, 6) as terminal, on(terminal), Region(bars).shown():
            sys.stderr.close()
            print("printed all the same")
            _output.say("said all the same")


class TestFollowed:
    @pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}])
    def test_lines_where_there_is_no_display(self, env: dict[str, str]) -> None:
        with Terminal() as terminal, on(terminal), patch.dict(os.environ, env):
            with followed(quiet=False, with_traceback=False) as follower:
                follower(marker("a", "skipped", 1))
            terminal.read()
            assert terminal.written == b"skipped a\r\n"

    def test_what_is_printed_and_logged_appears_above(self) -> None:
        with Terminal() as terminal, on(terminal):
            handler = logging.StreamHandler()  # as a target has it that sets up logging itself
            log = logging.getLogger("of.the.target")
            with patch.object(logging.getLogger(), "handlers", [handler]):
                with followed(quiet=False, with_traceback=False):
                    print("printed")
                    print("begun", end="", flush=True)
                    log.warning("logged")
                    _output.warning("said")
                    _output.alert("from a signal handler")
                print("printed afterwards")
                log.warning("logged afterwards")
                assert handler.stream is sys.stderr
            sys.stdout.flush()
            terminal.read()
            assert terminal.lines == [
                "printed",
                "begun",
                "logged",
                "asyncsteps: warning: said",
                "from a signal handler",
                "printed afterwards",
                "logged afterwards",
            ]

    def test_without_colour(self) -> None:
        with Terminal() as terminal, on(terminal), patch.dict(os.environ, {"NO_COLOR": "1"}):
            with followed(quiet=False, with_traceback=False) as follower:
                follower(marker("a", "failed", 1, error="E"))
            terminal.read()
            assert terminal.lines == ["failed a after 1.00 s: E"]
            assert b"\x1b[3" not in terminal.written.replace(b"\x1b[3A", b"")

    def test_the_cursor_comes_back_whatever_happens(self) -> None:
        with Terminal() as terminal, on(terminal):
            with pytest.raises(KeyError), followed(quiet=False, with_traceback=False):
                raise KeyError
            terminal.read()
            assert terminal.written.endswith(b"\x1b[?25h")

    def test_a_forked_process_writes_itself(self) -> None:
        with Terminal() as terminal, on(terminal), followed(quiet=False, with_traceback=False):
            with patch("os.getpid", return_value=-1):
                print("printed by the other process", flush=True)
            terminal.read()
            assert b"printed by the other process" in terminal.written


class TestOfTheCommand:
    @pytest.fixture
    def flow(self, tmp_path: Path) -> Path:
        path = tmp_path / "live.py"
        path.write_text(FLOW)
        return path

    @contextmanager
    def _started(
        self, flow: Path, name: str, terminal: Terminal, *options: str
    ) -> Iterator["subprocess.Popen[bytes]"]:
        given = ["--store", "memory:", "--workflow-id", "w", "--param", f"folder={flow.parent}", *options]
        env = environment({"TERM": "xterm"})
        for each in ("COLUMNS", "CI", "NO_COLOR"):
            env.pop(each, None)
        with subprocess.Popen(
            [COMMAND, "run", f"{flow}:{name}", *given], stdout=terminal.theirs, stderr=terminal.theirs, env=env
        ) as process:
            terminal.hang_up()
            try:
                yield process
            finally:
                process.kill()

    def test_a_run_from_its_display_to_its_summary(self, flow: Path) -> None:
        with Terminal(250, 30) as terminal, self._started(flow, "main", terminal) as process:
            shown = terminal.read_until(lambda text: "failed 1" in text and "running 2" in text).splitlines()
            assert shown[0] == "printed by a step"
            assert shown[1].startswith("failed load.mails after 0.")
            assert shown[1].endswith(" s: ValueError: no luck")
            assert "\n".join(shown).count("no luck") == 1  # the log, too, tells of it
            assert shown[2].partition(" · ")[2].startswith("played 0 · failed 1 · running 2")
            assert [each.split()[0] for each in shown[3:]] == ["load", "report", "slowest"]
            (flow.parent / "go").touch()
            lines = terminal.read_to_the_end().splitlines()
            assert process.wait(timeout=60) == 1
            assert lines[2].startswith("played 2 · skipped 0 · failed 1 in ")
            assert lines[4:][0].startswith("  played load.users in ")
            assert "    in live.loud()" in lines
            assert lines[-1].endswith('live.py:11 in loud: raise ValueError("no luck")')
            assert (
                len([each for each in lines if "failed load.mails" in each]) == 2
            )  # when it came, in the summary
            assert not terminal.screen.cursor.hidden

    def test_an_interrupt_is_answered_above(self, flow: Path) -> None:
        with Terminal(100, 30) as terminal, self._started(flow, "main", terminal) as process:
            terminal.read_until(lambda text: "running 2" in text)
            process.send_signal(signal.SIGINT)
            lines = terminal.read_to_the_end().splitlines()
            assert process.wait(timeout=60) == 130
            assert lines[2].startswith("asyncsteps: stopping what is under way, within 25 s")
            assert lines[3] == "asyncsteps: ended by SIGINT; nothing half done is marked"
            assert lines[4].startswith("played 0 · skipped 0 · failed 1 · cancelled 2 in ")
            assert not terminal.screen.cursor.hidden

    @pytest.mark.long
    def test_what_outlasts_the_grace_leaves_a_report_and_a_whole_terminal(self, flow: Path) -> None:
        options = ["--grace", "0.5"]
        with Terminal(100, 30) as terminal, self._started(flow, "hard", terminal, *options) as process:
            terminal.read_until(lambda text: "running 1" in text)
            process.send_signal(signal.SIGTERM)
            lines = terminal.read_to_the_end().splitlines()
            assert process.wait(timeout=60) == 143
            assert lines[0].startswith("asyncsteps: stopping what is under way, within 0.5 s")
            ended = [each.startswith("asyncsteps: ended by SIGTERM, 0.5 s after it, with work") for each in lines]
            report = lines[ended.index(True) + 1 :]
            assert report[0].startswith("played 0 · skipped 0 · failed 0 · still under way 1 in ")
            assert report[2] == "  still under way hold"
            assert not terminal.screen.cursor.hidden
