"""One preset opened: its model, SAEs, meta-SAE and tables."""
