"""The model card of SAEs and their meta-SAE: what they are, how good, how they are opened."""

from collections.abc import Collection, Mapping
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from metasae.exports.target import told
from metasae.lab.lab import Lab
from metasae.sources.presets import IN_HUB, Hub


def model_card(lab: Lab, repo: str, folders: Mapping[str, str], opens: bool = False) -> str:
    """The card's text, its head in YAML included.

    Args:
        repo: name on the hub.
        folders: folder in the repository → what is in it.
        opens: whether the repository holds a preset, which its name opens.
    """
    made, preset = told(lab), lab.preset
    origin = preset.model.origin
    data = ModelCardData(
        library_name="saelens",
        base_model=origin.repo if isinstance(origin, Hub) else None,
        tags=["sparse-autoencoder", "meta-sae", "interpretability"],
    )
    listed = "\n".join(f"- `{folder}`: {what}" for folder, what in folders.items())
    first = next(iter(folders))
    text = f"""
# SAEs and a meta-SAE of {made.model}

SAEs of the residual stream at `{made.hook}` of {made.model}, and a meta-SAE: an SAE whose inputs
are the decoder directions of `{preset.width:,}` latents, so that each latent is a sum of a few
meta-latents.

{listed}

## How good they are

{_quality(lab.report, folders)}

## How to open them

```python
from sae_lens import SAE

sae = SAE.from_pretrained("{repo}", "{first}")
```

The meta-SAE opens in the same way. Its inputs are the SAE's decoder rows, at length 1:
`meta.encode(sae.W_dec)`.
{_opening(repo) if opens else ""}
Every prompt began with the token of id {lab.model.start_token}, on which the SAEs are not applied;
nor are they on tokens whose residual is more than four times longer than the median,
{lab.median_norm:.1f}.

Written by metasae {made.version}: preset {made.preset}, SAE {made.sae}, meta-SAE {made.meta_sae}.
"""
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{text}"))


def _opening(repo: str) -> str:
    return (
        f"\nIn the meta-SAE workbench `--preset {IN_HUB}{repo}` opens all of it, on the command "
        f"line and in a link (`preset={IN_HUB}{repo}`).\n"
    )


def _quality(report: Mapping[str, Any], folders: Collection[str]) -> str:
    meta = report["meta_sae"]
    lines = [
        f"- the meta-SAE explains {meta['fve']:.1%} of the variance of the decoder directions with "
        f"{meta['l0']:.2f} meta-latents each"
    ]
    if meta.get("fve_control") is not None:
        lines[0] += f"; of random directions {meta['fve_control']:.1%}"
    lines += [
        f"- the SAE of {one['width']:,} latents explains {one['fve']:.1%} of the variance on "
        f"held-out text with {one['l0']:.1f} latents a token, and keeps {one['ce_recovered']:.1%} "
        "of the cross-entropy against its mean in its place"
        for one in report.get("saes", ())
        if f"sae-{one['width']}" in folders
    ]
    return "\n".join(lines)
