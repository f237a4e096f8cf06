"""The scene of the sink's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sink.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A topic and a log directory, both empty."""
    made = Scene(tmp_path)
    yield made
    made.close()
