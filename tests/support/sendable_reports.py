"""A pytest plugin that makes every report fit to be sent: pytest-xdist breaks off at a lone surrogate in one.

Reports hold what a test logged and printed, even of one that passes, and hostile input is full of them.
"""

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape the lone surrogates in a report, as ``\\udcff``."""
    return _escaped((yield))


def _escaped(part: Any) -> Any:
    if isinstance(part, str):
        return part.encode("utf-8", "backslashreplace").decode()
    if isinstance(part, dict):
        return {_escaped(key): _escaped(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(map(_escaped, part))
    return part
