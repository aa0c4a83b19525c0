"""The directory store: readable files, several processes, unrecognised files, errors of the operating system."""

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from asyncsteps._errors import RecordError, StoreError
from asyncsteps.store import DirectoryStore, open_store
from asyncsteps.store._directory.files import TEMPORARY

RECORD = {"run_id": "r1", "note": "\u00e9t\u00e9"}


def test_files_are_named_after_their_steps_and_readable(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            await store.mark_done("ingest.users", RECORD)

    asyncio.run(main())
    assert (tmp_path / "ingest.users").read_text() == '{\n  "run_id": "r1",\n  "note": "\u00e9t\u00e9"\n}\n'


async def test_the_directory_is_made_by_the_first_mark(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet"
    async with DirectoryStore(path) as store:
        assert await store.list_done() == []
        assert await store.withdraw("a") == []
        assert not path.exists()
        await store.mark_done("a", RECORD)
        assert sorted(entry.name for entry in path.iterdir()) == [TEMPORARY, "a"]


async def test_no_temporary_file_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.mark_done("a", RECORD)
        await store.mark_done("a", RECORD)
        await store.mark_done("a", RECORD, first_wins=True)
    assert list((tmp_path / TEMPORARY).iterdir()) == []


async def test_what_killed_processes_left_is_never_seen_and_removed_when_old(tmp_path: Path) -> None:
    temporary = tmp_path / TEMPORARY
    temporary.mkdir()
    (temporary / "old").write_text("half")
    (temporary / "new").write_text("half")
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(temporary / "old", (long_ago, long_ago))
    async with open_store(tmp_path) as store:
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == []
        assert unrecognised == []
        await store.mark_done("a", RECORD)
    assert [entry.name for entry in temporary.iterdir()] == ["new"]


async def test_unrecognised_files_are_reported_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unrecognised = {"README.MD", "a b", "sub/", "broken-link", "a.tmp~/", ".hidden", "x~/bad"}
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "step").write_text("{}")
    (tmp_path / "x~").mkdir()
    for name in ("README.MD", "a b", ".hidden", "x~/bad"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "a.tmp~").mkdir()
    (tmp_path / "broken-link").symlink_to(tmp_path / "nowhere")
    async with open_store(tmp_path) as store:
        await store.mark_done("a", RECORD)
        seen: list[str] = []
        assert await store.list_done(on_foreign=seen.append) == ["a"]
        assert set(seen) == unrecognised - {"a.tmp~/"}  # an empty directory of a long name
        with caplog.at_level(logging.WARNING, "asyncsteps.store"):
            assert await store.list_done() == ["a"]
        [warning] = caplog.records
        assert f"{len(seen)} keys" in warning.getMessage()
        assert (await store.done_page()).names == ("a",)
        assert await store.is_done("sub") is False
        assert await store.read_done("sub") is None
        assert await store.withdraw(["sub", "a"]) == ["a"]
    assert (tmp_path / "README.MD").read_text() == "mine"
    assert (tmp_path / "sub" / "step").exists()


@pytest.mark.parametrize("first_wins", [False, True])
async def test_a_directory_in_the_place_of_a_file_is_an_error(tmp_path: Path, first_wins: bool) -> None:
    (tmp_path / "sub").mkdir()
    async with open_store(tmp_path) as store:
        with pytest.raises(StoreError, match=r"step 'sub'") as caught:
            await store.mark_done("sub", RECORD, first_wins=first_wins)
    assert caught.value.key == str(tmp_path / "sub")
    assert isinstance(caught.value.__cause__, OSError)


async def test_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "circle~").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    async with open_store(tmp_path) as store:
        await store.mark_done("a", RECORD)
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == ["a"]
        assert sorted(unrecognised) == ["circle~", "dangling"]
        assert await store.is_done("dangling") is False
        assert await store.withdraw("dangling") == []
        with pytest.raises(StoreError, match="exists"):
            await store.mark_done("dangling", RECORD, first_wins=True)
    assert (tmp_path / "dangling").is_symlink()


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [_link_to_itself, os.mkfifo], ids=["self-looping link", "FIFO"])
async def test_what_is_no_file_is_unrecognised_and_never_replaced(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "odd")
    kind = stat.S_IFMT((tmp_path / "odd").lstat().st_mode)
    async with open_store(tmp_path) as store:
        await store.mark_done("a", RECORD)
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == ["a"]
        assert unrecognised == ["odd"]
        assert await store.is_done("odd") is False
        assert await store.read_done("odd") is None
        assert await store.withdraw("odd") == []
        for first_wins in (False, True):
            with pytest.raises(StoreError, match=r"exists.*'odd'"):
                await store.mark_done("odd", RECORD, first_wins=first_wins)
    assert stat.S_IFMT((tmp_path / "odd").lstat().st_mode) == kind


async def test_directories_of_long_names_are_removed_with_their_last_step(tmp_path: Path) -> None:
    names = ["z" * 450, "z" * 451, "z" * 250]
    path = tmp_path / "steps"
    async with open_store(path) as store:
        for name in names:
            await store.mark_done(name, RECORD)
        assert await store.withdraw(names[1:]) == sorted(names[1:])
        assert await store.list_done() == names[:1]
        assert await store.withdraw(names) == names[:1]
    assert [entry.name for entry in path.iterdir()] == [TEMPORARY]


@pytest.mark.parametrize("first_wins", [False, True])
async def test_marks_outlive_the_removal_of_empty_directories(tmp_path: Path, first_wins: bool) -> None:
    """Each task marks and withdraws its own step; they share two directories, which are created and removed."""

    async def flip(number: int) -> None:
        name = f"{'z' * 450}{number}"
        for _ in range(20):
            assert await store.mark_done(name, {"n": number}, first_wins=first_wins) is True
            assert await store.read_done(name) == {"n": number}
            assert await store.withdraw(name) == [name]

    async with open_store(tmp_path) as store:
        await asyncio.gather(*(flip(number) for number in range(8)))
        assert await store.list_done() == []


async def test_a_file_in_the_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "steps"
    path.write_text("a file")
    async with open_store(path) as store:
        with pytest.raises(StoreError, match="Not a directory"):
            await store.list_done()
        with pytest.raises(StoreError, match="Not a directory"):
            await store.is_done("a")
        with pytest.raises(StoreError, match="Not a directory"):
            await store.read_done("a")
        with pytest.raises(StoreError, match="Not a directory"):
            await store.withdraw("a")
        with pytest.raises(StoreError) as caught:
            await store.mark_done("a", RECORD)
    assert caught.value.url == path.as_uri()
    assert path.read_text() == "a file"


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe\xff", b'"text"'])
async def test_what_is_no_json_object_is_done_and_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    async with open_store(tmp_path) as store:
        assert await store.is_done("a") is True
        assert await store.list_done() == ["a"]
        with pytest.raises(RecordError, match=r"no JSON.*counts as done") as caught:
            await store.read_done("a")
    assert caught.value.step == "a"


async def test_thousands_of_steps_are_listed(tmp_path: Path) -> None:
    names = sorted(f"census.package_{n}" for n in range(2_001))
    for name in names:
        (tmp_path / name).touch()
    async with open_store(tmp_path) as store:
        assert await store.list_done() == names
        assert (await store.done_page("census.package_5")).names == tuple(
            n for n in names if n > "census.package_5"
        )


RACER = """
import asyncio, sys
from asyncsteps.store import open_store

async def main():
    me = sys.argv[2]
    async with open_store(sys.argv[1]) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        won = [n for n in range(60) if await store.mark_done(f"race.{n}", {"by": me}, first_wins=True)]
        for n in range(60):
            await store.mark_done(f"shared.{n}", {"by": me, "padding": me * 5000})
            record = await store.read_done(f"shared.{n}")
            # Another process may have withdrawn it already; what is there is whole.
            assert record is None or record["padding"] == record["by"] * 5000
            await store.withdraw(f"shared.{(n + 30) % 60}")
        print(*won)

asyncio.run(main())
"""


def test_several_processes_share_a_directory(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / "steps"), me],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in ("a", "b", "c")
    ]
    won: dict[str, set[int]] = {}
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        for racer in racers:
            out, _ = racer.communicate(timeout=60)
            assert racer.returncode == 0
            won[str(racer.args[-1])] = set(map(int, out.split()))  # type: ignore[index]  # a list of str
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    assert sum(map(len, won.values())) == 60
    for me, numbers in won.items():
        for number in numbers:
            assert json.loads((tmp_path / "steps" / f"race.{number}").read_text())["by"] == me


async def test_a_cancelled_mark_is_whole_or_absent(tmp_path: Path) -> None:
    record = {"n": "x" * 100_000}
    async with open_store(tmp_path) as store:
        await store.mark_done("before", record)
        for number in range(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.mark_done, f"s.{number}", record)
                for _ in range(number):  # cancelled a little later each time
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        done = await store.list_done()
        assert "s.0" not in done
        assert len(done) > 1
        for name in done:
            assert await store.read_done(name) == record
    assert list((tmp_path / TEMPORARY).iterdir()) == []
