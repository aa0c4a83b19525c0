"""Which room of asyncsteps may import which: the plan of the house, held module by module."""

import ast
import re
import sys
from functools import lru_cache
from pathlib import Path

import pytest

import asyncsteps

ROOT = Path(asyncsteps.__file__).parent

AWS = {"aioboto3", "aiobotocore", "botocore"}
SIMPLEFLOW = {"simpleflow"}

ROOMS: dict[str, tuple[set[str], set[str]]] = {
    # room: the rooms below it that it may import, and which distributions beside the standard library
    "_errors": (set(), set()),
    "_aws": (set(), {"aiohttp", *AWS}),
    "_plan": ({"_errors"}, {"typing_extensions"}),
    "_tasks": ({"_errors", "_plan"}, {"anyio", "tenacity", "typing_extensions"}),
    "store": (
        {"_aws", "_errors", "_plan", "store.contract", "store._directory", "store._s3"},
        {"anyio", "botocore"},
    ),
    "store.contract": ({"_aws", "_errors", "_plan"}, {"anyio"}),
    "store._listing": ({"_errors", "_plan", "store.contract"}, set()),
    "store._directory": ({"_errors", "_plan", "store.contract"}, {"anyio"}),
    "store._s3": (
        {"_aws", "_errors", "_plan", "store.contract", "store._listing"},
        {"aiohttp", "anyio", "yarl", *AWS},
    ),
    "_journal": ({"_aws", "_errors", "_plan", "store.contract"}, {"anyio"}),
    "_events": (set(), set()),
    "_run": ({"_errors", "_events", "_journal", "_plan", "_tasks", "store.contract", "store"}, {"anyio"}),
    "_runs": (
        {"_errors", "_events", "_journal", "_plan", "_run", "_tasks", "store.contract"},
        {"anyio"},
    ),
    "swf.base": ({"_errors"}, SIMPLEFLOW),
    "swf._sync": ({"_errors", "_plan", "store", "store.contract", "swf.base"}, {"anyio", "simpleflow"}),
    "swf._done": ({"_errors", "_plan", "store", "store.contract", "swf._sync", "swf.base"}, {"anyio", *AWS}),
    "swf._convert": ({"_errors", "_plan", "_tasks", "swf.base"}, SIMPLEFLOW),
    "swf.tasks": ({"_errors", "_plan", "swf.base", "swf._sync", "swf._done"}, set()),
    "swf.utils": ({"_plan"}, set()),
    "swf._steps": (
        {"_errors", "_plan", "_tasks", "store.contract", "swf.base"}
        | {"swf._sync", "swf._done", "swf._convert", "swf.tasks"},
        SIMPLEFLOW,
    ),
    "swf._bridge": (
        {"_errors", "_plan", "_tasks", "swf.base", "swf._sync", "swf._convert", "swf._steps"},
        {"anyio", "simpleflow"},
    ),
    "swf._client": ({"_aws", "_errors", "_plan", "swf.base"}, {"anyio", *AWS}),
    "swf._doctor": (
        {"_aws", "_errors", "_plan", "store.contract", "store._s3", "swf.base"}
        | {"swf._sync", "swf._done", "swf._client"},
        {"anyio", "aiobotocore"},
    ),
    "swf": (
        {
            "_errors",
            "swf.base",
            "swf.tasks",
            "swf.utils",
            "swf._steps",
            "swf._bridge",
            "swf._client",
            "swf._doctor",
        },
        set(),
    ),
    "": ({"_errors", "_plan", "_tasks", "_run", "_runs", "store", "journal", "events"}, set()),
    "report": ({"_events", "_journal", "_plan"}, set()),
    "events": ({"_events"}, set()),
    "otel": ({"_errors", "_events", "_journal"}, {"opentelemetry"}),
    "journal": ({"_journal", "store.contract"}, set()),
    "testing": (
        {"_errors", "_plan", "_run", "_tasks", "store", "store.contract"},
        {"anyio", "pytest", "typing_extensions"},
    ),
    "cli": ({"", "events", "journal", "report", "store", "swf"}, {"anyio", "cyclopts", "pydantic", "rich"}),
}

MEMBERS = {
    # modules that are in another room than their folder
    "__main__": "cli",
    "store._protocol": "store.contract",
    "store._budget": "store.contract",
    "store._common": "store.contract",
    "store._records": "store.contract",
    "store._location": "store.contract",
    "swf._constants": "swf.base",
    "swf._errors": "swf.base",
    "swf._logging": "swf.base",
    "swf._payload": "swf.base",
    "swf._simpleflow": "swf.base",
    "swf.constants": "swf.base",
}


@lru_cache
def modules() -> list[str]:
    paths = sorted(ROOT.rglob("*.py"))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        for path in paths
    ]


def room_of(module: str) -> str:
    """The room that a module is in: its own in `MEMBERS`, or the innermost of its folders in `ROOMS`."""
    if module in MEMBERS:
        return MEMBERS[module]
    folder = module
    while folder and folder not in ROOMS:
        folder = folder.rpartition(".")[0]
    assert folder or not module, (
        f"asyncsteps.{module} is in no room: place it in ROOMS and in docs/architecture.md"
    )
    is_package = (ROOT / Path(*module.split("."))).is_dir() if module else True
    assert folder == module or not is_package, f"the folder of asyncsteps.{module} is no room of its own: place it"
    return folder


def source(module: str) -> Path:
    path = ROOT / Path(*module.split(".")) if module else ROOT
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@lru_cache
def imports(module: str) -> tuple[str, ...]:
    """What a module imports, in functions and for type checkers too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            assert node.module is not None
            own = {f"{node.module}.{alias.name}" for alias in node.names} & {
                f"asyncsteps.{name}" for name in modules()
            }
            found += own or {node.module}
    return tuple(found)


def own_imports(module: str) -> list[str]:
    return [
        name.removeprefix("asyncsteps").lstrip(".")
        for name in imports(module)
        if name.partition(".")[0] == "asyncsteps"
    ]


@pytest.mark.parametrize("module", modules())
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    room = room_of(module)
    below, _ = ROOMS[room]
    for name in own_imports(module):
        assert room_of(name) in {room, *below}, (
            f"{module or 'asyncsteps'} ({room}) imports {name} ({room_of(name)})"
        )


@pytest.mark.parametrize("module", modules())
def test_a_room_imports_only_its_distributions(module: str) -> None:
    _, distributions = ROOMS[room_of(module)]
    for name in imports(module):
        top = name.partition(".")[0]
        if top != "asyncsteps":
            assert top in sys.stdlib_module_names or top in distributions, (
                f"{module or 'asyncsteps'} imports {name}"
            )


def test_the_documentation_shows_the_house() -> None:
    """Each folder is a room of the table in docs/architecture.md, and what a row names is there."""
    text = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", text, re.MULTILINE))
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")} - {"."}
    assert rows.keys() == folders
    for folder, held in rows.items():
        files = {path.stem for path in (ROOT / folder).glob("*.py")} | {"__main__"}
        named = {name.removesuffix(".py") for name in re.findall(r"`([a-z_]+(?:\.py)?)`", held)}
        assert named <= files, folder


def test_only_the_command_prints() -> None:
    for module in modules():
        printing = [
            node
            for node in ast.walk(ast.parse(source(module).read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
        assert not printing or module.startswith("cli"), module


def circles() -> list[list[str]]:
    """Groups of modules that import each other, over however many others."""
    graph = {module: set(own_imports(module)) & set(modules()) - {module} for module in modules()}
    reached: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        left = [module]
        while left:
            new = graph[left.pop()] - seen
            seen |= new
            left += new
        reached[module] = seen
    groups = {frozenset(other for other in reached[module] if module in reached[other]) for module in graph}
    return sorted(sorted(group) for group in groups if group)


def test_no_module_imports_itself_over_others() -> None:
    assert circles() == []
