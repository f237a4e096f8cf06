"""Checks HTTP exchanges against the OpenAPI contracts of Procore and SmartBarrel.

The fixture ``contract_checker`` gives a test a checker. ``checker.transport(inner)`` goes under an httpx
client: an exchange that breaks a contract then raises AssertionError where it was made, and again at the
end of the test, in case the code between swallowed it. A request that is wrong on purpose says so::

    client.post(url, json={}, extensions=BREAKS_CONTRACT)

An exchange belongs to a contract by its path, wherever the server listens.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx
import yaml
from jsonschema_path import SchemaPath
from openapi_core import V31RequestValidator, V31ResponseValidator
from openapi_core.datatypes import RequestParameters
from openapi_core.security.exceptions import SecurityProviderError
from openapi_core.security.factories import SecurityProviderFactory
from openapi_core.templating.paths.datatypes import PathOperationServer
from openapi_core.templating.paths.exceptions import PathError
from werkzeug.datastructures import Headers, ImmutableMultiDict


BREAKS_CONTRACT = {"breaks_contract": True}
"""The extension of an httpx request that is wrong on purpose; its answer is checked all the same."""

Exchange = tuple[httpx.Request, httpx.Response | None]

_CONTRACTS = Path(__file__).parents[1] / "schemas" / "http"
_ORIGINS = {
    "/oauth/": ("procore", "https://login.procore.com"),
    "/rest/": ("procore", "https://api.procore.com"),
    "/api/": ("smartbarrel", "https://api.smartbarrel.example"),
}
_LONGEST_BODY = 500


class ContractChecker:
    """Checks exchanges: ``failures`` keeps what was wrong, ``checked`` counts them.

    ``operations`` counts them by the contracts' names, and ``served`` are those that are still to be checked.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.checked = 0
        self.operations: Counter[str] = Counter()
        self.served: list[Exchange] = []

    def check(self, request: httpx.Request, response: httpx.Response | None) -> None:
        """Check an exchange whose bodies have been read, or a request that was not answered.

        Raises AssertionError that says what is wrong.
        """
        self.checked += 1
        problems = list(_problems(request, response, self.operations))
        if problems:
            self.failures.append(_report(request, response, problems))
            raise AssertionError(self.failures[-1])

    def check_served(self) -> None:
        """Check what a server has answered since the last time; ``failures`` has what is wrong.

        Apart from the answering, because it takes longer than that.
        """
        while self.served:
            with suppress(AssertionError):
                self.check(*self.served.pop())

    def transport(self, inner: httpx.BaseTransport | None = None) -> httpx.BaseTransport:
        """A transport that checks every exchange of the inner one (by default, a real one)."""
        return _CheckedTransport(self, inner or httpx.HTTPTransport())

    def async_transport(self, inner: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncBaseTransport:
        """The same for an async client."""
        return _CheckedAsyncTransport(self, inner or httpx.AsyncHTTPTransport())


def contract(system: str) -> dict[str, Any]:
    """The contract of ``procore`` or ``smartbarrel`` as a document, widened where the design says so."""
    text = (_CONTRACTS / f"{system}.openapi.yaml").read_text("utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
    document: dict[str, Any] = yaml.load(text, loader)  # noqa: S506 - both are safe loaders
    if system == "procore":
        # The contract knows users with an e-mail only. The project assumes that some have none, and that
        # Procore then sends null, an empty string or no key.
        user = document["components"]["schemas"]["User"]
        user["required"].remove("email_address")
        user["properties"]["email_address"] = {"type": ["string", "null"]}
    return document


class _CheckedTransport(httpx.BaseTransport):
    def __init__(self, checker: ContractChecker, inner: httpx.BaseTransport) -> None:
        self._checker = checker
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        answer = self._inner.handle_request(request)
        try:
            assert isinstance(answer.stream, httpx.SyncByteStream)
            body = b"".join(answer.stream)
        finally:
            answer.close()
        return _checked(self._checker, request, answer, body)

    def close(self) -> None:
        self._inner.close()


class _CheckedAsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, checker: ContractChecker, inner: httpx.AsyncBaseTransport) -> None:
        self._checker = checker
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        answer = await self._inner.handle_async_request(request)
        try:
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            body = b"".join([part async for part in answer.stream])
        finally:
            await answer.aclose()
        return _checked(self._checker, request, answer, body)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body to be read once more, by the client; httpx reads its own ByteStream too early."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def _checked(
    checker: ContractChecker, request: httpx.Request, answer: httpx.Response, body: bytes
) -> httpx.Response:
    status, headers = answer.status_code, answer.headers
    checker.check(request, httpx.Response(status, headers=headers, content=body))
    return httpx.Response(status, headers=headers, stream=_Body(body), extensions=answer.extensions)


class _Exchange:
    """A request and its response as openapi-core reads them (its protocols Request and Response)."""

    def __init__(self, request: httpx.Request, response: httpx.Response | None, origin: str) -> None:
        self.host_url = origin
        self.path = request.url.path
        self.method = request.method.lower()
        self.body = request.content or None
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(request.url.params.multi_items()),
            header=Headers(request.headers.multi_items()),
        )
        message = request if response is None else response
        self.headers = Headers(message.headers.multi_items())
        self.content_type = message.headers.get("content-type", "").lower()
        self.status_code = 0 if response is None else response.status_code
        self.data = None if response is None else response.content or None


class _BearerSecurity(SecurityProviderFactory):
    """Both contracts mean a bearer token; openapi-core has no check of its own for OAuth."""

    def create(self, scheme: SchemaPath) -> Callable[[RequestParameters], str]:  # noqa: ARG002 - inherited
        return self._token

    def _token(self, parameters: RequestParameters) -> str:
        scheme, _, token = parameters.header.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise SecurityProviderError("no bearer token")
        return token


class _Contract:
    def __init__(self, system: str) -> None:
        spec = SchemaPath.from_dict(contract(system))
        self.request = V31RequestValidator(spec, security_provider_factory=_BearerSecurity())
        self.response = V31ResponseValidator(spec)

    @classmethod
    @cache
    def of(cls, system: str) -> Self:
        """The parsed contract, made once in a process."""
        return cls(system)

    def find(self, exchange: _Exchange) -> PathOperationServer:
        return self.request._find_path(exchange)


def _problems(
    request: httpx.Request, response: httpx.Response | None, operations: Counter[str]
) -> Iterator[str]:
    on_purpose = bool(request.extensions.get("breaks_contract"))
    origin = next((found for start, found in _ORIGINS.items() if request.url.path.startswith(start)), None)
    if origin is None:
        if not on_purpose:
            yield "request: the path is in no contract"
        return
    system, host = origin
    parsed = _Contract.of(system)
    asked = _Exchange(request, None, host)
    try:
        found = parsed.find(asked)
    except PathError as error:
        if not on_purpose:
            yield f"request: {error}"
        return
    operations[found.operation["operationId"]] += 1
    wrong = [f"request: {_text(error)}" for error in parsed.request.iter_errors(asked)]
    wrong += [f"request: unknown parameter {name}" for name in _unknown_parameters(found, request)]
    if on_purpose and not wrong:
        yield "request: marked as breaking the contract, but does not"
    elif not on_purpose:
        yield from wrong
    if response is None:
        return
    answered = _Exchange(request, response, host)
    yield from (f"response: {_text(error)}" for error in parsed.response.iter_errors(asked, answered))


def _unknown_parameters(found: PathOperationServer, request: httpx.Request) -> list[str]:
    known = {
        parameter["name"]
        for owner in (found.path, found.operation)
        if "parameters" in owner
        for parameter in (part.read_value() for part in owner / "parameters")
        if parameter["in"] == "query"
    }
    return sorted(set(request.url.params.keys()) - known)


def _text(error: BaseException) -> str:
    """The error with its causes, of which openapi-core's own says little."""
    texts = [" ".join(filter(None, (getattr(error, "name", ""), str(error))))]
    details = getattr(error, "schema_errors", ())
    texts += [f"at {detail.json_path}: {detail.message}" for detail in details]
    if error.__cause__ is not None:
        texts.append(_text(error.__cause__))
    return "\n    ".join(texts)


def _report(request: httpx.Request, response: httpx.Response | None, problems: list[str]) -> str:
    answer = "no answer" if response is None else str(response.status_code)
    lines = [f"{request.method} {request.url.raw_path.decode()} -> {answer} breaks the contract"]
    lines += [f"  {problem}" for problem in problems]
    bodies = {"sent": request.content, "received": b"" if response is None else response.content}
    lines += [f"  {name}: {body[:_LONGEST_BODY]!r}" for name, body in bodies.items() if body]
    return "\n".join(lines)


class Unchecked(ContractChecker):
    """For many calls that other tests hold against the contracts, which takes nine tenths of their time."""

    def check(self, request: httpx.Request, response: httpx.Response | None) -> None:
        """Take everything for right."""
