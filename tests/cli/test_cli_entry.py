"""How the command starts: as a script, as a module, and without its extra."""

import json
import subprocess
import sys

import pytest
from commands import installed

AS_A_SCRIPT = "from asyncsteps.cli import main; sys.exit(main(['--help']))"
AS_A_MODULE = "import runpy; sys.argv[1:] = ['--help']; runpy.run_module('asyncsteps', run_name='__main__')"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_module_is_the_command() -> None:
    assert python("-m", "asyncsteps", "--version").stdout == installed("--version").out
    bad = python("-m", "asyncsteps", "list")
    assert bad.returncode == 2
    assert bad.stderr == installed("list").err


@pytest.mark.parametrize("missing", ["cyclopts", "pydantic", "rich"])
@pytest.mark.parametrize("start", [AS_A_SCRIPT, AS_A_MODULE])
def test_without_the_extra_one_line_says_so(start: str, missing: str) -> None:
    ended = python("-c", f"import sys; sys.modules[{missing!r}] = None; {start}")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("asyncsteps: error: the command needs the extra 'cli'")
    assert line.endswith("pip install 'asyncsteps[cli]'")


def test_without_the_extra_json_says_so_too() -> None:
    start = (
        "import sys; sys.modules['rich'] = None; from asyncsteps.cli import main; sys.exit(main(['ls', '--json']))"
    )
    ended = python("-c", start)
    assert ended.returncode == json.loads(ended.stdout)["exit_code"] == 2


def test_without_the_extra_the_version_is_told_all_the_same() -> None:
    missing = "import sys; sys.modules['cyclopts'] = None"
    start = f"{missing}; from asyncsteps.cli import main; sys.exit(main(['--version']))"
    assert python("-c", start).stdout == installed("--version").out
