"""Errors of the API, as RFC 9457 writes them."""

from http import HTTPStatus

from starlette.responses import JSONResponse, Response


API = "/api/v1"
MEDIA_TYPE = "application/problem+json"


def problem(status: HTTPStatus, detail: str, instance: str) -> Response:
    """A problem, with the path at which it was met."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": int(status),
            "detail": detail,
            "instance": instance,
        },
        status_code=status,
        media_type=MEDIA_TYPE,
    )
