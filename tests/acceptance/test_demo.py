"""The demo, as `make demo` runs it, and the census that it shows."""

import ast
import importlib.util
import json
import re
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest
from commands import Ended, command, environment
from servers import MotoServer

EXAMPLES = Path(__file__).parents[2] / "examples"
ACTS = ["1. A first run", "2. The same run again", "3. One step forced", "4. A plan", "5. What the store holds"]
LAST_ACT = "6. The census handed to simpleflow"

pytestmark = pytest.mark.timeout(300)  # seconds of work, of which a busy machine may make minutes


def demo(*arguments: str) -> Ended:
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(),
        cwd=EXAMPLES.parent,
        timeout=280,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.long
def test_all_is_as_said_on_a_server_of_its_own() -> None:
    ended = demo()
    assert ended.code == 0, ended.out + ended.err
    positions = [ended.out.index(act) for act in [*ACTS, LAST_ACT]]
    assert positions == sorted(positions)
    assert "All as said." in ended.out
    assert "✗" not in ended.out + ended.err
    port = re.search(r"http://127\.0\.0\.1:(\d+)", ended.out)
    assert port is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port[1]))) != 0, "the server is still there"


def test_all_is_as_said_on_a_directory_that_is_left_empty(tmp_path: Path) -> None:
    ended = demo("--store", str(tmp_path / "steps"))
    assert ended.code == 0, ended.out + ended.err
    assert all(act in ended.out for act in ACTS)
    assert command("ls", tmp_path / "steps", "--names").out == ""


def test_a_store_that_holds_steps_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "steps"
    command("mark", store, "mine")
    ended = demo("--store", str(store))
    assert ended.code == 1
    assert "NOT AS SAID" in ended.err
    assert "asyncsteps forget" in ended.err
    assert command("ls", store, "--names").out == "mine\n"


def test_a_store_out_of_reach_ends_it(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server.endpoint)
    ended = demo("--store", "s3://no-such-bucket-here/steps")
    assert ended.code == 1
    assert "no-such-bucket-here" in ended.err
    assert "Traceback" not in ended.err


@pytest.fixture(scope="module")
def census() -> ModuleType:
    spec = importlib.util.spec_from_file_location("census", EXAMPLES / "census.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestCensus:
    def test_counts_what_is_installed(self, census: ModuleType) -> None:
        modules = census.modules()
        assert len(modules) > 200
        assert modules == sorted(set(modules))
        assert {"asyncio", "json", "sys", "_pydecimal", "this"} <= set(modules)
        assert not {"winreg", "msvcrt", "pytest", "_ast", "_json"} & set(modules)

    @pytest.mark.parametrize("module", ["json", "dataclasses", "html"])
    def test_counts_as_ast_walk_does(self, census: ModuleType, module: str) -> None:
        library = Path(sysconfig.get_path("stdlib"))
        files = sorted((library / module).glob("*.py")) or [library / f"{module}.py"]
        nodes = [node for path in files for node in ast.walk(ast.parse(path.read_bytes()))]
        count = census.count_module(module)
        assert count["files"] == len(files)
        assert count["lines"] == sum(len(path.read_bytes().splitlines()) for path in files)
        assert count["functions"] == sum(
            isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) for each in nodes
        )
        assert count["classes"] == sum(isinstance(each, ast.ClassDef) for each in nodes)
        assert json.loads(json.dumps(count)) == count

    def test_names_what_is_imported(self, census: ModuleType) -> None:
        assert census.count_module("json")["imports"] == ["_json", "argparse", "codecs", "pathlib", "re", "sys"]

    def test_modules_in_c_count_as_such(self, census: ModuleType) -> None:
        count = census.count_module("sys")
        assert (count["kind"], count["files"], count["imports"]) == ("builtin", 0, [])

    def test_tests_are_no_part_of_the_library(self, census: ModuleType) -> None:
        assert not [path for path in census.source_files("idlelib") if "idle_test" in path.parts]

    def test_what_is_not_there_is_refused(self, census: ModuleType) -> None:
        with pytest.raises(ValueError, match="'pytest' is no module of the standard library"):
            census.count_module("pytest")

    def test_reports_rank_and_break_ties_by_name(self, census: ModuleType) -> None:
        def count(module: str, lines: int, *imports: str) -> dict[str, object]:
            return {
                "module": module,
                "files": 1,
                "lines": lines,
                "functions": 1,
                "classes": 0,
                "imports": [*imports],
            }

        counts = [count("b", 5, "c"), count("a", 5, "c", "b"), count("c", 9)]
        ranked = census.largest(counts, 2)
        assert ranked["largest"] == [{"module": "c", "lines": 9}, {"module": "a", "lines": 5}]
        assert (ranked["lines"], ranked["functions"]) == (19, 3)
        graph = census.graph(counts, 1)
        assert graph == {"edges": 3, "most_imported": [{"module": "c", "by": 2}]}
