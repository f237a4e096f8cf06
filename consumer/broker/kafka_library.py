"""The library that Kafka is spoken to with: kafka-python 3.0, https://github.com/dpkp/kafka-python.

Every import of it goes through this module.
"""

import warnings


with warnings.catch_warnings():
    # The library reads its schemas with functions that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka
    from kafka import errors
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    from kafka.future import Future
    from kafka.net.compat import KafkaNetClient
    from kafka.net.inet import KafkaNetSocket, create_connection
    from kafka.net.manager import KafkaConnectionManager
    from kafka.net.sasl.oauth import AbstractTokenProvider
    from kafka.net.selector import NetworkSelector
    from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
    from kafka.partitioner.default import murmur2


__all__ = [
    "AbstractTokenProvider",
    "CooperativeStickyAssignor",
    "Future",
    "KafkaConnectionManager",
    "KafkaNetClient",
    "KafkaNetSocket",
    "KafkaSSLTransport",
    "KafkaTCPTransport",
    "NetworkSelector",
    "create_connection",
    "errors",
    "kafka",
    "murmur2",
]
