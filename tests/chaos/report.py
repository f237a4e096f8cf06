"""The figures of chaos runs as text."""

from collections.abc import Sequence

from tests.chaos.run import Tally


MOST_SHOWN = 5


def as_text(tallies: Sequence[Tally]) -> str:
    """A table with a column for each run, and what was found wrong below it."""
    rows: list[tuple[str, list[str]]] = [
        ("broker", [one.broker for one in tallies]),
        ("seed", [str(one.seed) for one in tallies]),
        ("seconds", [f"{one.seconds:.0f}" for one in tallies]),
        ("kills (SIGKILL)", [str(one.kills) for one in tallies]),
        ("stops (SIGSTOP)", [str(one.stops) for one in tallies]),
        ("members that joined and left", [str(one.visits) for one in tallies]),
        ("hard broker bounces", [str(one.bounces) for one in tallies]),
        ("starts of processes", [str(one.starts) for one in tallies]),
        ("rebalances (assignments)", [str(one.rebalances) for one in tallies]),
        ("outages (401 or 503 for all)", [str(one.outages) for one in tallies]),
        ("replays of a topic, and killed ones", [f"{one.replays}, {one.replays_killed}" for one in tallies]),
        ("calls to upstreams", [str(one.faults.get("calls", 0)) for one in tallies]),
        ("faults", [str(sum(n for kind, n in one.faults.items() if kind != "calls")) for one in tallies]),
        ("events", [str(one.events) for one in tallies]),
        ("results", [str(one.results) for one in tallies]),
        ("parked", [str(one.parked) for one in tallies]),
        ("redriven", [str(one.redriven) for one in tallies]),
        ("lost", [str(one.findings.lost) for one in tallies]),
        ("duplicate results", [str(len(one.findings.duplicate_results)) for one in tallies]),
        ("duplicate effects", [str(len(one.findings.duplicate_effects)) for one in tallies]),
        ("differences in the log files", [str(len(one.findings.log_differs)) for one in tallies]),
        ("repeated creating calls", [str(one.repeated_calls) for one in tallies]),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  " + "  ".join(f"{value:>10}" for value in values) for name, values in rows]
    for one in tallies:
        faults = ", ".join(f"{kind}: {n}" for kind, n in sorted(one.faults.items()) if kind != "calls")
        outcomes = ", ".join(f"{count} {name}" for name, count in one.outcomes.items())
        lines += [f"{one.broker}: faults: {faults}", f"{one.broker}: outcomes: {outcomes}"]
        if one.own_ends:
            lines.append(f"{one.broker}: exit codes of members that ended by themselves: {one.own_ends}")
        if one.failed_roles:
            lines.append(f"{one.broker}: roles that failed: {one.failed_roles}")
        lines += _wrong(one)
    return "\n".join(lines) + "\n"


def _wrong(tally: Tally) -> list[str]:
    if tally.is_clean:
        return [f"{tally.broker}: nothing was lost, and nothing was done twice"]
    lines = [] if tally.settled else [f"{tally.broker}: it did not come to rest"]
    for name in (
        "lost_results",
        "duplicate_results",
        "results_of_nothing",
        "lost_effects",
        "duplicate_effects",
        "wrong_effects",
        "log_differs",
    ):
        found = getattr(tally.findings, name)
        if found:
            shown = "; ".join(map(str, found[:MOST_SHOWN]))
            lines.append(f"{tally.broker}: {name.replace('_', ' ')}: {len(found)}: {shown}")
    return [*lines, f"{tally.broker}: to repeat it: --broker {tally.broker} --seed {tally.seed}"]
