"""A sandbox with a small company, and clients whose every exchange is checked against the contracts."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumer.sandbox.demo import DemoData
from consumer.sandbox.server import RunningSandbox, start
from tests.contracts import ContractChecker
from tests.sandbox.company import Clock, small_company


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def data() -> DemoData:
    return small_company()


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.db"


@pytest.fixture(scope="session")
def closers() -> Iterator[Executor]:
    """Closes sandboxes while the next test runs, since a server takes a fifth of a second to shut down."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield pool


@pytest.fixture
def run(
    state_file: Path, data: DemoData, clock: Clock, closers: Executor
) -> Iterator[Callable[..., RunningSandbox]]:
    """Starts sandboxes on this test's state file; all are closed when the test ends."""
    started: list[RunningSandbox] = []

    def start_one(**options: Any) -> RunningSandbox:
        started.append(start(state_file, data, clock=clock, **options))
        return started[-1]

    yield start_one
    for sandbox in started:
        closers.submit(sandbox.close)


@pytest.fixture
def sandbox(run: Callable[..., RunningSandbox]) -> RunningSandbox:
    return run()


@pytest.fixture
def open_client(contract_checker: ContractChecker) -> Iterator[Callable[..., httpx.Client]]:
    """Opens checked clients; all are closed when the test ends."""
    with ExitStack() as opened:

        def open_one(base_url: str, headers: dict[str, str] | None = None) -> httpx.Client:
            transport = contract_checker.transport()
            return opened.enter_context(httpx.Client(base_url=base_url, headers=headers, transport=transport))

        yield open_one


@pytest.fixture
def procore_of(
    open_client: Callable[..., httpx.Client],
) -> Callable[[RunningSandbox], httpx.Client]:
    """Logs in at a sandbox's Procore."""

    def log_in(sandbox: RunningSandbox) -> httpx.Client:
        address = sandbox.address
        credentials = {"client_id": address.client_id, "client_secret": address.client_secret}
        answer = open_client(address.procore_login_url).post(
            "/oauth/token", json={"grant_type": "client_credentials", **credentials}
        )
        token = answer.json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Procore-Company-Id": "4281001"}
        return open_client(address.procore_url, headers)

    return log_in


@pytest.fixture
def procore(sandbox: RunningSandbox, procore_of: Callable[[RunningSandbox], httpx.Client]) -> httpx.Client:
    return procore_of(sandbox)


@pytest.fixture
def smartbarrel(sandbox: RunningSandbox, open_client: Callable[..., httpx.Client]) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.address.api_key}"}
    return open_client(f"{sandbox.address.smartbarrel_url}/api/v1/companies/granite-ridge", headers)
