"""``python -m metasae``: see `metasae.cli`."""

from metasae.cli.main import main

raise SystemExit(main())
