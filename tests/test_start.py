"""What starts fast: the modules that an import, or the command, does without."""

import json
import re
import subprocess
import sys

import pytest
from commands import COMMAND, environment

CLIENTS = {"aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore"}
COMMAND_LINE = {"cyclopts", "pydantic", "rich"}
HEAVY = {*CLIENTS, *COMMAND_LINE, "moto", "opentelemetry", "pytest", "simpleflow", "tenacity"}

# `-X importtime` does not list what `importlib.import_module` imports.
LISTED_AT_EXIT = (
    "import atexit, json, sys; atexit.register(lambda: print(json.dumps([*sys.modules]), file=sys.stderr)); "
)
IMPORT = LISTED_AT_EXIT + "exec(sys.argv[1])"
RUN = LISTED_AT_EXIT + "import runpy; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


def imported_by(program: str, *arguments: str) -> tuple[set[str], str]:
    """The modules that a new interpreter has imported at its end, and what it wrote to stdout."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(),
        check=True,
        timeout=60,
    )
    return set(json.loads(ended.stderr)), ended.stdout


@pytest.mark.parametrize(
    ("code", "needed", "spared"),
    [
        ("import asyncsteps", "asyncsteps._errors", {*HEAVY, "anyio", "asyncio", "asyncsteps.store"}),
        ("from asyncsteps import *", "asyncsteps._run.run", HEAVY),
        ("import asyncsteps.store", "asyncsteps.store._open", HEAVY),
        ("import asyncsteps.swf", "asyncsteps.swf._errors", HEAVY),
        ("from asyncsteps.swf import SwfClient", "asyncsteps.swf._client.client", HEAVY - {*CLIENTS, "tenacity"}),
        ("import asyncsteps.testing", "asyncsteps.testing", {*HEAVY, "anyio", "asyncio", "asyncsteps._run"}),
        (
            "import asyncsteps.testing.plugin",
            "asyncsteps.testing.plugin",
            HEAVY - {"pytest"} | {"anyio", "asyncsteps.store", "asyncsteps._run", "asyncsteps.testing._recorded"},
        ),
    ],
)
def test_an_import_does_without(code: str, needed: str, spared: set[str]) -> None:
    imported, _ = imported_by(IMPORT, code)
    assert needed in imported
    assert not imported & {*spared, "asyncsteps.cli"}


def test_the_version_is_told_without_what_runs_commands() -> None:
    imported, out = imported_by(RUN, str(COMMAND), "--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", out)
    assert not imported & {*HEAVY, "anyio", "asyncio", "asyncsteps.cli._app"}


@pytest.mark.parametrize("line", [[], ["--help"], ["swf", "--help"]])
def test_help_is_shown_without_the_commands(line: list[str]) -> None:
    imported, out = imported_by(RUN, str(COMMAND), *line)
    assert out.startswith("Usage: asyncsteps ")
    assert not imported & (HEAVY - {"cyclopts", "rich"} | {"anyio", "asyncio", "importlib.metadata"})
    own = {name for name in imported if name.startswith("asyncsteps.")}
    assert own == {"asyncsteps._errors", "asyncsteps.cli"} | {
        f"asyncsteps.cli.{name}" for name in ("_app", "_examples", "_exit", "_json", "_output")
    }


@pytest.mark.parametrize("command", ["run", "plan", "ls", "check", "show", "mark", "forget"])
def test_help_of_a_command_imports_none_of_what_it_does(command: str) -> None:
    imported, out = imported_by(RUN, str(COMMAND), command, "--help")
    assert out.startswith(f"Usage: asyncsteps {command} ")
    assert not imported & (HEAVY - {"cyclopts", "rich"} | {"asyncsteps._run", "asyncsteps.store"})
