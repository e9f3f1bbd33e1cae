"""Below the picture: writing on, the user's own question, the latents used, files and links."""

from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from metasae.steering.nats import settled
from metasae.steering.outcome import Outcome
from metasae.steering.questions import Subject, split_answers
from metasae.steering.setting import Setting
from metasae.text.prompts import CITY
from workbench import session
from workbench.files import download, take_in
from workbench.frame import failed
from workbench.state import View, Writing
from workbench.steer import citing, continuations, experiments, to_tools
from workbench.steer.continuations import Written
from workbench.steer.tables import csv_file, json_file, view_from_json
from workbench.text import coded, escape

WRITING = "Let it write"
"""The tab on which the model goes on writing."""

_FIRST_PROMPT = f"I moved to {CITY} last year. Here everyone speaks"

_ASKED, _WRITTEN = "writing-asked", "written"
"""Session keys: what was last asked to be written, and what was last written."""

_PROMPT_HELP = f"{escape(CITY)} stands for the source city; its name must be in the prompt."


@dataclass(frozen=True)
class _Asked:
    """What the model was last asked to write, and under which edit."""

    setting: Setting
    edit: Edit
    writing: Writing


def let_write(setting: Setting, edit: Edit) -> None:
    """Step to an edit with the tab that writes open and both texts asked for (in a callback).

    Args:
        setting: without a question of the user's.
    """
    chosen = session.view().writing
    chosen = replace(chosen, prompt=chosen.prompt or _FIRST_PROMPT)
    session.change(replace(session.view(), edit=edit, writing=chosen))
    st.session_state["below"] = WRITING
    st.session_state[_ASKED] = _Asked(setting, edit, chosen)
    continuations.written.again(setting, edit, chosen)


def free_writing(setting: Setting, outcome: Outcome) -> None:
    """The model goes on writing, unedited and edited, side by side; when it is asked to."""
    writing = session.view().writing
    with st.form("writing", border=False):
        prompt = st.text_input(
            "Prompt",
            writing.prompt or _FIRST_PROMPT,
            max_chars=600,
            help=_PROMPT_HELP,
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            tokens = st.number_input("Tokens", 1, 200, writing.tokens, width=130)
            temperature = st.number_input(
                "Temperature", 0.0, 2.0, writing.temperature, step=0.1, width=140,
                help="0 always takes the likeliest token; then the seed plays no part.",
            )  # fmt: skip
            seed = st.number_input("Seed", 0, 2**31 - 1, writing.seed, width=130)
            asked = st.form_submit_button("Write both", type="primary")
    here = setting.without_question()
    if asked:
        chosen = Writing(prompt.strip(), int(tokens), float(temperature), int(seed))
        session.change(replace(session.view(), writing=chosen))
        st.session_state[_ASKED] = _Asked(here, outcome.edit, chosen)
        continuations.written.again(here, outcome.edit, chosen)
        session.write_link()
    wanted: _Asked | None = st.session_state.get(_ASKED)
    if wanted is None or wanted.setting != here:
        st.caption("Same prompt, same seed: once by the model as it is, once under your edit.")
        return
    try:
        made = continuations.written.shown(wanted.setting, wanted.edit, wanted.writing)
    except UserError as error:
        failed(error)
        return
    if made is not None:
        st.session_state[_WRITTEN] = made
    # What was written last stays readable while the next is being written.
    last: Written | None = st.session_state.get(_WRITTEN)
    if last is None or last.setting != here:
        return
    if made is None:
        st.caption("Written before:")
    elif made.edit != outcome.edit:
        st.caption("This was written under an earlier edit: “Write both” writes under this one.")
    _both(last)


def _both(made: Written) -> None:
    """What was written before and after an edit, side by side."""
    columns = st.columns(2, border=True)
    for column, name, text in zip(
        columns, ("Before", "After your edit"), (made.before, made.after), strict=True
    ):
        with column:
            st.markdown(f"**{name}**")
            st.markdown(f":gray[{escape(made.prompt)}]**{_lines(text)}**")


def _lines(text: str) -> str:
    """Written text with its line breaks, each line escaped."""
    return "**  \n**".join(f"{_spaced(line)}" for line in text.splitlines() if line.strip())


def _spaced(line: str) -> str:
    return ("&nbsp;" if line[:1].isspace() else "") + escape(line)


def own_question(setting: Setting) -> None:
    """A prompt and answers the user types, scored with the four attributes."""
    with st.form("question", border=False):
        prompt = st.text_input(
            "Prompt",
            setting.prompt,
            placeholder=f"e.g. The best-known dish of {CITY} is",
            max_chars=600,
            help=_PROMPT_HELP,
        )
        answers = st.text_input(
            "Answers, with commas between them",
            ", ".join(setting.answers),
            placeholder="e.g. sushi, cheese, falafel",
            max_chars=600,
        )
        with st.container(horizontal=True):
            asked = st.form_submit_button("Ask", type="primary")
            dropped = st.form_submit_button("Remove", disabled=not setting.prompt)
    if dropped:
        session.change_setting(prompt="", answers=())
        st.rerun()
    if asked:
        if not prompt.strip() or not split_answers(answers):
            st.error("Type a prompt and at least one answer.")
            return
        wanted = replace(setting, prompt=prompt.strip(), answers=split_answers(answers))
        # Said here, where the eye is: the top of the page is out of sight.
        if (complaint := _complaint(wanted)) is not None:
            failed(complaint)
            return
        session.change_setting(prompt=wanted.prompt, answers=wanted.answers)
        st.rerun()


def _complaint(wanted: Setting) -> UserError | None:
    """Why a question can't be asked, if it can't."""
    try:
        with st.spinner("Asking the model …"):
            return experiments.answerable(wanted)[1]
    except UserError as error:
        return error


def latents(lab: Lab, setting: Setting, experiment: Experiment) -> None:
    """Which latents stand for each side, how they rank, and the user's own choice."""
    for column, side, subject in zip(
        st.columns(2), ("source", "target"), (experiment.source, experiment.target), strict=True
    ):
        with column:
            _ranking(lab, setting, side, subject)


def _ranking(lab: Lab, setting: Setting, side: str, subject: Subject) -> None:
    st.markdown(f"**{escape(subject.label)}**")
    if subject.name is None:
        st.caption("Chosen by number.")
        return
    ranked = lab.names.record(subject.name).latents
    table = pd.DataFrame(
        {
            "Latent": [f"#{one.latent}" for one in ranked],
            "Used": [one.latent in subject.latents for one in ranked],
            "Activation": [one.activation for one in ranked],
            "Selectivity": [one.selectivity for one in ranked],
            "Own": [one.own for one in ranked],
            "Effect (nats)": [
                None if one.effect is None else settled(one.effect) for one in ranked
            ],
            "Most active on": [", ".join(lab.latent_words(one.latent)) for one in ranked],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        key=f"ranking-{side}",
        column_config={
            "Activation": st.column_config.NumberColumn(format="%.1f"),
            "Selectivity": st.column_config.NumberColumn(
                format="%.2f",
                help="Share of its activation over this name and all reference names that is here",
            ),
            "Effect (nats)": st.column_config.NumberColumn(
                format="%.2f",
                help="What the city's answers lose on average without it; a name without facts "
                "has none",
            ),
        },
    )
    key = f"latents-{side}"

    def of(view: View) -> list[int]:
        return list(getattr(view.setting, name) or own)

    def chosen(latents: list[int]) -> None:
        session.change_setting(**{name: tuple(sorted(latents)) or None})

    name, own = f"{side}_latents", subject.latents
    st.multiselect(
        "Latents to edit",
        sorted({*subject.latents, *(one.latent for one in ranked)}),
        format_func=lambda latent: f"#{latent}",
        key=key,
        on_change=session.shows(key, of, chosen, pair=True),
        help="None chosen: the workbench's own choice.",
    )


def files(lab: Lab, outcome: Outcome) -> None:
    """Link, downloads, upload, and what a citation needs."""
    view = session.view()
    link = citing.permalink(view)
    name = f"{outcome.source.label}-{outcome.target.label}".replace("#", "latent")
    st.markdown("The address bar holds all of this: copy it to share what you see.")
    with st.container(horizontal=True):
        pinned = experiments.pinned_outcome(view)
        download("CSV", lambda: csv_file(outcome, view, pinned), f"{name}.csv", "text/csv", "csv")
        download(
            "JSON",
            lambda: json_file(outcome, view, pinned),
            f"{name}.json",
            "application/json",
            "json",
        )
        download(
            "Picture (SVG)", lambda: citing.picture(lab, view, link), f"{name}.svg",
            "image/svg+xml", "svg",
        )  # fmt: skip

    def take(content: bytes) -> None:
        loaded = view_from_json(content, lab.provenance)
        session.restore(loaded.view, loaded.made_with)

    take_in("Load a downloaded JSON", "upload", take)
    to_tools.offered(lab, view, outcome)
    citing.cite(lab, outcome, link, name)


def about(lab: Lab) -> None:
    """What is on screen, for someone who sees it first."""
    preset, provenance = lab.preset, lab.provenance
    meta = lab.report["meta_sae"]
    kept = ""
    if lab.report["saes"]:
        largest = lab.report["saes"][-1]
        kept = (
            f"the SAE keeps {largest['ce_recovered']:.0%} of what the residual stream is worth to "
            "the model (cross-entropy on held-out text, against putting its mean there) with "
            f"{largest['l0']:.0f} latents a token; "
        )
    control = meta["fve_control"]
    against = "" if control is None else f", against {control:.0%} for random directions"
    st.markdown(
        f"""
1. The model, **{escape(lab.model.name)}**, reads a prompt that names the source city. Inside,
   before block {preset.hook_layer} of {lab.model.n_layers}, each token is a vector: the residual
   stream.
2. A **sparse autoencoder** (SAE) writes that vector as a sum of few of its {lab.n_latents:,}
   **latents**, each with a decoder direction. Many cities have a latent of their own;
   where one has none, a line above the boxes says which latent is taken.
3. A **meta-SAE**, trained on those directions alone, writes each as a sum of few of its
   {lab.n_meta:,} **meta-latents**: for a city, say, its country, and being a city.
4. An **edit** rebuilds the source's direction with some meta-latents taken out and some of the
   target's put in, at the same length. The model goes on from there, and its **log-probability**
   of each answer is read: in nats, 0 for certain, −2.3 for one in ten.

Measured: {kept}the meta-SAE explains {meta["fve"]:.0%} of the variance of the decoder directions
with {meta["l0"]:.1f} meta-latents each{against}.

Open here: {coded(provenance.model)}, {coded(provenance.hook)}, SAE {coded(provenance.sae)},
meta-SAE {coded(provenance.meta_sae)}.
"""
    )
