"""The page of a run as people use it: seen, searched, walked by keys, in both themes."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chromium import chromium
from playwright.sync_api import Browser, Page, expect

from asyncsteps.report import RunStory, StepSpan, page

pytestmark = pytest.mark.browser

BEGAN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
ERROR = "ConnectionResetError: the server at db-3 closed the connection"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def story(count: int) -> RunStory:
    """A run of ``count`` steps in five groups; every 20th fails, every 7th is skipped, some are forced."""
    chance = random.Random(count)
    spans: list[StepSpan] = []
    for number in range(count):
        group, queued = ("load", "clean", "rank", "report", "export")[number % 5], number * 20 / count
        name = f"{group}.part{number % 40:02d}.module{number:06d}"
        if number % 7 == 3:
            reasons = ("Step was already played",)
            spans.append(
                StepSpan(step=name, status="skipped", reasons=reasons, queued=after(queued), ended=after(queued))
            )
            continue
        begin = queued + chance.random()
        end = begin + chance.expovariate(1)
        why = ("wrong export",) if number % 11 == 0 else (f"Dep of {spans[0].step}",) if number % 13 == 0 else ()
        failed = number % 20 == 19
        spans.append(
            StepSpan(
                step=name,
                status="failed" if failed else "completed",
                forced=bool(why),
                reasons=why,
                queued=after(queued),
                started=after(begin),
                ended=after(end),
                attempts=(after((begin + end) / 2),) if failed else (),
                error=ERROR if failed else None,
            )
        )
    ended = max(each.ended or each.queued for each in spans)
    about = {"host": "worker-3", "force": [["load", "wrong export"]]}
    return RunStory(
        run_id="r1",
        workflow_id="nightly",
        began=BEGAN,
        ended=ended,
        outcome="failed",
        about=about,
        spans=tuple(spans),
    )


def statuses(*, completed: bool, forced: bool) -> int:
    return sum((each.status == "completed") is completed and each.forced is forced for each in story(300).spans)


FAILED = sum(each.status == "failed" for each in story(300).spans)


class Shown:
    """A page that is shown, and what its script complained of."""

    def __init__(self, browser: Browser, path: Path, *, dark: bool) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(
            viewport={"width": 1280, "height": 1000}, color_scheme="dark" if dark else "light"
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("request", self._note)
        self.requests: list[str] = []
        self.page.goto(path.as_uri())
        self.settled()

    def _note(self, request: object) -> None:
        self.requests.append(getattr(request, "url", ""))

    def settled(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def colours(self, canvas: str) -> int:
        """How many colours a canvas shows."""
        return int(
            self.page.evaluate(
                """(id) => { const c = document.getElementById(id);
                   const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
                   return new Set(d).size }""",
                canvas,
            )
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def shown(browser: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Shown]:
    count, dark = getattr(request, "param", (300, False))
    path = folder / f"{count}.html"
    if not path.exists():
        path.write_text(page(story(count)), encoding="utf-8")
    found = Shown(browser, path, dark=dark)
    yield found
    assert found.complaints == []
    assert found.requests == [path.as_uri()]
    found.page.close()


def row(shown: Shown, name: str) -> object:
    return shown.page.locator(f'#names [data-name="{name}"]')


@pytest.mark.parametrize(
    "shown", [(n, dark) for n in (10, 300, 10_000, 100_000) for dark in (False, True)], indirect=True
)
def test_runs_of_every_size_are_drawn_in_both_themes(shown: Shown) -> None:
    for canvas in ("load", "axis", "bars"):
        assert shown.colours(canvas) > 2, canvas
    assert shown.page.locator("#names [role=row]").count() >= 10
    expect(shown.page.locator("#shown")).to_contain_text("shown")


def test_the_overview_counts(shown: Shown) -> None:
    counts = shown.page.locator("#counts li").all_inner_texts()
    assert {text.split(maxsplit=1)[1]: int(text.split()[0]) for text in counts} == {
        "completed": statuses(completed=True, forced=False),
        "forced, completed": statuses(completed=True, forced=True),
        "failed": FAILED,
        "skipped": 43,
    }
    assert counts[0].split()[1] == "failed"  # what needs a look comes first
    expect(shown.page.locator("#subtitle b")).to_have_text("failed")
    shown.page.locator("#about summary").click()
    expect(shown.page.locator("#about dl")).to_contain_text("worker-3")


def test_failures_that_read_alike_are_told_at_the_top_and_lead_to_their_rows(shown: Shown) -> None:
    (alarm,) = shown.page.locator("#alarms li").all()
    expect(alarm).to_contain_text(f"{FAILED} steps failed: {ERROR}")
    expect(alarm).to_contain_text(f"and {FAILED - 3} more")
    name = alarm.locator("button").first.inner_text()
    alarm.locator("button").first.click()
    expect(shown.page.locator("#detail h3")).to_have_text(name)
    expect(shown.page.locator("#detail")).to_contain_text("at 02:00:")


def test_rows_say_in_words_how_steps_ended(shown: Shown) -> None:
    shown.page.locator("#close-all").click()
    failed = [text for text in shown.page.locator("#names .bad").all_inner_texts() if text]
    assert sum(int(text.split()[0]) for text in failed) == FAILED
    shown.page.locator("#failures button").first.click()
    row = shown.page.locator('#names [aria-selected="true"] [role=rowheader]')
    expect(row).to_contain_text(", failed")


def test_names_beyond_the_first_plane_are_put_together(browser: Browser, tmp_path: Path) -> None:
    names = [f"😀.{each}" for each in ("a1", "a2", "b")]
    spans = [StepSpan(step=name, status="skipped", queued=BEGAN, ended=BEGAN) for name in names]
    path = tmp_path / "names.html"
    told = RunStory(run_id="r", workflow_id="w", began=BEGAN, ended=BEGAN, spans=tuple(spans))
    path.write_text(page(told), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(path.as_uri())
    rows = opened.locator("#names [role=row]")
    expect(rows).to_have_count(4)
    assert [each.get_attribute("data-name") for each in rows.all()] == ["😀", *names]
    opened.close()


def test_search_finds_names_reasons_and_errors_and_escape_takes_it_back(shown: Shown) -> None:
    for given, found in (("module000042", "1 of 300"), ("wrong export", None), ("db-3", f"{FAILED} of 300")):
        shown.page.keyboard.press("/")
        shown.page.keyboard.type(given)
        expect(shown.page.locator("#shown")).not_to_have_text("300 of 300 shown")
        if found is not None:
            expect(shown.page.locator("#shown")).to_have_text(f"{found} shown")
        shown.page.keyboard.press("Escape")
        expect(shown.page.locator("#shown")).to_have_text("300 of 300 shown")


def test_statuses_are_shown_and_hidden(shown: Shown) -> None:
    button = shown.page.locator('#statuses button[data-status="failed"]')
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(shown.page.locator("#shown")).to_have_text(f"{300 - FAILED} of 300 shown")
    button.click()
    expect(shown.page.locator("#shown")).to_have_text("300 of 300 shown")


def test_rows_are_walked_opened_and_told_by_keys(shown: Shown) -> None:
    rows = shown.page.locator("#rows")
    shown.page.locator("#close-all").click()
    rows.focus()
    shown.page.keyboard.press("ArrowDown")
    selected = shown.page.locator('#names [aria-selected="true"]')
    expect(selected).to_have_attribute("data-name", "clean")
    expect(selected).to_have_attribute("aria-expanded", "false")
    shown.page.keyboard.press("ArrowRight")
    expect(selected).to_have_attribute("aria-expanded", "true")
    shown.page.keyboard.press("ArrowRight")
    expect(selected).to_have_attribute("data-name", "clean.part01")
    assert rows.get_attribute("aria-activedescendant") == selected.get_attribute("id")
    shown.page.keyboard.press("ArrowLeft")
    expect(selected).to_have_attribute("data-name", "clean")
    shown.page.keyboard.press("ArrowLeft")
    shown.page.keyboard.press("End")
    expect(selected).to_have_attribute("data-name", "report")
    shown.page.keyboard.press("Enter")
    expect(shown.page.locator("#detail")).to_contain_text("60 steps")


def test_a_part_of_the_time_is_shown_and_taken_back(shown: Shown) -> None:
    box = shown.page.locator("#load").bounding_box()
    assert box is not None
    shown.page.mouse.move(box["x"] + 400, box["y"] + 40)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + 500, box["y"] + 40, steps=4)
    shown.page.mouse.up()
    expect(shown.page.locator("#shown")).not_to_have_text("300 of 300 shown")
    shown.page.locator("#whole").click()
    expect(shown.page.locator("#shown")).to_have_text("300 of 300 shown")
    shown.page.locator("#load").focus()
    shown.page.keyboard.press("+")
    expect(shown.page.locator("#whole")).to_be_enabled()


def test_a_failure_leads_to_its_row_and_tells_all(shown: Shown) -> None:
    failure = shown.page.locator("#failures button").first
    name = failure.inner_text()
    failure.click()
    detail = shown.page.locator("#detail")
    expect(detail.locator("h3")).to_have_text(name)
    expect(detail).to_contain_text(ERROR)
    expect(detail).to_contain_text("attempts")
    expect(shown.page.locator('#names [aria-selected="true"]')).to_have_attribute("data-name", name)


def test_root_causes_say_how_many_they_forced(shown: Shown) -> None:
    first = shown.page.locator("#causes tbody tr").first
    expect(first).to_contain_text("wrong export")
    first.locator("summary").click()
    expect(first.locator("button").first).to_be_visible()


def test_the_theme_is_changed(shown: Shown) -> None:
    def back() -> object:
        return shown.page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = back()
    shown.page.locator("#theme").click()
    assert back() != light
    shown.page.keyboard.press("t")
    assert back() == light


def test_what_is_hostile_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    span = StepSpan(step=hostile, status="failed", queued=BEGAN, started=BEGAN, ended=after(1), error=hostile)
    path = tmp_path / "hostile.html"
    told = RunStory(
        run_id=hostile, workflow_id=hostile, began=BEGAN, ended=after(1), spans=(span,), notes=(hostile,)
    )
    path.write_text(page(told), encoding="utf-8")
    shown = Shown(browser, path, dark=False)
    assert shown.page.locator("img").count() == 0
    expect(shown.page.locator("#failures")).to_contain_text(hostile)
    assert shown.complaints == []
    shown.page.close()
