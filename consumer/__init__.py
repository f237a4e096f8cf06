"""Keeps a construction company's people in step between Procore and SmartBarrel, on Kafka."""
