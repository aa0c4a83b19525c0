"""All that `simpleflow.step` exports has its counterpart, and docs/simpleflow-imports.md says where."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import simpleflow.step
from hypothesis import given
from hypothesis import strategies as st
from simpleflow import Workflow, futures
from simpleflow.canvas import Chain, Group
from simpleflow.local.executor import Executor
from simpleflow.step import utils as their_utils
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_simulator import SimulatedSwf, workflow_class
from swf_workflows import ACTIVITIES
from swf_workflows import task as job

from asyncsteps.swf import WorkflowStepMixin, utils

IMPORTS = Path(__file__).parents[2] / "docs" / "simpleflow-imports.md"

WITHOUT_COUNTERPART = {"GetStepsDoneTask.path_len"}
"""The lengths that keys are cut by: our tasks cut none."""


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.walk_packages(simpleflow.step.__path__, "simpleflow.step.")]
    return [importlib.import_module(name) for name in names]


def defined(module: ModuleType) -> Iterator[ast.stmt]:
    yield from ast.parse(inspect.getsource(module)).body


def names_of(node: ast.stmt) -> list[str]:
    """The public names that a statement of a module or a class defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names = [node.name]
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
    else:
        names = []
    return [name for name in names if not name.startswith("_")]


def public_names() -> list[str]:
    return [
        f"{module.__name__}.{name}" for module in modules() for node in defined(module) for name in names_of(node)
    ]


def public_members() -> list[str]:
    """``Class.member``: what its body defines, and what its methods set on ``self``."""
    members: set[str] = set()
    for module in modules():
        for cls in defined(module):
            if isinstance(cls, ast.ClassDef):
                own = {name for node in cls.body for name in names_of(node)}
                own |= {
                    node.attr
                    for node in ast.walk(cls)
                    if isinstance(node, ast.Attribute)
                    and isinstance(node.ctx, ast.Store)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "self"
                }
                members |= {f"{cls.name}.{name}" for name in own}
    return sorted(members)


def table() -> dict[str, str]:
    rows = re.findall(r"^\| `(simpleflow\.[\w.]+)` \| `([\w.]+)` \|$", IMPORTS.read_text(), re.MULTILINE)
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_table_has_a_row_for_every_public_name() -> None:
    assert sorted(table()) == sorted(public_names())
    assert len(table()) == 13


def parameters(callable_: Any) -> list[tuple[str, Any, Any]]:
    return [(it.name, it.kind, it.default) for it in inspect.signature(callable_).parameters.values()]


@pytest.mark.parametrize("theirs", public_names())
def test_every_row_imports_and_takes_what_simpleflows_takes(theirs: str) -> None:
    their_value, our_value = load(theirs), load(table()[theirs])
    if callable(their_value):
        assert inspect.getmodule(our_value) is not inspect.getmodule(their_value)
        expected = parameters(their_value)
        assert parameters(our_value)[: len(expected)] == expected
        assert all(it[2] is not inspect.Parameter.empty for it in parameters(our_value)[len(expected) :])
    else:
        assert our_value == their_value


@pytest.mark.parametrize("member", public_members())
def test_every_public_member_is_there(member: str) -> None:
    class_name, _, name = member.partition(".")
    ours = next(load(path) for path in table().values() if path.endswith(f".{class_name}"))
    there = hasattr(ours, name) or f"self.{name} =" in inspect.getsource(ours)
    assert there is (member not in WITHOUT_COUNTERPART)


SEGMENTS = st.sampled_from(["a", "b", "", "*", "a/b"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
SELECTORS = st.lists(NAMES, max_size=3)
REASONS = st.dictionaries(NAMES, st.lists(st.text(max_size=2), max_size=2), max_size=3)


@given(NAMES, SELECTORS, SELECTORS, SELECTORS, st.booleans(), REASONS)
def test_the_functions_give_simpleflows_answers(
    name: str, forced: list[str], skipped: list[str], done: list[str], force: bool, reasons: dict[str, list[str]]
) -> None:
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("should_force_step", (name, forced)),
        ("should_skip_step", (name, skipped)),
        ("step_is_skipped_by_force", (name, skipped)),
        ("step_is_forced", (name, forced, force)),
        ("step_will_run", (name, forced, skipped, done, force)),
        ("get_step_force_reasons", (name, reasons)),
        ("get_step_skip_reasons", (name, reasons)),
    ]
    assert {function for function, _ in calls} == set(utils.__all__)
    for function, args in calls:
        assert getattr(utils, function)(*args) == getattr(their_utils, function)(*args)


def test_one_str_is_one_selector() -> None:
    assert utils.should_force_step("abc.d", "abc")
    assert not utils.should_force_step("a", "abc")


def test_the_selectors_of_a_workflow_and_their_reasons() -> None:
    seen: list[Any] = []

    def run(self: Any) -> None:
        for kind, add in (("forced", self.add_forced_steps), ("skipped", self.add_skipped_steps)):
            add(["a", "b"], "first")
            add(["a"], "second")
            add(["c"])
            told = {name: set(why) for name, why in getattr(self, f"steps_{kind}_reasons").items() if why}
            seen.append((getattr(self, f"steps_{kind}"), told))

    for mixin in (TheirMixin, WorkflowStepMixin):
        Executor(workflow_class(Workflow, mixin, run=run)).run()
    assert seen[:2] == seen[2:]
    assert seen[0] == ({"a", "b", "c"}, {"a": {"first", "second"}, "b": {"first"}})


def test_they_are_read_and_not_assigned() -> None:
    executor: Any = Executor(workflow_class(Workflow, WorkflowStepMixin, run=lambda self: None))
    executor.create_workflow()
    assert (executor.workflow.steps_forced, executor.workflow.steps_skipped_reasons) == (frozenset(), {})
    with pytest.raises(AttributeError, match="steps_forced"):
        executor.workflow.steps_forced = {"a"}


def shape(future: Any) -> Any:
    """The results in the tree of a step's futures, but for the lists of done steps and the markers' details."""
    inner = getattr(future, "futures", None)
    if inner is None:
        return future.result if future.finished and isinstance(future.result, int) else None
    return [shape(each) for each in inner]


@pytest.mark.parametrize("done", [(), ("s",)])
def test_a_steps_future_has_the_futures_of_simpleflows(done: tuple[str, ...]) -> None:
    seen: dict[Any, list[Any]] = {}

    for mixin in (TheirMixin, WorkflowStepMixin):
        told = seen[mixin] = []

        def run(self: Any, told: list[Any] = told) -> None:
            group = Group(job(1), job(2))
            step = self.step("s", Chain(group, job(3)), activities_if_step_already_done=Group(job(4), job(5)))
            future = self.submit(step)
            told.append((len(future.futures), shape(future)))
            futures.wait(future)

        workflow = workflow_class(Workflow, mixin, run=run)
        SimulatedSwf(workflow, done=set(done), activities=ACTIVITIES).run()
    theirs, ours = seen.values()
    assert ours[0] == theirs[0] == (1, [None])  # the listing is under way
    assert ours[-1] == theirs[-1]
    assert ours[-1][0] == 2


def test_of_a_step_that_waits_for_its_first_submission_no_future_is_there_yet() -> None:
    seen: list[Any] = []

    def run(self: Any) -> None:
        first, second = (self.submit(self.step("s", job(number))) for number in (1, 2))
        seen.append((first.futures, second.futures))
        futures.wait(first, second)

    SimulatedSwf(workflow_class(Workflow, WorkflowStepMixin, run=run), activities=ACTIVITIES).run()
    assert any(first and not second for first, second in seen)
    assert len(seen[-1][1]) == 2
