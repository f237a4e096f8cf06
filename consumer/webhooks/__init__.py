"""Procore's webhooks: taken in, kept until read, and turned into user events."""
