"""What can be opened, fetched, verified and kept: presets, wheels, the hub, releases, files."""
