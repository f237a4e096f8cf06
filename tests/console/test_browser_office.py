"""The office's story, in a real browser on the real program: an embedded broker and the sandbox."""

import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect, sync_playwright

from tests.console.browser import CHROMIUM, CONSOLE, Opened, opened, url_of
from tests.e2e.program import Place, Process


pytestmark = [pytest.mark.console, pytest.mark.timeout(180)]

COMPANY = "/companies/4281001"
USERS = f"{COMPANY}/users"
CSABA = "Csaba Szőllősi"
"""Has no phone number in the demo data; user 8800880."""
SLOW = """
[[rules]]
system = "procore"
method = "GET"
fault = "latency=1.5"
"""
"""So that a sync takes long enough to be looked at in the middle."""
REFUSED = """
[[rules]]
system = "smartbarrel"
fault = "status=403"
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Process]]:
    """The program at work, with the demo data synced once."""
    place = Place(tmp_path_factory.mktemp("office"))
    (place.folder / "faults.toml").write_text("", "utf-8")
    try:
        process = place.start("run", CREWSYNC_SANDBOX_FAULTS="faults.toml", CREWSYNC_HOLD_S="2")
        process.until(place.finished)
        yield place, process
        assert process.stop(signal.SIGINT) == 0
        assert "Traceback" not in process.stdout + process.stderr
    finally:
        place.close()


@pytest.fixture
def office(browser: Browser, program: tuple[Place, Process]) -> Iterator[Opened]:
    """A page of the console, on which nothing may go wrong."""
    place, process = program
    with opened(browser, url_of(process, CONSOLE)) as page:
        yield page
    (place.folder / "faults.toml").write_text("", "utf-8")


def faults(place: Place, text: str) -> None:
    (place.folder / "faults.toml").write_text(text, "utf-8")


def test_the_office_syncs_sees_why_somebody_was_not_synced_mends_it_and_downloads_the_log(
    office: Opened, program: tuple[Place, Process]
) -> None:
    place, _ = program
    page = office.page
    page.goto(office.url)
    expect(page).to_have_url(re.compile(COMPANY))
    page.get_by_role("link", name="Users").first.click()
    first_heading = page.get_by_role("heading", level=2).first
    expect(first_heading).to_have_text("User Sync Logs")
    rows = page.locator("#logs tbody tr")
    expect(rows.first).to_contain_text("Complete")
    before = rows.count()

    # Who was not synced, and why.
    rows.last.get_by_role("link").first.click()
    page.get_by_label("Search in this log").fill("szollosi")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr").first).to_contain_text("Missing phone number")
    page.get_by_role("link", name="Not synced").click()
    page.get_by_role("link", name=CSABA).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(CSABA)
    history = page.locator("tbody tr")
    expect(history.first).to_contain_text("Missing phone number")
    seen = history.count()

    # The phone number is put in in Procore, and Sync is pressed.
    place.run("sandbox", "edit-user", "8800880", "--mobile-phone", "(512) 555-0142")
    faults(place, SLOW)
    page.goto(office.url + USERS)
    page.get_by_role("button", name="Sync", exact=True).click()
    progress = page.locator("#progress")
    expect(progress).to_contain_text("Sync under way")
    page.reload()
    expect(progress).to_contain_text("Sync under way")
    expect(page.locator("#progress-text")).to_contain_text("Complete", timeout=60_000)
    expect(progress).to_contain_text("1 created")
    expect(rows).to_have_count(before + 1, timeout=10_000)
    expect(rows.first.get_by_role("link", name="txt")).to_be_visible(timeout=10_000)

    # The log says the same in the page and in the file.
    with page.expect_download() as downloading:
        rows.first.get_by_role("link", name="txt").click()
    download = downloading.value
    content = Path(download.path()).read_bytes()
    text = content.decode()
    assert re.fullmatch(r"users-\d{8}T\d{6}Z-manual-[0-9a-f]{12}\.txt", download.suggested_filename)
    own = place.folder / "var" / "sync-logs" / "4281001" / download.suggested_filename
    assert content == own.read_bytes()
    synced = rows.first.locator("td.count").first.inner_text()
    assert f"\nSynced {synced:>12}".replace(" ", "") in text.replace(" ", "")
    assert f"{CSABA} (id 8800880): created" in text
    rows.first.get_by_role("link").first.click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="with Windows line ends").click()
    assert Path(downloading.value.path()).read_bytes() == content.replace(b"\n", b"\r\n")
    page.goto(f"{office.url}{USERS}/person?id=8800880")
    expect(history).to_have_count(seen + 1)
    expect(history.first).to_contain_text("created")


def test_settings_are_set_where_they_are_shown_and_hold_after_a_reload(office: Opened) -> None:
    page = office.page
    page.goto(office.url + USERS)
    for role, name in (("switch", "Autosync"), ("checkbox", "Sync Classifications")):
        box = page.get_by_role(role, name=name)  # type: ignore[arg-type]
        for wanted in (True, False):
            box.click()
            expect(page.locator("#said")).to_have_text(f"{name} is {'on' if wanted else 'off'} now.")
            page.reload()
            expect(box).to_be_checked(checked=wanted)


def test_timesheets_of_some_days_are_synced(office: Opened) -> None:
    page = office.page
    page.goto(f"{office.url}{COMPANY}/timesheets")
    page.get_by_text("More settings").click()
    page.get_by_label("Sync only from").fill("2026-11-09")
    page.get_by_label("until").fill("2026-11-09")
    page.get_by_role("button", name="Sync these days").click()
    expect(page.locator("#progress-text")).to_contain_text("Complete", timeout=30_000)
    expect(page.locator("#logs tbody tr").first).to_contain_text("working days 2026-11-09 to 2026-11-09")


def test_dead_letters_are_redriven_after_a_preview_that_changes_nothing(
    office: Opened, program: tuple[Place, Process]
) -> None:
    place, process = program
    page = office.page
    faults(place, REFUSED)
    place.run("sandbox", "edit-user", "8800104", "--last-name", "Renamed")
    page.goto(office.url + USERS)
    page.get_by_role("button", name="Sync", exact=True).click()
    expect(page.locator("#progress-text")).to_contain_text(" parked", timeout=60_000)
    letters = page.get_by_role("heading", name=re.compile("[0-9]+ letters?$"))
    page.goto(f"{office.url}{COMPANY}/dead-letters")
    expect(letters).to_be_visible()
    written = _dead_letters(place)
    page.get_by_role("link", name="Redrive all").click()
    expect(page.get_by_role("heading", name="Preview: nothing was changed yet")).to_be_visible()
    assert Axe().run(page).violations_count == 0
    assert _dead_letters(place) == written
    # Access is still refused, so that nothing goes back by itself.
    page.get_by_role("button", name=re.compile("^Redrive [0-9]")).click()
    expect(page.get_by_role("status").first).to_contain_text(re.compile("[1-9][0-9]* redriven"))
    assert _dead_letters(place) > written
    faults(place, "")
    process.until(lambda: _has_updated(place))


def _dead_letters(place: Place) -> int:
    with closing(sqlite3.connect(f"file:{place.broker}?mode=ro", uri=True)) as db:
        query = (
            "SELECT count(*) FROM records JOIN partitions ON partition_id = id WHERE topic = 'dead-letters'"
        )
        return int(db.execute(query).fetchone()[0])


def _has_updated(place: Place) -> bool:
    return any("Renamed (id 8800104): updated" in path.read_text("utf-8") for path in place.logs("users"))


def test_state_shows_each_partition_and_what_is_left_of_budgets(office: Opened) -> None:
    page = office.page
    page.goto(f"{office.url}/state")
    for flow in ("Users", "Timesheets"):
        expect(
            page.get_by_role("region", name=f"Partitions of {flow.lower()}").locator("tbody tr")
        ).to_have_count(8)
    expect(page.locator("svg.spark")).to_have_count(2)
    expect(page.locator("meter").first).to_be_visible()


def test_without_javascript_logs_are_read_and_downloaded_and_a_sync_is_asked_for(
    browser: Browser, program: tuple[Place, Process]
) -> None:
    _, process = program
    with opened(browser, url_of(process, CONSOLE), java_script_enabled=False) as office:
        page = office.page
        page.goto(office.url + USERS)
        page.get_by_role("link", name="txt").first.click(trial=True)
        with page.expect_download() as downloading:
            page.get_by_role("link", name="txt").first.click()
        assert "crewsync user sync log" in Path(downloading.value.path()).read_text("utf-8")
        page.locator("#logs tbody a").first.click()
        page.get_by_label("Search in this log").fill("phone")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("tbody tr").first).to_be_visible()
        page.goto(office.url + USERS)
        box = page.get_by_role("checkbox", name="Sync Classifications")
        box.check()
        page.locator("form", has=box).get_by_role("button", name="Save").click()
        expect(box).to_be_checked()
        box.uncheck()
        page.locator("form", has=box).get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Sync", exact=True).click()
        expect(page.locator("#progress")).to_be_visible()


def test_a_name_that_is_a_script_is_text(office: Opened, program: tuple[Place, Process]) -> None:
    place, _ = program
    name = "<img src=x onerror=alert(1)>"
    place.run("sandbox", "edit-user", "8800104", "--last-name", name)
    page = office.page
    page.goto(office.url + USERS)
    page.get_by_role("button", name="Sync", exact=True).click()
    expect(page.locator("#progress-text")).to_contain_text("Complete", timeout=30_000)
    page.get_by_role("link", name="Open its log").click()
    page.get_by_label("Search in this log").fill("onerror")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr").first).to_contain_text(name)


PAGES = {
    "company": COMPANY,
    "users": USERS,
    "timesheets": f"{COMPANY}/timesheets",
    "person": f"{USERS}/person?id=8800880",
    "nobody": f"{USERS}/person?name=Nobody",
    "dead letters": f"{COMPANY}/dead-letters",
    "all dead letters": "/dead-letters",
    "state": "/state",
    "not found": "/nothing",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_page_has_a_barrier_or_is_wider_than_the_screen(
    browser: Browser, program: tuple[Place, Process], width: int, scheme: str
) -> None:
    _, process = program
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(browser, url_of(process, CONSOLE), **options) as office:
        page = office.page
        page.goto(office.url + USERS)
        log = page.locator("#logs tbody a").first.get_attribute("href") or ""
        for name, path in {**PAGES, "log": log, "search": f"{log}?search=phone&show=not_synced"}.items():
            page.goto(office.url + path)
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_every_control_is_reached_and_used_by_keyboard(office: Opened) -> None:
    page = office.page
    page.goto(office.url + USERS)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.innerText || document.activeElement.name || ''"))
    assert {"Users", "Timesheets", "Dead letters", "State", "Sync", "autosync_users", "txt"} <= {
        text.split(" of ")[0].split("\n")[0] for text in reached
    }
    page.get_by_role("button", name="Sync", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_be_visible()
