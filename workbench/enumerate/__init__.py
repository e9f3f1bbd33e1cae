"""The parts of the Enumerate page."""
