"""Consoles with something in them: one that lets this machine in, one that demands tokens."""

from collections.abc import Iterator

import pytest

from consumer.model import reasons
from consumer.model.events import Kind
from consumer.model.results import Outcome, Reason
from tests.console.scene import GRANITE, NAUGHTY, OTHER, Scene, result


def filled(scene: Scene) -> Scene:
    """Runs of both companies, with a name and words that are scripts, and a letter of each."""
    said = Reason("rejected", f"Said {NAUGHTY}", NAUGHTY)
    scene.run(
        results=[
            result(1, "Ada Lovelace"),
            result(2, NAUGHTY, Outcome.FAILED, said, detail=NAUGHTY),
            result(3, "Grace Hopper", Outcome.SKIPPED, reasons.MISSING_PHONE, reasons.MISSING_EMAIL),
        ],
        run_id="granite1",
        requested_by=NAUGHTY,
    )
    scene.run(OTHER, results=[result(9, "Secret Person")], run_id="other1")
    scene.run(OTHER, Kind.TIMESHEETS, [result(8, "Secret Person")], run_id="other2")
    scene.letter(GRANITE)
    scene.letter(OTHER, 1)
    scene.letter(None, 2)
    scene.until(lambda: len(scene.live.letters()) == 3)
    return scene


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A console without tokens."""
    with Scene(tmp_path_factory.mktemp("open")) as scene:
        yield filled(scene)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A console with a token for all, and one for each company."""
    with Scene(tmp_path_factory.mktemp("guarded"), is_open=False) as scene:
        yield filled(scene)


@pytest.fixture(autouse=True)
def _unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests ask faster than anybody may; those of the rates want them as they are."""
    if "rates" not in request.keywords:
        for name in ("allows", "may_log_in", "may_send_token"):
            monkeypatch.setattr(f"consumer.console.guard.Rates.{name}", lambda *_: True)
