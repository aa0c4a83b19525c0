"""What each part of asyncsteps may import: the rooms of docs/architecture.md."""

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

import asyncsteps

ROOT = Path(asyncsteps.__file__).parent

PURE = {"_errors", "_names", "_model", "_plan"}
KNOWN_NAMES = {"_intervals", "_done"}
PLAYABLE = {
    "_submittable",
    "_attributes",
    "_attempts",
    "_slots",
    "_activity",
    "_decorator",
    "_signals",
    "_canvas",
    "_step",
}
RUN = {
    "_recording",
    "_turns",
    "_storing",
    "_planning",
    "_playing",
    "_player",
    "_options",
    "_lifetime",
    "_run",
    "_workflow",
}
CORE = PURE | KNOWN_NAMES | PLAYABLE | RUN
CONTRACT = {"store._base"}
FACE = {""}

ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    # module: what of asyncsteps it may import, and which distributions beside the standard library
    "": (CORE | {"store"}, set()),
    "_errors": (set(), set()),
    "_names": ({"_errors"}, set()),
    "_model": ({"_errors", "_names"}, set()),
    "_plan": ({"_errors", "_names", "_model"}, set()),
    **dict.fromkeys(KNOWN_NAMES, (PURE | KNOWN_NAMES | CONTRACT, {"anyio"})),
    **dict.fromkeys(PLAYABLE, (PURE | PLAYABLE, {"anyio"})),
    **dict.fromkeys(RUN, (CORE | CONTRACT, {"anyio"})),
    # A workflow without a store makes one, when it needs it.
    "_workflow": (CORE | CONTRACT | {"store"}, {"anyio"}),
}


@lru_cache
def modules() -> list[str]:
    paths = sorted(ROOT.rglob("*.py"))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        for path in paths
    ]


def rule_for(module: str) -> tuple[set[str], set[str]]:
    if module in ALLOWED:
        return ALLOWED[module]
    room = module.partition(".")[0]
    everything = set(modules())
    if room == "store":
        own = {name for name in everything if name == "store" or name.startswith("store.")}
        clients = {"aioboto3", "botocore", "aiobotocore", "boto3", "types_aiobotocore_s3", "aiohttp"}
        s3 = module.startswith(("store._s3", "store._aws", "store._slim"))
        return {"_errors", "_names"} | own, {"anyio"} | (clients if s3 else set())
    if room == "swf":
        return everything - {"cli", "testing", "pytest_plugin"}, {
            *{"anyio", "simpleflow", "aioboto3", "botocore", "aiobotocore", "types_aiobotocore_swf"},
        }
    if room == "cli":
        own = {name for name in everything if name == "cli" or name.startswith("cli.")}
        return FACE | {"store", "swf"} | own, {"anyio", "cyclopts", "rich"}
    assert room in {"testing", "pytest_plugin"}, f"{module} is in no room of the table"
    return FACE | {"store", "testing", "pytest_plugin"}, {"anyio", "pytest"}


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for what only type checkers read."""
    yield node
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from executed(child)


def imports(module: str) -> Iterator[str]:
    path = ROOT / Path(*module.split(".")) if module else ROOT
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            assert node.module is not None
            own = {f"{node.module}.{alias.name}" for alias in node.names} & {
                f"asyncsteps.{name}" for name in modules()
            }
            yield from own or {node.module}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    own, foreign = rule_for(module)
    for name in imports(module):
        top = name.partition(".")[0]
        if top == "asyncsteps":
            assert name.removeprefix("asyncsteps").lstrip(".") in own, f"{module or 'asyncsteps'} imports {name}"
        else:
            assert top in sys.stdlib_module_names or top in foreign, f"{module or 'asyncsteps'} imports {name}"


def test_only_swf_imports_simpleflow() -> None:
    importers = {module for module in modules() if any(name.startswith("simpleflow") for name in imports(module))}
    assert all(module.startswith("swf") for module in importers)


def test_only_the_s3_store_imports_its_clients_natively() -> None:
    for module in modules():
        if not module.startswith(("store._s3", "store._aws", "store._slim", "swf")):
            tops = {name.partition(".")[0] for name in imports(module)}
            assert not tops & {"aioboto3", "botocore", "aiobotocore", "boto3"}, module


def test_only_the_command_prints() -> None:
    for module in modules():
        path = ROOT / Path(*module.split(".")) if module else ROOT
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        printing = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
        assert not printing or module.startswith("cli"), module
