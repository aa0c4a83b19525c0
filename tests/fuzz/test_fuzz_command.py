"""Command lines: a documented exit code, one JSON document with --json, never a traceback, nothing elsewhere."""

import json
import os
from pathlib import Path

import pytest
from canary import snapshot
from cli_flow import write_flow
from commands import Ended, command, installed
from fuzzing import bodies, examples, hostile_text
from hypothesis import example, given
from hypothesis import strategies as st

from asyncsteps.cli._output import _UNSAFE

CODES = {0, 1, 2, 3, 130, 143}
NEEDLE = "xPLANTEDx"

ENVIRONMENT = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
"""A server that refuses connections, and is asked once."""

commands = st.sampled_from(
    ["ls", "check", "show", "mark", "forget", "plan", "run", "", "--help", "bogus", "--version"]
)
options = st.sampled_from(
    [
        *(
            "--json",
            "--json=true",
            "--json=false",
            "--no-json",
            "--yes",
            "--dry-run",
            "--names",
            "--all",
            "--quiet",
        ),
        *("--", "--help", "-h", "-y", "--replace", "--traceback=false", "--bogus", "-", "--store", "--param"),
        *(
            "--step-names",
            "--step-names=simpleflow",
            "--grace",
            "--grace=0",
            "--depth",
            "--workflow-id",
            "--run-id",
            "--force",
            "--skip",
            "--reason",
            "--max-parallel",
            "--limit",
            "--markers",
        ),
        *("--endpoint-url", f"--endpoint-url=https://u:{NEEDLE}@h", f"s3://AKIA:{NEEDLE}@bucket/steps"),
        *(f"s3://bucket/p?X-Amz-Security-Token={NEEDLE}", "s3://bucket/steps", "memory:", "--store=memory:"),
        *("a", "a.b", "*", "0", "-1", "99999999999999999999", "nan", "x=1", "which=[1", "a\\=b=c", "flow.py:main"),
        *("flow.py:", ":main", "flow:main", "no.module:x", "./store", "--store=./store", "--workflow-id=w"),
    ]
)
free = hostile_text.map(
    lambda text: text.replace("\0", "").encode("utf-8", "surrogateescape" if text.isascii() else "ignore")
)


def stays(text: str) -> bool:
    """Whether a text, taken for a path, leads nowhere but into the folder."""
    return bool(text) and not text.startswith("/") and ".." not in text and not text.lower().startswith("file:")


arguments = (options | free.map(os.fsdecode)).filter(stays)
"""What a shell can pass: text without NUL, of any bytes. No path that leads out: that is the user's to give."""

stores = (
    st.sampled_from(["./store", "store", "s3://bucket/steps", "./new", "memory:", "./store/no step"]) | arguments
)
flags = st.lists(
    st.sampled_from(["--json", "--json=true", "--names", "--yes", "--dry-run", "--replace", "--all"]), max_size=2
)
selected = st.lists(
    st.tuples(
        st.sampled_from(["--force", "--skip", "--reason", "--param", "--run-id", "--endpoint-url"]), arguments
    ),
    max_size=2,
).map(lambda pairs: [token for pair in pairs for token in pair])
lines = st.one_of(
    st.tuples(commands, st.lists(arguments, max_size=6)).map(lambda drawn: [drawn[0], *drawn[1]]),
    st.tuples(st.sampled_from(["ls", "check", "show", "mark", "forget"]), stores, arguments, flags).map(
        lambda drawn: [*drawn[:3], *drawn[3]]
    ),
    st.tuples(st.sampled_from(["run", "plan"]), stores, arguments, selected, flags).map(
        lambda drawn: [
            drawn[0],
            "flow.py:main",
            "--store",
            drawn[1],
            "--workflow-id",
            drawn[2],
            *drawn[3],
            *drawn[4],
        ]
    ),
)
"""Command lines at random, and those that get as far as a store."""


def wants_json(line: list[str]) -> bool:
    options_only = line[: line.index("--")] if "--" in line else line
    return bool({"--json", "--json=true"} & set(options_only)) and "--json=false" not in line


def check(ended: Ended, line: list[str]) -> None:
    assert ended.code in CODES
    assert "Traceback" not in ended.err
    assert NEEDLE not in ended.out + ended.err
    assert not _UNSAFE.search(ended.err)
    if {"--help", "-h", "--version"} & set(line):
        return
    if wants_json(line):
        json.loads(ended.out, parse_constant=pytest.fail)
    elif "--names" not in line:
        assert not _UNSAFE.search(ended.out)
    if ended.code == 2:
        assert "asyncsteps: error: " in ended.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs: a target, and a store with a step and with what is none."""
    folder = tmp_path / "here"
    (folder / "store").mkdir(parents=True)
    (folder / "store" / "a.b").write_text('{"run_id": "r", "x": "\\u001b[2J"}')
    (folder / "store" / "no step").write_text("mine")
    write_flow(folder)
    (tmp_path / "beside").write_text("untouched")
    return folder


@examples(150)
@given(line=lines)
@example(line=["ls", "--json=true", "bogus", "x", "y"])
@example(line=["show", "./store", "--", "--json"])
@example(line=["mark", "./store", "a", "--reason", "--json"])
@example(line=["--json"])
@example(line=["ls", "--", f"--endpoint-url=https://u:{NEEDLE}@h"])
@example(line=["ls", f"s3://%22:%20%22@{NEEDLE}", "--json"])
@example(line=["ls", "s3://a%22:%20%22@b/c", "--json"])
@example(line=["show", "./store", "a.b"])
@example(line=["check", "./store", "--json"])
@example(line=["check", "./store", "--step-names=simpleflow"])
def test_any_command_line_ends_as_documented(folder: Path, line: list[str]) -> None:
    around = snapshot(folder.parent, but=folder)
    ended = command(*line, env=ENVIRONMENT, cwd=folder)
    check(ended, line)
    assert snapshot(folder.parent, but=folder) == around
    assert (folder / "store" / "no step").read_text() == "mine"


@examples(60)
@given(body=bodies)
@example(body=b'{"a\\nforged": "b\\nforged", "\\u001b[2J": 1, "c": NaN}')
@example(body=b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}")
def test_any_record_is_shown_or_told_to_be_damaged(folder: Path, body: bytes) -> None:
    (folder / "store" / "a.b").write_bytes(body)
    for line in (["show", "./store", "a.b"], ["show", "./store", "a.b", "--json"]):
        ended = command(*line, env=ENVIRONMENT, cwd=folder)
        check(ended, line)
        assert ended.code in {0, 2}
        assert ended.code or len(line) == 4 or len(ended.out.splitlines()) == 1 + len(json.loads(body))


@examples(20)
@given(reason=hostile_text.map(lambda text: text.replace("\0", "")))
@example(reason="a\nscheduled forged")
def test_a_reason_makes_no_line_of_its_own(folder: Path, reason: str) -> None:
    line = ["run", "flow.py:main", "--workflow-id", "w", "--store", "./store", "--skip", f"*={reason}"]
    ended = command(*line, env=ENVIRONMENT, cwd=folder)
    plain = command(*line[:-1], "*=because", env=ENVIRONMENT, cwd=folder)
    check(ended, line)
    assert ended.code == plain.code
    assert len(ended.out.split("\n")) == len(plain.out.split("\n"))
    assert len(ended.err.split("\n")) == len(plain.err.split("\n"))


swf_lines = st.tuples(
    st.sampled_from(["doctor", "follow", "history", "bogus", ""]),
    arguments,
    st.sampled_from(
        [
            ["--domain", ""],
            ["--domain", "d", "--swf-endpoint-url", f"https://u:{NEEDLE}@h"],
            ["--domain", "d", f"--swf-endpoint-url=https://h?X-Amz-Security-Token={NEEDLE}"],
            ["--domain", "d", "--store", f"s3://AKIA:{NEEDLE}@bucket/steps"],
            ["--domain", "d", "--store", "memory:"],
            ["--domain", "d", "--store", "s3://b/p", "--workflow-type", "\x1b[2J:"],
            ["--domain", "d", "--bogus"],
        ]
    ),
    flags,
).map(lambda drawn: ["swf", drawn[0], drawn[1], *drawn[2], *drawn[3]])
"""Command lines of ``asyncsteps swf`` that are refused before anything is sent."""


@examples(60)
@given(line=swf_lines)
@example(line=["swf", "history", "w", "--domain", "d", "--swf-endpoint-url", f"u:{NEEDLE}@h", "--json"])
@example(line=["swf", "follow", "w", "--run-id", "", "--domain", "d", "--region", "\x1b[2J", "--json"])
def test_any_command_line_of_swf_ends_as_documented(folder: Path, line: list[str]) -> None:
    ended = command(*line, env=ENVIRONMENT, cwd=folder)
    check(ended, line)
    assert ended.code == 2 or {"", "--help", "-h"} & set(line)


LINES: list[list[bytes]] = [
    [b"ls", b"./store", b"--json"],
    [b"show", b"./store", b"a.b", b"\xff", b"--json"],
    [b"show", b"./store", b"\xff\xfe", b"--json"],
    [b"mark", b"./store", b"\xff", b"--json"],
    [b"ls", b"/dev/null", b"--json"],
    [b"ls", b"/proc/self/mem", b"--json"],
    [b"run", b"\xff.py:main", b"--workflow-id", b"w", b"--store", b"memory:", b"--json"],
    [b"run", b"flow.py:main", b"--workflow-id", b"\xff", b"--store", b"./store", b"--json", b"--markers", b"/"],
    [b"plan", b"flow.py:main", b"--workflow-id", b"w", b"--store", b"./\xff\x1b[2J", b"--json"],
    [b"forget", b"./store", b"*", b"--json"],
]


def test_credentials_that_look_like_json_leave_the_document_whole(folder: Path) -> None:
    (folder / "store" / "%40x").write_text("{}")
    secret = {"AWS_ENDPOINT_URL": "http://%22:%20%22@host"}
    ended = command("show", "./store", "@x", "--json", env=ENVIRONMENT | secret, cwd=folder)
    assert ended.json["step"] == "@x"


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_any_bytes_reach_a_real_process(folder: Path, line: list[bytes]) -> None:
    arguments_given = list(map(os.fsdecode, line))
    check(installed(*arguments_given, env=ENVIRONMENT, cwd=folder), arguments_given)
