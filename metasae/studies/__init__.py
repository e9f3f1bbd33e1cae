"""The research questions, one module each."""
