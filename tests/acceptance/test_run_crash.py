"""Processes killed with SIGKILL in the middle of a run: their logs, their marks and what later runs play agree.

`killed_runs.py` kills; `crash_model.py` has the rules. A seed that a problem names is played again by
``python tests/support/killed_runs.py DIRECTORY --seed SEED --kills 10``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from programs import told_by
from servers import MotoServer

POINTS = 12  # of three steps: two markers each, and the begin and the end of the activity


def _on_s3(server: MotoServer, bucket: str) -> tuple[object, ...]:
    return ("--port", server.port, "--bucket", bucket)


def _check(told: Mapping[str, Any], *, kills: int) -> None:
    assert told["problems"] == []
    assert sum(told["kills"].values()) == kills


def test_killed_at_every_line_of_a_log(tmp_path: Path) -> None:
    _check(told_by("killed_runs.py", tmp_path, "--every-line", "withdraw"), kills=POINTS)


def test_without_withdrawal_what_is_stale_stays_marked(tmp_path: Path) -> None:
    told = told_by("killed_runs.py", tmp_path, "--every-line", "keep")
    assert any("b is marked" in problem and "stale" in problem for problem in told["problems"])  # so it can tell


def test_a_few_random_kills_over_a_directory(tmp_path: Path) -> None:
    _check(told_by("killed_runs.py", tmp_path, "--kills", 6), kills=6)


def test_a_few_random_kills_over_s3(tmp_path: Path, moto_server: MotoServer, bucket: str) -> None:
    _check(told_by("killed_runs.py", tmp_path, "--kills", 4, *_on_s3(moto_server, bucket)), kills=4)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_random_kills_over_a_directory(tmp_path: Path) -> None:
    told = told_by("killed_runs.py", tmp_path, "--kills", 200, "--seed", 1_000, seconds=590)
    _check(told, kills=200)
    assert set(told["kills"]) == {"time", "line", "call"}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [2_000, 3_000])
def test_many_random_kills_over_s3(tmp_path: Path, moto_server: MotoServer, bucket: str, seed: int) -> None:
    options = _on_s3(moto_server, bucket)
    told = told_by("killed_runs.py", tmp_path, "--kills", 75, "--seed", seed, *options, seconds=590)
    _check(told, kills=75)
    assert set(told["kills"]) == {"time", "line", "before", "after"}
