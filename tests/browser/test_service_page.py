"""The live page of the example service, as people see it: it follows a run to its end, and cancels it."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from chromium import chromium
from playwright.sync_api import Browser, expect
from service_process import Service, service

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def start(started: Service, **given: object) -> str:
    request = Request(f"{started.url}/runs", json.dumps(given).encode(), method="POST")
    with urlopen(request) as answer:
        run_id: str = json.load(answer)["run_id"]
        return run_id


def test_the_live_page_follows_runs_to_their_ends(browser: Browser, tmp_path: Path) -> None:
    with service(tmp_path) as started:
        page, complaints = browser.new_page(), list[str]()
        page.on("pageerror", lambda error: complaints.append(str(error)))

        run_id = start(started, workflow_id="short", tables=["users", "bad_mails"], seconds=1)
        page.goto(f"{started.url}/runs/{run_id}/live")
        expect(page.locator("#state")).to_have_text("running")
        expect(page.locator("#state")).to_have_text("failed")
        expect(page.locator("#counts")).to_have_text("3 scheduled, 2 completed, 1 failed")
        expect(page.locator("#cancel")).to_be_disabled()
        report = page.frame_locator("#report")
        expect(report.locator("#title")).to_contain_text("short")
        expect(report.locator("#failures")).to_contain_text("load.bad_mails")

        run_id = start(started, workflow_id="long", tables=["users"], seconds=1_000)
        page.goto(f"{started.url}/runs/{run_id}/live")
        expect(page.locator("#counts")).to_have_text("1 scheduled")
        page.locator("#cancel").click()
        expect(page.locator("#state")).to_have_text("cancelled")

        run_id = start(started, workflow_id="long", tables=["users"], seconds=1_000)
        page.goto(f"{started.url}/runs/{run_id}/live")
        expect(page.locator("#state")).to_have_text("running")
        assert started.stop() < 2  # with the page connected
        expect(page.locator("#state")).to_have_text("cancelled")
        assert complaints == []
