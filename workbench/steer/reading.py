"""Below the picture, under “Latents used”: the pair's latents, the tokens touched, any text."""

from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.outcome import Outcome
from metasae.steering.setting import Setting
from metasae.steering.touched import TouchedPrompt, touched_prompts, touched_table
from workbench import session, shared
from workbench.explore.contexts import marked
from workbench.explore.typed import token_by_token
from workbench.frame import failed, ink
from workbench.state import View
from workbench.steer import experiments, extras
from workbench.steer.tables import title
from workbench.text import escape

TAB = "Latents used"
"""The tab it stands in."""

_PAIR, _TOUCHED, _TEXT = "The pair's latents", "Tokens it touches", "Any text"

_SHOWN = "reading-shown"
"""Session key: which of them is shown."""


def linked_text() -> bool:
    """Whether a link has a text to be read and nothing else was opened yet; then it is shown."""
    if not session.view().reading.text or _SHOWN in st.session_state:
        return False
    st.session_state[_SHOWN] = _TEXT
    return True


def reading(lab: Lab, setting: Setting, outcome: Outcome) -> None:
    """One of the three, as it is chosen."""
    st.session_state.setdefault(_SHOWN, _PAIR)
    shown = st.segmented_control(
        "Show",
        [_PAIR, _TOUCHED, _TEXT],
        key=_SHOWN,
        required=True,
        label_visibility="collapsed",
    )
    if shown == _TOUCHED:
        _touched(setting, outcome)
    elif shown == _TEXT:
        _any_text(lab, outcome)
    else:
        extras.latents(lab, setting, experiments.get_experiment(setting))


def _touched(setting: Setting, outcome: Outcome) -> None:
    """The prompts as tokens, marked where the edit changes something."""
    prompts = touched_prompts(experiments.get_experiment(setting), outcome.edit)
    largest = max(one.share for prompt in prompts for one in prompt.tokens)
    if not largest:
        st.caption("This edit changes nothing on any token of the prompts.")
    else:
        st.caption(
            "Marked: the tokens on which the edit changes the residual stream, the deeper the "
            "more; behind each, the length of the change in percent of the residual stream's own."
        )
    rows = "".join(_row(prompt, largest) for prompt in prompts)
    st.html(f'<div style="line-height:2;overflow-wrap:anywhere">{rows}</div>')
    with st.expander("The same as a table"):
        table = touched_table(prompts)
        table["attribute"] = table["attribute"].map(title)
        st.dataframe(
            table.drop(columns="position"),
            hide_index=True,
            height=320,
            key="touched-tokens",
            column_config={
                "activation": st.column_config.NumberColumn(
                    format="%.2f", help="Of the source's latents the strongest one's on this token"
                ),
                "size": st.column_config.NumberColumn(
                    format="%.2f", help="Length of what the edit adds to the residual stream"
                ),
                "share": st.column_config.NumberColumn(
                    format="percent", help="The same as a share of the residual stream's length"
                ),
            },
        )


def _row(prompt: TouchedPrompt, largest: float) -> str:
    """A prompt as HTML, its attribute in front."""
    cells = [
        marked(
            one.text,
            one.share / largest if largest else 0.0,
            f"length {one.size:.2f}, activation {one.activation:.2f}",
            ink(),
            f"{one.share:.0%}" if one.share >= 0.005 else "<1%",
        )
        for one in prompt.tokens
    ]
    name = escape(title(prompt.attribute))
    return f'<div><span style="color:{ink().other}">{name}</span>&ensp;{"".join(cells)}</div>'


def _any_text(lab: Lab, outcome: Outcome) -> None:
    """A text a person types, token by token, by the unedited model."""
    key = "read-text"

    def read(view: View) -> str:
        return view.reading.text or prompt

    def typed(text: str) -> None:
        view = session.view()
        session.change(replace(view, reading=replace(view.reading, text=" ".join(text.split()))))

    prompt = outcome.questions[0].prompt
    st.text_input("Text", max_chars=600, key=key, on_change=session.shows(key, read, typed))
    try:
        token_by_token(shared.get_explorer(lab), lab.n_latents, read(session.view()))
    except UserError as error:
        failed(error)
