"""The page and the trace as documents; tests/browser/ looks at the page."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncsteps import Marker
from asyncsteps.report import RunStory, StepSpan, page, trace

BEGAN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def span(step: str, begin: float, end: float, status: str = "completed", **more: Any) -> StepSpan:
    return StepSpan(step=step, status=status, queued=after(begin), started=after(begin), ended=after(end), **more)


def story(*spans: StepSpan, **more: Any) -> RunStory:
    return RunStory(run_id="r1", workflow_id="w", began=BEGAN, ended=after(100), spans=spans, **more)


def data_of(shown: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', shown, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_each_span_in_the_order_of_the_hierarchy() -> None:
    data = data_of(page(story(span("a.b", 1, 3), span("a-b", 0, 1, "failed", error="no"), span("a", 2, 2.5))))
    assert data["names"] == [0, "a", 1, ".b", 1, "-b"]
    assert (data["status"], data["queued"], data["lasted"]) == ("001", [2000, 1000, 0], [500, 2000, 1000])
    assert data["errors"] == {"2": "no"}


HOSTILE = "</script><script>alert(1)</script><!-- {{script}} {{data}} \u2028"


def test_nothing_that_a_run_tells_leaves_its_place() -> None:
    step = span(HOSTILE, 0, 1, "failed", error=HOSTILE, reasons=(HOSTILE,), forced=True)
    shown = page(story(step, about={"host": HOSTILE, "force": [[HOSTILE, None]]}, notes=(HOSTILE,)))
    assert shown.count("<script") == 2
    assert shown.count("</script>") == 2
    assert data_of(shown)["run"]["about"]["host"] == HOSTILE
    titled = page(RunStory(run_id=HOSTILE, workflow_id=HOSTILE, began=BEGAN, ended=BEGAN))
    assert titled.count("<script") == 2


def test_the_page_asks_for_nothing_else() -> None:
    shown = page(story(span("a", 0, 1)))
    assert "default-src 'none'" in shown
    assert not re.search(r"(src|href)=|@import|url\(|fetch\(|https?:", shown)


def test_ten_thousand_steps_fit_into_a_tenth_of_ten_megabytes() -> None:
    spans = [
        span(f"census.part{number % 300:03d}.module{number:06d}", number / 10, number / 10 + 7.123)
        for number in range(10_000)
    ]
    assert len(page(story(*spans)).encode()) < 1_000_000


def slices(given: RunStory) -> list[dict[str, Any]]:
    return [each for each in json.loads(trace(given))["traceEvents"] if each["ph"] == "X"]


def test_a_trace_has_a_slice_for_each_step_that_ran_and_no_two_on_a_lane_at_once() -> None:
    given = [span(f"s.{number}", begin, begin + 2.5) for number, begin in enumerate([0, 1, 2, 2.5, 3, 10])]
    found = slices(story(*given))
    assert [each["name"] for each in found] == [each.step for each in given]
    assert {each["tid"] for each in found} == {1, 2, 3, 4}
    for one in found:
        for other in found:
            if one is not other and one["tid"] == other["tid"]:
                assert one["ts"] + one["dur"] <= other["ts"] or other["ts"] + other["dur"] <= one["ts"]


def test_what_did_not_run_is_an_instant_and_what_has_no_end_lasts_until_the_end_of_the_run() -> None:
    skipped = StepSpan(step="a", status="skipped", queued=after(1), ended=after(1), reasons=("done",))
    running = StepSpan(step="b", status="scheduled", queued=after(1), started=after(2))
    events = json.loads(trace(story(skipped, running)))["traceEvents"]
    assert [(each["ph"], each.get("dur")) for each in events] == [("M", None), ("i", None), ("X", 98_000_000)]
    assert events[2]["args"] == {"status": "scheduled", "forced": False, "queued_seconds": 1.0, "attempts": 1}


@pytest.mark.parametrize("count", [0, 1])
def test_a_run_with_hardly_anything_is_shown(count: int) -> None:
    empty = RunStory(run_id="r", workflow_id="", began=BEGAN, ended=BEGAN, spans=(span("a", 0, 0),) * count)
    assert len(data_of(page(empty))["queued"]) == count


def test_any_text_can_be_written() -> None:
    shown = page(story(span("a.\udce9", 0, 1, "failed", error="\udce9"), about={"n": float("inf")}))
    data = data_of(shown.encode().decode())
    assert (data["names"][1], data["errors"], data["run"]["about"]) == ("a.\udce9", {"0": "\udce9"}, {"n": "inf"})


def test_names_share_as_many_units_as_a_script_counts() -> None:
    assert data_of(page(story(span("😀.a", 0, 1), span("😀.b", 0, 1))))["names"] == [0, "😀.a", 3, "b"]


def test_many_reasons_are_counted() -> None:
    many = tuple(f"Dep of s{number}" for number in range(1_000))
    data = data_of(page(story(span("a", 0, 1, reasons=many, forced=True))))
    assert (data["reasons"][1], data["more"]) == (list(many[:20]), [0, 980])


def test_a_story_is_told_by_markers() -> None:
    details = {"step": "a", "status": "completed", "forced": True, "reasons": ["see http://u:hidden@h/"]}
    told = RunStory.of_markers(
        [
            Marker("log.step", {**details, "status": "scheduled"}, after(2), queued=after(1)),
            Marker("mine", {}, after(2)),
            Marker("log.step", details, after(5), after(3), after(1), attempts=2),
        ],
        run_id="r",
        workflow_id="w",
        began=after(0),
        ended=after(9),
        outcome="completed",
        about={"parameters": {"token": "hidden"}},
        notes=["a note"],
    )
    assert "hidden" not in repr(told)
    (only,) = told.spans
    assert (only.queued, only.started, only.ended) == (after(1), after(3), after(5))
    assert (only.tried, only.reasons, told.notes) == (2, ("see ***@h/",), ("a note",))
    assert data_of(page(told))["again"] == {"0": 1}
