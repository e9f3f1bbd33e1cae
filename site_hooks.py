"""The hooks that mkdocs.yml names: MkDocs imports them by file, with this folder to import from."""

from handbook.hooks import on_config, on_files, on_page_markdown, on_post_page

__all__ = ["on_config", "on_files", "on_page_markdown", "on_post_page"]
