"""The census of the standard library as steps on Amazon SWF, with simpleflow's own deciders and workers.

    export PYTHONPATH=examples SWF_DOMAIN=... STEP_BUCKET=...
    simpleflow standalone swf_census.CensusWorkflow --workflow-id census --input '{"args": ["./counts"]}'

Each step ``census.{module}`` counts a package and leaves its count in a folder; ``report.largest`` reads them all,
and is forced whenever one was counted anew. A second execution with the same workflow id skips what is done; with
``{"args": ["./counts"], "kwargs": {"force": ["census.json"]}}`` it counts json and reports again.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from census import count_module, largest
from simpleflow import Workflow, activity, futures, settings
from simpleflow.canvas import Group
from simpleflow.task import ActivityTask

from asyncsteps.swf import Step, WorkflowStepMixin

MODULES = ("asyncio", "collections", "email", "json", "logging")
TASK_LIST = "census"


@activity.with_attributes(task_list=TASK_LIST, version="1", retry=1, raises_on_failure=False)
def count(module: str, folder: str) -> int:
    """Count a package, leave the count in ``folder``, and give its lines."""
    counted = count_module(module)
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{module}.json").write_text(json.dumps(counted))
    return int(counted["lines"])


@activity.with_attributes(task_list=TASK_LIST, version="1", retry=1, raises_on_failure=False)
def report(modules: list[str], folder: str) -> dict[str, Any]:
    """Read the counts of the packages, and give the largest ones."""
    counts = [json.loads((Path(folder) / f"{module}.json").read_text()) for module in modules]
    return largest(counts, 3)


class CensusWorkflow(Workflow, WorkflowStepMixin):
    """A census that resumes: what the store has as done is skipped."""

    name = "swf_census"
    version = "1"
    task_list = TASK_LIST
    decision_tasks_timeout = "60"
    execution_timeout = "3600"

    def get_step_bucket(self) -> str:
        """A bare bucket, so that the environment's endpoint counts (``AWS_ENDPOINT_URL``)."""
        return str(settings.STEP_BUCKET)

    def run(
        self, folder: str, modules: Sequence[str] = MODULES, force: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> list[Any]:
        """Count the packages side by side, then report.

        Args:
            folder: Where the counts lie.
            modules: The packages to count.
            force: Selectors of the steps to play anew.
            skip: Selectors of the steps to leave out.
        """
        self.add_forced_steps(force, "asked for")
        self.add_skipped_steps(skip, "not wanted")
        counting = Group(
            *(
                Step(f"census.{module}", ActivityTask(count, module, folder), force_steps_if_executed=["report"])
                for module in modules
            )
        )
        futures.wait(self.submit(counting))
        reporting = self.submit(self.step("report.largest", ActivityTask(report, list(modules), folder)))
        results: list[Any] = futures.wait(reporting)
        return results
