"""Events and decisions of a step, counted in the history of a real SWF service: moto's, over HTTP.

simpleflow's own decider and worker decide and work, in this process: they are asked to only when there is
something to do, so nothing waits for a poll that comes back empty.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from bench._measure import Meter

DOMAIN = "bench"


def measure(job: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """Executions of few and of more steps, played and then skipped; the difference is what a step costs."""
    import boto3

    from bench._swf_workflows import BUCKET, TASK_LIST, WORKFLOWS

    logging.disable()
    workflow = WORKFLOWS[job["peer"]]
    swf: Any = boto3.client("swf")
    s3: Any = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    swf.register_domain(name=DOMAIN, workflowExecutionRetentionPeriodInDays="1")
    swf.register_workflow_type(domain=DOMAIN, name=workflow.name, version=workflow.version)
    row: dict[str, Any] = {}
    few, more = job["counts"]
    with meter:
        for kind in ("played", "skipped"):
            counted = {}
            for count in (1, few, more):  # the first one has the types of the activities registered
                # The same workflow id again: what was played then is skipped.
                started = swf.start_workflow_execution(
                    domain=DOMAIN,
                    workflowId=f"steps-{count}",
                    workflowType={"name": workflow.name, "version": workflow.version},
                    taskList={"name": TASK_LIST},
                    input=json.dumps({"args": [count]}),
                    executionStartToCloseTimeout="3600",
                    taskStartToCloseTimeout="300",
                    childPolicy="TERMINATE",
                )
                counted[count] = _play(workflow, swf, {"workflowId": f"steps-{count}", "runId": started["runId"]})
            for what, index in (("events", 0), ("decisions", 1)):
                row[f"{kind}_{what}"] = (counted[more][index] - counted[few][index]) / (more - few)
    return row


def _play(workflow: Any, swf: Any, execution: dict[str, str]) -> tuple[int, int]:
    """Decide and work until the execution closes: its events, and its decisions."""
    from simpleflow.swf.executor import Executor
    from simpleflow.swf.mapper.models.domain import Domain
    from simpleflow.swf.process.decider.base import DeciderPoller
    from simpleflow.swf.process.worker.base import ActivityPoller, ActivityWorker

    from bench._swf_workflows import TASK_LIST

    domain = Domain(DOMAIN)
    decider: Any = DeciderPoller([Executor(domain, workflow)], domain, TASK_LIST, is_standalone=False)
    worker: Any = ActivityPoller(domain, TASK_LIST)
    while True:
        described = swf.describe_workflow_execution(domain=DOMAIN, execution=execution)
        if described["executionInfo"]["executionStatus"] == "CLOSED":
            break
        counts = described["openCounts"]
        if counts["openDecisionTasks"]:
            response = decider.poll(TASK_LIST, identity="bench")
            decider.complete(response.token, decider.decide(response))
        elif counts["openActivityTasks"]:
            response = worker.poll(TASK_LIST, identity="bench")
            ActivityWorker().process(worker, response.task_token, response.activity_task)
    kinds: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = swf.get_workflow_execution_history(domain=DOMAIN, execution=execution, **more)
        kinds += [event["eventType"] for event in page["events"]]
        if not page.get("nextPageToken"):
            assert kinds[-1] == "WorkflowExecutionCompleted", page["events"][-1]
            return len(kinds), kinds.count("DecisionTaskCompleted")
        more = {"nextPageToken": page["nextPageToken"]}
