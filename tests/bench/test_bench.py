"""The bench: its shapes are step names, its smallest runs work, its report says what was found."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncsteps._plan.names import is_step_name
from bench import _render, listing, steps
from bench.__main__ import main
from bench._measure import ROOT, ChildError, run_child
from bench._report import Chart, Column, Goal, Options, Result, Table
from bench._shapes import SHAPES, make_names
from bench._step_costs import WAYS
from bench._step_peers import PEERS, Peer
from bench._targets import Target, TargetError, open_target, parse_url

# obstore and matplotlib belong to the dependency group of the bench, which `make test` does without.
OBSTORE = ["obstore"] if importlib.util.find_spec("obstore") else []

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def model() -> Iterator[Target]:
    with open_target(Options(target="model")) as target:
        yield target


# Shapes.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 999, 5000])
def test_a_shape_gives_so_many_step_names(shape: str, count: int) -> None:
    names = make_names(shape, count)
    assert len(names) == len(set(names)) == count
    assert names == sorted(names)
    assert all(map(is_step_name, names))


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="no shape 'round'; the shapes are flat-padded"):
        make_names("round", 1)


# The command.


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )


def test_a_small_comparison_from_the_command_to_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = ["asyncsteps", *OBSTORE, "aiobotocore", "boto3", "simpleflow"]
    found = tmp_path / "found.json"
    done = bench(
        *("listing", "--keys", "1500", "--latency-ms", "1", "--shape", "unicode", "--label", "listing-small-one"),
        *("--peers", ",".join(peers), "--json", str(found)),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(found.read_text())
    (result,) = report["results"]
    assert str(tmp_path) not in result["command"]
    rows = result["tables"][0]["rows"]
    assert [row["peer"] for row in rows] == peers
    assert all(row["count"] == 1500 for row in rows)
    assert all(row["equal"] for row in rows)
    assert all(row["wall_s"] > 0 and row["cpu_s"] > 0 and row["memory_mb"] > 5 for row in rows)
    assert {row["requests"] for row in rows if row["peer"] != "asyncsteps"} == {2}
    assert report["machine"]["cores"] >= 1
    assert main(["--from", str(found)]) == 0
    assert capsys.readouterr().out.strip() == done.stdout.strip()
    assert main(["--from", str(found), "--markdown"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# Benchmark tables\n")
    assert "\nTaken 20" in page
    assert f"\n## Listing: small one\n\n{result['title']}: `{result['command']}`\n" in page
    assert "| unicode | 1,500 | 1 | boto3 |" in page


def test_the_documented_tables_are_those_of_the_documented_json() -> None:
    docs = ROOT / "docs"
    page = _render.as_markdown(json.loads((docs / "benchmarks.json").read_text()))
    assert (docs / "benchmarks-tables.md").read_text() == f"{page}\n"
    anchors = {heading.lower().replace(":", "").replace(" ", "-") for heading in HEADING.findall(page)}
    linked = set(re.findall(r"benchmarks-tables\.md#([a-z0-9-]+)", (docs / "benchmarks.md").read_text()))
    assert linked == anchors


@pytest.mark.parametrize(
    "peers", [["asyncsteps"], pytest.param(["asyncsteps", "aioboto3", *OBSTORE], marks=pytest.mark.long)]
)
def test_marking_stores_everything_and_withdraws_it_in_batches(tmp_path: Path, peers: list[str]) -> None:
    found = tmp_path / "found.json"
    words = ("marking", "--keys", "1100", "--latency-ms", "1", "--peers", ",".join(peers))
    done = bench(*words, "--json", str(found))
    assert found.exists(), done.stderr
    marking, withdrawing = json.loads(found.read_text())["results"][0]["tables"]
    assert [row["peer"] for row in marking["rows"]] == peers
    assert all(row["equal"] for row in marking["rows"])
    assert {row["requests"] for row in marking["rows"]} == {1100}
    assert [row["delete_requests"] for row in withdrawing["rows"]] == [2]


@pytest.mark.long
def test_lookups_skip_what_is_done(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = bench("lookup", "--keys", "1000", "--latency-ms", "0", "--json", str(found))
    assert found.exists(), done.stderr
    rows = json.loads(found.read_text())["results"][0]["tables"][0]["rows"]
    assert all(row.get("skipped") == row["touched"] for row in rows), rows


@pytest.mark.long
def test_steps_are_measured_beside_bare_tasks_and_other_engines(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = bench("steps", "--keys", "1000", "--json", str(found))
    assert found.exists(), done.stderr
    result = json.loads(found.read_text())["results"][0]
    costs, peers = (table["rows"] for table in result["tables"])
    assert [row["way"] for row in costs] == list(WAYS)
    assert all(row["played_tasks"] > row["skipped_tasks"] > 0 for row in costs), costs
    assert costs[0]["kib_per_step"] > 0
    assert len(result["goals"]) == 3
    assert [row["peer"] for row in peers] == [name for name, peer in PEERS.items() if peer.installed]
    assert all(row["first_s"] > 0 for row in peers), peers
    missing = [name for name, peer in PEERS.items() if not peer.installed]
    assert all(any(name in note for note in result["notes"]) for name in missing)


def test_engines_are_compared_without_measuring_ours_alone() -> None:
    done = bench("steps", "--keys", "20", "--peers", "asyncsteps,simpleflow")
    assert done.returncode == 0, done.stderr
    assert "Beside other engines" in done.stdout
    assert "CPU time of the engine" not in done.stdout


def test_an_engine_that_is_not_installed_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "asyncio", Peer("bare_tasks", "nothing", "no_such_package"))
    result = steps.run(Options(keys=(20,), peers=("asyncio",)))
    assert result.tables[0].rows == []
    assert result.notes[-1] == "Not installed, and so not measured: asyncio."


def test_starts_are_measured_beside_that_of_asyncio(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = bench("start", "--repeat", "1", "--json", str(found))
    assert found.exists(), done.stderr
    result = json.loads(found.read_text())["results"][0]
    rows = {row["start"]: row for row in result["tables"][0]["rows"]}
    assert not any("error" in row for row in rows.values()), rows
    assert rows["import asyncio"]["ratio"] == 1
    assert all(row["cpu_s"] > 0 for row in rows.values())
    assert [goal["what"].partition(":")[0] for goal in result["goals"]] == [
        "import asyncsteps",
        "from asyncsteps import *",
        "asyncsteps --version",
        "asyncsteps --help",
    ]


def test_marks_in_a_directory_share_what_they_cost(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = bench("directory", "--keys", "128,50", "--repeat", "1", "--json", str(found))
    assert found.exists(), done.stderr
    marking, listing_ = json.loads(found.read_text())["results"][0]["tables"]
    rows = [row for row in marking["rows"] if row["place"] == "disk"]
    assert [row["peer"] for row in rows] == ["asyncsteps", "a commit for each", "one by one"]
    assert [row["directory_fsyncs"] for row in rows] == [2 / 128, 1, 1]
    assert [row["file_fsyncs"] for row in rows] == [1, 1, 1]
    assert all(row["wall_s"] > 0 and row["files"] == 50 for row in listing_["rows"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["walking"], "invalid choice: 'walking'"),
        (["listing", "--shape", "round"], "there is no shape 'round'"),
        (["listing", "--peers", "nobody"], "there is no peer 'nobody'"),
        (["listing", "--target", "moto", "--latency-ms", "5"], "are for the model server"),
        (["listing", "--target", "ftp://host/b"], "is no target"),
        (["marking", "--target", "http://127.0.0.1:9/bucket/p"], "allow it with --write"),
        (["listing", "--target", "s3://bucket/p", "--keys", "5"], "allow it with --write"),
        (["lookup", "--target", "s3://bucket/p"], "model or moto only"),
        (["--keys", "5"], "need the NAME of a bench"),
        (["listing", "--plot", "plot.gif"], "draws .png or .svg"),
        (["listing", "--markdown"], "give it with --from"),
    ],
)
def test_bad_usage_is_said_and_exits_with_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_target_by_url_is_listed_as_it_is_and_written_to_only_when_asked(model: Target) -> None:
    expected = model.seed("dates", 1200)
    url = f"{model.place.endpoint_url}/{model.place.bucket}/{model.place.prefix}"
    environment = {name: value for name, value in model.env.items() if name != "AWS_ENDPOINT_URL"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        listed = bench("listing", "--target", url, "--peers", "boto3", "--json", "/dev/stdout")
        written = bench("listing", "--target", url, "--keys", "30", "--peers", "boto3", "--write")
    assert listed.returncode == 0, listed.stderr
    assert expected in listed.stdout
    assert written.returncode == 0, written.stderr
    after = run_child(
        "bench._listing_peers:boto3_paginator", model.place.job() | {"concurrency": 1}, env=model.env
    )
    assert (after["count"], after["digest"]) == (1200, expected)


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "endpoint"),
    [
        ("s3://b/p/q", "b", "p/q", None),
        ("s3://b", "b", "", None),
        ("http://host:9000/b/p", "b", "p", "http://host:9000"),
        ("https://host/b", "b", "", "https://host"),
    ],
)
def test_urls_name_places(url: str, bucket: str, prefix: str, endpoint: str | None) -> None:
    place = parse_url(url)
    assert (place.bucket, place.prefix, place.endpoint_url) == (bucket, prefix, endpoint)


@pytest.mark.parametrize("url", ["", "modell", "s3://", "http://host", "http://host/", "file:///b/p"])
def test_what_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(TargetError, match="is no target: give model, moto"):
        parse_url(url)


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(ChildError, match="no_such_module"):
        run_child("bench.no_such_module:nothing", {})


# The report.


def a_report(*, met: bool = True, error: bool = False) -> dict[str, Any]:
    row = (
        {"peer": "us", "error": "Traceback\nBoomError: it broke"}
        if error
        else {"peer": "us", "n": 1234, "ok": True}
    )
    columns = (
        Column("peer", "who"),
        Column("n", "count", ",d"),
        Column("ok", "fine"),
        Column("gap", "never there"),
    )
    chart = Chart(title="C", x="keys", y="s", lines={"us": [(1, 2), (10, 20)], "them": [(1, 3)]})
    tables, goals = [Table("All", columns, [row])], [Goal("fast", "1 s", met)]
    result = Result(key="k", title="T", tables=tables, goals=goals, charts=[chart, chart, chart])
    return {**_render.new_report(), "results": [_render.as_json(result, command="python -m bench k")]}


def test_a_table_shows_numbers_in_their_format_and_leaves_empty_columns_out() -> None:
    text = _render.as_text(a_report()["results"][0])
    assert "1,234" in text
    assert "yes" in text
    assert "never there" not in text


@pytest.mark.parametrize(
    ("met", "error", "well"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_a_report_is_well_when_goals_are_met_and_nothing_failed(met: bool, error: bool, well: bool) -> None:
    report = a_report(met=met, error=error)
    assert _render.all_well(report) is well
    assert ("BoomError: it broke" in _render.as_text(report["results"][0])) is error
    assert ("failed: us: BoomError: it broke" in _render.as_markdown(report).splitlines()) is error


@pytest.mark.parametrize(("name", "begins"), [("plot.svg", b"<?xml"), ("plot.png", b"\x89PNG")])
def test_charts_are_drawn_in_the_format_of_the_file(tmp_path: Path, name: str, begins: bytes) -> None:
    pytest.importorskip("matplotlib")
    _render.plot(a_report(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def a_listing(shape: str, **measured: float) -> dict[str, Any]:
    usual = {"keys": 100_000, "wall_s": 0.5, "requests": 120, "requests_per_page": 1.2, "cpu_ms_per_page": 1.0}
    return {"peer": "asyncsteps", "shape": shape, "latency_ms": 50, "equal": True, **usual, **measured}


def test_a_promise_is_held_by_its_worst_shape() -> None:
    rows = [
        a_listing("deep", wall_s=0.9, requests_per_page=1.55),
        a_listing("flat-padded", requests_per_page=1.5, cpu_ratio=0.3),
    ]
    goals = {goal.what: goal for goal in listing.goals_of(Options(), rows)}
    assert not goals["100,000 keys: under 0.7 s"].met
    assert goals["100,000 keys: under 0.7 s"].measured == "0.9 s at the worst, deep; missed by deep"
    assert goals["100,000 keys: at most 1.6 requests a page"].met
    assert not goals["100,000 keys: at most 1.4 requests a page on a flat shape"].met
    assert goals["100,000 keys: at most 0.35 times the CPU a page of botocore"].met


def test_other_names_are_a_missed_goal_on_any_target() -> None:
    rows = [a_listing("deep"), {**a_listing("deep"), "peer": "boto3", "equal": False}]
    (goal,) = listing.goals_of(Options(target="moto"), rows)
    assert not goal.met
    assert goal.what.startswith("boto3: the same names")
