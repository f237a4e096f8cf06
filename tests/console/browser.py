"""A page in Debian's Chromium on which every request, error and violation is noted."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Dialog, Page

from tests.e2e.program import Process


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CONSOLE = re.compile(r"^Console: (http://\S+?)/$", re.MULTILINE)
_EXPECTED = "the server responded with a status of 40"
"""Pages that are not there are visited on purpose."""


@dataclass(frozen=True)
class Opened:
    """A page of the console, and where the console is."""

    page: Page
    url: str


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Opened]:
    """A page in a context of its own.

    At its end no request may have left the console, and the browser may have complained of nothing: of no
    script's error, and of nothing that the content security policy forbids.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    foreign: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def dismiss(dialog: Dialog) -> None:
        complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and _EXPECTED not in message.text
            else None
        ),
    )
    context.on(
        "request", lambda asked: None if asked.url.startswith(f"{url}/") else foreign.append(asked.url)
    )
    try:
        yield Opened(page, url)
    finally:
        context.close()
    assert (complaints, foreign) == ([], [])


def url_of(process: Process, said: re.Pattern[str]) -> str:
    """Where a process says that it can be reached, without the last slash."""
    process.until(lambda: said.search(process.stdout) is not None)
    found = said.search(process.stdout)
    assert found is not None
    return found[1]
