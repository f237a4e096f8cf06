"""How the sink reads ``sync-log``: from where it was, with what nobody can decode kept for later."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import structlog

from consumer.broker.port import Broker, Reader, Record, TopicPartition
from consumer.exceptions import SchemaError
from consumer.model.registry import SchemaRegistryError
from consumer.model.results import Result, RunMarker
from consumer.sink.entries import Entry, Undecodable
from consumer.sink.errors import SinkError
from consumer.sink.state import State


log = structlog.get_logger(__name__)


class Codec(Protocol):
    """Decodes values of ``sync-log``."""

    def decode(self, data: bytes, *types: type[Result | RunMarker]) -> Result | RunMarker:
        """Raises SchemaError if it is of none of the types, SchemaRegistryError if nobody can tell now."""


def entry_of(codec: Codec, record: Record) -> Entry:
    """What a record says. Raises SchemaRegistryError."""
    return Entry(record.partition, record.offset, _decoded(codec, record.value))


def decode_again(codec: Codec, state: State) -> None:
    """Put what can be decoded by now in its place. Raises SinkError."""
    understood = []
    for entry in state.undecodable():
        with suppress(SchemaError, SchemaRegistryError):
            value = codec.decode(entry.value, Result, RunMarker)
            understood.append(Entry(entry.partition, entry.offset, value))
    state.store_decoded(understood)


def reader_from(broker: Broker, topic: str, positions: Mapping[int, int]) -> Reader:
    """A reader of the topic from these offsets on. Raises BrokerError; SinkError if they are ahead of it."""
    partitions = broker.partitions(topic)
    reader = broker.reader(partitions)
    try:
        _seek(reader, {TopicPartition(topic, number): offset for number, offset in positions.items()})
    except BaseException:
        reader.close()
        raise
    return reader


def refuse_ahead(positions: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> None:
    """Raises SinkError if a position is after the end of its partition."""
    for partition, offset in positions.items():
        if offset > end.get(partition, 0):
            raise SinkError(
                f"the logs are ahead of partition {partition.partition} of {partition.topic}, so they are "
                "another topic's; move the log directory away and its files are written anew"
            )


def _seek(reader: Reader, positions: Mapping[TopicPartition, int]) -> None:
    partitions = reader.assignment()
    first, end = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    refuse_ahead(positions, end)
    for partition, offset in positions.items():
        if offset < first[partition]:
            # Retention has deleted them while no sink was running.
            log.error("sync_log_records_gone", **partition._asdict(), wanted=offset, first=first[partition])
        reader.seek(partition, offset)


def _decoded(codec: Codec, value: bytes | None) -> Result | RunMarker | Undecodable:
    if value is None:
        return Undecodable("the record has no value", None)
    try:
        return codec.decode(value, Result, RunMarker)
    except SchemaError as error:
        return Undecodable(f"{type(error).__name__}: {error}", value)
