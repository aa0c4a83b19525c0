"""What is written whatever happens: one JSON document, no traceback, no control characters, no credentials."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_flow import done
from commands import COMMAND, Ended, command, environment, installed
from servers import MotoServer

FLOW = r"""
import asyncio
import atexit
import math
import sys

from asyncsteps import Step


def work():
    pass


class Unshowable(Exception):
    def __repr__(self):
        raise ValueError("no repr")

    __str__ = __repr__


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


def cyclic():
    value = {"also": 1}
    value["self"] = [value]
    return value


RESULTS = {
    "numbers": [math.nan, math.inf, -math.inf, 1.5],
    "keys": {("a", 1): 1, None: 2, 3: 3, math.nan: 4, frozenset(): 5},
    "cyclic": cyclic(),
    "deep": deep(),
    "unshowable": [Unshowable(), {"a": Unshowable()}],
    "huge": [10**5000, math.nan],
    "surrogate": "\udc80 é 😀",
    "set": {1},
}


async def result(run, which: str):
    await run.submit(Step("a", work))
    return RESULTS[which]


RAISED = {
    "cancelled": asyncio.CancelledError,
    "generator": GeneratorExit,
    "keyboard": KeyboardInterrupt,
    "base": BaseException,
    "unshowable": Unshowable,
}


def fail(error):
    raise error


async def raising(run, which: str):
    await run.submit(Step("a", work))
    raise RAISED[which]


async def raising_in_a_step(run, which: str):
    await run.submit(Step("a", work))
    await run.submit(Step("b", (fail, RAISED[which])))


async def colourful(run):
    await run.submit(Step("a", (fail, ValueError("\x1b[31mred\x07\x9b2J\u202egnp\u2028"))))


async def late(run):
    atexit.register(print, "printed at exit")
    await run.submit(Step("a", work))


async def closing(run):
    sys.stdout.close()
    await run.submit(Step("a", work))
"""
UNSAFE = "\x1b\x07\x9b\u202e\u2028"

Run = Callable[..., Ended]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "steps")


@pytest.fixture
def run(tmp_path: Path, store: str) -> Run:
    path = tmp_path / "shown.py"
    path.write_text(FLOW, encoding="utf-8")

    def run(name: str, *options: str, by: Run = command, **more: Any) -> Ended:
        return by("run", f"{path}:{name}", "--store", store, "--workflow-id", "w", *options, **more)

    return run


def document(text: str) -> Any:
    """The one JSON document that the text is."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


class TestJson:
    @pytest.mark.parametrize(
        ("which", "shown"),
        [
            ("numbers", ["nan", "inf", "-inf", 1.5]),
            ("keys", {"('a', 1)": 1, "null": 2, "3": 3, "nan": 4, "frozenset()": 5}),
            ("cyclic", {"also": 1, "self": ["{'also': 1, 'self': [{...}]}"]}),
            ("unshowable", ["<Unshowable, whose repr raises ValueError>"] * 1),
            ("surrogate", "\udc80 é 😀"),
            ("set", "{1}"),
        ],
    )
    def test_any_result_is_written(self, run: Run, which: str, shown: Any) -> None:
        ended = run("result", "--param", f"which={which}", "--json")
        assert ended.code == 0
        report = document(ended.out)
        assert report["counts"]["played"] == 1
        found = report["result"]
        assert (found[:1] if which == "unshowable" else found) == shown

    @pytest.mark.parametrize("which", ["deep", "huge"])
    def test_what_is_too_big_is_said_to_be(self, run: Run, which: str) -> None:
        ended = run("result", "--param", f"which={which}", "--json")
        assert ended.code == 0
        assert "whose repr raises" in json.dumps(document(ended.out)["result"])
        assert run("result", "--param", f"which={which}").code == 0

    def test_an_ascii_stdout_has_valid_json(self, run: Run) -> None:
        ended = run(
            "result", "--param", "which=surrogate", "--json", by=installed, env={"PYTHONIOENCODING": "ascii"}
        )
        assert ended.out.isascii()
        assert document(ended.out)["result"] == "\udc80 é 😀"

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["nonsense", "--json"], 2, "Unknown command"),
            (["ls", "--json"], 2, "ls needs STORE"),
            (["run", "no.py:main", "--store", "memory:", "--workflow-id", "w", "--json"], 2, "there is no file"),
            (["plan", "no.py:main", "--workflow-id", "w", "--json"], 2, "there is no file"),
            (["ls", "ftp://host/x", "--json"], 2, "ftp"),
            (["mark", "memory:", "a", "--json"], 2, "lasts no longer"),
            (["forget", "memory:", "a", "--json"], 2, "lasts no longer"),
            (["show", "s3://no-such-bucket-here/x", "a", "--json"], 3, "no-such-bucket-here"),
        ],
    )
    def test_errors_write_one_too(
        self, moto_server: MotoServer, arguments: list[str], code: int, said: str
    ) -> None:
        ended = command(*arguments, env={"AWS_ENDPOINT_URL": moto_server.endpoint})
        assert ended.code == code
        report = document(ended.out)
        assert report["exit_code"] == code
        (error,) = report["errors"]
        assert said in error
        assert f"asyncsteps: error: {error}" in ended.err

    def test_what_is_printed_at_exit_is_no_part_of_it(self, run: Run) -> None:
        ended = run("late", "--json", by=installed)
        assert document(ended.out)["exit_code"] == 0
        assert "printed at exit" in ended.err

    def test_a_target_that_closes_stdout_changes_nothing(self, run: Run) -> None:
        assert document(run("closing", "--json", by=installed).out)["counts"]["played"] == 1


IN_A_PROCESS = {"keyboard": installed, "base": installed}
"""What might end this one."""


class TestWhatIsNoException:
    @pytest.mark.parametrize(
        ("which", "code", "said"),
        [
            ("cancelled", 1, "the workflow's code raised CancelledError itself"),
            ("generator", 1, "the workflow's code raised GeneratorExit itself"),
            ("base", 1, "the workflow's code raised BaseException itself"),
            ("keyboard", 130, "ended by SIGINT"),
            ("unshowable", 1, "Unshowable: its text raises ValueError"),
        ],
    )
    def test_raised_by_the_target(self, run: Run, store: str, which: str, code: int, said: str) -> None:
        ended = run("raising", "--param", f"which={which}", "--json", by=IN_A_PROCESS.get(which, command))
        assert ended.code == code
        assert said in ended.err
        report = document(ended.out)
        assert report["exit_code"] == code
        assert report["counts"]["played"] == 1
        assert len(report["errors"]) == (code == 1)
        assert done(store) == ["a"]

    @pytest.mark.parametrize("which", ["cancelled", "generator", "base", "keyboard"])
    def test_raised_by_an_activity(self, run: Run, store: str, which: str) -> None:
        ended = run(
            "raising_in_a_step", "--param", f"which={which}", "--json", by=IN_A_PROCESS.get(which, command)
        )
        assert ended.code in {1, 130}
        assert document(ended.out)["exit_code"] == ended.code
        assert done(store) == ["a"]

    @pytest.mark.parametrize("error", ["GeneratorExit", "__import__('asyncio').CancelledError"])
    def test_raised_while_the_target_is_imported(self, tmp_path: Path, error: str) -> None:
        (tmp_path / "breaking.py").write_text(f"raise {error}\n")
        ended = installed("run", f"{tmp_path / 'breaking.py'}:main", "--store", "memory:", "--workflow-id", "w")
        assert ended.code == 2
        assert error.rpartition(".")[2] in ended.err


class TestStreams:
    @pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "</dev/null >&- 2>/dev/full"])
    @pytest.mark.parametrize("options", [[], pytest.param(["--json"], marks=pytest.mark.long)])
    def test_one_that_is_closed_ends_nothing(self, run: Run, store: str, closed: str, options: list[str]) -> None:
        def by(*arguments: str) -> Ended:
            return _in_a_shell(closed, *arguments)

        ended = run("result", "--param", "which=set", *options, by=by)
        assert ended.code == 0
        assert done(store) == ["a"]

    def test_a_full_disk_is_said(self, run: Run, store: str) -> None:
        ended = run("result", "--param", "which=set", by=lambda *words: _in_a_shell(">/dev/full", *words))
        assert ended.code == 1
        assert "asyncsteps: error: stdout cannot be written: No space left on device" in ended.err
        assert done(store) == ["a"]


def _in_a_shell(redirections: str, *arguments: str) -> Ended:
    ended = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirections}', COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=100,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class TestControlCharacters:
    def test_of_errors_and_reasons_are_escaped(self, run: Run) -> None:
        for name in ("run", "plan"):
            ended = run(
                "colourful", "--force", f"a=because{UNSAFE}", by=lambda _, *words, name=name: command(name, *words)
            )
            assert not set(UNSAFE) & set(ended.out + ended.err)
            assert r"because\u001b\u0007\u009b\u202e" in ended.out + ended.err
        assert r"\u001b[31mred\u0007\u009b2J\u202egnp" in run("colourful").err

    def test_json_holds_them_escaped(self, run: Run) -> None:
        ended = run("colourful", "--force", f"a={UNSAFE}", "--json")
        assert not set(UNSAFE) & set(ended.out + ended.err)
        (step,) = document(ended.out)["steps"]
        assert step["reasons"] == [UNSAFE]
        assert "\x1b[31mred\x07" in step["error"]

    def test_names_for_programs_are_as_they_are(self, store: str) -> None:
        command("mark", store, "a\u202eb")
        assert command("ls", store, "--names").out == "a\u202eb\n"
        assert r"a\u202eb" in command("ls", store).out


class TestCredentials:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["ls", "s3://AKIAPLANTED:hunter2@bucket/x"],
            ["ls", "s3://bucket/x?X-Amz-Security-Token=hunter2", "--endpoint-url", "http://127.0.0.1:9"],
            ["ls", "s3://bucket/x", "--endpoint-url", "http://127.0.0.1:9?password=hunter2&a=b"],
            ["ls", "s3://bucket/x", "--endpoint-url", "http://AKIAPLANTED:hunter2%40%2F@127.0.0.1:9/"],
            ["ls", "https://AKIAPLANTED:hunter2@host/bucket"],
            ["ls", "s3://bucket/x", "--endpoint-url", "http://AKIAPLANTED:hunter2@127.0.0.1:9/"],
            ["ls", "s3://bucket/x", "--endpoint-url=ftp://AKIAPLANTED:hunter2@127.0.0.1:9/"],
            ["run", "x.py:y", "--workflow-id", "w", "--store=s3://AKIAPLANTED:hunter2@bucket/x"],
        ],
    )
    @pytest.mark.parametrize("options", [[], ["--json"], ["--traceback"]])
    def test_in_urls_are_hidden(self, tmp_path: Path, arguments: list[str], options: list[str]) -> None:
        (tmp_path / "x.py").write_text("async def y(run): ...\n")
        ended = command(*arguments, *options, env={"AWS_MAX_ATTEMPTS": "1"}, cwd=tmp_path)
        assert ended.code in {2, 3}
        assert "hunter2" not in ended.out + ended.err
        assert "AKIAPLANTED" not in ended.out + ended.err

    def test_of_the_environment_are_hidden(self) -> None:
        env = {"AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL": "http://AKIAPLANTED:hunter2@127.0.0.1:9"}
        ended = command("ls", "s3://bucket/x", env=env)
        assert ended.code == 2
        assert "hunter2" not in ended.err
