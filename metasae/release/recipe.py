"""How the SAEs and the meta-SAE that ship are trained."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from metasae.sources.presets import Preset
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import RECIPE


@dataclass(frozen=True)
class Recipe:
    """How a preset's SAEs and its meta-SAE are trained; their widths are the preset's.

    Attributes:
        base: of the largest SAE; the smaller ones train for fewer steps.
        smaller_steps: steps of each smaller SAE.
        follow: how the largest SAE is trained on, with what the model makes of it beside squared
            error.
        meta: of the meta-SAE and of its Gaussian control.
    """

    base: TrainConfig
    smaller_steps: int
    follow: TrainConfig
    meta: TrainConfig

    def of_sae(self, preset: Preset, width: int) -> TrainConfig:
        """Recipe of the SAE of one of the preset's widths."""
        steps = self.base.steps if width == preset.width else self.smaller_steps
        return replace(self.base, width=width, steps=steps)

    def of_follow(self, preset: Preset) -> TrainConfig:
        """Recipe of the largest SAE's last steps."""
        return replace(self.follow, width=preset.width)

    def of_meta(self, preset: Preset) -> TrainConfig:
        """Recipe of the meta-SAE."""
        return replace(self.meta, width=preset.meta_width)

    def to_dict(self, preset: Preset) -> dict[str, Any]:
        """As the report states it, with the preset's widths."""
        return {
            "base": asdict(self.of_sae(preset, preset.width)),
            "follow": asdict(self.of_follow(preset)),
            "smaller_steps": self.smaller_steps,
            "meta": asdict(self.of_meta(preset)),
        }


_BASE = TrainConfig(width=18432, k=4, steps=3000, start="ngrams")

SHIPPED = Recipe(
    base=_BASE,
    smaller_steps=1200,
    follow=replace(_BASE, start="sae", k=6, steps=480, batch=768, lr=2e-4, warmup=20, decay=1.0),
    meta=replace(RECIPE, batch=4096, first_k=1.0, lr=1e-3),
)
"""Recipe of the embedded default."""
