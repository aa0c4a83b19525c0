"""Type checkers, as users run them, find the errors in `results.py` that are expected there, and no others."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SAMPLES = Path(__file__).with_name("results.py")
EXPECTED = re.compile(r"  # type: ignore\[([\w-]+)\]$", re.MULTILINE)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """The samples outside of this project and its settings, with nothing ignored."""
    path = tmp_path / "samples.py"
    path.write_text(EXPECTED.sub("", SAMPLES.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def expected() -> dict[int, str]:
    lines = SAMPLES.read_text(encoding="utf-8").splitlines()
    found = {number: EXPECTED.search(line) for number, line in enumerate(lines, start=1)}
    return {number: match[1] for number, match in found.items() if match is not None}


def run(checker: str, *arguments: str, folder: Path) -> str:
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed: make check installs it")
    command = [sys.executable, "-m", checker, *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    assert ended.returncode == 1, ended.stderr
    return ended.stdout


def test_mypy_finds_the_expected_errors_alone(samples: Path) -> None:
    reported = run("mypy", "--strict", "--no-incremental", "--output=json", samples.name, folder=samples.parent)
    errors = [json.loads(line) for line in reported.splitlines()]
    assert {error["line"]: error["code"] for error in errors if error["severity"] == "error"} == expected()


@pytest.mark.parametrize("mode", ["standard", "strict"])
@pytest.mark.parametrize("checker", ["pyright", "basedpyright"])
def test_pyright_finds_the_expected_errors_alone(checker: str, mode: str, samples: Path) -> None:
    settings = {"include": [samples.name], "typeCheckingMode": mode}
    (samples.parent / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    reported = run(checker, "--pythonpath", sys.executable, "--outputjson", folder=samples.parent)
    errors = [each for each in json.loads(reported)["generalDiagnostics"] if each["severity"] == "error"]
    lines = {error["range"]["start"]["line"] + 1: error["message"] for error in errors}
    assert lines.keys() == expected().keys(), lines
