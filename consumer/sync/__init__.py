"""What an event means upstream: mapping, matching, the two handlers."""
