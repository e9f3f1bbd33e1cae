"""Below the picture: the same edit in another SAE of the preset, or in another preset."""

from contextlib import suppress
from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.other_sae import asked_in, width_of, with_sae
from metasae.sources.presets import Opened
from metasae.sources.user_presets import names
from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from metasae.steering.setting import Setting
from metasae.steering.side_by_side import SideBySide, side_by_side
from workbench import session, shared, visitor
from workbench.background import Work
from workbench.frame import failed, said
from workbench.steer import experiments
from workbench.steer.results import legend, picture
from workbench.steer.two_ways import two_ways
from workbench.text import escape

TAB = "Side by side"
"""The tab it stands in."""

_KEY = "beside"

_SEEN = "beside-seen"
"""Session key: what the tab was opened for by a link."""


def linked() -> bool:
    """Whether a link says what stands beside and the tab wasn't opened for it yet."""
    wanted = session.view().beside
    if not wanted or st.session_state.get(_SEEN):
        return False
    st.session_state[_SEEN] = True
    return True


def beside(lab: Lab, setting: Setting, edit: Edit) -> None:
    """What to look at beside it, and both pictures."""
    st.markdown(
        "The same edit of the same names in **another SAE** of this model, or in **another model** "
        "that was opened here before, with the same questions."
    )
    _choose(lab)
    wanted = session.view().beside
    if not wanted:
        return
    try:
        found = _compared(lab, setting, wanted, edit)
    except UserError as error:
        failed(error)
        return
    for sentence in found.sentences:
        st.markdown(escape(sentence))
    said(f"There: {one}" for one in found.there.remarks if one not in found.here.remarks)
    st.markdown(legend(found.here))
    both = ((found.here, _named(str(lab.n_latents))), (found.there, _named(wanted)))
    for place, (column, (outcome, name)) in enumerate(zip(st.columns(2), both, strict=True)):
        with column:
            st.markdown(f"**{'Here' if place == 0 else 'There'}: {escape(name)}**")
            picture(outcome, f"beside-{place}")
    _table(found)


def _choose(lab: Lab) -> None:
    def chosen(text: str | None) -> None:
        session.change(replace(session.view(), beside=text or ""))

    wanted = session.view().beside
    choices = [str(width) for width in lab.preset.widths if width != lab.n_latents]
    choices += [name for name in names() if name != lab.preset.name and _made(name)]
    if wanted and wanted not in choices:
        choices.append(wanted)
    st.selectbox(
        "Beside it",
        choices,
        key=_KEY,
        format_func=_named,
        placeholder="Choose an SAE or a model",
        on_change=session.shows(_KEY, lambda view: view.beside or None, chosen),
        width=420,
    )


def _named(text: str) -> str:
    """What is compared, as it is read: an SAE of this preset, or another preset."""
    if (width := width_of(text)) is not None:
        return f"the SAE of {width:,} latents"
    with suppress(UserError):
        return visitor.preset(Opened.from_text(text)).title
    return text


def _made(text: str) -> bool:
    with suppress(UserError):
        return visitor.is_made(visitor.preset(Opened.from_text(text)))
    return False


def _compared(lab: Lab, setting: Setting, text: str, edit: Edit) -> SideBySide:
    """The edit in this lab and in what is named.

    Raises:
        UserError: for what can't be opened, or not be asked the same.
    """
    if (width := width_of(text)) is not None:
        return _beside(lab, setting, width, edit)
    opened = Opened.from_text(text)
    if not visitor.is_made(visitor.preset(opened)):
        raise UserError(
            f"{text} was never opened on this machine; choose it in the side bar first, which "
            "says what that takes."
        )
    return _beside(shared.get_lab(opened), setting, None, edit)


# Kept with the lab that is looked at there, so that nothing outlives the model it runs on.
@shared.of_lab(most=32)
def _beside(keeper: Lab, setting: Setting, width: int | None, edit: Edit) -> SideBySide:
    here = experiments.get_experiment(setting)
    return side_by_side(here, _experiment(keeper, setting, width), edit)


@shared.of_lab(most=4)
def _experiment(keeper: Lab, setting: Setting, width: int | None) -> Experiment:
    there = keeper if width is None else _other_sae(keeper, width)
    return asked_in(there, experiments.get_experiment(setting))


@shared.work_of_lab(most=2)
def _other_sae(lab: Lab, width: int) -> Work[Lab]:
    return Work(lambda progress: with_sae(lab, width, progress), "Opening the other SAE")


def _table(found: SideBySide) -> None:
    headings = {
        "answer": "Answer", "baseline": "Before", "here": "Here", "there": "There",
        "difference": "Changes more there", "attribute": "Attribute",
    }  # fmt: skip
    if found.here.provenance.model != found.there.provenance.model:
        headings["baseline_there"] = "Before, there"
    with st.expander("The same as a table, in nats"):
        two_ways(found.table, headings, key="beside-table")
