"""The API keeps to its own OpenAPI document, whatever is sent."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from consumer.health_server import listen, serving, url_of
from consumer.model import reasons
from consumer.model.results import Outcome
from tests.console.scene import GRANITE, NAUGHTY, Scene, result


pytestmark = pytest.mark.console

EXAMPLES = 15
SEED = 20261128
KNOWN = f"""
[parameters]
company_id = {GRANITE}
name = "run1"
kind = "users"
scope = "runs"

[[operations]]
include-name = "POST /companies/{{company_id}}/syncs"
checks.positive_data_acceptance.expected-statuses = ["2xx", "422", "429", "5xx"]
"""
"""Without what there is, nothing but 404 would be seen.

That a key is for one request only, and days must not end before they begin, no schema can say.
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console that is served, with something in it, and no limit on how often it is asked."""
    with Scene(tmp_path_factory.mktemp("contract")) as scene, pytest.MonkeyPatch.context() as patch:
        patch.setattr("consumer.console.guard.Rates.allows", lambda *_: True)
        not_synced = result(2, NAUGHTY, Outcome.SKIPPED, reasons.MISSING_PHONE)
        scene.run(results=[result(1, "Ada"), not_synced], run_id="run1")
        scene.letter()
        listener = listen("127.0.0.1", 0)
        with serving(listener, scene.app, "console", 600):
            yield f"{url_of(listener)}api/v1"


@pytest.mark.timeout(300)
def test_every_answer_is_one_that_the_document_announces(api: str, tmp_path: Path) -> None:
    """Schemathesis sends what fits the document and what does not, and looks at each answer."""
    (tmp_path / "schemathesis.toml").write_text(KNOWN, "utf-8")
    done = subprocess.run(  # noqa: S603 - a tool of the tests
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--seed", str(SEED), "--max-examples", str(EXAMPLES), "--workers", "2"),
            *("--request-timeout", "10", "--no-color", "--continue-on-failure"),
            f"{api}/openapi.json",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_document_names_every_refusal_and_the_token(api: str) -> None:
    document = httpx.get(f"{api}/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert {"401", "403", "404", "413", "422", "429", "503"} <= operation["responses"].keys(), (
                path,
                method,
            )
