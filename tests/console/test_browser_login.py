"""Nobody gets in without a token; before the first sync each page says so."""

import signal
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect, sync_playwright

from consumer.health_server import listen, serving
from consumer.health_server import url_of as address_of
from tests.console.browser import CHROMIUM, CONSOLE, Opened, opened, url_of
from tests.console.scene import GRANITE, NAMES, NAUGHTY, Scene
from tests.e2e.program import Place


pytestmark = [pytest.mark.console, pytest.mark.timeout(120)]

TOKEN = "a-token-for-all-5f4dcc3b"
USERS = "/companies/4281001/users"


@pytest.fixture
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A console that asks for a token, where nothing was ever synced and no runner is at work."""
    place = Place(tmp_path_factory.mktemp("locked"))
    try:
        process = place.start("run", "--role", "console", "--role", "sink", CREWSYNC_CONSOLE_TOKEN=TOKEN)
        url = url_of(process, CONSOLE)
        process.until(lambda: "Waiting for events" in process.stdout)
        with sync_playwright() as playwright:
            chromium: Browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            with opened(chromium, url) as page:
                yield page
            chromium.close()
        assert process.stop(signal.SIGINT) == 0
    finally:
        place.close()


def test_a_token_opens_the_console_and_the_name_that_is_given_asks_for_syncs(locked: Opened) -> None:
    page = locked.page
    page.goto(locked.url + USERS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert Axe().run(page).violations_count == 0
    page.get_by_label("Token").fill("wrong-token-0123456789")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("That is no token of this console.")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_label("Your name").fill("Ann of Payroll")
    page.get_by_role("button", name="Log in").click()
    page.goto(locked.url + USERS)

    # Nothing was synced yet, and nobody is there to do it.
    for path in ("", "/users", "/timesheets", "/dead-letters"):
        page.goto(f"{locked.url}/companies/4281001{path}")
        expect(page.locator(".empty").first).to_be_visible()
        assert Axe().run(page).violations_count == 0, path
    page.goto(locked.url + USERS)
    page.get_by_role("button", name="Sync", exact=True).click()
    expect(page.locator("#progress-text")).to_contain_text("waiting for a runner")
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Log out").click()
    page.goto(locked.url + USERS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_of_several_companies_one_is_chosen_and_names_that_are_scripts_do_nothing(here: Scene) -> None:
    listener = listen("127.0.0.1", 0)
    with serving(listener, here.app, "console", 600), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with opened(chromium, address_of(listener).rstrip("/")) as office:
            page = office.page
            page.goto(office.url)
            expect(page.get_by_role("heading", level=1)).to_have_text("Companies")
            assert Axe().run(page).violations_count == 0
            page.get_by_role("link", name=NAMES[GRANITE]).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(NAMES[GRANITE])
            page.goto(f"{office.url}/companies/{GRANITE}/users/runs/granite1")
            expect(page.get_by_role("link", name=NAUGHTY)).to_be_visible()
            assert Axe().run(page).violations_count == 0
        chromium.close()
