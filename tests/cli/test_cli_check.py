"""check: on a directory and on S3, by both rules; reading alone, without holding what it reads."""

import asyncio
from pathlib import Path
from typing import Self

import pytest
from commands import command, installed
from servers import FaultProxy, MotoServer

import asyncsteps

KEYS = {
    "2026/users": (True, "must not contain '/'"),
    "load..users": (True, "empty segment"),
    "*": (True, "selector of all steps"),
    "": (False, "at least one character"),
    "/evil": (False, "must not begin with '/'"),
}
"""Unrecognised keys: whether simpleflow's rule takes them, and the rule that they break."""


@pytest.fixture
def mixed(moto_server: MotoServer, bucket: str) -> str:
    for key in (*KEYS, "load.users", "report"):
        moto_server.put(bucket, f"steps/{key}")
    moto_server.put(bucket, "steps2/other")
    return f"s3://{bucket}/steps"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with asyncsteps.open_store(tmp_path / "steps") as store:
            for name in ("load.users", "Report: 1"):
                await store.mark_done(name, {})

    asyncio.run(fill())
    return tmp_path / "steps"


def test_each_unrecognised_key_is_told_with_its_rule(mixed: str, s3_endpoint: str) -> None:
    ended = installed("check", mixed, "--endpoint-url", s3_endpoint)
    *lines, summary = ended.out.splitlines()
    assert ended.code == 1
    assert summary == (f'{mixed}/: 2 done steps, 5 unrecognised keys, 3 of which step_names = "simpleflow" takes')
    assert len(lines) == len(KEYS)
    for key, (taken, rule) in KEYS.items():
        (line,) = [line for line in lines if line.startswith(f"{key!r}: ")]
        assert rule in line
        assert line.endswith('; step_names = "simpleflow" takes it') is taken


def test_by_simpleflows_rule_its_names_are_steps(mixed: str, s3_endpoint: str, moto_server: MotoServer) -> None:
    ended = command("check", mixed, "--step-names", "simpleflow", "--endpoint-url", s3_endpoint, "--json")
    assert ended.code == 1
    assert (ended.json["store"], ended.json["step_names"], ended.json["steps"]) == (f"{mixed}/", "simpleflow", 5)
    assert [(one["key"], one["simpleflow"]) for one in ended.json["unrecognised"]] == [
        ("", False),
        ("/evil", False),
    ]
    bucket = mixed.split("/")[2]
    for key in ("", "/evil"):
        moto_server.request("DELETE", f"/{bucket}/steps/{key}")
    fine = command("check", mixed, "--step-names=simpleflow", "--endpoint-url", s3_endpoint)
    assert (fine.code, fine.out) == (0, f"{mixed}/: 5 done steps, 0 unrecognised keys\n")


def test_json_has_every_key_sorted(mixed: str, s3_endpoint: str) -> None:
    ended = command("check", mixed, "--endpoint-url", s3_endpoint, "--json")
    assert (ended.code, ended.json["steps"]) == (1, 2)
    assert {one["key"]: one["simpleflow"] for one in ended.json["unrecognised"]} == {
        key: taken for key, (taken, _) in KEYS.items()
    }
    assert [one["key"] for one in ended.json["unrecognised"]] == sorted(KEYS)


def test_a_directory(directory: Path) -> None:
    fine = command("check", directory)
    assert (fine.code, fine.out) == (0, f"file://{directory}: 2 done steps, 0 unrecognised keys\n")
    (directory / "README.MD").write_text("mine")
    (directory / "folder").mkdir()
    for options in ((), ("--step-names", "simpleflow")):
        ended = command("check", directory, *options, "--json")
        assert (ended.code, ended.json["steps"]) == (1, 2)
        assert ended.json["unrecognised"] == [
            {"key": key, "rule": "no step is stored in such a file", "simpleflow": False}
            for key in ("README.MD", "folder/")
        ]


def test_a_missing_store_and_bad_usage_have_their_codes(s3_endpoint: str) -> None:
    assert command("check", "s3://no-such-bucket/steps", "--endpoint-url", s3_endpoint).code == 3
    assert command("check").code == 2
    assert command("check", "steps", "--step-names", "lax").code == 2


def test_a_whole_bucket_is_nothing_that_simpleflows_rule_takes(mixed: str, s3_endpoint: str) -> None:
    whole, where = mixed.removesuffix("/steps"), ("--endpoint-url", s3_endpoint)
    refused = command("check", whole, "--step-names", "simpleflow", *where)
    assert (refused.code, refused.out) == (2, "")
    assert "needs a prefix" in refused.err
    strict = command("check", whole, *where)
    assert strict.code == 1
    assert 'step_names = "simpleflow"' not in strict.out


def test_a_prefix_with_nothing_under_it_is_told(mixed: str, s3_endpoint: str) -> None:
    ended = command("check", f"{mixed}3", "--endpoint-url", s3_endpoint)
    assert (ended.code, ended.out) == (0, f"{mixed}3/: 0 done steps, 0 unrecognised keys\n")
    assert f"nothing is stored under {mixed}3/" in ended.err
    assert command("check", mixed, "--endpoint-url", s3_endpoint).err == ""


def test_control_characters_in_keys_do_not_reach_the_terminal(moto_server: MotoServer, bucket: str) -> None:
    moto_server.put(bucket, "steps/a\x1b[2Jb")
    ended = command("check", f"s3://{bucket}/steps", "--endpoint-url", moto_server.endpoint)
    assert ended.code == 1
    assert "\x1b" not in ended.out


async def test_it_reads_alone(mixed: str, fault_proxy: FaultProxy, moto_server: MotoServer) -> None:
    bucket = mixed.split("/")[2]
    before = moto_server.keys(bucket)
    ended = await asyncio.to_thread(installed, "check", mixed, "--endpoint-url", fault_proxy.endpoint)
    assert ended.code == 1
    assert fault_proxy.requests
    assert all(request.is_listing for request in fault_proxy.requests)
    assert moto_server.keys(bucket) == before


def test_it_tells_keys_while_it_lists_and_holds_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose second batch comes only when the key of the first has been written."""
    from asyncsteps.cli import _check, _output

    written: list[str] = []
    monkeypatch.setattr(_output, "emit", written.append)

    class Endless:
        url = "s3://bucket/steps/"

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *exc_info: object) -> None: ...

        async def iter_done(self, *, on_foreign: object) -> object:
            assert callable(on_foreign)
            for number in range(3):
                on_foreign(f"odd/{number}")
                assert len(written) == number + 1
                yield [f"a{n}" for n in range(1000)]

    monkeypatch.setattr(asyncsteps, "open_store", lambda url, endpoint_url: Endless())
    assert _check.check("s3://bucket/steps") == 1
    assert written[-1].startswith("s3://bucket/steps/: 3,000 done steps, 3 unrecognised keys")
