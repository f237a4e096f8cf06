"""Both systems with a company of a test's own making."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import ContractChecker
from tests.upstream.site import Site, company_data


@pytest.fixture
def build(tmp_path: Path, contract_checker: ContractChecker) -> Iterator[Callable[..., Site]]:
    """Builds the systems: options of ``Site``, and what ``company_data`` is to hold."""
    with ExitStack() as built:

        def one(*, budget: Any = None, unique_origin_ids: bool = True, **data: Any) -> Site:
            path = tmp_path / "sandbox.db"
            options = {"budget": budget, "unique_origin_ids": unique_origin_ids}
            return built.enter_context(Site(path, contract_checker, company_data(**data), **options))

        yield one


@pytest.fixture
def site(build: Callable[..., Site]) -> Site:
    """The systems with Maria in Procore, and nobody in SmartBarrel."""
    return build()
