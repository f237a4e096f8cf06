"""The demo data: what both systems hold when a sandbox is new."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class DemoData:
    """The first state of both systems, in the words of their HTTP contracts.

    ``procore`` has ``company`` (``id``, ``name``), ``users``, ``people`` (one for each user, and contacts),
    ``projects`` (each with its ``sub_jobs``, ``cost_codes`` and ``locations``) and
    ``work_classifications``. ``smartbarrel`` has ``company``, ``positions``, ``workers`` and
    ``timesheets``, which name their worker by ``worker_ref``: ``{"id": ...}`` or ``{"external_id": ...}``.
    """

    procore: Mapping[str, Any]
    smartbarrel: Mapping[str, Any]


def load_demo() -> DemoData:
    """The demo data that come with this package. Raises FileNotFoundError if they are missing."""
    data = resources.files("consumer.sandbox") / "data"
    return DemoData(
        procore=json.loads((data / "procore.json").read_text("utf-8")),
        smartbarrel=json.loads((data / "smartbarrel.json").read_text("utf-8")),
    )
