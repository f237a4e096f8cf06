"""What the records mean: events, results, links, settings; and how they are encoded."""
