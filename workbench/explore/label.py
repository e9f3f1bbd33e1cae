"""What a latent or meta-latent is called, how far that holds, and saying it better."""

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections, explained
from metasae.explorer.explorer import META, Explorer
from workbench import visitor
from workbench.allowed import Right
from workbench.files import download
from workbench.frame import failed
from workbench.text import escape


def heading(explorer: Explorer, kind: str, index: int, name: str) -> DeltaGenerator:
    """What it is called and how far that holds; a person may say it better.

    Returns:
        The row of buttons below, for more of them.
    """
    one = explorer.scored(kind, index)
    st.header(escape(one.label or name), anchor=False)
    said = name
    if one.written:
        said += " · label written by a person"
    elif one.too_few:
        said += " · too few contexts for a label"
    elif one.f1 is not None:
        alone = one.f1_one_word
        beside = "" if alone is None else f", its commonest word alone {alone:.2f}"
        said += f" · label scores {one.f1:.2f} of 1 on contexts it wasn't made from (F1){beside}"
        if one.unclear:
            said += "; unclear: described by what it fires on"
        elif one.told:
            said += "; it fits no similar latent as well"
        else:
            said += "; it fits a similar latent as well"
    st.caption(escape(said))
    row = st.container(horizontal=True)
    with row, st.popover("Correct the label"):
        _correction(explorer, kind, index, one.written or "")
    try:
        asked = explorer.label_scores(kind, index)
    except UserError as error:
        failed(error)
        return row
    if asked is not None:
        with row, st.popover("Scores by a language model"):
            _scores(*asked)
    return row


_QUESTIONS = {
    "detection": "Which texts does it fit?", "fuzz": "Which marked tokens does it fit?",
    "intruder": "Which text is none of this latent's?",
}  # fmt: skip


def _scores(model: str, rows: pd.DataFrame) -> None:
    """What a language model's answers say of a label, each beside what guessing gives."""
    st.table(
        pd.DataFrame(
            {
                "Asked": [_QUESTIONS[kind] for kind in rows["kind"]],
                "Right": [f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
                          for one in rows.itertuples()],
                "Another latent's label": ["" if pd.isna(one) else f"{one:.2f}"
                                           for one in rows["control"]],
                "By chance": [f"{one:.2f}" for one in rows["chance"]],
            }
        ).set_index("Asked")
    )  # fmt: skip
    label, count = str(rows["label"].iloc[0]), int(rows["count"].sum())
    st.caption(
        escape(
            f"{count:,} answers by {model} about “{label}”, on texts it wasn't made from; as many "
            "in which the latent fires as in which it doesn't. Intervals of 95 %. The last is "
            "asked without a label."
        )
    )


def _correction(explorer: Explorer, kind: str, index: int, own: str) -> None:
    saving = visitor.may_or_said(Right.SAVING)
    if saving:
        text = st.text_input("Label", own, key=f"label-{kind}-{index}", max_chars=200)
        if st.button("Save", key=f"keep-{kind}-{index}"):
            _keep(explorer, explorer.corrections.with_label(kind, index, text))
    download(
        "Download all corrections", explorer.corrections.to_json, "labels.json", "application/json",
        f"share-{kind}-{index}",
    )  # fmt: skip
    if not (saving and visitor.may_or_said(Right.UPLOADS)):
        return
    file = st.file_uploader(
        "Import a file of labels", ["json", "jsonl"], key=f"import-{kind}-{index}"
    )
    if file is not None and st.button("Import", key=f"take-{kind}-{index}"):
        try:
            _keep(explorer, _taken_in(explorer, kind, file.getvalue()))
        except UserError as error:
            failed(error)


def _taken_in(explorer: Explorer, kind: str, content: bytes) -> Corrections:
    """Corrections with a file's: the workbench's own, or Neuronpedia's explanations of this SAE.

    Raises:
        UserError: for any other file, explanations of latents where a meta-latent is shown, or
            labels of another SAE or of latents it doesn't have.
    """
    try:
        more = Corrections.from_json(content)
    except UserError:
        labels = explained(content)
        if kind == META:
            raise UserError(
                "Neuronpedia explains latents, not meta-latents; take this file in on a latent's "
                "page."
            ) from None
        made = explorer.lab.provenance
        more = Corrections(made.sae, made.meta_sae, {kind: labels})
    explorer.check_labels(more)
    return explorer.corrections.merged(more)


def _keep(explorer: Explorer, changed: Corrections) -> None:
    try:
        explorer.correct(changed)
    except UserError as error:
        failed(error)
        return
    st.rerun()
