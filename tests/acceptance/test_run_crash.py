"""A process killed at any point of a run: nothing stale stays marked as done (section 5, rows 1, 2)."""

import json
import subprocess
import sys
from pathlib import Path

POINTS = 12  # of three steps: two markers each, and the begin and the end of the activity


def told(base: Path, mode: str) -> list[list[list[str]]]:
    program = Path(__file__).parents[1] / "support" / "crashing_run.py"
    ended = subprocess.run(
        [sys.executable, str(program), str(base), mode], capture_output=True, text=True, check=True, timeout=100
    )
    points: list[list[list[str]]] = json.loads(ended.stdout)
    return points


def test_killed_anywhere_nothing_stale_is_marked_and_the_next_run_makes_all_good(tmp_path: Path) -> None:
    assert told(tmp_path, "withdraw") == [[[], []]] * POINTS


def test_without_withdrawal_what_is_stale_stays_marked(tmp_path: Path) -> None:
    points = told(tmp_path, "keep")
    assert len(points) == POINTS
    assert any("b" in later for _, later in points)  # so the test above can tell
