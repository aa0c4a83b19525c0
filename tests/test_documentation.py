"""Every link and code block of the README and of docs: Python is run, fragments compile, commands are parsed.

- A block ``python`` is run as a program, with a moto server in the place of AWS that has the buckets of `BUCKETS`.
  A first line ``# name.py`` names its file: blocks of a page that have one lie in one folder, and ``test_*.py`` is
  run by pytest.
- A block ``python fragment``, which readers see like any other, is compiled.
- A line ``asyncsteps ...`` of a block is parsed as the command would; placeholders are filled in.
  `test_documented_sessions` plays those of some pages, in order, and compares what they write.
- A block that includes a schema is checked by `test_schemas`.
"""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from commands import command
from cyclopts import App, CycloptsError
from swf_simulator import SimulatedSwf, workflow_class

from asyncsteps.cli._app import app
from asyncsteps.testing import MotoServer

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.name != "CHANGELOG.md"
)
BUCKETS = ("bucket", "my-bucket")
GROUPS = {"swf"}
"""The sub-commands that have commands of their own."""

_FENCED = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^ {4}.*\n?)+", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: The page, relative to the repository.
        line: The line at which it begins.
        info: What follows the fence; None for an indented one.
        text: The code.
    """

    page: str
    line: int
    info: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of its file, where it has one."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named[1] if named else None

    def commands(self, program: str) -> list[str]:
        """The lines that call a program, each with what goes on below it, and without what the shell redirects."""
        joined = re.sub(r"\\?\n {10,}", " ", self.text)
        calls = re.findall(rf"^ *(?:\$ )?(?:\.venv/bin/)?({program} .*)$", joined, re.MULTILINE)
        return [re.split(r"\s+#|\s>", call)[0].strip() for call in calls]


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    page = str(path.relative_to(ROOT))
    fenced = [
        Block(page, text.count("\n", 0, it.start()) + 1, it[2].strip(), dedent(it[3]))
        for it in _FENCED.finditer(text)
    ]
    without = _FENCED.sub(lambda it: "\n" * it[0].count("\n"), text)
    indented = [
        Block(page, without.count("\n", 0, it.start()) + 1, None, it[0]) for it in _INDENTED.finditer(without)
    ]
    return sorted(fenced + indented, key=lambda block: block.line)


BLOCKS = [block for path in PAGES for block in blocks_of(path)]
RUN = [block for block in BLOCKS if block.info == "python"]
FRAGMENTS = [block for block in BLOCKS if block.info == "python fragment"]


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    fenced = [block for block in BLOCKS if block.info is not None]
    included = {block.info for block in fenced if (block.info or "").startswith("{literalinclude} schemas/")}
    assert {block.info for block in fenced} - included <= {"python", "python fragment", "console", "json", ""}
    drawings = [block.page for block in fenced if not block.info]
    assert drawings == ["docs/architecture.md"]
    assert 2 * len(fenced) == sum(
        len(re.findall(r"^ *```(?!`)", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in PAGES
    )
    assert len(RUN) >= 5
    assert {block.page for block in RUN} >= {
        "README.md",
        "docs/workflows.md",
        "docs/bridge.md",
    }


def anchors_of(path: Path) -> set[str]:
    """The anchors of a page's headings, as those who show Markdown make them."""
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            page = (path.parent / name) if name else path
            assert page.exists(), target
            assert not anchor or anchor in anchors_of(page), target


def test_each_page_is_linked_to() -> None:
    """By another page, not only by the list of all."""
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("#")
    }
    assert {path for path in PAGES if path.parent != ROOT} <= linked
    index = (ROOT / "docs" / "index.rst").read_text(encoding="utf-8")
    assert all(
        re.search(rf"^   (.+ <)?{path.stem}>?$", index, re.MULTILINE) for path in (ROOT / "docs").glob("*.md")
    )


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_python_block_runs(block: Block, tmp_path: Path, moto_aws: MotoServer) -> None:
    for bucket in BUCKETS:
        moto_aws.create_bucket(bucket)
    for other in RUN:
        if other.page == block.page and other.file is not None:
            (tmp_path / other.file).write_text(other.text, encoding="utf-8")
    file = block.file or "block.py"
    (tmp_path / file).write_text(block.text, encoding="utf-8")
    runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if file.startswith("test_") else ["-W", "error"]
    for _ in range(2 if runner[0] == "-W" else 1):  # the second time finds what the first one marked
        ended = subprocess.run(
            [sys.executable, *runner, file],
            cwd=tmp_path,
            env=os.environ | moto_aws.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("block", FRAGMENTS, ids=str)
def test_a_fragment_compiles(block: Block) -> None:
    """What it imports is there, too."""
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    imports = [line for line in block.text.splitlines() if re.match(r"(from|import) ", line)]
    exec("\n".join(imports), {})


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.info == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


def filled_in(synopsis: str) -> str:
    """A command line with all the options of a synopsis: no brackets, the first of alternatives, a 1 for an N."""
    line = re.sub(r"(--[\w-]+) …", r"\1 A=B", synopsis)
    line = re.sub(r"\|[\w-]+", "", line.translate(str.maketrans("", "", "[]…")))
    return re.sub(r"\bN\b", "1", line)


def commands_of(group: App, *groups: str) -> Iterator[tuple[str, ...]]:
    """The commands of the program, those of its sub-commands with the names of both."""
    for name in group:
        if not name.startswith("-"):
            yield from commands_of(group[name], *groups, name) if name in GROUPS else [(*groups, name)]


def command_of(tokens: list[str]) -> tuple[str, ...]:
    return tuple(tokens[: 1 + (tokens[0] in GROUPS)])


CALLS = [
    (block, call)
    for block in BLOCKS
    if not (block.info or "").startswith("python")
    for call in block.commands("asyncsteps")
]


@pytest.mark.parametrize(("block", "call"), CALLS, ids=[f"{block}-{call[:30]}" for block, call in CALLS])
def test_a_command_parses(block: Block, call: str) -> None:
    line = filled_in(call) if re.search(r"[\[…]", call) else call
    _, *tokens = shlex.split(line)
    try:
        function, *_ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"{block}: {line}: {error}")
    assert function.__name__ == command_of(tokens)[-1]


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    readme = blocks_of(ROOT / "README.md")
    for block in readme:
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    calls = [shlex.split(call)[1:] for block in readme if not block.info for call in block.commands("asyncsteps")]
    assert [words[0] for words in calls] == ["run", "plan", "ls", "runs", "why", "report", "forget"]
    ended = [command(*words, *(["--yes"] * (words[0] == "forget")), cwd=tmp_path) for words in calls]
    assert [each.code for each in ended] == [0] * len(calls)
    assert ended[-1].out == "withdrawn load.a\n"


def test_the_synopses_are_complete() -> None:
    """docs/command.md has every option of every command, but for those of all."""
    page = ROOT / "docs" / "command.md"
    synopses = {
        command_of(shlex.split(filled_in(call))[1:]): call
        for block in blocks_of(page)
        for call in block.commands("asyncsteps")
    }
    assert sorted(synopses) == sorted(commands_of(app))
    for name, synopsis in synopses.items():
        assert {each for each in options_of(name) if each not in synopsis} <= {"--endpoint-url", "--traceback"}


def options_of(name: tuple[str, ...]) -> set[str]:
    arguments = reduce(getitem, name, app).assemble_argument_collection()
    return {option for argument in arguments for option in argument.names if option.startswith("--")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_within_text_have_these_options(path: Path) -> None:
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    for words in re.findall(r"`asyncsteps ([a-z][^`]*)`", text):
        name = command_of(words.split())
        assert name in {*commands_of(app), *((group,) for group in GROUPS)}, words
        assert not set(re.findall(r"--[\w-]+", words)) - (options_of(name) | {"--help"}), words


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_targets_and_scripts_are_there(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for call in block.commands("make"):
        target = next((word for word in call.split()[1:] if "=" not in word), "help")
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), call
    for call in block.commands("python3?"):
        for word in call.split():
            assert not word.endswith(".py") or (ROOT / word).exists(), call


def test_the_example_that_continues_as_new_plays_each_table_once() -> None:
    (block,) = (block for block in RUN if "continue_as_new" in block.text)
    module: dict[str, Any] = {"__name__": "ingest"}
    exec(block.text.replace("1_000", "4"), module)
    workflow = workflow_class(module["Ingest"], run=module["Ingest"].run)
    tables = [f"t{number}" for number in range(9)]
    kwargs: dict[str, Any] = {"tables": tables, "force": ["load.t0"]}
    done, loaded, executions = {"load.t0"}, list[str](), 0
    status = "continued"
    while status == "continued":
        swf = SimulatedSwf(
            workflow, {"kwargs": kwargs}, done=done, activities={"ingest.load": module["load"]}
        ).run()
        status, done = swf.status, swf.done
        loaded += [args[0] for name, args in swf.calls if name == "load"]
        executions += 1
        if status == "continued":
            kwargs = json.loads(swf.result["input"])["kwargs"]
    assert status == "completed"
    assert executions == 3
    assert loaded == tables
