"""Reads the body of a success as the contract says it is.

A body of another shape is no answer: a proxy may have given it, or a server that is half up. So it is as
passing a fault as no answer at all, after which a change has to be looked for, and no fault of this program,
which would end each event of the company as failed.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from consumer.exceptions import Transient
from consumer.upstream.http import json_of


T = TypeVar("T")

_MISFITS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading a value of another shape raises."""


def read(upstream: str, operation: str, response: httpx.Response, parse: Callable[[Any], T]) -> T:
    """The body of a success, parsed. Raises Transient if it is no JSON, or not what ``parse`` reads."""
    body = json_of(upstream, operation, response)
    try:
        return parse(body)
    except _MISFITS as error:
        raise Transient(upstream, operation, response.status_code, (_words(error),)) from None


def rows(parse: Callable[[Mapping[str, Any]], T]) -> Callable[[Any], list[T]]:
    """Reads a list, each row of it with ``parse``."""

    def read_rows(body: Any) -> list[T]:
        # An empty object or text has no rows either, but does not say that there are none.
        if not isinstance(body, list):
            raise TypeError
        return [parse(row) for row in body]

    return read_rows


def _words(error: Exception) -> str:
    # The text of other errors than of a missing key may have values in it.
    what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else "a value has another shape"
    return f"The answer is not what the contract says: {what}."
