"""docs/simpleflow-names.md: each row of its table of names, played by either setting and by simpleflow's steps."""

import re
from pathlib import Path
from typing import Any

import pytest
from simpleflow import Workflow, futures
from simpleflow.step.workflow import WorkflowStepMixin as TheirMixin
from swf_simulator import SimulatedSwf, workflow_class
from swf_workflows import ACTIVITIES, task, told

import asyncsteps
from asyncsteps import StepNameError
from asyncsteps.swf import Step, WorkflowStepMixin

PAGE = Path(asyncsteps.__file__).parent.parent / "docs" / "simpleflow-names.md"

UNWRITTEN: dict[str, tuple[Any, ...]] = {
    "with control characters": ("a\nb", "\x1f", "a\ud800"),
    "of a key of": ("a" * 1_020,),
    "no `str`": (7, None),
    "the empty one": ("",),
    "that begins with `.asyncsteps-doctor/`": (".asyncsteps-doctor/a",),
    "with `.` or `..` between": ("..", "a/../b", "./a"),
}
"""The names of the rows that do not list them, or whose text has more in code than names, by how they begin."""


def rows() -> list[tuple[str, tuple[Any, ...], list[str]]]:
    """What the name is, examples of it, and what becomes of it: with simpleflow, ``strict``, ``simpleflow``."""
    table = PAGE.read_text(encoding="utf-8").partition("| name of a step |")[2].partition("\n\n")[0]
    found = []
    for line in table.split("\n")[2:]:
        what, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        given = next((names for start, names in UNWRITTEN.items() if what.startswith(start)), None)
        found.append((what, given or tuple(re.findall(r"`([^`]+)`", what)), cells))
    return found


def becomes(name: Any, setting: str) -> str:
    """What becomes of a step of this name, in the words of the table."""
    try:
        Step(name, task())
    except StepNameError:
        return "refused when the step is made"

    def run(self: Any) -> None:
        futures.wait(self.submit(Step(name, task())))

    swf = played(run, WorkflowStepMixin, step_names=setting)
    if swf.status == "failed":
        assert "StepNameError" in swf.result["reason"]
        assert swf.scheduled in ([], ["GetStepsDoneTask"])
        return "refused at submission"
    assert told(swf) == [(name, "scheduled"), (name, "completed")]
    return "played"


def played(run: Any, mixin: Any, **attributes: Any) -> SimulatedSwf:
    workflow = workflow_class(Workflow, mixin, run=run, **attributes)
    return SimulatedSwf(workflow, activities=ACTIVITIES).run()


@pytest.mark.parametrize(("what", "names", "cells"), rows(), ids=lambda value: value[:30] if value else None)
def test_a_row_holds(what: str, names: tuple[Any, ...], cells: list[str]) -> None:
    theirs, strict, simpleflow = cells
    assert names, what
    for name in names:
        assert becomes(name, "strict") == strict, name
        assert becomes(name, "simpleflow") == simpleflow, name
        if theirs == "played":

            def run(self: Any, name: Any = name) -> None:
                futures.wait(self.submit(self.step(name, task())))

            assert told(played(run, TheirMixin)) == [(name, "scheduled"), (name, "completed")]


def test_the_table_has_rows_of_each_fate() -> None:
    fates = {tuple(cells[1:]) for _, _, cells in rows()}
    assert len(rows()) >= 10
    assert len(fates) == 4
