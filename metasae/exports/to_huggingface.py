"""SAEs and their meta-SAE as a repository of the Hugging Face hub: the folder, and its upload."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.exports.model_card import model_card
from metasae.exports.target import README, Target
from metasae.lab.lab import Lab
from metasae.lab.preset_files import META_SAE
from metasae.saes import formats
from metasae.sources import hub
from metasae.sources.files import write_json
from metasae.sources.presets import PRESETS, Hub
from metasae.sources.user_presets import HUB_FILE

BESIDE = (README, HUB_FILE, f"{META_SAE}/{formats.REPORT}")
"""What is uploaded beside the SAEs."""

PLACE = "USER/NAME"
"""Stands for the repository in a card that was written before its name was known."""


@dataclass(frozen=True)
class Repository:
    """What is uploaded: all SAEs of a lab, or the one that is open, and the meta-SAE.

    Attributes:
        name: of the repository; empty: not known yet.
        all_widths: whether all the preset's SAEs are in it.
    """

    lab: Lab
    name: str = ""
    all_widths: bool = False

    def folders(self) -> dict[str, str]:
        """Folder in it → what it is."""
        widths = self.lab.preset.widths if self.all_widths else (self.lab.n_latents,)
        named = {f"sae-{width}": f"SAE of {width:,} latents" for width in widths}
        meta = (
            f"meta-SAE of {self.lab.n_meta:,} meta-latents, on the {self.lab.n_latents:,} latents"
        )
        return named | {META_SAE: meta}


def _write(thing: Repository, folder: Path) -> tuple[str, ...]:
    lab = thing.lab
    for name in thing.folders():
        if name == META_SAE:
            sae = lab.decomposition.meta
        elif name == f"sae-{lab.n_latents}":
            sae = lab.decomposition.sae
        else:
            width = int(name.removeprefix("sae-"))
            sae = formats.open_sae(lab.preset.sae(width), lab.preset.sae_size(width))
        weights = (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)
        held = weights if sae.threshold is None else (*weights, sae.threshold)
        formats.save(sae, folder / name, formats.lossless_dtype(*held))
    write_json(folder / META_SAE / formats.REPORT, _training_report(lab))
    preset = _shared_preset(thing)
    if preset is not None:
        write_json(folder / HUB_FILE, preset)
    card = model_card(lab, thing.name or PLACE, thing.folders(), preset is not None)
    (folder / README).write_text(card, "utf-8")
    return ()


def _training_report(lab: Lab) -> dict[str, Any]:
    """The meta-SAE's figures as `meta_sae_run.quality_of` reads them."""
    quality = dict(lab.report["meta_sae"])
    width, control = quality.pop("width", lab.n_meta), quality.pop("fve_control", None)
    controls = {} if control is None else {"gaussian": {"fve": control}}
    return {"quality": quality, "config": {"width": width}, "controls": controls}


def _shared_preset(thing: Repository) -> dict[str, Any] | None:
    """What opens the repository by its name; None for one without a name, or of a model that is a
    folder of a person's."""
    preset = thing.lab.preset
    origin = preset.model.origin
    if not thing.name or isinstance(origin, Path):
        return None
    widths = preset.widths if thing.all_widths else (thing.lab.n_latents,)
    return {
        "name": re.sub(r"[^\w-]+", "-", thing.name.rpartition("/")[2])[:40].strip("-_"),
        "title": f"{preset.title} ({thing.name})",
        "model": f"{origin.repo}@{origin.revision}"
        if isinstance(origin, Hub)
        else next(name for name, one in PRESETS.items() if one.model == preset.model),
        "saes": [f"{thing.name}:sae-{width}" for width in widths],
        "meta_sae": f"{thing.name}:{META_SAE}",
        "hook_layer": preset.hook_layer,
        "widths": list(widths),
        "opened_width": thing.lab.n_latents,
        "meta_width": thing.lab.n_meta,
        "start_token": thing.lab.model.start_token,
        "centre_writing_weights": preset.model.centred,
    }


def upload(folder: Path, repo: str) -> str:
    """Upload a folder that was written here; SAELens does it.

    The token is the hub library's own: the one of ``hf auth login``, or ``HF_TOKEN``.

    Returns:
        Where it is.

    Raises:
        UserError: when the hub can't be reached, or takes nothing from this person.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
    from sae_lens import upload_saes_to_huggingface

    saes: dict[str, Path] = {
        one.name: one for one in sorted(folder.iterdir()) if (one / formats.CONFIG).is_file()
    }
    if not hub.is_reachable() or constants.HF_HUB_OFFLINE:
        raise UserError(
            f"{constants.ENDPOINT} does not answer, so nothing was uploaded; the folder is "
            f"{folder}: upload it later with: hf upload {repo} {folder}."
        )
    try:
        upload_saes_to_huggingface(
            dict(saes), hf_repo_id=repo, show_progress=False, add_default_readme=False
        )
        # SAELens uploads the SAEs' own files alone.
        HfApi().upload_folder(folder_path=folder, repo_id=repo, allow_patterns=list(BESIDE))
    except HFValidationError as error:
        raise UserError(f'"{repo}" can\'t be the name of a repository; write USER/NAME.') from error
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        raise UserError(
            f"{constants.ENDPOINT} did not take all of it into {repo}; log in with hf auth login "
            f"and write USER/NAME. The folder is {folder}."
        ) from error
    return f"{constants.ENDPOINT}/{repo}"


TARGET = Target(
    "huggingface",
    "A repository of the Hugging Face hub",
    (Repository,),
    _write,
    files=("sae-*", META_SAE, HUB_FILE, README),
)
