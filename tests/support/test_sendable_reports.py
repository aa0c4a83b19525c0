"""Reports with lone surrogates, sent by a worker of pytest-xdist."""

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent
TESTS = r"""
import logging

def test_logs_one_and_passes():
    logging.getLogger("asyncsteps").warning("name %s", "\udcff")

def test_fails_with_one():
    assert "\ud800" == "x", "\udcff"

def test_logs_one_and_fails():
    logging.getLogger("\udcff").warning("name %s", "é\udcff")
    raise ValueError("\ud800")

def test_comes_after():
    pass
"""


def test_every_test_is_reported(tmp_path: Path) -> None:
    (tmp_path / "test_hostile.py").write_text(TESTS)
    options = ["-n", "1", "-p", "sendable_reports", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", *options, tmp_path],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        timeout=100,
    )
    assert "INTERNALERROR" not in ended.stdout
    assert "2 failed, 2 passed" in ended.stdout
    assert r"name é\udcff" in ended.stdout
    assert r"ValueError: \ud800" in ended.stdout
