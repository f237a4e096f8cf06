"""Runs: publishing what is to be synced, and following how far it is."""
