"""Meta-SAEs made earlier: their reports, and using them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.saes import formats
from metasae.sources import cache
from metasae.sources.files import read_json, remove
from workbench import navigation, session, shared, visitor
from workbench.allowed import Right
from workbench.charts.training import counts_chart, counts_in_words
from workbench.enumerate import searches
from workbench.frame import ink
from workbench.steer import continuations, experiments
from workbench.text import escape
from workbench.train import trainings
from workbench.train.form import CONTROL_NAMES


def report(values: dict[str, Any]) -> None:
    """A meta-SAE's quality at inference, beside its controls."""
    quality = values["quality"]
    columns = st.columns(4)
    columns[0].metric(
        "Variance explained",
        f"{quality['fve']:.3f}",
        help="How much of the directions the meta-latents rebuild: 1 − Σ‖x − x̂‖² / Σ‖x‖²",
    )
    columns[1].metric(
        "L0", f"{quality['l0']:.2f}", help="Meta-latents active on a direction, on average"
    )
    columns[2].metric(
        "Dead", f"{quality['dead'] / values['config']['width']:.1%}",
        help=f"{quality['dead']:,} meta-latents active on no direction",
    )  # fmt: skip
    columns[3].metric("Trained in", duration(values["seconds_training"]))
    if values["controls"]:
        st.dataframe(
            pd.DataFrame(
                {"Control": CONTROL_NAMES[name], "Variance explained": control["fve"]}
                for name, control in values["controls"].items()
            ),
            hide_index=True,
            column_config={"Variance explained": st.column_config.NumberColumn(format="%.3f")},
        )
    else:
        st.caption("No control was trained: how much random directions would give isn't known.")
    counts = list(quality["l0_counts"])
    st.altair_chart(counts_chart(counts, ink()), alt=counts_in_words(counts))
    config, low, middle, high = values["config"], *(quality["density"][n] for n in (1, 2, 3))
    data = ", ".join(f"{one['source']} ({one['directions']:,})" for one in values["data"])
    st.caption(
        escape(
            f"Directions of {data}. {config['width']:,} meta-latents, k {config['k']}, "
            f"{config['steps']:,} steps of {config['batch']:,}, seed {config['seed']}. Around "
            f"their mean {quality['fve_centred']:.3f} of the variance is explained. Threshold at "
            f"inference {quality['threshold']:.4f}. Half of the meta-latents are active on between "
            f"{low:.2%} and {high:.2%} of the directions, the median on {middle:.2%}."
        )
    )


def _choose(meta_sae: str) -> None:
    """Open the same preset with a meta-SAE of the user's, or (empty) with its own."""
    session.change_setting(preset=replace(session.view().setting.preset, meta_sae=meta_sae))


def use(lab: Lab, folder: Path, values: dict[str, Any]) -> None:
    """A button that opens the preset with a meta-SAE of its SAEs; the code that opens it alone."""
    if lab.preset.is_taken_apart_by({one["source"] for one in values["data"]}):
        if st.button("Use it now", key=f"use-{folder.name}", type="primary"):
            _choose(folder.name)
            st.switch_page(navigation.STEER)
    else:
        st.caption("It takes apart another SAE than the one that is open.")
    if not visitor.visitor().guest:  # who can't use the path needn't know where it leads
        st.code(f'sae_lens.SAE.load_from_disk("{folder}")', language="python", wrap_lines=True)


def delete(key: str, what: str, do: Callable[[], object]) -> None:
    """A button that deletes something once the person has said so again.

    Args:
        key: of the button that does it.
        what: what is lost, in a sentence.
        do: called as the widget's callback.
    """

    @visitor.needs(Right.TRAINING)
    def confirmed() -> None:
        try:
            do()
        except UserError as error:
            session.notify(str(error))

    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"{what} It can't be brought back.")
        st.button("Delete for good", key=key, type="primary", on_click=confirmed)


def delete_made(lab: Lab, folder: Path) -> None:
    """A button that deletes a meta-SAE of the user's; what is open can't be deleted."""
    name = folder.name
    if not visitor.may(Right.TRAINING):
        return
    if name == lab.preset.meta_sae:
        st.caption("It is open, so it can't be deleted: go back to the other one first.")
        return

    def do() -> None:
        trainings.trainings().pop(folder, None)
        remove(folder)
        # Another may come under this name, which mustn't be taken for the one that was opened.
        shared.close(replace(lab.preset.opened, meta_sae=name))
        for kept in (
            experiments.side_effects,
            experiments.best_edits,
            continuations.written,
            searches.more_ways,
        ):
            kept.clear_all()

    delete(
        f"delete-{name}",
        f"This deletes the meta-SAE “{escape(name)}” with its report. Links and files that name it "
        "can't be opened any more.",
        do,
    )


def shelf(lab: Lab) -> None:
    """Meta-SAEs made earlier."""
    reports = sorted(cache.meta_saes(lab.preset.kept_as).glob(f"*/{formats.REPORT}"))
    shown = [one for one in reports if one.parent not in trainings.trainings()]
    if lab.preset.meta_sae:
        st.info(f"Open now: your meta-SAE “{escape(lab.preset.meta_sae)}”.")
        own = "shipped one" if lab.preset.weights else "preset's own"
        if st.button(f"Back to the {own}", key="use-shipped"):
            _choose("")
            st.rerun()
    if not shown:
        if not visitor.may(Right.TRAINING):
            st.caption("None was trained here yet; those its host trains are shown here, to use.")
        return
    st.subheader("Made earlier", anchor=False)
    for path in shown:
        with st.expander(escape(path.parent.name)):
            try:
                values = read_json(path)
                report(values)
                use(lab, path.parent, values)
            except (OSError, ValueError, KeyError, TypeError):
                st.error("Its report is damaged or gone; delete it and train it again.")
            delete_made(lab, path.parent)
