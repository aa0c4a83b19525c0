"""A run as one page of HTML that needs nothing else: no network, no other file."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

from asyncsteps.report._root_causes import root_causes
from asyncsteps.report._story import RunStory, StepSpan

_STATUSES = ("completed", "failed", "cancelled", "skipped", "scheduled")
_MOST_CAUSES = 50
_STEPS_OF_A_CAUSE = 100
_REASONS = 20
"""How many reasons of a step are shown; the rest is counted."""


def page(story: RunStory) -> str:
    """Return the page: an overview, a timeline, what was slow, what failed, what forced what.

    It holds every submission that was decided; a hundred thousand take some 5 MB.
    """
    assets = files("asyncsteps.report") / "assets"
    text = {name: (assets / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}
    data = json.dumps(_data(story), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    parts = {
        "title": escape(f"{story.workflow_id} · run {story.run_id}"),
        "style": text["page.css"],
        "data": data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
        "script": text["page.js"],
    }
    filled = re.sub(r"{{(\w+)}}", lambda mark: parts[mark[1]], text["page.html"])
    return filled.encode("utf-8", "backslashreplace").decode()  # lone surrogates, as JSON escapes them


def _data(story: RunStory) -> dict[str, Any]:
    """Return what the page's script reads: a list a field of the spans, in the order of the names' hierarchy."""
    spans = sorted(story.spans, key=lambda span: (span.step.split("."), span.queued))
    reasons: dict[tuple[str, ...], int] = {(): 0}
    for span in spans:
        reasons.setdefault(span.reasons, len(reasons))
    return {
        "run": {
            "run": story.run_id,
            "workflow": story.workflow_id,
            "began": story.began.isoformat(),
            "seconds": (story.ended - story.began).total_seconds(),
            "outcome": story.outcome,
            "about": {key: _finite(value) for key, value in story.about.items() if value not in (None, [], {})},
            "notes": list(story.notes),
        },
        "names": _front_coded([span.step for span in spans]),
        "status": "".join(str(_STATUSES.index(span.status)) for span in spans),
        "forced": "".join("1" if span.forced else "0" for span in spans),
        "queued": [_millis(story, span.queued) for span in spans],
        "waited": [None if span.started is None else _millis_between(span.queued, span.started) for span in spans],
        "lasted": [_millis_between(span.started or span.queued, span.ended or story.ended) for span in spans],
        "why": [reasons[span.reasons] for span in spans],
        "reasons": [list(each[:_REASONS]) for each in reasons],
        "more": [max(0, len(each) - _REASONS) for each in reasons],
        "attempts": _sparse(spans, lambda span: [_millis(story, at) for at in span.attempts]),
        "again": _sparse(spans, lambda span: max(0, span.tried - 1, len(span.attempts))),
        "errors": _sparse(spans, lambda span: span.error),
        "causes": [
            {
                "cause": each.cause,
                "step": each.is_step,
                "count": len(each.steps),
                "steps": each.steps[:_STEPS_OF_A_CAUSE],
            }
            for each in root_causes(story.spans)[:_MOST_CAUSES]
        ],
    }


def _finite(value: Any) -> Any:
    """Return a value that JSON has: a damaged journal may tell of what is no number."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return str(value)
    return value


def _front_coded(names: list[str]) -> list[str | int]:
    """Return the names, each as how many characters it shares with the one before, and the rest."""
    coded: list[str | int] = []
    before = ""
    for name in names:
        shared = next((at for at, (old, new) in enumerate(zip(before, name, strict=False)) if old != new), None)
        if shared is None:
            shared = min(len(before), len(name))
        coded += (shared if name.isascii() else _length_in_script(name[:shared]), name[shared:])
        before = name
    return coded


def _length_in_script(text: str) -> int:
    """Return the length that a script sees: some characters are two there."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)  # noqa: PLR2004 - the last of UTF-16's own


def _sparse(spans: list[StepSpan], value: Callable[[StepSpan], Any]) -> dict[int, Any]:
    found = ((number, value(span)) for number, span in enumerate(spans))
    return {number: each for number, each in found if each}


def _millis(story: RunStory, at: datetime) -> float:
    return _millis_between(story.began, at)


def _millis_between(begin: datetime, end: datetime) -> float:
    millis = round((end - begin).total_seconds() * 1_000, 1)
    return int(millis) if millis == int(millis) else millis
