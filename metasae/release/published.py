"""What others, or we, have said an SAE's L0 and explained variance are, and where."""

from dataclasses import dataclass
from importlib.metadata import version

from metasae.lab.stored_report import read_report
from metasae.sources.presets import Preset
from metasae.sources.releases import is_release


@dataclass(frozen=True)
class Published:
    """Figures of one SAE.

    Attributes:
        l0: active latents a token; None where nobody says.
        explained: share of the variance; None where nobody says.
        source: who says it.
        l0_room: how far ours may be off, as a share of it.
        explained_room: how far ours may be off.
    """

    l0: float | None
    explained: float | None
    source: str
    l0_room: float
    explained_room: float


ELSEWHERE = (0.5, 0.1)
"""Room for figures of another text: shares of L0, and of the variance. Wide enough for encyclopedia
articles in place of web pages, and too narrow for an SAE on another block."""

HERE = (0.02, 0.01)
"""Room for our own figures of the same text: variance is measured around the mean of a part of the
training text here, and around that of all of it there."""


def published(preset: Preset, width: int) -> Published | None:
    """The figures of a preset's SAE of a width; None where nobody has published any.

    Raises:
        UserError: when a shipped report is damaged.
        OSError, ValueError, KeyError: when it is gone or says nothing.
    """
    if preset.weights is not None:
        for one in read_report(preset)["saes"]:
            if one["width"] == width:
                return Published(one["l0"], one["fve"], "this package's report", *HERE)
        return None
    source = preset.sae(width)
    if not is_release(source):
        return None
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release, _, sae_id = source.partition(":")
    entry = get_pretrained_saes_directory().get(release)
    if entry is None:
        return None
    # Its table says 0 and 1 of what nobody has measured.
    l0, explained = entry.expected_l0.get(sae_id, 0.0), entry.expected_var_explained.get(sae_id, 1)
    if not l0 and explained == 1:
        return None
    return Published(
        float(l0) or None, None if explained == 1 else float(explained),
        f"SAELens {version('sae-lens')}'s table of releases", *ELSEWHERE,
    )  # fmt: skip
