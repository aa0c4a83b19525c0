"""The markers file: opened at once, whatever lies in its place by then."""

import json
import os
import socket
from pathlib import Path

import pytest
from run_support import GatedStore, noop, run_over

from asyncsteps import MemoryStore, Step, StepDefinitionError


async def test_a_fifo_is_refused_though_a_file_was_there_when_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "markers")
    monkeypatch.setattr(Path, "is_fifo", lambda _: False)
    with pytest.raises(StepDefinitionError, match="FIFO or a socket"):
        async with run_over(GatedStore(), markers_file=tmp_path / "markers"):
            pass


async def test_a_fifo_that_is_read_is_refused_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "markers")
    (tmp_path / "link").symlink_to(tmp_path / "markers")
    reader = os.open(tmp_path / "markers", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(StepDefinitionError, match="FIFO or a socket"):
            async with run_over(GatedStore(), markers_file=tmp_path / "link"):
                pass
    finally:
        os.close(reader)


async def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an address is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("markers")
        with pytest.raises(StepDefinitionError, match="FIFO or a socket"):
            async with run_over(GatedStore(), markers_file=tmp_path / "markers"):
                pass


async def test_a_device_and_a_link_to_a_file_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "markers")
    for path in ("/dev/null", tmp_path / "link"):
        async with run_over(GatedStore(), markers_file=path) as run:
            await run.submit(Step("a", noop))
    assert len((tmp_path / "markers").read_text().splitlines()) == 2


async def test_a_file_that_ends_within_a_line_keeps_it_apart(tmp_path: Path) -> None:
    path = tmp_path / "markers"
    path.write_text('{"cut": "sho', encoding="utf-8")
    for _ in range(2):
        async with run_over(MemoryStore(), markers_file=path) as run:
            run.record_marker("m")
    first, *others = path.read_text(encoding="utf-8").splitlines()
    assert first == '{"cut": "sho'
    assert [json.loads(line)["name"] for line in others] == ["m", "m"]
