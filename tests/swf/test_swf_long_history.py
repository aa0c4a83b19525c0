"""An execution near SWF's limit of 25,000 events: it is replayed, decides as ever, and is told to end."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from simpleflow import futures
from simpleflow.canvas import Group
from swf_simulator import SimulatedSwf
from swf_workflows import LIST, MARK, names, start, task, told

from asyncsteps.swf import Step

STEPS = 3_097
TOGETHER = 48
"""Steps side by side: their decisions fit one response, and each takes 8 events beside the decisions."""

DONE = names(STEPS)[::40]

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    """simpleflow logs several lines a replay."""
    logging.getLogger("simpleflow").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("simpleflow").setLevel(logging.INFO)


def run(self: Any) -> int:
    for first in range(0, STEPS, TOGETHER):
        group = names(STEPS)[first : first + TOGETHER]
        futures.wait(
            self.submit(Group(*(Step(name, task(name), force_steps_if_executed=["last"]) for name in group)))
        )
    futures.wait(self.submit(Step("last", task("last"))))
    return STEPS


@pytest.mark.usefixtures("quiet")
def test_24_900_events_are_replayed(caplog: pytest.LogCaptureFixture) -> None:
    # --log-cli-level=INFO shows the time that docs/simpleflow.md states.
    swf = start(run, done=[*DONE, "last"]).run()
    events = len(swf.history.events)
    assert 24_890 <= events < 25_000
    assert swf.status == "completed"
    assert swf.scheduled.count(LIST) == 1
    assert swf.scheduled.count(MARK) == STEPS - len(DONE) + 1
    assert swf.done == {*names(STEPS), "last"}
    statuses = told(swf)
    assert [name for name, status in statuses if status == "skipped"] == DONE
    assert statuses[-2:] == [("last", "scheduled"), ("last", "completed")]
    assert "continue as new" in caplog.text
    check_that_a_replay_of_the_whole_decides_the_same(swf)
    before = time.process_time()
    swf.replay()
    seconds = time.process_time() - before
    logging.getLogger("asyncsteps.tests").info("%d events: a replay takes %.2f s of CPU time", events, seconds)


def check_that_a_replay_of_the_whole_decides_the_same(swf: SimulatedSwf) -> None:
    (closing,) = swf.replay()
    assert closing == swf.responses[-1][0]
