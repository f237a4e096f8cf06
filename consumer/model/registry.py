"""Client of a Confluent-compatible schema registry (Confluent, Karapace, Apicurio's ``ccompat`` API).

The calls and error codes are those of
https://docs.confluent.io/platform/current/schema-registry/develop/api.html. A schema is registered under its
record's full name (RecordNameStrategy), since ``sync-log`` carries two record types.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx

from consumer.exceptions import ConfigurationError, CrewsyncError, UnknownSchema


CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

_NOT_FOUND = range(40400, 40500)
"""Error codes of subjects, versions and schemas that are not there. A bare 404 is a wrong address instead."""
_IDS = range(2**32)
_LONGEST_MESSAGE = 300
_FORGET_AFTER_S = 30.0
_MOST_UNKNOWN_IDS = 1000


class SchemaRegistryError(CrewsyncError):
    """The schema registry did not answer, or refused. This says nothing about the value at hand.

    ``retriable`` tells whether the same call may work later (time-out, overload, fault of the registry),
    or only after somebody has put something right (credentials, address, incompatible schema).
    """

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class SchemaRegistry:
    """Ids of schemas and schemas of ids. Nothing is cached but, for half a minute, that an id is unknown.

    A user name and password in the URL are sent as basic authentication and appear in no message.
    A call takes at most about ``timeout_s`` seconds; ``clock`` gives seconds. Threads may share a client.
    Raises ConfigurationError if ``url`` is no http(s) URL.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise ConfigurationError("The schema registry's URL cannot be read.") from None
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ConfigurationError("The schema registry's URL must be http:// or https:// and a host.")
        auth = (parsed.username, parsed.password) if parsed.userinfo else None
        base = parsed.copy_with(userinfo=b"", query=None, fragment=None)
        self._shown = str(base).rstrip("/")
        self._client = httpx.Client(
            base_url=base,
            auth=auth,
            timeout=timeout_s,
            transport=transport,
            headers={"Accept": f"{CONTENT_TYPE}, application/json", "Content-Type": CONTENT_TYPE},
        )
        self._clock = clock
        self._unknown: OrderedDict[int, float] = OrderedDict()

    def schema_id(self, subject: str, schema: str) -> int:
        """The id of this Avro schema, which is registered under the subject if it is not yet.

        Looking it up comes first, so that an account that may only read is enough once all are registered.
        Raises SchemaRegistryError, also if the registry finds the schema incompatible.
        """
        found = self.registered(subject, schema)
        if found is not None:
            return found
        return self._id(subject, self._call("POST", f"{_path(subject)}/versions", _body(schema)))

    def registered(self, subject: str, schema: str) -> int | None:
        """The id of this Avro schema, or None if it is not registered under the subject.

        Nothing is changed. Raises SchemaRegistryError.
        """
        answer = self._call("POST", _path(subject), _body(schema))
        return None if answer is None else self._id(subject, answer)

    def schema(self, schema_id: int) -> str | None:
        """The Avro schema with this id, or None if it is of another kind.

        Raises UnknownSchema if the registry has no such id, SchemaRegistryError if it does not say.
        """
        asked_at = self._unknown.get(schema_id)
        answer = None
        if asked_at is None or self._clock() - asked_at > _FORGET_AFTER_S:
            answer = self._call("GET", f"/schemas/ids/{schema_id}")
            if answer is None:
                self._remember_unknown(schema_id)
        if answer is None:
            raise UnknownSchema(f"The schema registry knows no schema with id {schema_id}.")
        if answer.get("schemaType", "AVRO") != "AVRO":
            return None
        text = answer.get("schema")
        if not isinstance(text, str):
            raise self._error(f"gave no schema for id {schema_id}", retriable=False)
        return text

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _id(self, subject: str, answer: dict[str, Any] | None) -> int:
        found = answer.get("id") if answer is not None else None
        if type(found) is not int or found not in _IDS:
            raise self._error(f"gave no id for {subject}", retriable=False)
        return found

    def _remember_unknown(self, schema_id: int) -> None:
        self._unknown[schema_id] = self._clock()
        self._unknown.move_to_end(schema_id)
        while len(self._unknown) > _MOST_UNKNOWN_IDS:
            self._unknown.popitem(last=False)

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any] | None:
        """The JSON object in the answer, or None if what was asked for is not there."""
        try:
            response = self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            raise self._error("did not answer in time", retriable=True) from None
        except httpx.HTTPError as error:
            raise self._error(f"cannot be reached ({type(error).__name__})", retriable=True) from None
        answer = _json_object(response)
        if response.is_success and answer is not None:
            return answer
        if response.is_success:
            raise self._error("answered with something other than a JSON object", retriable=False)
        code = (answer or {}).get("error_code")
        if response.status_code == httpx.codes.NOT_FOUND and code in _NOT_FOUND:
            return None
        text = str((answer or {}).get("message", response.reason_phrase))[:_LONGEST_MESSAGE]
        raise self._error(
            f"answered {response.status_code} (code {code}): {text}",
            retriable=response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS,
        )

    def _error(self, what: str, *, retriable: bool) -> SchemaRegistryError:
        return SchemaRegistryError(f"The schema registry at {self._shown} {what}.", retriable=retriable)


def _path(subject: str) -> str:
    return f"/subjects/{quote(subject, safe='')}"


def _body(schema: str) -> dict[str, str]:
    return {"schema": schema, "schemaType": "AVRO"}


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
