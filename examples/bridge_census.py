"""An async service that hands the census to simpleflow: its local executor plays the steps, in one thread.

    export STEP_BUCKET=...
    python examples/bridge_census.py ./counts

The steps are those of swf_census.py, which deciders and workers can play on Amazon SWF as well.
What is printed is the marker of each step, in order of recording, as JSON.
"""

import asyncio
import json
import sys
from typing import Any

from simpleflow.task import ActivityTask
from swf_census import MODULES, CensusWorkflow, count, report

from asyncsteps import STEP_MARKER
from asyncsteps.swf import SimpleflowBridge, Step

WORKFLOW_ID = "census-simpleflow"


async def hand_over(folder: str) -> list[dict[str, Any]]:
    """Hand the steps to simpleflow, wait for all of them, and give the details of their markers.

    Args:
        folder: Where the counts lie.
    """
    async with SimpleflowBridge(CensusWorkflow, workflow_id=WORKFLOW_ID) as bridge:
        handed = [
            await bridge.submit(
                Step(f"census.{module}", ActivityTask(count, module, folder), force_steps_if_executed=["report"])
            )
            for module in MODULES
        ]
        handed.append(await bridge.submit(Step("report.largest", ActivityTask(report, list(MODULES), folder))))
        # They are played one after the other in that thread, and this loop stays free meanwhile.
        await asyncio.gather(*handed)
        return [marker.details for marker in bridge.markers if marker.name == STEP_MARKER]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hand_over(sys.argv[1]))))
