"""No-op steps, one after the other and twice, in workflow engines: each function is a process of its own."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench._measure import Meter


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine.

    Attributes:
        function: Its function in this module.
        keeps: What it keeps of a step that is done, and what that survives.
        package: The package that it needs.
    """

    function: str
    keeps: str
    package: str = "asyncsteps"

    @property
    def installed(self) -> bool:
        """Whether its package is installed."""
        return find_spec(self.package) is not None


PEERS = {
    "asyncio": Peer("bare_tasks", "nothing"),
    "asyncsteps": Peer("in_memory", "records and markers, in memory"),
    "simpleflow": Peer("simpleflow_local", "records and markers, in memory", "simpleflow"),
    "luigi": Peer("luigi_files", "an empty file, which a power cut may lose", "luigi"),
    "asyncio-fsync": Peer("synchronised_files", "a file, which survives a power cut"),
    "asyncsteps-directory": Peer(
        "in_directory", "a record in a file, which survives a power cut; markers in memory"
    ),
    "dbos-sqlite": Peer("dbos_sqlite", "a row, which survives a power cut", "dbos"),
}


def _twice(meters: tuple[Meter, Meter], played: int, count: int) -> dict[str, Any]:
    """The row of two runs, of which only the first is to play."""
    assert played == count, f"{played} steps were played"
    return {f"{which}_s": one.row["wall_s"] for which, one in zip(("first", "second"), meters, strict=True)}


async def bare_tasks(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """A task of asyncio for each step."""

    async def work() -> None:
        """Do nothing."""

    with meter:
        for _ in range(job["count"]):
            await asyncio.create_task(work())
    return {"first_s": meter.row["wall_s"]}


async def synchronised_files(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """A file for each step in a thread, synchronised together with its directory: no engine costs less to last."""

    def write(number: int) -> None:
        path = folder / f"step-{number}"
        with path.with_suffix(".new").open("wb") as file:
            os.fsync(file.fileno())
        path.with_suffix(".new").rename(path)
        os.fsync(directory)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory = os.open(folder, os.O_RDONLY)
        with meter:
            for number in range(job["count"]):
                await asyncio.to_thread(write, number)
        os.close(directory)
    return {"first_s": meter.row["wall_s"]}


async def in_memory(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Two native runs on one memory store."""
    return await _native("memory:", job["count"], meter)


async def in_directory(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Two native runs on one directory."""
    with tempfile.TemporaryDirectory() as folder:
        return await _native(folder, job["count"], meter)


async def _native(url: str, count: int, meter: Meter) -> dict[str, Any]:
    import asyncsteps

    played = 0

    async def work() -> None:
        nonlocal played
        played += 1

    meters = (Meter(), Meter())
    with meter:
        async with asyncsteps.open_store(url) as store:
            for one in meters:
                async with asyncsteps.StepRun(store, workflow_id="bench") as run_:
                    with one:
                        for number in range(count):
                            await run_.submit(asyncsteps.Step(f"load.step-{number}", work))
    return _twice(meters, played, count)


def simpleflow_local(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Two runs of one workflow class on simpleflow's local executor."""
    from types import SimpleNamespace

    from simpleflow import Workflow, activity, futures, storage
    from simpleflow.local import Executor
    from simpleflow.step.submittable import Step
    from simpleflow.step.workflow import WorkflowStepMixin
    from simpleflow.task import ActivityTask

    logging.disable()  # importing it sets up handlers
    stored: dict[str, Any] = {}
    played = 0

    def list_keys(bucket: str, path: str | None = None) -> list[Any]:
        del bucket, path  # there is but one bucket, and one prefix
        return list(stored.values())

    def push_content(bucket: str, path: str, content: str) -> None:
        del bucket
        stored[path] = SimpleNamespace(key=path, content=content)

    storage.list_keys, storage.push_content = list_keys, push_content

    @activity.with_attributes(task_list="bench", version="1")
    def work() -> None:
        nonlocal played
        played += 1

    class NoOps(Workflow, WorkflowStepMixin):
        name, version, task_list = "no-ops", "1", "bench"

        def run(self, count: int) -> None:
            for number in range(count):
                futures.wait(self.submit(Step(f"load.step-{number}", ActivityTask(work))))

    meters = (Meter(), Meter())
    with meter:
        for one in meters:
            with one:
                Executor(NoOps).run({"args": [job["count"]]})
    return _twice(meters, played, job["count"])


def luigi_files(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Two builds with Luigi's local scheduler; a task is done when its file is there."""
    import luigi

    played = 0

    class Work(luigi.Task):
        number: Any = luigi.IntParameter()

        def output(self) -> Any:
            return luigi.LocalTarget(f"{folder}/step-{self.number}")

        def run(self) -> None:
            nonlocal played
            played += 1
            with self.output().open("w"):
                pass

    meters = (Meter(), Meter())
    with meter, tempfile.TemporaryDirectory() as folder:
        for one in meters:
            tasks = [Work(number=number) for number in range(job["count"])]
            with one:
                assert luigi.build(tasks, local_scheduler=True, log_level="ERROR"), "not all tasks were built"
    return _twice(meters, played, job["count"])


async def dbos_sqlite(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """A workflow of DBOS on SQLite, and a fork of it after its last step, which finds every step done."""
    from dbos import DBOS

    count, played = job["count"], 0
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.sqlite"
        DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})

        @DBOS.step()
        async def work() -> None:
            nonlocal played
            played += 1

        @DBOS.workflow()
        async def no_ops() -> None:
            for _ in range(count):
                await work()

        DBOS.launch()
        meters = (Meter(), Meter())
        with meter:
            with meters[0]:
                flow = await DBOS.start_workflow_async(no_ops)
                await flow.get_result()
            with meters[1]:
                fork = await DBOS.fork_workflow_async(flow.workflow_id, count + 1)
                await fork.get_result()
        DBOS.destroy()
    return _twice(meters, played, count)
