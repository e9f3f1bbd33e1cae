"""RAVEL as a study: asked, kept, stopped and read back like the others."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.ravel import data, evaluation
from metasae.ravel.data import RavelData
from metasae.ravel.engine import Where
from metasae.ravel.evaluation import Configuration
from metasae.studies.settings import PLACE
from metasae.studies.study import Finding, Material, Study


@dataclass(frozen=True)
class Settings:
    """How RAVEL is asked, as plain values.

    Attributes:
        quick: a small sample in a few minutes, with wide intervals, instead of the whole.
        data: the folder of RAVEL's files; empty: this package's own cities.
        kind: which names of RAVEL's.
        digest: of the folder's names and prompts; where it is given and they are others by now,
            nothing is asked.
        methods: these alone, with commas between; empty: all of them.
        sources: held-out names that are edited, a seed; 0: as many as usual.
        steps: of learning by gradient; 0: as many as usual.
        where: edits at the name's last token (last), or at all.
        keep_error: keep what the SAE does not explain of the residual stream.
        keep_residual: keep what the meta-SAE does not explain of a direction.

    Raises:
        UserError: see `Configuration`.
    """

    quick: bool = False
    data: str = field(default="", metadata=PLACE)
    kind: str = "city"
    digest: str = ""
    methods: str = ""
    sources: int = 0
    steps: int = 0
    where: Where = "last"
    keep_error: bool = True
    keep_residual: bool = False

    def __post_init__(self) -> None:
        self.configuration(1)

    def configuration(self, seeds: int) -> Configuration:
        """What is evaluated.

        Args:
            seeds: of the meta-SAE, of what is learned and of the pairs.
        """
        usual = evaluation.QUICK if self.quick else Configuration()
        changed: dict[str, Any] = {"sources": self.sources, "steps": self.steps}
        if self.methods:
            names = filter(None, map(str.strip, self.methods.split(",")))
            changed["methods"] = tuple(dict.fromkeys(names)) or ("",)
        return replace(
            usual,
            seeds=seeds,
            where=self.where,
            keep_error=self.keep_error,
            keep_residual=self.keep_residual,
            **{name: value for name, value in changed.items() if value},
        )

    def names(self) -> RavelData:
        """Whom and what it is about.

        Raises:
            UserError: see `data.read_ravel`, or when the folder's files are no longer those.
        """
        if not self.data:
            return data.own_cities()
        read = data.read_ravel(Path(self.data), self.kind)
        if self.digest and self.digest != digest(read):
            raise UserError(
                f"The files in {self.data} have changed since this was asked; ask it anew."
            )
        return read

    def with_digest(self) -> "Settings":
        """The same, about exactly the names and prompts that are in the folder now.

        Raises:
            UserError: see `data.read_ravel`.
        """
        return replace(self, digest=digest(self.names())) if self.data else self


def usual_seeds(quick: bool) -> int:
    """Seeds that are taken where nobody says how many."""
    return (evaluation.QUICK if quick else Configuration()).seeds


def digest(asked: RavelData) -> str:
    """A short name of some names and prompts."""
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def _run(material: Material, settings: Settings, progress: Progress) -> Finding:
    if material.lab is None:
        raise UserError("RAVEL asks a model; open a preset.")
    config = settings.configuration(len(material.decompositions))
    return evaluation.evaluate(
        material.lab, settings.names(), config, material.parts, progress, spread=material.spread
    )


STUDY = Study(
    name="ravel",
    title="RAVEL",
    question="Does an edit move one attribute of a name and leave the others as they are?",
    published="RAVEL (Huang et al. 2024) scores SAEs and learned subspaces this way; no score of "
    "meta-latents is published.",
    configuration=Settings,
    run=_run,
)
