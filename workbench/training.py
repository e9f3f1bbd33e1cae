"""The parts of the Train page: what to take apart, how far it is, what came out."""

import json
import math
from dataclasses import asdict, replace
from itertools import count as count_from
from typing import Any

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.sources import cache
from metasae.sources.presets import NAME, usual_width
from metasae.sources.user_presets import find_preset
from metasae.training.config import TrainConfig
from metasae.training.controls import CONTROLS
from metasae.training.meta_sae import RECIPE
from metasae.training.meta_sae_run import REPORT, Order, unfinished
from workbench import charts, opening, results, session
from workbench.opening import Training
from workbench.text import escape

_OWN = "something of my own …"
_CONTROL_NAMES = {
    "gaussian": "Gaussian rows of the same shape",
    "pca": "the k largest principal coefficients",
    "random": "a decoder of random directions",
}


def progress_of_all(lab: Lab) -> None:
    """Every training of this process: how far it is, or what came out."""
    for name, training in list(opening.trainings().items()):
        with st.container(border=True):
            st.subheader(f"Meta-SAE “{escape(name)}”", anchor=False)
            if training.task.done.is_set():
                _ended(lab, name, training)
            else:
                _running(name, training)


def stopped(lab: Lab) -> None:
    """Trainings that a closed or killed workbench left; each can go on where it was."""
    for order in unfinished(cache.meta_saes(lab.preset.base)):
        name = order.out.name
        if name in opening.trainings():
            continue
        with st.container(border=True):
            st.subheader(f"Meta-SAE “{escape(name)}”", anchor=False)
            st.markdown(
                f"Stopped before its end ({order.config.width:,} meta-latents, k {order.config.k}, "
                f"{order.config.steps:,} steps). What was done is kept."
            )
            st.caption("Of " + escape(", ".join(order.sources)))
            with st.container(horizontal=True):
                if st.button("Go on", key=f"resume-{name}", type="primary"):
                    _resume(order)
                if st.button("Delete", key=f"forget-{name}"):
                    order.forget()
                    st.rerun()


def _resume(order: Order) -> None:
    try:
        directions = opening.waited(opening.get_directions, order.sources)
    except UserError as error:
        results.failed(error)
        return
    opening.trainings()[order.out.name] = Training(
        directions, order.config, order.controls, order.out
    )
    st.rerun()


@st.fragment(run_every=1.0)
def _running(name: str, training: Training) -> None:
    if training.task.done.is_set():
        st.rerun()
    st.progress(training.task.fraction, text=training.task.line)
    st.button("Cancel", key=f"cancel-{name}", on_click=training.cancel)
    _curve(training)


def _curve(training: Training) -> None:
    if len(training.moments) > 1:
        table = pd.DataFrame([asdict(one) for one in list(training.moments)])
        st.altair_chart(charts.training_curve(table, results.ink()))
        config = training.config
        if config.active(0) > config.k:
            st.caption(
                f"It begins with {config.active(0)} meta-latents a direction and has {config.k} by "
                f"step {math.ceil(config.settled * config.steps):,}; while they become fewer the "
                "loss may rise."
            )


def _ended(lab: Lab, name: str, training: Training) -> None:
    try:
        made = training.task.result()
    except UserError as error:
        results.failed(error)
        with st.container(horizontal=True):
            if st.button("Go on", key=f"again-{name}", type="primary"):
                opening.trainings()[name] = training.again()
                st.rerun()
            if st.button("Close", key=f"close-{name}"):
                del opening.trainings()[name]
                st.rerun()
        return
    report(made.report)
    _curve(training)
    _use(lab, name, made.report)


def report(values: dict[str, Any]) -> None:
    """A meta-SAE's quality at inference, beside its controls."""
    quality = values["quality"]
    columns = st.columns(4)
    columns[0].metric(
        "Variance explained", f"{quality['fve']:.3f}", help="1 − Σ‖x − x̂‖² / Σ‖x‖², at inference"
    )
    columns[1].metric("L0", f"{quality['l0']:.2f}", help="mean active meta-latents, at inference")
    columns[2].metric(
        "Dead", f"{quality['dead'] / values['config']['width']:.1%}",
        help=f"{quality['dead']:,} meta-latents active on no direction",
    )  # fmt: skip
    columns[3].metric("Trained in", duration(values["seconds_training"]))
    if values["controls"]:
        st.dataframe(
            pd.DataFrame(
                {"Control": _CONTROL_NAMES[name], "Variance explained": found["fve"]}
                for name, found in values["controls"].items()
            ),
            hide_index=True,
            column_config={"Variance explained": st.column_config.NumberColumn(format="%.3f")},
        )
    else:
        st.caption("No control was trained: how much random directions would give isn't known.")
    st.altair_chart(charts.counts_chart(list(quality["l0_counts"]), results.ink()))
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


def _fits(lab: Lab, values: dict[str, Any]) -> bool:
    """Whether a meta-SAE is of the open preset's SAEs, the widest among them."""
    sources = {one["source"] for one in values["data"]}
    own = {lab.preset.sae(width) for width in lab.preset.widths}
    return lab.preset.sae(lab.preset.width) in sources and sources <= own


def _use(lab: Lab, name: str, values: dict[str, Any]) -> None:
    folder = cache.meta_saes(lab.preset.base) / name
    if _fits(lab, values):
        if st.button("Use it now", key=f"use-{name}", type="primary"):
            session.change_setting(preset=f"{lab.preset.base}+{name}")
            st.switch_page("../pages/steer.py")
    else:
        st.caption("It takes apart another SAE than the one that is open.")
    st.code(f'sae_lens.SAE.load_from_disk("{folder}")', language="python", wrap_lines=True)


def form(lab: Lab) -> None:
    """What to take apart and how; the cost before the start."""
    st.subheader("A new one", anchor=False)
    sources = _sources(lab)
    if not sources:
        return
    try:
        directions = opening.waited(opening.get_directions, sources)
    except UserError as error:
        results.failed(error)
        return
    count = len(directions)
    st.caption(f"{count:,} directions of width {directions.d_in:,}.")
    columns = st.columns(5)
    width = columns[0].number_input(
        "Meta-latents", 1, count, usual_width(count), key=f"train-width-{count}",
        help="The post has one for every 21 latents.",
    )  # fmt: skip
    k = columns[1].number_input("k", 1, 64, RECIPE.k, key="train-k", help="Mean L0")
    steps = columns[2].number_input("Steps", 1, 100_000, RECIPE.steps, key="train-steps")
    batch = columns[3].number_input(
        "Directions a step", 16, 65_536, min(RECIPE.batch, max(16, count // 4)),
        key=f"train-batch-{count}",
    )  # fmt: skip
    seed = columns[4].number_input("Seed", 0, 2**31 - 1, 0, key="train-seed")
    controls = st.multiselect(
        "Controls, at the same k",
        list(CONTROLS),
        ["gaussian"],
        format_func=_CONTROL_NAMES.__getitem__,
        key="train-controls",
    )
    config = replace(
        RECIPE, width=int(width), k=int(k), steps=int(steps), batch=int(batch), seed=int(seed)
    )
    taken = _taken(lab)
    free = next(name for n in count_from(1) if (name := f"mine-{config.width}-{n}") not in taken)
    name = st.text_input("Name", free, max_chars=40, width=300)
    _start(lab, sources, config, tuple(controls), name.strip())


def _taken(lab: Lab) -> set[str]:
    """Names of meta-SAEs that are there, in the making or stopped."""
    folder = cache.meta_saes(lab.preset.base)
    made = {one.name for one in folder.glob("*")}
    return made | {*opening.trainings()} | {order.out.name for order in unfinished(folder)}


def _sources(lab: Lab) -> tuple[str, ...]:
    """The folders, files or hub names that are chosen."""
    preset = lab.preset
    choices: dict[str, tuple[str, ...]] = {
        f"{width:,} latents, {preset.model.name}": (preset.sae(width),)
        for width in sorted(preset.widths, reverse=True)
    }
    choices["all widths together"] = tuple(preset.sae(width) for width in preset.widths)
    picked = st.selectbox("What to take apart", [*choices, _OWN], key="train-what")
    if picked != _OWN:
        return choices[picked]
    typed = st.text_input(
        "A folder, a file, or RELEASE:ID of SAELens",
        placeholder="gpt2-small-res-jb-feature-splitting:blocks.8.hook_resid_pre_49152",
        key="train-own",
        max_chars=600,
        help="SAELens's folders of any architecture, the authors' config.json with sae.pt, or a "
        "matrix with a row per latent as .safetensors, .npy or .pt.",
    ).strip()
    return (typed,) if typed else ()


def _start(
    lab: Lab, sources: tuple[str, ...], config: TrainConfig, controls: tuple[str, ...], name: str
) -> None:
    out = cache.meta_saes(lab.preset.base) / name
    if not NAME.fullmatch(name):
        st.error("A name has letters, digits, - and _, and begins with a letter or digit.")
        return
    if name in _taken(lab):
        st.info(f"“{escape(name)}” exists already; choose another name.")
        return
    try:
        step = opening.training_cost(sources, config).wait()
    except UserError as error:
        opening.training_cost.clear(sources, config)
        results.failed(error)
        return
    trained = 1 + sum(control != "pca" for control in controls)
    st.markdown(
        f"Takes about **{duration(step * config.steps * trained)}** on this machine "
        f"({step:.2f} s a step, timed just now; {trained} trainings of {config.steps:,} steps)."
    )
    if st.button("Train", type="primary", key="train-start"):
        directions = opening.get_directions(sources).wait()
        opening.trainings()[name] = Training(directions, config, controls, out)
        st.rerun()


def shelf(lab: Lab) -> None:
    """Meta-SAEs made earlier."""
    found = sorted(cache.meta_saes(lab.preset.base).glob(f"*/{REPORT}"))
    names = [one.parent.name for one in found if one.parent.name not in opening.trainings()]
    if lab.preset.own_meta:
        st.info(f"Open now: your meta-SAE “{escape(lab.preset.own_meta)}”.")
        if st.button("Back to the shipped one", key="use-shipped"):
            shipped = find_preset(lab.preset.base)
            session.change_setting(preset=shipped.name)
            st.rerun()
    if not names:
        return
    st.subheader("Made earlier", anchor=False)
    for name in names:
        with st.expander(escape(name)):
            try:
                values = json.loads((cache.meta_saes(lab.preset.base) / name / REPORT).read_text())
                report(values)
                _use(lab, name, values)
            except (OSError, ValueError, KeyError) as error:
                st.error(f"Its report can't be read ({type(error).__name__}); train it again.")
