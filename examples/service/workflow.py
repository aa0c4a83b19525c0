"""The workflow of the example: tables are loaded side by side, and a report is made of them."""

import asyncio

from asyncsteps import Group, Workflow, activity, current_step


@activity(retry=2, heartbeat_timeout=30)
async def load(table: str, seconds: float) -> int:
    current = current_step()
    for part in range(10):
        await asyncio.sleep(seconds / 10)
        current.heartbeat()
        current.logger.debug("part %d of %s", part, table)
    if table.startswith("bad"):
        raise ValueError(f"table {table} cannot be read")
    current.note(rows=len(table))
    return len(table)


@activity
async def report(tables: int) -> str:
    return f"{tables} tables"


class Nightly(Workflow):
    """Loads tables, and makes a report."""

    name, version = "nightly", "1"

    async def run(self, tables: list[str], seconds: float = 0.5) -> str:
        """Play it.

        Args:
            tables: Their names; one that begins with ``bad`` cannot be loaded.
            seconds: How long each takes.
        """
        await self.submit(
            Group(
                *(
                    self.step(f"load.{table}", load(table, seconds), force_steps_if_executed=["report"])
                    for table in tables
                ),
                max_parallel=4,
            )
        )
        outcome = await self.submit(self.step("report", report(len(tables)), save_result=True))
        return str(outcome.result)
