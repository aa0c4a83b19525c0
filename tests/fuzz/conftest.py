"""Hangs: what hostile input holds up for ever ends the process, and shows where each thread is.

Another exception would be one more falsifying example, which hypothesis plays again, without a timer.
"""

from pathlib import Path

import pytest
from hypothesis import settings

SECONDS = {100: 120, 1_000: 600}
"""How long a test may take, by the examples of the profile; without end at random."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the timers of the tests here."""
    seconds = SECONDS.get(settings().max_examples, 0)
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(seconds, method="thread"))
