"""What is wrong with a set-up, and what to do about it. Nothing here writes to a broker or an upstream."""
