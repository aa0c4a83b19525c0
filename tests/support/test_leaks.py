"""The detector of leaks, by planted leaks: one for each way out."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

SUPPORT = Path(__file__).parent
HEAD = """
import logging, os, sys
from subprocess import run
import pytest
from leaks import PASSWORD, SECRET_KEY, SESSION_TOKEN
import asyncsteps
from asyncsteps._run.markers import MarkerLog
"""
WAYS_OUT = {
    "a log record of asyncsteps.store": "logging.getLogger('asyncsteps.store').debug('with %s', SECRET_KEY)",
    "a log record of botocore": "logging.getLogger('botocore').warning('with %s', SESSION_TOKEN)",
    "a traceback logged by asyncsteps": """
        try:
            raise ValueError(PASSWORD)
        except ValueError:
            logging.getLogger('asyncsteps').exception('failed')
    """,
    "captured stdout call": "print(SECRET_KEY)",
    "captured stderr call": "os.write(2, SECRET_KEY.encode())",
    "captured output": "print(SECRET_KEY, file=sys.stderr); capfd.readouterr()",
    "the stdout of a process": "run([sys.executable, '-c', f'print({SECRET_KEY!r})'], stdout=-1)",
    "the stderr of a process": "run([sys.executable, '-c', f'raise SystemExit({SECRET_KEY!r})'], stderr=-1)",
    "the text of a StoreError": """
        with pytest.raises(asyncsteps.StoreError):
            raise asyncsteps.StoreError('no', url=f's3://{PASSWORD}')
    """,
    "a marker m": "MarkerLog().record('m', {'deep': [PASSWORD]})",
    "the error of the test": "raise ValueError(PASSWORD.upper())",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of a file with one test for each way out, and one that leaks nothing."""
    folder = tmp_path_factory.mktemp("leaking")
    tests = [*WAYS_OUT.values(), "print('nothing'); logging.getLogger('asyncsteps').debug('nothing')"]
    parts = [
        f"def test_{number}({'capfd' if 'capfd' in body else ''}):\n{indent(dedent(body), '    ')}\n"
        for number, body in enumerate(tests)
    ]
    (folder / "test_leaking.py").write_text("\n\n".join([HEAD, *parts]))
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "leaks",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            folder,
            folder,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        timeout=100,
    )
    assert ended.returncode == 1
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(("number", "where"), list(enumerate(WAYS_OUT)), ids=WAYS_OUT)
def test_a_leak_fails_the_test_and_is_not_repeated(told: str, number: int, where: str) -> None:
    assert f"test_leaking.py::test_{number} FAILED" in told
    lines = [line for line in told.splitlines() if f"::test_{number} (call))" in line]
    assert lines  # in CI pytest's summary has it once more
    assert all("a planted credential is in " in line and where in line for line in lines)
    assert "PLANTED" not in told


def test_what_leaks_nothing_passes(told: str) -> None:
    assert f"test_leaking.py::test_{len(WAYS_OUT)} PASSED" in told
    assert f"{len(WAYS_OUT)} failed, 1 passed" in told
