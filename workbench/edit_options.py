"""What all edits of a view have in common, as switches; on Steer and on Enumerate."""

import streamlit as st

from metasae.steering.edits import Edit
from workbench import session

_POSITIONS = {"last": "last token of the name", "all": "every position"}

_NO_SWAP = (
    "The latent swap is off: it exchanges whole latents, and × 100 multiplies single "
    "meta-directions. Tick or untick some, or press “Latent swap” again."
)


def edit_options(edit: Edit) -> None:
    """What all edits of a view have in common."""
    with st.container():

        def multiplied() -> None:
            on = st.session_state["option-hundredfold"]
            now = session.view().edit
            if now.kind == "swap":
                session.notify(_NO_SWAP, wrong=False)
            edit = now.without_swap()
            session.change_edit(edit.with_options(variant="hundredfold" if on else "faithful"))

        st.session_state["option-hundredfold"] = edit.kind == "hundredfold"
        st.toggle(
            "Each meta-direction × 100",
            key="option-hundredfold",
            help="Adds or takes away 100 times the unit meta-direction instead of the "
            "meta-latent's own activation, as the script published with meta-SAEs does. It nearly "
            "erases the latent.",
            on_change=multiplied,
        )
        if edit.kind == "swap":
            st.caption("A latent swap has no meta-directions: × 100 takes it back.")
        _switch(
            edit,
            "keep_residual",
            "Keep the meta-SAE's residual",
            "What the meta-latents don't explain of the direction stays in. Off: the faithful "
            "reconstruction from meta-latents alone.",
        )
        _switch(
            edit,
            "keep_error",
            "Keep the SAE's error",
            "What the SAE doesn't explain of the residual stream stays in.",
        )

        def positioned() -> None:
            position = st.session_state["option-position"]
            session.change_edit(session.view().edit.with_options(position=position))

        st.session_state["option-position"] = edit.options.position
        st.radio(
            "Edit at",
            list(_POSITIONS),
            format_func=lambda position: _POSITIONS[position],
            key="option-position",
            on_change=positioned,
        )


def _switch(edit: Edit, name: str, label: str, note: str) -> None:
    key = f"option-{name}"

    def switched() -> None:
        session.change_edit(session.view().edit.with_options(**{name: st.session_state[key]}))

    st.session_state[key] = getattr(edit.options, name)
    st.toggle(label, key=key, help=note, on_change=switched)
