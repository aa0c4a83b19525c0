"""A pytest plugin for ``tests/fuzz``: what hostile input holds up for ever ends the process, showing each thread.

An exception would be one more falsifying example, which hypothesis plays again, without a timer.
"""

import pytest
from hypothesis import settings

SECONDS = {100: 120, 2_000: 600}
"""How long a test may take, by the examples of the profile; without end at random."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the timers of those tests."""
    seconds = SECONDS.get(settings().max_examples, 0)
    for item in items:
        if item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.timeout(seconds, method="thread"))
