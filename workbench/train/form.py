"""A new training: what to take apart and how, and what that costs."""

from dataclasses import replace
from itertools import count as count_from

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.sources import cache
from metasae.sources.presets import NAME, SHARE, usual_width
from metasae.training.config import TrainConfig
from metasae.training.controls import CONTROLS, TRAINED
from metasae.training.meta_sae import RECIPE
from metasae.training.unfinished import unfinished_trainings
from workbench import visitor
from workbench.allowed import Right
from workbench.frame import failed
from workbench.text import escape
from workbench.train import trainings
from workbench.train.trainings import Training

_OWN = "something of my own …"

CONTROL_NAMES = {
    "gaussian": "the same training on random (Gaussian) directions",
    "pca": "each direction's k largest principal components",
    "random": "a meta-SAE of random directions",
}


def form(lab: Lab) -> None:
    """What to take apart and how; the cost before the start."""
    st.subheader("Train a new meta-SAE", anchor=False)
    if not visitor.may_or_said(Right.TRAINING):
        return
    try:
        sources = _sources(lab)
        if not sources:
            return
        directions = trainings.get_directions(sources)
    except UserError as error:
        failed(error)
        return
    count = len(directions)
    st.caption(f"{count:,} directions of width {directions.d_in:,}.")
    columns = st.columns(5)
    width = columns[0].number_input(
        "Meta-latents", 1, count, usual_width(count), key=f"train-width-{count}",
        help=f"Usual is one for every {SHARE} latents.",
    )  # fmt: skip
    k = columns[1].number_input(
        "Active at once (k)",
        1,
        64,
        RECIPE.k,
        key="train-k",
        help="How many meta-latents a direction is made of, on average",
    )
    steps = columns[2].number_input(
        "Training steps", 1, 100_000, RECIPE.steps, key="train-steps",
        help="More take longer and explain more, up to a point.",
    )  # fmt: skip
    batch = columns[3].number_input(
        "Batch size", 16, 65_536, min(RECIPE.batch, max(16, count // 4)),
        key=f"train-batch-{count}", help="Directions that one training step looks at",
    )  # fmt: skip
    seed = columns[4].number_input(
        "Seed", 0, 2**31 - 1, 0, key="train-seed", help="The same seed gives the same meta-SAE."
    )
    controls = st.multiselect(
        "Compare it with",
        list(CONTROLS),
        ["gaussian"],
        format_func=CONTROL_NAMES.__getitem__,
        key="train-controls",
        help="Controls, at the same k: how much would be explained where there is nothing to find.",
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
    folder = cache.meta_saes(lab.preset.kept_as)
    made = {one.name for one in folder.glob("*")}
    return (
        made
        | {out.name for out in trainings.trainings() if out.parent == folder}
        | {request.out.name for request in unfinished_trainings(folder)}
    )


def _sources(lab: Lab) -> tuple[str, ...]:
    """The folders, files or hub names that are chosen.

    Raises:
        UserError: for a place that the visitor may not open.
    """
    preset = lab.preset
    choices: dict[str, tuple[str, ...]] = {
        f"{width:,} latents, {preset.model.name}": (preset.sae(width),)
        for width in sorted(preset.widths, reverse=True)
    }
    choices["all widths together"] = tuple(preset.sae(width) for width in preset.widths)
    own = [_OWN] if visitor.may(Right.PATHS) else []
    picked = st.selectbox("What to take apart", [*choices, *own], key="train-what")
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
    return (visitor.visitor().place(typed),) if typed else ()


def _start(
    lab: Lab, sources: tuple[str, ...], config: TrainConfig, controls: tuple[str, ...], name: str
) -> None:
    if not NAME.fullmatch(name):
        st.error("A name has letters, digits, - and _, and begins with a letter or digit.")
        return
    if name in _taken(lab):
        st.info(f"“{escape(name)}” exists already; choose another name.")
        return
    try:
        step = trainings.seconds_of_step(sources, config.width, config.k, config.batch)
    except UserError as error:
        failed(error)
        return
    trained = 1 + len(TRAINED.intersection(controls))
    st.markdown(
        f"Takes about **{duration(step * config.steps * trained)}** on this machine "
        f"({step:.2f} s a step, timed here; {trained} trainings of {config.steps:,} steps)."
    )
    if st.button("Train", type="primary", key="train-start"):
        directions = trainings.get_directions(sources)
        out = cache.meta_sae(lab.preset.kept_as, name)
        trainings.trainings()[out] = Training(directions, config, controls, out)
        st.rerun()
