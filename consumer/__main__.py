"""``python -m consumer`` is the same as ``crewsync``."""

from consumer.cli import main


main()
