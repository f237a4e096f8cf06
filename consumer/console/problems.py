"""Errors of the API, as RFC 9457 writes them."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from starlette.responses import JSONResponse, Response

from consumer.exceptions import BrokerError
from consumer.model.registry import SchemaRegistryError


log = structlog.get_logger(__name__)

API = "/api/v1"
MEDIA_TYPE = "application/problem+json"


class _Problem(JSONResponse):
    """In ASCII: what is told of a request may be no text that can be encoded, as half of a pair is."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


def unavailable(error: Exception) -> str:
    """What whoever asked is told of what cannot be reached; the process's log has the rest."""
    log.warning("console.unavailable", kind=type(error).__name__, error=str(error))
    if isinstance(error, BrokerError | SchemaRegistryError):
        return "The broker does not answer. If you asked for something, it may or may not have been done."
    return "What this needs cannot be read here; the log of this program says why."


def problem(status: HTTPStatus, detail: str, instance: str) -> Response:
    """A problem, with the path at which it was met."""
    return _Problem(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": int(status),
            "detail": detail,
            "instance": quote(instance),
        },
        status_code=status,
        media_type=MEDIA_TYPE,
    )
