"""The parts of the RAVEL page."""
