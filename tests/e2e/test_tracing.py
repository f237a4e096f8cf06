"""One trace leads from an event through its calls to its result and its log."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumer import tracing
from consumer.broker.connect import connect
from tests.e2e.program import Place


class Collector:
    """What a trace collector has been sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.lock = threading.Lock()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans

    def traces(self) -> Mapping[bytes, list[Span]]:
        found: dict[bytes, list[Span]] = defaultdict(list)
        for span in self.spans:
            found[span.trace_id].append(span)
        return found


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A collector, and where it listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_the_demo_s_traces_lead_from_each_event_to_its_calls_its_result_and_its_log(place: Place) -> None:
    with collecting() as (collector, url):
        place.run("demo", CREWSYNC_TRACING="true", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    traces = [{span.name for span in spans} for spans in collector.traces().values()]
    users = [names for names in traces if "publish user" in names]
    timesheets = [names for names in traces if "publish timesheet" in names]
    assert (len(users), len(timesheets)) == (250, 411)
    assert all({"publish user", "handle users", "log"} <= names for names in users)
    assert all({"publish timesheet", "handle timesheets", "log"} <= names for names in timesheets)
    assert sum("smartbarrel createWorker" in names for names in users) >= 178
    said = " ".join(str(span.attributes) for span in collector.spans)
    assert "@" not in said


def test_without_the_setting_no_record_has_a_header_of_traces(place: Place) -> None:
    place.run("demo")
    with connect(f"embedded:{place.broker}") as broker:
        reader = broker.reader(
            [one for topic in ("sync-log", "procore.user-events") for one in broker.partitions(topic)]
        )
        try:
            records = [record for _ in range(20) for record in reader.poll(0.1, 5000)]
        finally:
            reader.close()
    assert len(records) > 500
    assert [record for record in records if tracing.HEADER in dict(record.headers)] == []


@pytest.mark.parametrize(
    "header", [b"", b"00-", b"\xff\xfe", b"x" * 10_000, b"00-0" + b"0" * 31 + b"-0000000000000000-01"]
)
def test_a_record_whose_trace_cannot_be_read_gets_one_that_follows_from_its_place(header: bytes) -> None:
    with _traced() as names:
        for _ in range(2):
            with tracing.handling("handle", ((tracing.HEADER, header),), "topic:0:7", {}):
                pass
        with tracing.handling("handle", (), "topic:0:8", {}):
            pass
    assert (len(names), len(set(names))) == (3, 2)


@contextmanager
def _traced() -> Iterator[list[int]]:
    """Trace in this process, and tell the ids of the traces."""
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult  # noqa: PLC0415

    ids: list[int] = []

    class Exporter(SpanExporter):
        def export(self, spans: "tuple[ReadableSpan, ...]") -> SpanExportResult:  # type: ignore[override]
            ids.extend(span.context.trace_id for span in spans if span.context)
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Exporter()))
    tracing.trace_with(provider.get_tracer("test"))
    try:
        yield ids
    finally:
        tracing.trace_with(None)
        provider.shutdown()
