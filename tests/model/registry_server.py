"""A schema registry in memory, which answers as Confluent's API is documented."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx


class RegistryServer:
    """A schema registry in memory, with the requests that it got."""

    def __init__(self) -> None:
        self.schemas: list[str] = []
        self.subjects: dict[str, set[int]] = {}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/apis/ccompat/v7")
        if request.method == "GET" and (by_id := re.fullmatch(r"/schemas/ids/(\d+)", path)):
            return self._by_id(int(by_id[1]))
        if request.method == "POST" and (found := re.fullmatch(r"/subjects/([\w.]+)(/versions)?", path)):
            sent = json.loads(request.content)
            assert sent.keys() == {"schema", "schemaType"}
            assert sent["schemaType"] == "AVRO"
            return (
                self._register(found[1], sent["schema"])
                if found[2]
                else self._look_up(found[1], sent["schema"])
            )
        return refuse(404, 404, "HTTP 404 Not Found")

    def put(self, schema: str) -> int:
        """Take in a schema and give its id."""
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [f"{request.method} {request.url.path}" for request in self.requests]

    def _by_id(self, schema_id: int) -> httpx.Response:
        if 1 <= schema_id <= len(self.schemas):
            return httpx.Response(200, json={"schema": self.schemas[schema_id - 1]})
        return refuse(404, 40403, f"Schema {schema_id} not found")

    def _look_up(self, subject: str, schema: str) -> httpx.Response:
        if subject not in self.subjects:
            return refuse(404, 40401, f"Subject '{subject}' not found.")
        if schema not in self.schemas or self.put(schema) not in self.subjects[subject]:
            return refuse(404, 40403, "Schema not found")
        answer = {"subject": subject, "id": self.put(schema), "version": 1, "schema": schema}
        return httpx.Response(200, json=answer)

    def _register(self, subject: str, schema: str) -> httpx.Response:
        self.subjects.setdefault(subject, set()).add(self.put(schema))
        return httpx.Response(200, json={"id": self.put(schema)})


def refuse(status: int, code: int, message: str) -> httpx.Response:
    """An error as the API documents it."""
    return httpx.Response(status, json={"error_code": code, "message": message})


@contextmanager
def serving(server: RegistryServer) -> Iterator[str]:
    """Answer over HTTP on a free loopback port, whose URL is given."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            answer = server(httpx.Request("POST", f"http://registry{self.path}", content=content))
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()
            thread.join()
