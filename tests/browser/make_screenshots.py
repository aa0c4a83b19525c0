"""Makes the pictures of the README, by ``make screenshots``: a run of 300 steps, in light and in dark."""

import heapq
import os
import random
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright

from asyncsteps.report import RunStory, StepSpan, page

BEGAN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
GROUPS = ("load", "clean", "rank", "report", "export")
KINDS = ("users", "mails", "orders", "clicks")
ERRORS = ("ConnectionResetError: the server at db-3 closed the connection",) * 5 + ("KeyError: 'country'",)


def spans(count: int) -> Iterator[StepSpan]:
    """Yield steps that fifty slots play: some are done, some forced, a few fail."""
    chance, slots, names = random.Random(1), [0.0] * 50, list[str]()
    for number in range(count):
        part = number % 25
        name = f"{GROUPS[part % 5]}.part{part:02d}.{KINDS[number % 4]}{number // 25:02d}"
        queued = number * 0.1
        luck = chance.random()
        if luck < 0.2:
            at = BEGAN + timedelta(seconds=queued)
            yield StepSpan(step=name, status="skipped", reasons=("Step was already played",), queued=at, ended=at)
            continue
        begin = max(queued, heapq.heappop(slots))
        end = begin + 2 + chance.expovariate(1) * 8
        heapq.heappush(slots, end)
        why = "wrong export" if luck < 0.3 or not names else f"Dep of {chance.choice(names)}"
        times = [BEGAN + timedelta(seconds=each) for each in (queued, begin, (begin + end) / 2, end)]
        failed = luck > 0.98
        yield StepSpan(
            step=name,
            status="failed" if failed else "completed",
            forced=luck < 0.5,
            reasons=(why,) if luck < 0.5 else (),
            queued=times[0],
            started=times[1],
            ended=times[3],
            attempts=(times[2],) if luck > 0.93 else (),
            error=chance.choice(ERRORS) if failed else None,
        )
        names.append(name)


def main(folder: Path) -> None:
    """Write the pictures to a folder."""
    played = tuple(spans(300))
    ended = max(each.ended for each in played if each.ended is not None)
    story = RunStory(
        run_id="3f1c9a52", workflow_id="nightly", began=BEGAN, ended=ended, outcome="failed", spans=played
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        for scheme in ("light", "dark"):
            shown = browser.new_page(viewport={"width": 1200, "height": 720}, color_scheme=scheme)
            shown.set_content(page(story))
            shown.wait_for_function("document.querySelectorAll('#names [role=row]').length > 10")
            shown.screenshot(path=folder / f"report-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
