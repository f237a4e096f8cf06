"""Exactly one result per event: ledger, dispatcher, commit."""
