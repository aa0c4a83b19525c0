"""The time of one replay: a history of finished steps is made at once, and replayed by simpleflow's executor."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from bench._measure import Meter

MOST_REPLAYS = 7
ENOUGH_SECONDS = 2.0
"""A replay is measured again, up to so often, while all together took less."""

_MARKER = {"forced": False, "reasons": []}


class HistoryMaker:
    """A history in which every step of a workflow has ended.

    Args:
        workflow: The workflow class.
        count: How many steps it has.
        skipped: Whether they were skipped, and not played.
    """

    def __init__(self, workflow: Any, count: int, *, skipped: bool) -> None:
        from simpleflow.swf.executor import Executor
        from simpleflow.swf.mapper.models.domain import Domain
        from simpleflow.swf.mapper.models.history import builder

        from bench import _swf_workflows

        self.executor = Executor(Domain("bench"), workflow)
        self.history: Any = builder.History(workflow, input={"args": [count]})
        self.history.add_decision_task_completed()
        self._completed = self.history.last_id
        names = _swf_workflows.step_names(count)
        where = [_swf_workflows.BUCKET, "default/steps/"]
        if workflow is _swf_workflows.Theirs:
            self._activity(_swf_workflows.list_activity(), where, result=names if skipped else [])
        marking = _swf_workflows.mark_activity(workflow)
        for number, name in enumerate(names):
            self._step(name, number, marking, [*where, name], skipped=skipped, marked=hasattr(workflow, "step"))
        self.history.add_decision_task_scheduled()
        self.history.add_decision_task_started(self.history.last_id)

    def _step(self, name: str, number: int, marking: Any, args: list[Any], *, skipped: bool, marked: bool) -> None:
        from bench._swf_workflows import work

        if skipped:
            self._marker({**_MARKER, "step": name, "status": "skipped", "reasons": ["Step was already played"]})
            return
        if marked:
            self._marker({**_MARKER, "step": name, "status": "scheduled"})
        self._activity(work, [number], result=number)
        self._activity(marking, args, result=None)
        if marked:
            self._marker({**_MARKER, "step": name, "status": "completed"})

    def replay(self) -> tuple[float, float]:
        """CPU seconds of one replay, and of those that simpleflow takes to parse the history."""
        from simpleflow.history import History
        from simpleflow.swf.mapper.responses import Response

        start = time.process_time()
        History(self.history).parse()
        parsed = time.process_time()
        decided: Any = self.executor.replay(Response(history=self.history, execution=None))
        end = time.process_time()
        assert [it["decisionType"] for it in decided.decisions] == ["CompleteWorkflowExecution"], decided
        return end - parsed, parsed - start

    def _activity(self, activity: Any, args: list[Any], *, result: Any) -> None:
        from simpleflow.swf.task import ActivityTask

        task: Any = ActivityTask(activity, *args)
        self.executor.make_task_id(task, *args)
        scheduled = self._event(
            "ActivityTaskScheduled",
            {
                "activityId": task.id,
                "activityType": {"name": activity.name, "version": activity.version},
                "control": None,
                "decisionTaskCompletedEventId": self._completed,
                "heartbeatTimeout": None,
                "input": json.dumps({"args": args, "kwargs": {}}),
                "scheduleToCloseTimeout": None,
                "scheduleToStartTimeout": None,
                "startToCloseTimeout": None,
                "taskList": {"name": activity.task_list},
            },
        )
        started = self._event("ActivityTaskStarted", {"scheduledEventId": scheduled, "identity": "bench"})
        ids = {"scheduledEventId": scheduled, "startedEventId": started}
        self._event("ActivityTaskCompleted", {**ids, "result": json.dumps(result)})

    def _marker(self, details: Mapping[str, Any]) -> None:
        text = json.dumps(details, separators=(",", ":"), sort_keys=True)
        attributes = {"markerName": "log.step", "details": text, "decisionTaskCompletedEventId": self._completed}
        self._event("MarkerRecorded", attributes)

    def _event(self, kind: str, attributes: dict[str, Any]) -> int:
        from simpleflow.swf.mapper.models.event.factory import EventFactory

        number = len(self.history.events) + 1
        key = f"{kind[0].lower()}{kind[1:]}EventAttributes"
        self.history.events.append(
            EventFactory({"eventId": number, "eventType": kind, "eventTimestamp": float(number), key: attributes})
        )
        return number


def measure(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """A replay of played steps and one of skipped ones, each the shortest of a few."""
    from bench._swf_workflows import WORKFLOWS

    logging.disable()  # simpleflow logs every decision
    row: dict[str, Any] = {}
    workflow = WORKFLOWS[job["peer"]]
    with meter:
        for kind in ("played", "skipped"):
            if kind == "skipped" and not hasattr(workflow, "step"):
                continue
            maker = HistoryMaker(workflow, job["count"], skipped=kind == "skipped")
            replays = [maker.replay()]
            while len(replays) < MOST_REPLAYS and sum(replay for replay, _ in replays) < ENOUGH_SECONDS:
                replays.append(maker.replay())
            for what, times in zip(("s", "parse_s"), zip(*replays, strict=True), strict=True):
                row[f"{kind}_{what}"] = round(min(times), 4)
    return row
