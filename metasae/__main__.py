"""``python -m metasae``: see `metasae.cli`."""

from metasae.cli import main

raise SystemExit(main())
