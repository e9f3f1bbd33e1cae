"""Scripts that exports carry along: they run without this package."""
