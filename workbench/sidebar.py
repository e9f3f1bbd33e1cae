"""What is open and what else can be: built-in presets, the user's own, a form for a new one."""

from contextlib import suppress

import streamlit as st

from metasae.errors import UserError
from metasae.sources.presets import Hub, Opened, Preset
from metasae.sources.releases import is_release
from metasae.sources.user_presets import keep, names
from metasae.text.cities import load_cities
from workbench import session, visitor
from workbench.allowed import Right
from workbench.text import escape


def presets() -> None:
    """Choose what is open; what costs a download and a training says so first."""
    with st.sidebar:
        st.subheader("What is open", anchor=False)
        _pick(session.view().setting.preset.name)
        if visitor.may_or_said(Right.PATHS):
            with st.expander("Open a model and SAEs of your own"):
                _form()


def _pick(now: str) -> None:
    choices = list(names())
    if now not in choices:
        choices.append(now)
    key = "preset"

    def picked(chosen: str) -> None:
        if not _cost(chosen):
            session.change_setting(preset=Opened(chosen))
        else:
            st.session_state["preset-wanted"] = chosen

    st.selectbox(
        "Model and SAEs",
        choices,
        key=key,
        on_change=session.shows(key, lambda view: view.setting.preset.name, picked),
        label_visibility="collapsed",
    )
    # The page itself says what is wrong with a preset that isn't there.
    with suppress(UserError):
        st.caption(escape(_named(now).title))
    wanted = st.session_state.get("preset-wanted")
    if not wanted or wanted == now:
        return

    def opened() -> None:
        st.session_state.pop("preset-wanted", None)
        session.change_setting(preset=Opened(wanted))

    def left() -> None:
        st.session_state.pop("preset-wanted", None)

    st.markdown(f"**{escape(_named(wanted).title)}**")
    st.markdown(_cost(wanted))
    if not visitor.may_or_said(Right.TRAINING):
        return
    with st.container(horizontal=True):
        st.button("Open it", type="primary", key="preset-open", on_click=opened)
        st.button("Leave it", key="preset-leave", on_click=left)


def _named(name: str) -> Preset:
    """The preset of a text form.

    Raises:
        UserError: when there is none, or the visitor may not open it.
    """
    return visitor.preset(Opened.from_text(name))


def _cost(name: str) -> str:
    """What the first opening of a preset takes; empty when it was opened before."""
    try:
        preset = _named(name)
    except UserError:
        return ""
    if visitor.is_made(preset):
        return ""
    size = _bytes(preset)
    download = f"downloads about {size / 1e6:,.0f} MB from the Hugging Face hub, " if size else ""
    return (
        f"The first opening {download}trains a meta-SAE of {preset.meta_width:,} meta-latents on "
        f"{preset.width:,} latents and asks the model about {len(load_cities())} cities: minutes "
        "to a quarter of an hour. Both are kept."
    )


def _bytes(preset: Preset) -> int:
    """Of the model's files and of the SAE's that is taken apart."""
    origin = preset.model.origin
    model = sum(file.size for file in origin.files) if isinstance(origin, Hub) else 0
    far = is_release(preset.sae(preset.width))
    return model + (preset.sae_size(preset.width) if far else 0)


def _form() -> None:
    """A preset from folders; it is kept, and its name is a link's."""
    with st.form("own-preset", border=False):
        model = st.text_input(
            "Model folder", help="What transformers' save_pretrained wrote, tokenizer included"
        )
        saes = st.text_area(
            "SAE folders, one a line",
            help="What SAELens wrote, or RELEASE:ID of one of its releases; the widest is taken "
            "apart",
        )
        layer = st.text_input(
            "The SAEs read before block", placeholder="as the SAEs' configuration says"
        )
        name = st.text_input("Name", max_chars=40)
        if not st.form_submit_button("Open"):
            return
    values: dict[str, object] = {"name": name.strip()}
    if layer.strip():
        values["hook_layer"] = int(layer) if layer.strip().isdecimal() else layer
    try:
        place = visitor.visitor().place
        values["model"] = place(model.strip())
        values["saes"] = [place(line.strip()) for line in saes.splitlines() if line.strip()]
        preset = keep(values)
    except UserError as error:
        st.error(escape(str(error)))
        return
    session.change_setting(preset=preset.opened)
    st.rerun()
