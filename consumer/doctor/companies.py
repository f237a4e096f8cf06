"""Whether both upstreams let a company's account in, and read what a sync reads."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime

from consumer.doctor.findings import Finding, fail, ok, warn
from consumer.doctor.reading import Outcome, Reading, alike, all_tried, tried
from consumer.sync.company import Company


_LATER = "wait until it is well again, or its limit has room, and run this again"
_UNAUTHORIZED = 401


async def company_findings(company: Company) -> Sequence[Finding]:
    """What is wrong with a company's set-up at Procore and at SmartBarrel."""
    label = f"{company.name} ({company.procore.company_id})"
    today = datetime.now(UTC).date()
    found: list[Finding] = []
    signed_in = await tried(_signing_in(company))
    if signed_in.is_well:
        found += procore_findings(label, await all_tried(_procore_reads(company, today)))
    else:
        found.append(sign_in_finding(label, signed_in))
    found += smartbarrel_findings(label, await all_tried(_smartbarrel_reads(company, today)))
    return found


def sign_in_finding(label: str, outcome: Outcome) -> Finding:
    """Why there is no access token."""
    what = f"{label}: Procore gives no access token ({outcome.said})"
    if outcome.is_limited or _is_down(outcome):
        return fail(what, _LATER)
    if outcome.status in {400, _UNAUTHORIZED, 403}:
        return fail(
            what,
            "set CREWSYNC_PROCORE_CLIENT_ID and CREWSYNC_PROCORE_CLIENT_SECRET (or the company's own in "
            "CREWSYNC_COMPANIES) to those of the app's service account, made for the same host as "
            "CREWSYNC_PROCORE_LOGIN_URL",
        )
    return fail(what, _reach("CREWSYNC_PROCORE_LOGIN_URL"))


def procore_findings(label: str, outcomes: Sequence[Outcome]) -> Iterator[Finding]:
    """What Procore does not let the account read, once it has a token."""
    one = alike(outcomes)
    if one is not None and one.is_refused:
        yield fail(
            f"{label}: Procore lets the account read nothing of this company ({one.said})",
            "install the app in this company (Company Admin, App Management), let its service account in, "
            "and see that company_id in CREWSYNC_COMPANIES is Procore's id of it",
        )
    elif one is not None:
        yield _unusable(f"{label}: Procore", one, "CREWSYNC_PROCORE_URL")
    else:
        yield from _each(f"{label}: Procore", outcomes, "CREWSYNC_PROCORE_URL")


def smartbarrel_findings(label: str, outcomes: Sequence[Outcome]) -> Iterator[Finding]:
    """What SmartBarrel does not let the key read."""
    one = alike(outcomes)
    if one is not None and one.status == _UNAUTHORIZED:
        yield fail(
            f"{label}: SmartBarrel refuses the API key ({one.said})",
            "set CREWSYNC_SMARTBARREL_API_KEY (or the company's own smartbarrel_api_key in "
            "CREWSYNC_COMPANIES) to a key that is in force",
        )
    elif one is not None and one.is_refused:
        yield fail(
            f"{label}: SmartBarrel does not open this company ({one.said})",
            "see that smartbarrel_company_id in CREWSYNC_COMPANIES is the company that the API key is of, "
            "and that CREWSYNC_SMARTBARREL_URL is SmartBarrel's address without a path",
        )
    elif one is not None:
        yield _unusable(f"{label}: SmartBarrel", one, "CREWSYNC_SMARTBARREL_URL")
    else:
        yield from _each(f"{label}: SmartBarrel", outcomes, "CREWSYNC_SMARTBARREL_URL")


def _each(name: str, outcomes: Sequence[Outcome], setting: str) -> Iterator[Finding]:
    """A line for what can be read, and one for each call that failed or gave nothing."""
    if well := [outcome.reading.what for outcome in outcomes if outcome.is_well and outcome.has_any]:
        yield ok(f"{name} shows {', '.join(well)}")
    for outcome in outcomes:
        what = outcome.reading.what
        if outcome.is_hidden:
            yield fail(f"{name} shows no {what}: hidden from the account", outcome.reading.allow)
        elif outcome.is_refused:
            yield fail(f"{name} refuses to show {what} ({outcome.said})", outcome.reading.allow)
        elif not outcome.is_well:
            yield _unusable(f"{name}, {what}", outcome, setting)
        elif not outcome.has_any:
            yield warn(f"{name} shows no {what}", outcome.reading.allow)


def _unusable(name: str, outcome: Outcome, setting: str) -> Finding:
    if outcome.is_limited:
        return warn(f"{name} could not be asked: its rate limit is spent ({outcome.said})", _LATER)
    if _is_down(outcome):
        return fail(f"{name} is out of order ({outcome.said})", _LATER)
    if outcome.is_hidden:
        return fail(f"{name} shows nothing ({outcome.said})", outcome.reading.allow)
    what = "cannot be reached" if outcome.status is None else "cannot be understood"
    return fail(f"{name} {what} ({outcome.said})", _reach(setting))


def _is_down(outcome: Outcome) -> bool:
    return outcome.status is not None and outcome.status >= 500  # noqa: PLR2004 - HTTP's server errors


def _reach(setting: str) -> str:
    return (
        f"see that {setting} is right, and that its host can be reached from this machine (name resolution, "
        "proxy, firewall, TLS certificates)"
    )


def _signing_in(company: Company) -> Reading:
    async def sign_in() -> bool:
        await company.procore.sign_in()
        return True

    return Reading("an access token", "", sign_in)


def _procore_reads(company: Company, today: date) -> Sequence[Reading]:
    procore = company.procore

    async def users() -> bool:
        return await _first(procore.users())

    async def people() -> bool:
        await procore.probe()
        return True

    async def projects() -> bool:
        return bool(await procore.projects())

    async def timecards() -> bool:
        # Whether it may be asked is what matters, and not what this person's entries are.
        await procore.timecards([1], today, today)
        return True

    async def classifications() -> bool:
        await procore.classifications()
        return True

    directory = "give the service account at least Read Only on the company's Directory tool"
    reads = [
        Reading("users", directory, users),
        Reading("people", directory, people),
        Reading("projects", "add the service account to the projects, with Read Only or more", projects),
        Reading("timecards", "give the service account Admin on the company's Timesheets tool", timecards),
    ]
    if company.settings.sync_classifications:
        allow = "let the service account read the company's work classifications (Company Admin)"
        reads.append(Reading("classifications", allow, classifications))
    return reads


def _smartbarrel_reads(company: Company, today: date) -> Sequence[Reading]:
    barrel = company.smartbarrel

    async def workers() -> bool:
        # Nobody has this id: whether it may be asked, and is answered as it should be, is what matters.
        await barrel.find_workers(external_id="procore:0")
        return True

    async def timesheets() -> bool:
        await _first(barrel.timesheets(today, today))
        return True

    async def positions() -> bool:
        await barrel.positions()
        return True

    allow = "let the API key read them: workers, timesheets and positions are needed"
    reads = [Reading("workers", allow, workers), Reading("timesheets", allow, timesheets)]
    if company.settings.sync_classifications:
        reads.append(Reading("positions", allow, positions))
    return reads


async def _first(pages: AsyncIterator[Sequence[object]]) -> bool:
    """Whether the pages have anything; no more of them are read than that takes."""
    try:
        async for page in pages:
            if page:
                return True
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()
    return False
