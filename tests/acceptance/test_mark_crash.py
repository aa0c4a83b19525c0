"""A mark in a directory, killed between any two of its system calls: it is whole or absent, also without power."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from killed_marks import SCENARIOS
from power_loss import PowerLoss
from programs import SUPPORT, told_by

from asyncsteps.store import open_store

QUICK = ("overwrite", "first wins", "withdraw several")


def _no_problems(base: Path, titles: tuple[str, ...]) -> None:
    told = told_by("killed_marks.py", base, *titles)
    assert set(told) == set(titles)
    for title, scenario in told.items():
        assert scenario["problems"] == [], title
        assert scenario["kills"] == len(scenario["calls"]) + scenario["calls"].count("write"), title


def test_a_mark_or_a_withdrawal_killed_between_two_system_calls(tmp_path: Path) -> None:
    _no_problems(tmp_path, QUICK)


@pytest.mark.long
@pytest.mark.parametrize("title", SCENARIOS)
def test_every_kind_of_mark_and_withdrawal(tmp_path: Path, title: str) -> None:
    _no_problems(tmp_path, (title,))


async def test_directories_that_a_killed_withdrawal_left_are_removed_by_the_next_one(tmp_path: Path) -> None:
    name = "z" * 450
    async with open_store(tmp_path / "steps") as store:
        await store.mark_done(name, {})
        [file] = (tmp_path / "steps").glob("z*/z*/z*")
        file.unlink()
        assert await store.withdraw(name) == []
    assert not list((tmp_path / "steps").glob("z*"))


CHANGES = """
import os, shutil, sys
from pathlib import Path
from system_calls import SystemCalls, UncoveredCallError

root = Path(sys.argv[1])
path = root / "there"
path.write_text("x")
SystemCalls(root, lambda call: None)
descriptor = os.open(path, os.O_WRONLY)
changes = {
    "file object": lambda: path.write_text("x"),
    "append": lambda: path.open("a"),
    "truncate": lambda: os.truncate(path, 0),
    "symlink": lambda: (root / "new").symlink_to("x"),
    "mkfifo": lambda: os.mkfifo(root / "new"),
    "chmod": lambda: path.chmod(0o600),
    "utime": lambda: os.utime(path, (0, 0)),
    "pwrite": lambda: os.pwrite(descriptor, b"x", 0),
    "ftruncate": lambda: os.ftruncate(descriptor, 0),
    "fdatasync": lambda: os.fdatasync(descriptor),
    "fdopen": lambda: os.fdopen(descriptor, "w"),
}
for name, change in changes.items():
    try:
        change()
    except UncoveredCallError:
        continue
    print(name)
"""


def test_the_shim_refuses_changes_that_it_does_not_know(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CHANGES, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )
    assert ended.stdout.split("\n") == [""]


_CALL = re.compile(r"^\d+ +(\w+)\((.*)")
_READS = {"newfstatat", "stat", "lstat", "statx", "access", "faccessat2", "readlink", "readlinkat", "getdents64"}
_READS |= {"close", "read", "lseek", "fcntl", "ioctl", "fstat", "statfs", "execve", "getcwd", "chdir", "fadvise64"}
_NAMES = {"openat": "open", "rename": "replace", "renameat": "replace", "renameat2": "replace", "linkat": "link"}
_NAMES |= {"mkdirat": "mkdir", "unlinkat": "unlink"}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace tells the real system calls")
def test_the_shim_sees_the_system_calls_that_the_kernel_sees(tmp_path: Path) -> None:
    root, log = tmp_path / "root", tmp_path / "strace"
    root.mkdir()
    if subprocess.run(["strace", "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace is not allowed here")
    options = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", "trace=%file,%desc", "-o", log]
    seen = [name for name, *_ in told_by("killed_marks.py", root, "--trace", under=options)]
    real = []
    for line in log.read_text().splitlines():
        found = _CALL.match(line)
        if found is None or str(root) not in line or found[1] in _READS:
            continue
        if found[1] == "openat" and "O_CREAT" not in line:
            continue
        real.append("rmdir" if "AT_REMOVEDIR" in line else _NAMES.get(found[1], found[1]))
    assert real == seen
    assert set(seen) == {"mkdir", "open", "write", "fsync", "replace", "link", "unlink", "rmdir"}


def _left(*calls: str) -> list[dict[str, bool]]:
    disk = PowerLoss("/r")
    for call in calls:
        disk.call(*call.split())
    return sorted(disk.states(ignored="tmp"), key=str)


def test_the_model_of_power_loss() -> None:
    file = ("open /r/a", "write /r/a")
    assert _left(*file) == [{"a": False}, {}]
    assert _left(*file, "fsync /r/a") == [{"a": True}, {}]
    assert _left(*file, "fsync /r/a", "fsync /r") == [{"a": True}]
    assert _left(*file, "fsync /r") == [{"a": False}]
    assert _left("mkdir /r/d", "open /r/d/a", "fsync /r/d") == [{"d/a": False}, {}]
    moved = ("mkdir /r/tmp", "open /r/tmp/a", "write /r/tmp/a", "fsync /r/tmp/a", "replace /r/tmp/a /r/a")
    assert _left(*moved) == [{"a": True}, {}]
    assert _left(*moved, "fsync /r", "unlink /r/a") == [{"a": True}, {}]
    assert _left(*moved, "fsync /r", "unlink /r/a", "fsync /r") == [{}]
