"""gridrl."""
