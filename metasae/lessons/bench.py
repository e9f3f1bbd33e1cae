"""What a lesson is taught on: an opened preset and a pair of names."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from metasae.explorer.explorer import Explorer
from metasae.explorer.latent_page import LatentPage
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.steering.experiment import Experiment

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Bench:
    """An opened preset with a source and a target; what several steps need of it is made once.

    Attributes:
        explorer: what is known of the preset's latents.
        experiment: the pair, with its questions.
    """

    explorer: Explorer
    experiment: Experiment
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)
    _turns: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def lab(self) -> Lab:
        """The opened preset."""
        return self.explorer.lab

    @property
    def source(self) -> str:
        """What is edited, as it stands in prompts."""
        return self.experiment.source.in_prompts

    @property
    def target(self) -> str:
        """What it is edited towards, as it stands in prompts."""
        return self.experiment.target.in_prompts

    @property
    def latent(self) -> int:
        """The source's own latent that is most active on it."""
        return _strongest(self.experiment.source.latents, self.experiment.source.activations)

    @property
    def other_latent(self) -> int:
        """The same of the target."""
        return _strongest(self.experiment.target.latents, self.experiment.target.activations)

    @cached_property
    def page(self) -> LatentPage:
        """All that is known of the source's latent."""
        return LatentPage(self.explorer, self.lab.n_latents, self.latent)

    def named(self, latent: int, width: int | None = None) -> str:
        """A latent's number and label.

        Args:
            width: of its SAE; the open one's when left out.
        """
        return self.explorer.named(str(width or self.lab.n_latents), latent)

    @property
    def words(self) -> dict[str, str]:
        """What a lesson's texts may name in braces."""
        smaller = self.explorer.smaller_width(self.lab.n_latents)
        return {
            "source": self.source,
            "target": self.target,
            "latents": f"{self.lab.n_latents:,}",
            "metas": f"{self.lab.n_meta:,}",
            "numbers": f"{self.lab.model.d_model:,}",
            "block": str(self.lab.preset.hook_layer),
            "blocks": str(self.lab.model.n_layers),
            "smaller": "few" if smaller is None else f"{smaller:,}",
        }

    def once(self, make: "Callable[[Bench, Progress], T]", progress: Progress = silent) -> T:
        """What a function makes of this bench, made when it is first asked for.

        Raises:
            UserError: what the function raises; the next call tries again.
        """
        # A turn for each: what takes long holds up nobody who asks for something else.
        with self._turns.setdefault(make, threading.RLock()):
            if make not in self._made:
                self._made[make] = make(self, progress)
            made: T = self._made[make]
            return made


def _strongest(latents: tuple[int, ...], activations: tuple[float, ...]) -> int:
    return max(zip(latents, activations, strict=True), key=lambda one: one[1])[0]
