"""Makes and measures what ships."""
