"""The help of the command: its usage lines, and a reader that stops reading."""

import importlib.metadata
import inspect
import os
import re
import shlex
import subprocess

import pytest
from commands import COMMAND, command, environment
from cyclopts import App

import asyncsteps
from asyncsteps.cli._app import app
from asyncsteps.cli._examples import EXAMPLES


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


@pytest.mark.parametrize("where", EXAMPLES)
def test_the_examples_of_a_command_are_in_its_help_and_can_be_given(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWF_DOMAIN", raising=False)
    for example in EXAMPLES[where]:
        given = shlex.split(example.partition(" > ")[0])
        called, bound, _ = app.parse_args(given, exit_on_error=False, print_error=False)
        assert called.__name__ == where.partition(":")[2]
        assert bound.arguments
    name = where.partition(":")[2]
    group = ["swf"] if "swf" in where else []
    told = " ".join(command(*group, name, "--help").out.split())
    assert all(f"asyncsteps {example}" in told for example in EXAMPLES[where])


def test_every_command_has_examples() -> None:
    assert {each.default_command.__name__ for each in commands_of(app) if each.default_command} == {
        where.partition(":")[2] for where in EXAMPLES
    }


def test_no_color_is_respected_by_help() -> None:
    def helped(**variables: str) -> bytes:
        env = {**environment(), "FORCE_COLOR": "1", "TERM": "xterm-256color", **variables}
        return subprocess.run(
            [COMMAND, "ls", "--help"], capture_output=True, env=env, check=True, timeout=60
        ).stdout

    colour = re.compile(rb"\x1b\[[0-9;]*3[0-9]")
    assert colour.search(helped())
    assert not colour.search(helped(NO_COLOR="1"))


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
