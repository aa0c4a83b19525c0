"""The help of the command: its usage lines, and a reader that stops reading."""

import os
import subprocess

import pytest
from commands import COMMAND, command, environment


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
