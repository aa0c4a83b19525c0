"""The result of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        area: What it belongs to: ``versions``, ``swf``, ``steps`` or ``snapshots``.
        name: What was checked.
        verdict: ``ok``, ``warning``, ``failed`` or ``skipped``.
        detail: What was found, and the remedy where something is wrong.
    """

    area: str
    name: str
    verdict: Verdict
    detail: str


def ok(area: str, name: str, detail: str) -> Check:
    """What is as it should be."""
    return Check(area, name, Verdict.OK, detail)


def warning(area: str, name: str, detail: str) -> Check:
    """What may be wrong, or could not be seen."""
    return Check(area, name, Verdict.WARNING, detail)


def failed(area: str, name: str, detail: str) -> Check:
    """What is wrong."""
    return Check(area, name, Verdict.FAILED, detail)


def skipped(area: str, name: str, detail: str) -> Check:
    """What was not checked, because of something before it."""
    return Check(area, name, Verdict.SKIPPED, detail)
