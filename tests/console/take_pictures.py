"""Takes the pictures of the README from the real pages: ``python -m tests.console.take_pictures``."""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.console.browser import CHROMIUM, CONSOLE, url_of
from tests.e2e.program import Place


FOLDER = Path(__file__).parent / "pictures"
USERS = "/companies/4281001/users"
WIDE = {"width": 1280, "height": 760}
PHONE = {"width": 390, "height": 760}


def main() -> None:
    """Start the program, do what an office does, and take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        try:
            process = place.start("run")
            process.until(place.finished)
            place.run("sandbox", "edit-user", "8800880", "--mobile-phone", "(512) 555-0142")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                page = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
                _take(page, url_of(process, CONSOLE))
                browser.close()
        finally:
            place.close()


def _take(page: Page, url: str) -> None:
    page.goto(url + USERS)
    page.get_by_role("button", name="Sync", exact=True).click()
    expect(page.locator("#progress-text")).to_contain_text("Complete")
    expect(page.locator("#logs tbody tr")).to_have_count(2)
    expect(page.locator("#logs tbody tr").first.get_by_role("link", name="txt")).to_be_visible()
    page.screenshot(path=FOLDER / "users.png")
    page.goto(url + USERS)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.screenshot(path=FOLDER / "users-phone.png")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.locator("#logs tbody a").last.click(trial=True)
    page.locator("#logs tbody tr").last.get_by_role("link").first.click()
    page.get_by_role("link", name="Not synced").click()
    page.screenshot(path=FOLDER / "log.png")


if __name__ == "__main__":
    main()
