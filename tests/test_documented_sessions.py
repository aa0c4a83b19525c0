"""The sessions of two pages, played: their commands in order, and what the pages say that these write.

Times, ids, hosts and users differ; a line ``…`` stands for any lines.
"""

import re
import shlex
import signal
import subprocess
from itertools import count
from pathlib import Path

import pytest
from commands import COMMAND, command, environment

DOCS = Path(__file__).parents[1] / "docs"
PREPARED = ("as-done", "skipped", "forced", "killed")
"""The stores in which all was played on Monday."""

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", re.MULTILINE)
_DIFFERS = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\d+(\.\d+)? s\b", "SECONDS"),
    (r" on [\w.-]+$", " on HOST"),
    (r"by hand by [^\s,]+", "by hand by USER"),
]


def alike(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in _DIFFERS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


def written(page: str) -> dict[str, str]:
    """The programs of a page, by the name of their file."""
    blocks = [body for info, body in _FENCED.findall(page) if info == "python"]
    return {named[1]: body for body in blocks if (named := re.match(r"# (\w+\.py)\n", body))}


def sessions(page: str) -> list[tuple[list[str], str]]:
    """The blocks of a page that are no programs: the commands of each, and the output that it shows."""
    found = [(it.start(), it[2]) for it in _FENCED.finditer(page) if it[1] == "console"]
    bare = _FENCED.sub(lambda it: re.sub(r"[^\n]", "#", it[0]), page)
    found += [(it.start(), re.sub(r"^ {4}", "", it[0], flags=re.MULTILINE)) for it in _INDENTED.finditer(bare)]
    blocks = []
    for _, text in sorted(found):
        commands = re.findall(r"^(?:\$ )?((?:asyncsteps|touch) .*)$", text, re.MULTILINE)
        output = re.sub(r"^(?:\$ )?(?:asyncsteps|touch) .*\n?", "", text, flags=re.MULTILINE)
        blocks.append((commands, output.strip("\n")))
    return blocks


def shown_in(output: str, written: str) -> bool:
    """Whether what a page shows is what was written, or a part of it."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()) + r" *\n"
        for line in alike(output).splitlines()
    ]
    return re.search("^" + "".join(lines), alike(written) + "\n", re.MULTILINE) is not None


def play(page: str, folder: Path) -> int:
    """Play the sessions of a page, and return how many outputs were compared."""
    told, compared = "", 0
    for commands, output in sessions(page):
        if commands:
            told = ""
        for line in commands:
            program, *words = shlex.split(line)
            if program == "touch":
                (folder / words[0]).touch()
            else:
                told += command(*words, cwd=folder).out
        if output:
            assert shown_in(output, told), f"{output}\n\nis not in\n\n{told}"
            compared += 1
    return compared


def test_ten_minutes(tmp_path: Path) -> None:
    page = (DOCS / "getting-started.md").read_text(encoding="utf-8")
    for name, text in written(page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert play(page, tmp_path) == 4
    assert "<canvas" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def six_nights(tmp_path: Path) -> str:
    """The stores of docs/why.md, each after its nights; the page."""
    page = (DOCS / "why.md").read_text(encoding="utf-8")
    program = written(page)["nights.py"]

    def night(store: str, run_id: str, *options: str, instead: str = "return what") -> list[str]:
        module = f"nights_{next(number)}"
        (tmp_path / f"{module}.py").write_text(program.replace("return what", instead), encoding="utf-8")
        given = ["--store", store, "--workflow-id", "nightly", "--run-id", run_id, "--quiet", *options]
        return ["run", f"{module}.py:main", *given]

    number = count()
    for store in PREPARED:
        assert command(*night(store, "monday"), cwd=tmp_path).code == 0
    forced = ("--force", "extract=new data")
    assert command(*night("as-done", "tuesday"), cwd=tmp_path).code == 0
    assert command(*night("skipped", "tuesday", "--skip", "report=the users are away"), cwd=tmp_path).code == 0
    assert command(*night("forced", "tuesday", *forced), cwd=tmp_path).code == 0
    broken = 'if what == "load":\n        raise ValueError("line 7 has no id")\n    return what'
    assert command(*night("failed", "tuesday", instead=broken), cwd=tmp_path).code == 1
    reason = ("--reason", "loaded by hand after the outage")
    assert command("mark", "by-hand", "extract", "transform", "load", *reason, cwd=tmp_path).code == 0
    assert command(*night("by-hand", "tuesday"), cwd=tmp_path).code == 0
    stuck = 'import asyncio\n    if what == "load":\n        await asyncio.Event().wait()\n    return what'
    kill(night("killed", "tuesday", *forced, instead=stuck), tmp_path)
    return page


def kill(arguments: list[str], folder: Path) -> None:
    """Start a run, and kill its process when its journal says that the mark of the report is withdrawn."""
    process = subprocess.Popen([COMMAND, *arguments], cwd=folder, env=environment(), stderr=subprocess.DEVNULL)
    try:
        told = ""
        while not re.search("withdrawing .*report", told):
            assert process.poll() is None
            told = command("runs", "killed", "tuesday", cwd=folder).out
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.long
def test_six_nights(six_nights: str, tmp_path: Path) -> None:
    shown = [commands for commands, output in sessions(six_nights) if output]
    assert [words.split()[2] for (words,) in shown] == [*PREPARED, "failed", "by-hand"]
    assert play(six_nights, tmp_path) == 6
