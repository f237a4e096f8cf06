"""Every package that runs may be used and passed on."""

import re

from tests.deploy.licences import PAGE, licence_of, page, pinned


_FREE = re.compile(r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Unlicense|Public Domain")
_BOUND = re.compile(r"GPL|Affero|Commercial|Proprietary|SSPL|BUSL", re.IGNORECASE)

_REPLACEABLE = {"crc32c"}
"""A library of its own under the LGPL: whoever gets crewsync may replace it."""


def test_no_package_has_a_licence_that_binds_the_program_that_uses_it() -> None:
    licences = {name: licence_of(name) for name in pinned() if name not in _REPLACEABLE}
    assert len(licences) > 20
    wrong = {name: text for name, text in licences.items() if not _FREE.search(text) or _BOUND.search(text)}
    assert wrong == {}


def test_the_page_of_licences_is_that_of_the_lock() -> None:
    assert PAGE.read_text("utf-8") == page()
