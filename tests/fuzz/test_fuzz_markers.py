"""Markers of runs, and the files that they go to: one line of JSON each, whatever is in them or in their place."""

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from canary import snapshot
from fuzzing import examples, hostile_text, json_values, step_names
from hypothesis import example, given
from hypothesis import strategies as st
from odd_files import KINDS
from run_support import noop

from asyncsteps import AsyncstepsError, MemoryStore, Step, StepDefinitionError, StepRun
from asyncsteps.store._records import decode_record, encode_record


async def play(path: Path) -> StepRun:
    async with MemoryStore() as store, StepRun(store, workflow_id="w", markers_file=path) as run:
        await run.submit(Step("a", noop))
    return run


FILES: dict[str, Callable[[bytes, Path], None]] = {kind: make for kind, make in KINDS.items() if kind != "sparse"}


@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("kind", FILES)
async def test_what_is_no_file_takes_no_markers_and_holds_nothing_up(
    tmp_path: Path, kind: str, below: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("")
    os.mkfifo(outside / "fifo")
    path = tmp_path / "markers"
    try:
        FILES[kind](os.fsencode(path), outside)
    except PermissionError:
        pytest.skip("only root makes devices")
    path = Path(f"{path}{below}")
    before = snapshot(tmp_path)
    is_file, is_device = path.is_file(), path.is_char_device()
    try:
        await play(path)
    except (OSError, StepDefinitionError):
        assert snapshot(tmp_path) == before
        assert not is_file
        return
    assert {name: held for name, held in snapshot(tmp_path).items() if held != before.get(name)}.keys() <= {
        str(path),
        str(path.resolve()),
    }
    if not is_device:
        assert stat.S_ISREG(path.stat().st_mode)
        assert json.loads(path.read_bytes().split(b"\n")[-2])["details"]["status"] == "completed"


async def test_a_device_that_is_full_is_told_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    run = await play(Path("/dev/full"))
    assert [marker.details["status"] for marker in run.markers] == ["scheduled", "completed"]
    assert "No space left on device" in caplog.text


@examples(80)
@given(reason=hostile_text, said=hostile_text, name=hostile_text, run_id=hostile_text, details=json_values)
@example(reason="a\nb", said="\udcff\n\x1b[2J", name="\n", run_id="\ud800\udc00", details={"\u2028": "\x00"})
async def test_every_marker_of_a_run_is_one_line(
    tmp_path: Path, reason: str, said: str, name: str, run_id: str, details: Any
) -> None:
    path = tmp_path / "markers"
    path.unlink(missing_ok=True)

    def fails() -> None:
        raise ValueError(said)

    runs: list[StepRun] = []
    async with MemoryStore({"c": {}}) as store:
        with suppress(AsyncstepsError):
            async with StepRun(store, workflow_id=run_id or "w", run_id=run_id, markers_file=path) as run:
                runs.append(run)
                run.add_forced_steps("a", reason)
                run.add_skipped_steps({"b": reason})
                for step in ("a", "b", "c"):
                    await run.submit(Step(step, fails if step == "a" else noop))
                with suppress(StepDefinitionError):
                    await run.submit(run.record_marker(name, details))  # type: ignore[call-overload]
        for step, record in store.records.items():
            assert decode_record(step, encode_record(step, record)) == json.loads(json.dumps(record))
    if runs:
        text = path.read_bytes().decode("ascii")
        written = [json.loads(line, parse_constant=pytest.fail) for line in text.split("\n")[:-1]]
        assert text.endswith("\n") or not text
        told = [
            {"name": each.name, "details": each.details, "at": each.at.isoformat()} for each in runs[0].markers
        ]
        assert [{key: line[key] for key in told[0]} for line in written] == json.loads(json.dumps(told))


@examples(40)
@given(names=st.lists(step_names, min_size=1, max_size=3, unique=True), selector=hostile_text | step_names)
async def test_selectors_of_a_run_select_names_or_are_refused(names: list[str], selector: str) -> None:
    async with MemoryStore() as store, StepRun(store, workflow_id="w") as run:
        with suppress(AsyncstepsError):
            run.add_skipped_steps(selector)
        skipped = {name for name in names if (await run.submit(Step(name, noop))).status == "skipped"}
    assert skipped == {name for name in names if selector in {"*", name} or name.startswith(f"{selector}.")}
