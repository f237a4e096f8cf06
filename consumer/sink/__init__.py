"""Results become txt files."""
