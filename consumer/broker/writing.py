"""Writing what belongs together."""

from collections.abc import Iterable

from consumer.broker.port import Broker, Message, TransactionalProducer


def write(broker: Broker, message: Message) -> None:
    """Write a record durably. Raises BrokerError."""
    producer = broker.producer()
    try:
        producer.send(message)
        producer.flush()
    finally:
        producer.close()


def write_together(producer: TransactionalProducer, messages: Iterable[Message]) -> None:
    """Write records that become visible together. Raises BrokerError: then nothing is known."""
    producer.begin()
    for message in messages:
        producer.send(message)
    producer.commit()
