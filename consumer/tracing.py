"""Traces: one for each event, from its publication through handling and calls to its result and its log.

The trace goes with a record in its ``traceparent`` header (W3C Trace Context). Nothing is traced, and no
header is written, until ``start`` was called. No span holds personal data.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumer.exceptions import ConfigurationError
from consumer.version import program_version


HEADER = "traceparent"
_LONGEST = 200
_FORM = TraceContextTextMapPropagator()

Headers = tuple[tuple[str, bytes], ...]
Attributes = Mapping[str, str | int]


class _Tracing:
    tracer: Tracer | None = None


def start() -> Callable[[], None]:
    """Trace from now on, and return how to end that, which sends what is left.

    Where to, and how much of it, is set by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``,
    ``OTEL_TRACES_SAMPLER``). Raises ConfigurationError if what it takes is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra, for those who trace
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - likewise
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - likewise
    except ImportError:
        raise ConfigurationError(
            "CREWSYNC_TRACING: OpenTelemetry is not installed; install crewsync[tracing], or turn it off"
        ) from None
    provider = TracerProvider(
        resource=Resource.create({"service.name": "crewsync", "service.version": program_version()})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace_with(provider.get_tracer("crewsync"))

    def end() -> None:
        trace_with(None)
        provider.shutdown()

    return end


def trace_with(tracer: Tracer | None) -> None:
    """Trace with this tracer from now on; None ends it."""
    _Tracing.tracer = tracer


def published(name: str, attributes: Attributes) -> Headers:
    """The headers with which a new record begins a trace of its own."""
    tracer = _Tracing.tracer
    if tracer is None:
        return ()
    with tracer.start_as_current_span(
        name, Context(), kind=SpanKind.PRODUCER, attributes=dict(attributes)
    ) as span:
        return _headers(set_span_in_context(span, Context()))


def passed_on(headers: Headers, place: str) -> Headers:
    """The headers of a record that follows from another, whose headers and place on its topic are given."""
    return () if _Tracing.tracer is None else _headers(_context(headers, place))


@contextmanager
def handling(name: str, headers: Headers, place: str, attributes: Attributes) -> Iterator[None]:
    """A span in the trace of a record. What is called inside is part of it."""
    tracer = _Tracing.tracer
    if tracer is None:
        yield
        return
    context = _context(headers, place)
    with tracer.start_as_current_span(name, context, kind=SpanKind.CONSUMER, attributes=dict(attributes)):
        yield


def logged(headers: Headers) -> None:
    """A result has been stored with its log: the end of its trace, if it has one."""
    tracer = _Tracing.tracer
    if tracer is not None and any(name == HEADER for name, _ in headers):
        tracer.start_span("log", _context(headers, ""), kind=SpanKind.CONSUMER).end()


@contextmanager
def calling(name: str, method: str) -> Iterator[Callable[[int | None], None]]:
    """A span of a call to an upstream; the function given takes the answer's status, None for none."""
    tracer = _Tracing.tracer
    if tracer is None:
        yield _nothing
        return
    attributes = {"http.request.method": method}
    with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:

        def answered(status: int | None) -> None:
            if status is not None:
                span.set_attribute("http.response.status_code", status)
            if status is None or status >= 400:  # noqa: PLR2004 - HTTP's classes
                span.set_status(Status(StatusCode.ERROR))

        yield answered


def note(attributes: Attributes) -> None:
    """Say more of the span that is open."""
    if _Tracing.tracer is not None:
        trace.get_current_span().set_attributes(dict(attributes))


def _headers(context: Context) -> Headers:
    carrier: dict[str, str] = {}
    _FORM.inject(carrier, context)
    return tuple((name, value.encode()) for name, value in carrier.items() if name == HEADER)


def _context(headers: Headers, place: str) -> Context:
    """The trace of a record. One that came without gets one that follows from its place, at each attempt."""
    value = dict(headers).get(HEADER, b"")
    if 0 < len(value) <= _LONGEST:
        context = _FORM.extract({HEADER: value.decode("ascii", "replace")}, Context())
        if trace.get_current_span(context).get_span_context().is_valid:
            return context
    digest = hashlib.sha256(place.encode()).digest()
    made = SpanContext(
        trace_id=int.from_bytes(digest[:16]),
        span_id=int.from_bytes(digest[16:24]),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(made), Context())


def _nothing(status: int | None) -> None:
    del status
