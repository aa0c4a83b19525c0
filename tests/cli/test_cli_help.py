"""The help of the command: its usage lines, and a reader that stops reading."""

import importlib.metadata
import inspect
import os
import subprocess

import pytest
from commands import COMMAND, command, environment
from cyclopts import App

import asyncsteps
from asyncsteps.cli._app import app


@pytest.mark.parametrize("line", [["--help"], ["ls", "--help"], ["--version"]])
def test_a_reader_that_stops_reading_help_is_no_error(line: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as out:
        ended = subprocess.run(
            [COMMAND, *line], stdout=out, stderr=subprocess.PIPE, env=environment(), check=False, timeout=60
        )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_help_of_ls_names_its_optional_argument() -> None:
    assert command("ls", "--help").out.startswith("Usage: asyncsteps ls [OPTIONS] STORE [SELECTOR]\n")


def commands_of(group: App) -> list[App]:
    """The commands of a group and of its groups, imported."""
    found = [group[name] for name in group if not name.startswith("-")]
    return [inner for each in found for inner in (commands_of(each) or [each])]


def test_the_summary_of_a_command_is_that_of_its_docstring() -> None:
    found = commands_of(app)
    assert {"run", "plan", "check", "doctor"} <= {each.name[0] for each in found}
    for each in found:
        summary = (inspect.getdoc(each.default_command) or "").partition("\n\n")[0]
        assert each.help == " ".join(summary.split()), each.name


def test_the_version_is_told_as_cyclopts_tells_it() -> None:
    assert command("--version").out == command("ls", "--version").out == f"{asyncsteps.__version__}\n"


def test_a_full_disk_is_no_version() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False, timeout=60
        )
    assert ended.returncode == 1
    assert ended.stderr == b"asyncsteps: error: stdout cannot be written: No space left on device\n"


def test_without_the_metadata_there_is_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    ended = command("--version")
    assert (ended.code, ended.out) == (1, "")
    assert "PackageNotFoundError" in ended.err
