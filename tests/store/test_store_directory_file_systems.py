"""The directory store on the file systems that can be mounted here, in a namespace of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from programs import SUPPORT
from store_tour import LONG, NAMES

MOUNTS = {
    "tmpfs": "mount -t tmpfs tmpfs {at}",
    "overlay": "mount -t tmpfs tmpfs {at} && mkdir {at}/lower {at}/upper {at}/work {at}/over && "
    "mount -t overlay overlay -o lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work {at}/over",
}
WHERE = {"tmpfs": "{at}", "overlay": "{at}/over"}
DIRECTORY = os.environ.get("ASYNCSTEPS_TEST_DIRECTORY")
"""A directory on any other file system, such as a network one, to be tested too."""


def _toured(command: Sequence[str]) -> str:
    """Run the tour and check what it found; return the kind of file system."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    names = sorted([*NAMES, *LONG, "a", "b"])
    assert found["marked"] == [True] * (len(NAMES) + len(LONG))
    assert sum(found["first"]) == 1
    assert found["again"] == [True] * 3
    assert found["listed"] == found["withdrawn"] == names
    assert found["unrecognised"] == []
    assert found["records"] == [{"n": found["first"].index(True)}, {"n": 2}, {"n": 1}]
    assert found["left"] == [".asyncsteps-tmp"]
    return str(found["file_system"])


@pytest.mark.parametrize("kind", MOUNTS)
def test_a_file_system_that_can_be_mounted(tmp_path: Path, kind: str) -> None:
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount, at = MOUNTS[kind].format(at=tmp_path), WHERE[kind].format(at=tmp_path)
    try:
        tried = subprocess.run([*inside, mount], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if tried.returncode:
        pytest.skip(f"{kind} cannot be mounted here: {tried.stderr}")
    tour = f"{mount} && exec {sys.executable} {SUPPORT / 'store_tour.py'} {at}"
    assert _toured([*inside, tour]) == kind


@pytest.mark.skipif(DIRECTORY is None, reason="ASYNCSTEPS_TEST_DIRECTORY names no directory")
def test_a_directory_of_yours() -> None:
    _toured([sys.executable, str(SUPPORT / "store_tour.py"), str(DIRECTORY)])
