"""TARGET: what is loaded, and what is said of what cannot be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncsteps.cli._exit import UsageError
from asyncsteps.cli._targets import load

FLOW = """
from asyncsteps import Step, Workflow

FLAG = 3


def work(): ...


async def main(run): ...


async def nothing(): ...


async def yielding(run):
    yield 1


async def named_only(*, run): ...


class Plain: ...


class Flow(Workflow):
    async def run(self): ...


class Holder:
    @staticmethod
    async def main(run): ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with targets in it; what is imported from there is forgotten at the end."""
    (tmp_path / "flow_here.py").write_text(FLOW)
    (tmp_path / "my-flow.py").write_text(FLOW)
    (tmp_path / "broken.py").write_text("\n1 / 0\n")
    (tmp_path / "needy.py").write_text("import not_installed_anywhere\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "json.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("where", ["flow_here", "flow_here.py", "./flow_here.py", "my-flow.py"])
@pytest.mark.usefixtures("here")
def test_modules_and_files_are_loaded(where: str) -> None:
    function = load(f"{where}:main")
    assert (function.function.__name__, function.has_hooks) == ("main", False)
    workflow = load(f"{where}:Flow")
    assert (workflow.workflow.__name__, workflow.has_hooks) == ("Flow", True)
    assert workflow.function is workflow.workflow.run
    assert load(f"{where}:Holder.main").function.__name__ == "main"


def test_a_file_is_a_module_of_the_name_of_its_stem(here: Path) -> None:
    function = load("flow_here.py:main").function
    assert function.__module__ == "flow_here"
    assert str(here) in sys.path


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("flow_here.py", "is not of the form"),
        (":main", "is not of the form"),
        ("flow_here:", "is not of the form"),
        ("nowhere.py:main", "there is no file 'nowhere.py'"),
        ("some/where:main", "there is no file 'some/where'"),
        ("no_such_module:main", "there is no module 'no_such_module'"),
        ("flow_here.sub:main", "there is no module 'flow_here.sub'"),
        ("flow_here:maim", "has no 'maim'; there may be run: main, "),
        ("flow_here:Holder.maim", "has no 'Holder.maim'"),
        ("flow_here:work", "a plain function, and neither"),
        ("flow_here:work", "make it `async def`"),
        ("flow_here:yielding", "an async generator, and neither"),
        ("flow_here:FLAG", "of type int"),
        ("flow_here:Plain", "the class Plain"),
        ("flow_here:Workflow", "the class Workflow"),
        ("flow_here:nothing", "takes no run"),
        ("flow_here:named_only", "takes no run"),
        ("broken.py:main", "ZeroDivisionError: division by zero"),
        ("broken.py:main", "line 2"),
        ("needy:main", "No module named 'not_installed_anywhere'"),
        ("leaving:main", "SystemExit"),
        ("some-flow:main", "is no module's name"),
        ("json.py:main", "a module that is in use; rename the file"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_cannot_be_run_is_said(target: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(target)
    assert said in str(caught.value)
