"""The directory store keeps to its directory and to regular files, whatever lies there and whenever it came."""

import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from canary import snapshot

from asyncsteps._errors import RecordError, StoreError
from asyncsteps.store import DirectoryStore, open_store
from asyncsteps.store._directory import files
from asyncsteps.store._directory.filenames import DEEPEST, encode_name
from asyncsteps.store._directory.files import TEMPORARY

RECORD = {"run_id": "r1"}
LONG = "a" * 300


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the store's, with an old file of the name that the long step would have."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("secret", "a" * 100):
        (folder / name).write_text('{"outside": true}')
        long_ago = time.time() - 30 * 24 * 3600
        os.utime(folder / name, (long_ago, long_ago))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    folder.mkdir()
    return folder


def a_device(path: Path, _: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("this user may not make devices")


def a_socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_RDONLY)  # an address is short
        try:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "FIFO": lambda path, _: os.mkfifo(path),
    "device": a_device,
    "socket": a_socket,
    "directory": lambda path, _: path.mkdir(),
    "link to a file": lambda path, outside: path.symlink_to(outside / "secret"),
    "link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "link to itself": lambda path, _: path.symlink_to(path),
    "nothing": lambda path, _: None,
}


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def there(path: Path) -> list[str]:
    return [path.name] if os.path.lexists(path) else []


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
async def test_a_file_that_is_swapped_between_the_check_and_the_opening_is_not_read(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Path], None]
) -> None:
    checked = files.exists

    def exists(base: Path, name: str) -> bool:
        found = checked(base, name)
        (base / name).unlink()
        make(base / name, outside)
        return found

    async with open_store(root) as store:
        await store.mark_done("a", RECORD)
        monkeypatch.setattr(files, "exists", exists)
        descriptors = descriptors_open()
        assert await store.read_done("a") is None
        assert descriptors_open() == descriptors


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
async def test_what_is_no_regular_file_is_no_step(
    root: Path, outside: Path, make: Callable[[Path, Path], None]
) -> None:
    make(root / "a", outside)
    before = snapshot(root.parent)
    async with open_store(root) as store:
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == []
        assert [path.rstrip("/") for path in unrecognised] == there(root / "a")
        assert await store.is_done("a") is False
        assert await store.read_done("a") is None
        assert await store.withdraw("a") == []
        assert snapshot(root.parent) == before
        if there(root / "a"):
            for first_wins in (False, True):
                with pytest.raises(StoreError, match="exists"):
                    await store.mark_done("a", RECORD, first_wins=first_wins)
    kept = {path: held for path, held in snapshot(root.parent).items() if TEMPORARY not in path}
    assert kept == before


async def test_a_linked_directory_of_a_long_name_leads_nowhere(root: Path, outside: Path) -> None:
    (root / f"{'a' * 200}~").symlink_to(outside)
    before = snapshot(root.parent)
    async with open_store(root) as store:
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == []
        assert unrecognised == [f"{'a' * 200}~"]
        assert await store.is_done(LONG) is False
        assert await store.read_done(LONG) is None
        assert await store.withdraw(LONG) == []
        for first_wins in (False, True):
            with pytest.raises(StoreError, match="exists"):
                await store.mark_done(LONG, RECORD, first_wins=first_wins)
        with pytest.raises(StoreError, match="Not a directory"):
            await store.mark_done("a" * 299, RECORD)
    assert snapshot(outside) == {path: held for path, held in before.items() if path.startswith(f"{outside}/")}


@pytest.mark.parametrize("first_wins", [False, True])
async def test_a_directory_that_becomes_a_link_as_it_is_made_is_refused(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, first_wins: bool
) -> None:
    make = os.mkdir

    def mkdir(directory: str | Path, mode: int = 0o777) -> None:
        make(directory, mode)
        if (made := Path(directory)).name.endswith("~"):
            made.rmdir()
            made.symlink_to(outside)

    monkeypatch.setattr(os, "mkdir", mkdir)
    before = snapshot(outside)
    async with open_store(root) as store:
        with pytest.raises(StoreError, match="Not a directory"):
            await store.mark_done("b" * 300, RECORD, first_wins=first_wins)
    assert snapshot(outside) == before


async def test_temporary_files_are_written_and_removed_over_no_link(root: Path, outside: Path) -> None:
    (root / TEMPORARY).symlink_to(outside)
    before = snapshot(outside)
    async with open_store(root) as store:
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == []
        assert unrecognised == [TEMPORARY]
        with pytest.raises(StoreError) as caught:
            await store.mark_done("a", RECORD)
    assert caught.value.key == str(root / TEMPORARY)
    assert snapshot(outside) == before


async def test_the_directory_itself_may_be_a_link(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    async with open_store(root.parent / "link") as store:
        for name in ("a", LONG):
            await store.mark_done(name, RECORD)
            assert await store.read_done(name) == RECORD
        assert await store.list_done() == ["a", LONG]
        assert await store.withdraw(["a", LONG]) == ["a", LONG]
    assert [Path(path).name for path in snapshot(root)] == [TEMPORARY]


async def test_a_tree_deeper_than_any_name_is_unrecognised(root: Path) -> None:
    depth = 40
    folder = os.open(root, os.O_RDONLY)
    for _ in range(depth):  # beyond the longest path that the operating system takes
        os.mkdir(f"{'x' * 200}~", dir_fd=folder)
        below = os.open(f"{'x' * 200}~", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    async with open_store(root) as store:
        await store.mark_done("a", RECORD)
        unrecognised: list[str] = []
        assert await store.list_done(on_foreign=unrecognised.append) == ["a"]
        [path] = unrecognised
    assert path.count("/") == DEEPEST + 1


async def test_the_longest_name_is_not_too_deep(root: Path) -> None:
    longest = "ß" * 512
    assert encode_name(longest).count("/") == DEEPEST
    async with open_store(root) as store:
        await store.mark_done(longest, RECORD)
        assert await store.list_done() == [longest]


async def test_a_file_without_end_is_done_and_unreadable(root: Path) -> None:
    with (root / "a").open("wb") as file:
        file.truncate(2**40)  # of which the disk holds nothing
    async with DirectoryStore(root) as store:
        assert await store.list_done() == ["a"]
        with pytest.raises(RecordError, match=r"at most 67,108,864 bytes.*step 'a'"):
            await store.read_done("a")
        assert await store.withdraw("a") == ["a"]


async def test_what_could_not_be_read_again_is_not_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncsteps.store._records.MAX_RECORD_BYTES", 100)
    async with open_store(root) as store:
        await store.mark_done("a", {"result": "x" * 70})
        with pytest.raises(RecordError, match=r"at most 100 bytes.*step 'a'"):
            await store.mark_done("a", {"result": "x" * 90})
        assert await store.read_done("a") == {"result": "x" * 70}
