"""What a screen reader is told, and which part of the page is brought into view.

Streamlit draws a result anew where it stands; a reader that can't see that hears nothing. The
region below stays in the page from run to run, so that new words in it are read out.
"""

import streamlit as st

_HTML = '<div class="read-out" role="status" aria-live="polite" aria-atomic="true"></div>'

_SCRIPT = """
export default function ({ data, parentElement }) {
  const region = parentElement.querySelector(".read-out");
  if (region.textContent !== data.words) region.textContent = data.words;
  if (data.part && region.dataset.shown !== data.ask) {
    const part = document.querySelector(`.st-key-${data.part}`);
    if (part) bring(part);
  }
  region.dataset.shown = data.ask;
}

// Anew while what is still being drawn makes it longer, until the person moves on.
function bring(part) {
  const watch = new ResizeObserver(() => part.scrollIntoView({ block: "start" }));
  const stop = () => watch.disconnect();
  for (const move of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    window.addEventListener(move, stop, { once: true, passive: true });
  }
  setTimeout(stop, 20000);
  watch.observe(part);
}
"""

_region = st.components.v2.component(
    "workbench_announce", html=_HTML, js=_SCRIPT, isolate_styles=False
)

_VIEW, _ASKED = "brought-into-view", "times-brought-into-view"


def bring_into_view(key: str) -> None:
    """Have the page scrolled to a container once (in a widget's callback).

    Args:
        key: the container's.
    """
    st.session_state[_VIEW] = key
    st.session_state[_ASKED] = st.session_state.get(_ASKED, 0) + 1


def announce(words: str) -> None:
    """Have words read out when they are others than those of the last run."""
    with st.container(key="announced"):
        _region(
            key="announced-words",
            data={
                "words": words,
                "part": st.session_state.get(_VIEW, ""),
                "ask": str(st.session_state.get(_ASKED, 0)),
            },
        )
