"""How long a decision may take: SWF drops one that takes longer than `decision_tasks_timeout`, and gives it again.

What takes long is a snapshot that S3 does not send, at most `STORE_SECONDS` a prefix. A timeout below that drops
what the decider does about it, its timer, so each new decision tries in vain for as long as the outage lasts.
"""

import asyncio
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servers import FaultProxy, Hold
from simpleflow import Workflow
from swf_simulator import SimulatedSwf, play_activity, workflow_class
from swf_workflows import ACTIVITIES, LIST, names, sequence, told

import asyncsteps
from asyncsteps import EndpointUnreachableError
from asyncsteps.swf import WorkflowStepMixin
from asyncsteps.swf._constants import SNAPSHOT_WAITS, STORE_SECONDS
from asyncsteps.swf._done.payload import Snapshot, snapshot_form
from asyncsteps.swf._done.snapshots import read_snapshot, write_snapshot
from asyncsteps.swf._steps import done_list
from asyncsteps.swf._sync import stores

OUTAGE = 600


class DroppedError(Exception):
    """Raised when a decision has taken too long."""


class Outage:
    """An execution whose snapshot S3 does not send for `OUTAGE` seconds, in virtual time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, timeout: int) -> None:
        self.timeout = timeout
        self.clock = 0
        self.attempts = 0
        workflow = workflow_class(Workflow, WorkflowStepMixin, run=sequence([*names(5), "new"]))
        self.swf = SimulatedSwf(workflow, done=set(names(5)), activities=ACTIVITIES, play=self.play)
        monkeypatch.setattr(done_list, "read_snapshot", self.read)
        self._replay, self._decided_by = self.swf.replay, 0
        monkeypatch.setattr(self.swf, "replay", self.replay)

    def play(self, swf: SimulatedSwf, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if not name.endswith(LIST):
            return play_activity(swf, name, args, kwargs)
        return len(swf.done) if kwargs.get("or_count") else snapshot_form(Snapshot("snapshots/", "list", 5))

    async def read(self, bucket: str, snapshot: Snapshot) -> list[str]:
        self.attempts += 1
        if self.clock >= OUTAGE:
            return names(5)
        self._decided_by += STORE_SECONDS
        raise EndpointUnreachableError("no answer")

    def replay(self) -> list[dict[str, Any]]:
        done_list._snapshots.clear()
        self._decided_by = self.clock
        decisions = self._replay()
        if self._decided_by - self.clock >= self.timeout:
            raise DroppedError
        self.clock = self._decided_by
        self.clock += sum(
            int(it["startTimerDecisionAttributes"]["startToFireTimeout"])
            for it in decisions
            if it["decisionType"] == "StartTimer"
        )
        return decisions

    def run(self) -> Counter[str]:
        """Play to the end; count the events."""
        while self.swf.status == "open":
            try:
                self.swf.step()
            except DroppedError:
                self.clock += self.timeout
                self.swf.history.add_decision_task_timed_out()
                self.swf.history.add_decision_task_scheduled()
                self.swf.history.add_decision_task_started()
                continue
            assert self.swf.status != "open" or self.swf.advance(), self.swf.event_types[-5:]
        return self.swf.count()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def test_a_decision_that_waits_for_s3_fits_a_longer_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage(monkeypatch, timeout=STORE_SECONDS + 1)
    events = outage.run()
    assert events["DecisionTask:timed_out"] == 0
    assert outage.swf.status == "completed"
    assert told(outage.swf)[-2:] == [("new", "scheduled"), ("new", "completed")]
    # Within the outage each wait doubles: few events, whatever its length.
    assert outage.attempts == 1 + next(
        number
        for number in range(len(SNAPSHOT_WAITS))
        if number * STORE_SECONDS + sum(SNAPSHOT_WAITS[:number]) >= OUTAGE
    )


@pytest.mark.parametrize("timeout", [5, 10, STORE_SECONDS])
def test_below_that_every_decision_of_the_outage_is_dropped(monkeypatch: pytest.MonkeyPatch, timeout: int) -> None:
    outage = Outage(monkeypatch, timeout=timeout)
    events = outage.run()
    assert events["DecisionTask:timed_out"] == OUTAGE // timeout
    assert events["Timer:started"] <= 3  # none but those that flush markers
    assert outage.swf.status == "completed"  # an outage fails nothing even so, while there is room for events
    assert told(outage.swf)[-2:] == [("new", "scheduled"), ("new", "completed")]


async def test_a_snapshot_that_is_not_sent_is_given_up_in_time(
    bucket: str, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much the client would try again: the time is that of all attempts together."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", fault_proxy.endpoint)
    snapshot = await write_snapshot(bucket, "people/steps", ["a"])
    assert snapshot is not None
    monkeypatch.setattr(stores, "STORE_SECONDS", 0.3)
    release = asyncio.Event()
    fault_proxy.inject(Hold(release), times=99)
    with pytest.raises(EndpointUnreachableError, match=bucket):
        await read_snapshot(bucket, snapshot)
    release.set()


def test_the_guide_says_so() -> None:
    guide = (Path(asyncsteps.__file__).parent.parent / "docs" / "simpleflow.md").read_text()
    (told,) = re.findall(r"`decision_tasks_timeout` must be longer than (\d+) s", guide)
    assert int(told) == STORE_SECONDS
