"""The examples of the guide for those who come from simpleflow, played on simulated SWF."""

import json
import re
from pathlib import Path
from typing import Any

from swf_simulator import SimulatedSwf, workflow_class

GUIDE = Path(__file__).parents[2] / "docs" / "simpleflow-operating.md"


def test_the_example_that_continues_as_new_plays_each_table_once() -> None:
    (example,) = (
        block for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "Ingest" in block
    )
    module: dict[str, Any] = {"__name__": "ingest"}
    exec(example.replace("1_000", "4"), module)
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
