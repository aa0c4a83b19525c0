"""A census of the Python standard library that is installed here, one step for each package or module.

    asyncsteps run examples/census.py:census --store done-steps --workflow-id census-1

The steps ``census.asyncio``, ``census.json``, … run side by side and save what they counted; ``report.largest``
and ``report.graph`` stand on top of them: whatever is counted anew forces them anew.
"""

import ast
import asyncio
import importlib.machinery
import multiprocessing
import signal
import sys
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asyncsteps import Group, Step, StepRun

SIDE_BY_SIDE = 8
"""Steps under way at once: some are counted, on every core, while others are marked as done."""

NOT_COUNTED = {"test", "tests", "idle_test", "__pycache__", "site-packages"}
"""Folders that are no part of the library: its tests hold files that are wrong on purpose."""

Count = dict[str, Any]


def _library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def modules() -> list[str]:
    """The names of the top-level packages and modules that are installed, sorted, importing none of them.

    Private modules in C (``_json``) are left out: they are parts of others, and have no source to be read here.
    """
    kinds = {name: kind_of(name) for name in sys.stdlib_module_names}
    return sorted(
        name
        for name, kind in kinds.items()
        if kind == "source" or (kind != "missing" and not name.startswith("_"))
    )


def kind_of(module: str) -> str:
    """``source``, ``extension``, ``builtin``, or ``missing`` (for another platform, or not built)."""
    library = _library()
    if (library / f"{module}.py").is_file() or (library / module / "__init__.py").is_file():
        return "source"
    if module in sys.builtin_module_names:
        return "builtin"
    extension = importlib.machinery.PathFinder.find_spec(module, [str(library / "lib-dynload")])
    return "missing" if extension is None else "extension"


def count_module(module: str) -> Count:
    """Parse every source file of a module and count what is in it; a module written in C counts as such.

    Args:
        module: The name of a top-level package or module of the standard library.

    Returns:
        JSON: ``module``, ``kind`` (see `kind_of`), ``files``, ``lines``, ``functions``, ``classes``, and
        ``imports``, the sorted names of the other top-level modules of the library that it imports.

    Raises:
        ValueError: When there is no such module here.
        SyntaxError: When a file cannot be parsed.
    """
    kind = kind_of(module)
    if kind == "missing":
        raise ValueError(f"{module!r} is no module of the standard library that is installed here")
    counts = Counter[str](files=0, lines=0, functions=0, classes=0)
    imports: set[str] = set()
    for path in source_files(module):
        source = path.read_bytes()
        counts["files"] += 1
        counts["lines"] += len(source.splitlines())
        for node in statements(ast.parse(source, filename=str(path))):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    counts["functions"] += 1
                case ast.ClassDef():
                    counts["classes"] += 1
                case ast.Import(names=names):
                    imports.update(alias.name.partition(".")[0] for alias in names)
                case ast.ImportFrom(module=str(name), level=0):
                    imports.add(name.partition(".")[0])
                case _:
                    pass
    inside = sorted(imports & sys.stdlib_module_names - {module})
    return {"module": module, "kind": kind, **counts, "imports": inside}


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement of a file, nested ones included; `ast.walk` would visit every expression too."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            pending += getattr(node, block, ())


def source_files(module: str) -> list[Path]:
    """The Python files of a module, sorted; none when it is written in C."""
    library = _library()
    package = library / module
    if not (package / "__init__.py").is_file():
        single = library / f"{module}.py"
        return [single] if single.is_file() else []
    return sorted(
        path for path in package.rglob("*.py") if NOT_COUNTED.isdisjoint(path.relative_to(package).parts[:-1])
    )


def largest(counts: Collection[Count], top: int) -> dict[str, Any]:
    """How much there is altogether, and the modules of the most lines, the largest first."""
    ranked = sorted(counts, key=lambda count: (-count["lines"], count["module"]))
    totals = {what: sum(count[what] for count in counts) for what in ("files", "lines", "functions", "classes")}
    return {**totals, "largest": [{"module": count["module"], "lines": count["lines"]} for count in ranked[:top]]}


def graph(counts: Collection[Count], top: int) -> dict[str, Any]:
    """Who imports whom: how many edges there are, and the modules that the most others import."""
    edges = [(count["module"], imported) for count in counts for imported in count["imports"]]
    imported_by = Counter(imported for _, imported in edges)
    ranked = sorted(imported_by.items(), key=lambda item: (-item[1], item[0]))
    return {"edges": len(edges), "most_imported": [{"module": name, "by": by} for name, by in ranked[:top]]}


@asynccontextmanager
async def counting() -> AsyncIterator[Callable[[str], Awaitable[Count]]]:
    """Give `count_module` in as many processes as there are cores: parsing holds the interpreter's lock."""
    with ProcessPoolExecutor(
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy the locks that threads hold
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # an interrupt is for the run, which ends the processes
    ) as pool:

        async def count(module: str) -> Count:
            return await asyncio.get_running_loop().run_in_executor(pool, count_module, module)

        yield count


async def census(run: StepRun, *, top: int = 5) -> dict[str, Any]:
    """Count every module, then report.

    Args:
        run: The run that plays the steps.
        top: How many modules the reports name.
    """
    async with counting() as count:
        steps = [
            Step(f"census.{module}", (count, module), force_steps_if_executed=["report"], save_result=True)
            for module in modules()
        ]
        outcomes = await run.submit(Group(*steps, max_parallel=SIDE_BY_SIDE))
    # A module that fails is on run.failures; once it is counted after all, it forces the reports.
    counts = [outcome.result for outcome in outcomes if outcome.error is None]
    size = await run.submit(Step("report.largest", (largest, counts, top), save_result=True))
    imports = await run.submit(Step("report.graph", (graph, counts, top), save_result=True))
    return {"modules": len(counts), "size": size.result, "graph": imports.result}
