"""`asyncsteps report`: the last run, or one by its id, as a page or a trace."""

import asyncio
import json
from pathlib import Path

import pytest
from commands import command

from asyncsteps import DirectoryStore, Step, StepRun


async def noop() -> None:
    pass


async def fails() -> None:
    raise ValueError("the mails are missing")


async def play(store_path: Path) -> None:
    for run_id in ("monday", "tuesday"):
        async with (
            DirectoryStore(store_path) as store,
            StepRun(store, workflow_id="nightly", run_id=run_id) as run,
        ):
            await run.submit(Step("load.users", noop))
            await run.submit(Step("load.mails", fails))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    asyncio.run(play(tmp_path / "steps"))
    return tmp_path


def test_the_last_run_is_written_as_a_page(folder: Path) -> None:
    ended = command("report", "steps", cwd=folder)
    assert (ended.code, ended.out) == (0, "report.html: run tuesday, 2 submissions of steps\n")
    shown = (folder / "report.html").read_text(encoding="utf-8")
    assert shown.startswith("<!DOCTYPE html>")
    assert "the mails are missing" in shown
    assert sorted(each.name for each in folder.iterdir()) == ["report.html", "steps"]


def test_one_run_is_written_as_a_trace(folder: Path) -> None:
    ended = command("report", "steps", "monday", "--format", "trace", "-o", "t.json", "--json", cwd=folder)
    assert ended.code == 0
    assert json.loads(ended.out) == {
        "store": f"file://{folder}/steps",
        "run_id": "monday",
        "file": "t.json",
        "submissions": 2,
    }
    events = json.loads((folder / "t.json").read_text(encoding="utf-8"))["traceEvents"]
    assert [(each["name"], each["cat"]) for each in events if each["ph"] == "X"] == [
        ("load.users", "completed"),
        ("load.mails", "failed"),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("steps", "wednesday"), 3, "no journal of a run 'wednesday'"),
        (("elsewhere",), 2, "no journal of a run"),
        (("steps", "-o", "no/such/folder.html"), 2, "cannot be written"),
        (("steps", "--format", "pdf"), 2, "pdf"),
    ],
)
def test_what_cannot_be_written_is_said(folder: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ended = command("report", *words, cwd=folder)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert sorted(each.name for each in folder.iterdir()) == ["steps"]
