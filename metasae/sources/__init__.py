"""What can be opened, found, fetched, verified and kept: presets, wheels, the hub, releases, files."""
