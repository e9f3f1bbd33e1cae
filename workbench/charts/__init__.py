"""Charts as pure functions of a table."""
