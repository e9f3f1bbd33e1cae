"""The keys of a presenter: on and back by arrows or a clicker, Escape to leave."""

from collections.abc import Callable

import streamlit as st

_SCRIPT = """
const WAYS = {
  ArrowRight: "onward", PageDown: "onward",
  ArrowLeft: "back", PageUp: "back",
  Escape: "leave",
};

export default function ({ setTriggerValue }) {
  const pressed = (event) => {
    const way = WAYS[event.key];
    if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable='true']")) return;
    event.preventDefault();
    setTriggerValue("pressed", way);
  };
  window.addEventListener("keydown", pressed, true);
  return () => window.removeEventListener("keydown", pressed, true);
}
"""

_listener = st.components.v2.component("workbench_keys", js=_SCRIPT, isolate_styles=False)

_KEY = "presenter-keys"


def listen(pressed: Callable[[str], None]) -> None:
    """Listen to the presenter's keys as long as this is drawn.

    Args:
        pressed: called with "onward", "back" or "leave".
    """

    def heard() -> None:
        if way := st.session_state[_KEY].get("pressed"):
            pressed(way)

    _listener(key=_KEY, on_pressed_change=heard)
