"""What all edits of a view have in common, as switches; on Steer and on Enumerate."""

from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.steering.conditions import LONGEST
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
        _condition(edit)


def _condition(edit: Edit) -> None:
    """Where of those the edit is made: where its latent fires enough, after a token."""
    when = edit.options.when

    def chosen(name: str, key: str) -> None:
        value = st.session_state[key]
        try:
            changed = replace(session.view().edit.options.when, **{name: value})
        except UserError as error:
            session.notify(str(error))
            return
        session.change_edit(session.view().edit.with_options(when=changed))

    above, after, including = "option-above", "option-after", "option-including"
    st.session_state[above], st.session_state[after] = when.above, when.after
    st.number_input(
        "Only where its latent fires above",
        min_value=0.0,
        step=0.5,
        placeholder="wherever",
        key=above,
        on_change=chosen,
        args=("above", above),
        help="The activation one of the source's latents needs on a token for the edit to be made "
        "there. The tab “Latents used” shows it token by token.",
    )
    st.text_input(
        "Only after",
        placeholder="a token, such as: city",
        max_chars=LONGEST,
        key=after,
        on_change=chosen,
        args=("after", after),
        help="The edit waits until this has been read: a token, or several in a row.",
    )
    if when.after:
        st.session_state[including] = when.including
        st.toggle("That token, too", key=including, on_change=chosen, args=("including", including))


def _switch(edit: Edit, name: str, label: str, note: str) -> None:
    key = f"option-{name}"

    def switched() -> None:
        session.change_edit(session.view().edit.with_options(**{name: st.session_state[key]}))

    st.session_state[key] = getattr(edit.options, name)
    st.toggle(label, key=key, help=note, on_change=switched)
