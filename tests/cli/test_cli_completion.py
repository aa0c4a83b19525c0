"""completion: the script of each shell; bash runs its own here, zsh and fish where they are installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import command

COMPLETED = """
source "$1"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p asyncsteps | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "asyncsteps.bash"
    path.write_text(command("completion", "bash").out, "utf-8")
    return path


def completed_by_bash(script: Path, words: str) -> list[str]:
    ended = subprocess.run(
        ["bash", "--norc", "-c", COMPLETED.format(words=words), "bash", str(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PATH": os.environ["PATH"]},
    )
    assert ended.stderr == ""
    return [word.strip() for word in ended.stdout.split("\n") if word]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "among", "not_among"),
    [
        ("asyncsteps ''", {"run", "plan", "ls", "why", "swf", "completion"}, {"doctor"}),
        ("asyncsteps r", {"run", "runs", "report"}, {"ls"}),
        ("asyncsteps swf ''", {"doctor", "follow", "history"}, {"run"}),
        ("asyncsteps run --", {"--force", "--until", "--limit", "--json"}, {"--names"}),
        ("asyncsteps run --lim", {"--limit"}, {"--force"}),
        ("asyncsteps ls s3://b/x --", {"--names", "--depth"}, {"--until"}),
        ("asyncsteps completion ''", {"bash", "zsh", "fish"}, {"run"}),
    ],
)
def test_bash_completes_commands_options_and_choices(
    script: Path, words: str, among: set[str], not_among: set[str]
) -> None:
    completed = set(completed_by_bash(script, words))
    assert among <= completed
    assert completed.isdisjoint(not_among)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_another_shell_has_every_option_and_is_read_by_it(shell: str, tmp_path: Path) -> None:
    ended = command("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    for word in ("until", "limit", "force", "doctor", "completion"):
        assert word in ended.out
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script is not read by it")
    path = tmp_path / f"asyncsteps.{shell}"
    path.write_text(ended.out, "utf-8")
    subprocess.run([shell, "-n", str(path)], check=True, timeout=30)


def test_another_shell_is_refused() -> None:
    ended = command("completion", "tcsh")
    assert ended.code == 2
    assert "tcsh" in ended.err
