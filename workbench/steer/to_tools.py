"""The edit that is on screen, taken to other tools: which one, what is lost there, and the file."""

import streamlit as st

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.exports.registry import OF_EDITS
from metasae.exports.target import Packed
from metasae.lab.lab import Lab
from metasae.steering.edits import Edit
from metasae.steering.outcome import Outcome
from metasae.steering.setting import Setting
from workbench import shared
from workbench.background import Work
from workbench.files import download
from workbench.frame import failed
from workbench.state import View
from workbench.steer import experiments
from workbench.text import escape

_TITLES = {one.title: one for one in OF_EDITS}

_IN_A_FOLDER = "Unpack it: README.md in it says what it needs and how it is used."

_DIRECTIONS = (
    "Decoder directions as the edit leaves them, a row a latent; which latents these are stands in "
    "the file."
)


@shared.work_of_lab(most=2)
def _packed(lab: Lab, setting: Setting, edit: Edit, title: str) -> Work[Packed]:
    """An export as one file, under way or done."""
    experiment = experiments.get_experiment(setting)

    def pack(_: object) -> Packed:
        edited, target = Edited(lab, experiment, edit), _TITLES[title]
        return target.packed(edited, f"{edited.name}-{target.name}")

    return Work(pack, "Preparing the export")


def offered(lab: Lab, view: View, outcome: Outcome) -> None:
    """A choice of tools, and of the chosen one the file and what has to be known of it.

    Args:
        outcome: of the view's edit.
    """
    st.subheader("Use this edit in another tool", anchor=False)
    if outcome.edit.changes_nothing:
        st.caption("This edit changes nothing yet; make one, and it can be taken elsewhere.")
        return
    title = st.selectbox(
        "Tool", list(_TITLES), index=None, placeholder="Choose a tool", key="to-tool", width=420
    )
    if title is None:
        return
    setting, _ = experiments.answerable(view.setting)
    try:
        packed = _packed.shown(lab, setting, outcome.edit, title)
    except UserError as error:
        failed(error)
        return
    if packed is None:
        return
    for sentence in packed.said:
        st.markdown(escape(sentence))
    st.caption(_IN_A_FOLDER if _TITLES[title].folder else _DIRECTIONS)
    kind = "application/zip" if packed.name.endswith(".zip") else "application/octet-stream"
    download(f"Export ({packed.name})", lambda: packed.content, packed.name, kind, "to-tool-file")
