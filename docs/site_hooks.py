"""The hooks that mkdocs.yml names. MkDocs imports them by file, so the root is added here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.handbook.hooks import on_config, on_files, on_page_markdown, on_post_page

__all__ = ["on_config", "on_files", "on_page_markdown", "on_post_page"]
