"""Procore and SmartBarrel as HTTP services."""
