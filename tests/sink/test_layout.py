"""What people read in a log file."""

import random
import unicodedata
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.model import reasons
from consumer.model.events import Kind
from consumer.model.results import SYNCED, Outcome, Reason, Result
from consumer.sink.layout import name_order, render_day, render_run, visible
from tests.sink.scene import marker, result


NO_EMAIL = Reason("missing_email", "Missing email")
NO_PHONE = Reason("missing_phone", "Missing phone number")
REFUSED = Reason("rejected", "Procore refused the timecard", 'cost_code "03-100": is not valid')


def section(text: str, title: str) -> list[str]:
    """The lines below a section's heading, up to the next empty line."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{title} (")) + 2
    return lines[start : lines.index("", start) if "" in lines[start:] else len(lines)]


def test_a_complete_run_reads_as_a_site_office_needs_it() -> None:
    """A complete run reads, from its heading to its last warning, as a site office needs it."""
    results = [
        result(1, "Zoe Zahn"),
        result(2, "Ben Bauer", Outcome.FAILED, reasons=(NO_EMAIL, NO_PHONE)),
        result(3, "Ana Abel", Outcome.UPDATED, detail="Phone number changed"),
        result(4, "Cem Cole", Outcome.UNCHANGED, warnings=(Reason("no_payroll_id", "No employee ID"),)),
    ]

    assert render_run(marker(4), results, complete=True) == (
        "crewsync user sync log\n"
        "======================\n"
        "Company:      4100\n"
        "Run:          r1\n"
        "Kind:         users\n"
        "Trigger:      manual\n"
        "Requested by: Dana Dorn\n"
        "Started:      2026-11-23 07:15:00 UTC\n"
        "Ended:        2026-11-23 07:15:04 UTC\n"
        "Status:       complete\n"
        "\n"
        "Results\n"
        "-------\n"
        "Synced             3\n"
        "  created          1\n"
        "  updated          1\n"
        "  unchanged        1\n"
        "Not synced         1\n"
        "  failed           1\n"
        "Total              4 people\n"
        "\n"
        "Why not\n"
        "-------\n"
        "     1  Missing email\n"
        "     1  Missing phone number\n"
        "\n"
        "Synced (3)\n"
        "----------\n"
        "- Ana Abel (id 503): updated\n"
        "    Phone number changed\n"
        "- Cem Cole (id 504): unchanged\n"
        "- Zoe Zahn (id 501): created\n"
        "\n"
        "Not synced (1)\n"
        "--------------\n"
        "- Ben Bauer (id 502): failed\n"
        "    Missing email\n"
        "    Missing phone number\n"
        "\n"
        "Warnings (1)\n"
        "------------\n"
        "- Cem Cole (id 504)\n"
        "    No employee ID\n"
    )


def test_a_timesheet_log_shows_the_shift_and_the_upstreams_own_words() -> None:
    """A timesheet that failed shows its date, hours and project, and what Procore said, word for word."""
    shift = "2026-11-20, 8.00 hours, Harbour Bridge"
    failed = result(
        1, "Ben Bauer", Outcome.FAILED, kind=Kind.TIMESHEETS, detail=shift, reasons=(REFUSED,), run_id=None
    )

    text = render_day(4100, Kind.TIMESHEETS, date(2026, 11, 23), [failed])

    assert text.startswith("crewsync timesheet sync log\n===========================\n")
    assert section(text, "Not synced") == [
        "- Ben Bauer (id 501): failed",
        f"    {shift}",
        "    Procore refused the timecard",
        '      "cost_code "03-100": is not valid"',
    ]


def test_a_day_log_says_of_what_day_and_as_of_when() -> None:
    """A day's log names its UTC day and its latest result, and has no lines about a run."""
    results = [result(5, run_id=None), result(2, run_id=None)]

    head = render_day(None, Kind.USERS, date(2026, 11, 23), results).splitlines()[2:6]

    assert head == [
        "Company:      unknown",
        "Kind:         users",
        "Day:          2026-11-23 (UTC), events outside a run",
        "Status:       as of 2026-11-23 07:15:05 UTC",
    ]


def test_a_running_run_says_how_far_it_is() -> None:
    """A running run counts each event once, however many results it has, and has not ended."""
    results = [result(1), result(2), result(2, outcome=Outcome.PARKED)]

    lines = render_run(marker(7), results, complete=False).splitlines()

    assert "Status:       running (2 of 7 results)" in lines
    assert "Ended:        not yet" in lines


def test_a_run_whose_start_is_unknown_says_so() -> None:
    """Results that come before their run's marker are shown as a running run, with what is unknown named."""
    lines = render_run(None, [result(1)], complete=False).splitlines()

    assert "Run:          r1" in lines
    assert "Requested by: not known yet" in lines
    assert "Started:      not known yet" in lines
    assert "Status:       running (1 results, the total is not known yet)" in lines


def test_a_run_without_any_events_is_complete_and_empty() -> None:
    """A run that expects nothing ended when it started, and each of its sections says "None."."""
    text = render_run(marker(0), [], complete=True)

    assert "Ended:        2026-11-23 07:15:00 UTC\n" in text
    assert "Synced             0\nNot synced         0\nTotal              0 people\n" in text
    assert "Why not" not in text
    assert section(text, "Synced") == section(text, "Not synced") == section(text, "Warnings") == ["None."]


@pytest.mark.parametrize(
    "outcome", [o for o in Outcome if o.value in {"skipped", "stale", "held", "failed", "parked"}]
)
def test_every_outcome_that_is_not_synced_is_explained(outcome: Outcome) -> None:
    """Whoever was not synced has at least one line that says why, even if the result holds no reason."""
    lines = section(render_run(None, [result(1, outcome=outcome)], complete=False), "Not synced")

    assert lines[0] == f"- Ana Abel (id 501): {outcome}"
    assert lines[1].startswith("    ")
    assert len(lines[1].strip()) > 10


def test_names_are_sorted_as_people_expect() -> None:
    """Case and accents do not count in the order, and people of one name stand in the order of their ids."""
    names = ["zoe", "Émile", "emil", "Åsa", "ASB", "Eva", "asa"]
    results = [result(9 - i, name) for i, name in enumerate(names)]
    results += [result(21, "Eva"), result(20, "Eva")]

    lines = section(render_run(marker(9), results, complete=True), "Synced")

    assert lines == [
        "- asa (id 503): created",
        "- Åsa (id 506): created",
        "- ASB (id 505): created",
        "- emil (id 507): created",
        "- Émile (id 508): created",
        "- Eva (id 504): created",
        "- Eva (id 520): created",
        "- Eva (id 521): created",
        "- zoe (id 509): created",
    ]


def test_a_person_who_was_redriven_counts_once_and_what_was_before_is_told_below() -> None:
    """The latest result counts, whatever came first; the earlier ones stand under it, latest first."""
    no_answer = Reason("upstream_unavailable", "SmartBarrel did not answer", "503")
    results = [
        result(8, subject_id="7", detail="Phone number changed"),
        result(5, subject_id="7", outcome=Outcome.PARKED, reasons=(no_answer, NO_EMAIL)),
        result(3, subject_id="7", outcome=Outcome.HELD),
    ]

    text = render_run(marker(1), results, complete=True)

    assert section(text, "Synced") == [
        "- Ana Abel (id 7): created",
        "    Phone number changed",
        '    before that: parked at 2026-11-23 07:15:05 UTC: SmartBarrel did not answer "503"; Missing email',
        "    before that: held at 2026-11-23 07:15:03 UTC: Waiting: Autosync is off",
    ]
    assert (
        "Synced             1\n  created          1\nNot synced         0\nTotal              1 person\n"
        in text
    )
    assert "Why not" not in text


def test_of_two_results_of_one_moment_the_one_that_is_given_later_counts() -> None:
    """The state gives them by partition and offset, so the order of arrival does not matter."""
    parked, created = result(1, outcome=Outcome.PARKED), result(1)

    assert "- Ana Abel (id 501): created" in render_run(None, [parked, created], complete=False)
    assert "- Ana Abel (id 501): parked" in render_run(None, [created, parked], complete=False)


def test_in_a_day_s_log_every_result_counts() -> None:
    """What came by itself several times a day is told each time."""
    results = [result(n, subject_id="7", run_id=None, outcome=o) for n, o in enumerate(Outcome)]

    text = render_day(4100, Kind.TIMESHEETS, date(2026, 11, 23), results)

    assert "Total              8 results\n" in text
    assert "before that" not in text


def why_not(*results: Result) -> list[str]:
    """The lines of the block that says why not."""
    text = render_run(None, results, complete=False)
    return text.split("Why not\n-------\n")[1].split("\n\n")[0].splitlines()


def test_why_not_counts_people_by_reason_with_the_most_frequent_first() -> None:
    """Who has several reasons counts for each, once; who was synced for none."""
    assert why_not(
        result(1, outcome=Outcome.SKIPPED, reasons=(NO_EMAIL, NO_PHONE)),
        result(2, outcome=Outcome.SKIPPED, reasons=(NO_PHONE, NO_PHONE)),
        result(3, outcome=Outcome.STALE),
        result(4, reasons=(NO_EMAIL,)),
        result(5, outcome=Outcome.FAILED, reasons=(Reason("missing_last_name", "Missing last name"),)),
    ) == [
        "     2  Missing phone number",
        "     1  A newer version had been synced already",
        "     1  Missing email",
        "     1  Missing last name",
    ]


def test_why_not_names_nobody_where_the_reasons_of_several_do() -> None:
    """Sentences of one code that name different people are counted under what they have in common."""
    ana, ben = (reasons.phone_in_use(name, None) for name in ("Ana", "Ben"))
    odd = [Reason("from_the_future", words) for words in ("One", "Two")]
    failed = [result(n, outcome=Outcome.SKIPPED, reasons=(r,)) for n, r in enumerate((ana, ben, *odd))]

    assert why_not(*failed) == [
        "     2  From the future",
        "     2  Phone number already in use in SmartBarrel",
    ]
    assert why_not(failed[0]) == ["     1  Phone number already in use by Ana in SmartBarrel"]


@pytest.mark.parametrize(
    "name",
    [
        "Eve\n- Ana Abel (id 1): created",
        "Eve\r\nSynced (900)\r\n------------",
        "Eve\vTotal 9",
        "Eve\x85Total 9",
        "Eve\u2028Total 9",
        "Eve\u2029\x00\x1b[2JTotal 9",
        "\u202eevE",
    ],
)
def test_nothing_from_outside_can_forge_a_line(name: str) -> None:
    """Wherever a text comes from outside, its line breaks and invisible controls are shown, not obeyed."""
    evil = Reason(name, name, name)
    results = [
        result(1, name, subject_id=name, run_id=name, detail=name, reasons=(evil,), warnings=(evil,)),
        result(2, name, Outcome.FAILED, run_id=name, reasons=(evil,)),
    ]
    harmless = [
        result(
            1,
            "x",
            subject_id="x",
            detail="x",
            reasons=(Reason("x", "x", "x"),),
            warnings=(Reason("x", "x", "x"),),
        ),
        result(2, "x", Outcome.FAILED, reasons=(Reason("x", "x", "x"),)),
    ]

    text = render_run(marker(2, run_id=name, requested_by=name), results, complete=True)
    expected = render_run(marker(2), harmless, complete=True)

    assert len(text.splitlines()) == len(expected.splitlines())
    assert [line[:2] for line in text.splitlines()] == [line[:2] for line in expected.splitlines()]
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} for c in text.replace("\n", ""))


def test_long_texts_are_never_cut_and_letters_of_any_script_stay() -> None:
    """Names and reasons appear whole, and letters of any script as they are."""
    name, words = "Maryam Nāzanīn می\u200cنی 田中 " + "Long " * 40 + "End", "because " * 60 + "so"
    failed = result(1, name, Outcome.FAILED, reasons=(Reason("x", words, words),))

    text = render_run(None, [failed], complete=False)

    assert f'- {name} (id 501): failed\n    {words}\n      "{words}"\n' in text


def test_somebody_without_a_name_is_still_listed() -> None:
    """An empty or blank name is shown as "(no name)" with its id."""
    assert "- (no name) (id 501): created\n" in render_run(None, [result(1, " ")], complete=False)


def test_moments_are_shown_in_utc() -> None:
    """A moment in another time zone is shown in UTC."""
    started = datetime.fromisoformat("2026-11-23T23:30:00-08:00")

    text = render_run(marker(0, started_at=started), [], complete=True)

    assert "Started:      2026-11-24 07:30:00 UTC\n" in text


@settings(max_examples=60)
@given(
    outcomes=st.lists(
        st.tuples(st.sampled_from(Outcome), st.text(max_size=8), st.integers(0, 3)), max_size=30
    ),
    order=st.randoms(use_true_random=False),
)
def test_counts_add_up_and_order_of_arrival_does_not_matter(
    outcomes: list[tuple[Outcome, str, int]], order: random.Random
) -> None:
    """The counts sum to the total, the sections list each result once, whatever order results come in."""
    at, second = datetime(2026, 11, 23, tzinfo=UTC), timedelta(seconds=1)
    results = [
        Result(1, Kind.USERS, None, str(subject), name, outcome, (), (), None, "t", 0, i, at, at + i * second)
        for i, (outcome, name, subject) in enumerate(outcomes or [(Outcome.HELD, "", 0)])
    ]
    shuffled = list(results)
    order.shuffle(shuffled)

    text = render_day(1, Kind.USERS, at.date(), results)
    check_counts(text, len(results))
    assert render_day(1, Kind.USERS, at.date(), shuffled) == text

    of_run = [replace(one, run_id="r1") for one in results]
    order.shuffle(shuffled := list(of_run))
    text = render_run(None, of_run, complete=False)
    check_counts(text, len({one.subject_id for one in results}))
    assert render_run(None, shuffled, complete=False) == text


def check_counts(text: str, total: int) -> None:
    """The counts of a log, whole, halves and outcomes, add up, and so do the entries below."""
    block = text.split("Results\n-------\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    parts = {line[:12].rstrip(): int(line[12:].split()[0]) for line in block}
    outcomes = {name.strip(): count for name, count in parts.items() if name.startswith("  ")}
    assert sum(count for name, count in outcomes.items() if name in SYNCED) == parts["Synced"]
    assert sum(count for name, count in outcomes.items() if name not in SYNCED) == parts["Not synced"]
    assert parts["Synced"] + parts["Not synced"] == parts["Total"] == total
    assert f"\nSynced ({parts['Synced']})\n" in text
    assert f"\nNot synced ({parts['Not synced']})\n" in text
    assert sum(line.startswith("- ") for line in text.splitlines()) == total
    assert all(len(line) <= 40 for line in block)


@given(st.text())
def test_visible_text_is_one_printable_line_that_changes_no_more(text: str) -> None:
    """What is shown has no line break of any kind, and showing it again changes nothing."""
    shown = visible(text)

    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    assert shown.encode().decode() == shown
    assert name_order(shown) == name_order(shown.swapcase()) or not shown.isascii()
