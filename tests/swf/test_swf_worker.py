"""What simpleflow's own worker process makes of native activities; and what importing simpleflow leaves alone."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import swf_activities as acts

from asyncsteps import (
    ActivityTask,
)
from asyncsteps.swf import to_simpleflow

WORKER = """
    import base64, json, os, sys
    from simpleflow.swf.mapper.models.domain import Domain
    from simpleflow.swf.process.worker.base import ActivityPoller

    class Poller(ActivityPoller):
        # Only the answer to SWF is replaced; it is sent from the process that simpleflow forks for the activity.
        def complete(self, token, result=None):
            self.answer("completed", result)

        def fail(self, token, task, reason=None, details=None):
            self.answer("failed", reason)

        def answer(self, how, what):
            with open(sys.argv[1], "w") as file:
                json.dump([how, what, os.getpid()], file)

    answers = []
    for polled in json.load(sys.stdin):
        data = base64.b64encode(json.dumps(polled).encode()).decode()
        Poller(Domain("tests"), "heavy", poll_data=data, heartbeat=20).run_once()
        with open(sys.argv[1]) as file:
            how, what, pid = json.load(file)
        assert pid != os.getpid()
        answers.append([how, what])
    print(json.dumps(answers))
"""


def worked(tasks: list[ActivityTask[Any]], answers: Path) -> Any:
    """What a worker of simpleflow answers SWF for activities with the names and inputs of ``tasks``."""
    polled = []
    for each in tasks:
        converted = to_simpleflow(each)
        activity_type = {"name": converted.activity.name, "version": converted.activity.version}
        polled.append(
            {
                "taskToken": "token",
                "activityId": "activity-1",
                "startedEventId": 7,
                "workflowExecution": {"workflowId": "people-42", "runId": "run-1"},
                "activityType": activity_type,
                "input": json.dumps({"args": converted.args, "kwargs": converted.kwargs}),
            }
        )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(WORKER), answers / "answer.json"],
        input=json.dumps(polled),
        env={**os.environ, "PYTHONPATH": str(Path(acts.__file__).parent), "SIMPLEFLOW_DISABLE_SETPROCTITLE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "never awaited" not in ended.stderr
    return json.loads(ended.stdout)


def test_simpleflows_worker_plays_them_by_their_names_in_processes_of_their_own(tmp_path: Path) -> None:
    expected: list[tuple[Any, list[Any]]] = [
        (acts.double(21), ["completed", 42]),
        (acts.add(1, b=2), ["completed", 3]),
        (acts.Fetch("users"), ["completed", "users of people-42"]),
        (acts.whereabouts(), ["completed", "people-42"]),
        (acts.fail("so it is"), ["failed", "LookupError: so it is"]),
        (acts.named(), ["completed", 6]),
        (ActivityTask(acts.plain, 1), ["completed", 2]),
        (ActivityTask(acts.Plain, 1), ["completed", 3]),
    ]
    assert worked([each for each, _ in expected], tmp_path) == [answer for _, answer in expected]


def test_importing_simpleflow_leaves_the_programs_logging_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    script = """
        import logging, sys
        handler = logging.FileHandler(sys.argv[1], mode="w")
        logging.basicConfig(handlers=[handler], level="INFO", format="%(name)s %(message)s")
        from asyncsteps.swf._logging import import_simpleflow
        import_simpleflow()
        import simpleflow, logging.config
        logging.info("still here")
        simpleflow.logger.info("simpleflow's")
        assert logging.config.dictConfig.__name__ == "dictConfig"
    """
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), log],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert log.read_text().splitlines() == ["root still here", "simpleflow.runtime simpleflow's"]


def test_elsewhere_simpleflow_logs_as_it_does_by_itself() -> None:
    script = """
        from asyncsteps.swf._logging import import_simpleflow
        import_simpleflow()
        import simpleflow
        simpleflow.logger.info("simpleflow's")
    """
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "simpleflow's" in ended.stderr
