"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest

from tests.contracts import ContractChecker


@pytest.fixture
def contract_checker() -> Iterator[ContractChecker]:
    """A checker of HTTP exchanges, which must have found nothing wrong when the test ends."""
    checker = ContractChecker()
    yield checker
    assert checker.failures == []
