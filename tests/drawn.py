"""Where things stand in a drawn picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import vl_convert


def text_places(spec: Mapping[str, Any], texts: Sequence[str]) -> dict[str, float]:
    """How far to the right each of some texts of a Vega-Lite picture begins, in pixels."""
    places: dict[str, float] = {}

    def look(part: Any, left: float) -> None:
        if isinstance(part, list):
            for one in part:
                look(one, left)
        elif isinstance(part, dict):
            if part.get("text") in texts:
                places[part["text"]] = left
            for one in part.values():
                look(one, left + (part.get("x") or 0) if "items" in part else left)

    look(vl_convert.vegalite_to_scenegraph(dict(spec)), 0.0)
    return places
