"""What is searched, as a value that goes to and from JSON, and the experiment it asks for."""

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import ConfigDict

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.sources.presets import Opened
from metasae.sources.records import as_json, from_values, to_values
from metasae.sources.user_presets import resolved
from metasae.steering.edits import MAX_STRENGTH, EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import UNITS
from metasae.steering.questions import Question, Subject
from metasae.text.prompts import DEFAULT_WORDING, QUESTIONS, WORDINGS


@dataclass(frozen=True)
class Spec:
    """What is searched.

    Attributes:
        preset: what is opened; in JSON its text form.
        source, target: a name, or latents like "#12, #45".
        source_latents, target_latents: these instead of the name's own choice.
        attributes: which questions are asked; kept in the order of `text.prompts.QUESTIONS`.
        options: what all edits have in common.
        removed: strengths a piece of the source's own may take beside 1.
        added: strengths a piece of the target's own may take beside 0.
        screened: go through all in bf16 first; None: where that is fast and worth it.
        wording: how the questions are asked, a key of `text.prompts.WORDINGS`; a search's id comes
            from the prompts themselves, so no other wording's results are taken for it.
        estimating: score only what promises most (`estimate`) instead of all.
        strict: a pattern counts as moved only what the model itself would say, and as staying only
            what is said as before (`steering.verdict`); always in fp32. Left out of files and ids
            where it isn't asked for, so that they are those of ever.

    Raises:
        UserError: for values no search can be made of.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    preset: Annotated[Opened, *as_json(str, Opened.from_text)]
    source: str
    target: str
    source_latents: tuple[int, ...] | None = None
    target_latents: tuple[int, ...] | None = None
    attributes: tuple[str, ...] = tuple(QUESTIONS)
    options: Annotated[EditOptions, *as_json(EditOptions.to_dict, EditOptions.from_dict)] = (
        EditOptions()  # noqa: RUF009 - frozen
    )
    removed: tuple[float, ...] = (0.0,)
    added: tuple[float, ...] = (1.0,)
    screened: bool | None = None
    wording: str = DEFAULT_WORDING
    estimating: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if self.wording not in WORDINGS:
            raise UserError(
                f'There is no wording "{self.wording}"; choose from {", ".join(WORDINGS)}.'
            )
        for attribute in self.attributes:
            if attribute not in QUESTIONS:
                raise UserError(
                    f'There is no attribute "{attribute}"; choose from {", ".join(QUESTIONS)}.'
                )
        if not self.attributes:
            raise UserError(f"A search needs an attribute; choose from {', '.join(QUESTIONS)}.")
        ordered = tuple(attribute for attribute in QUESTIONS if attribute in self.attributes)
        object.__setattr__(self, "attributes", ordered)
        for strength in (*self.removed, *self.added):
            if not (math.isfinite(strength) and abs(strength) <= MAX_STRENGTH):
                raise UserError(
                    f"A meta-latent can't be searched at strength {strength:g}; choose strengths "
                    f"from −{MAX_STRENGTH:g} to {MAX_STRENGTH:g}."
                )
        for side, text, latents in (
            ("source", self.source, self.source_latents),
            ("target", self.target, self.target_latents),
        ):
            if latents is not None and text.strip().startswith("#"):
                raise UserError(
                    f'The {side} "{text}" names its latents already; leave out the others.'
                )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        values = to_values(self)
        return values if self.strict else {k: v for k, v in values.items() if k != "strict"}

    @staticmethod
    def from_dict(values: Any) -> "Spec":
        """The spec `to_dict` wrote.

        Raises:
            UserError: when it is none.
        """
        try:
            return from_values(Spec, values)
        except (TypeError, ValueError) as error:
            raise UserError("This is not a search that the workbench wrote.") from error


def asked(lab: Lab, spec: Spec) -> tuple[Subject, Subject, list[Question]]:
    """Source, target and questions of a search.

    Raises:
        UserError: see `experiment_of`.
    """
    if resolved(spec.preset) != lab.preset.opened:
        raise UserError(
            f"The search is for the preset {spec.preset}, but {lab.preset.opened} is open; open "
            "that one."
        )
    source = lab.subject(spec.source, spec.source_latents)
    target = lab.subject(spec.target, spec.target_latents)
    questions = lab.questions(source, target, templates=WORDINGS[spec.wording])
    return source, target, [one for one in questions if one.attribute in spec.attributes]


def experiment_of(lab: Lab, spec: Spec) -> Experiment:
    """The pair of a spec with the questions it asks.

    Raises:
        UserError: for a name without a latent, the same name twice, or another
            preset than the one that is open.
    """
    experiment = lab.experiment(*asked(lab, spec))
    return experiment.replaced(strict=True) if spec.strict else experiment


def combinations_of(experiment: Experiment, spec: Spec) -> Combinations:
    """All edits of a search.

    Raises:
        UserError: when a side has no meta-latents of its own.
    """
    return Combinations.of(experiment, spec.options, spec.removed, spec.added)


def experiment_about(lab: Lab, spec: Spec) -> dict[str, Any]:
    """What the numbers of one pair depend on; travels with every export."""
    source, target, questions = asked(lab, spec)
    return {
        "source": {"label": source.label, "latents": list(source.latents)},
        "target": {"label": target.label, "latents": list(target.latents)},
        "questions": [question.to_dict() for question in questions],
        "options": spec.options.to_dict(),
        "removed": list(spec.removed),
        "added": list(spec.added),
        "screened": spec.screened,
        "estimating": spec.estimating,
        **({"strict": True} if spec.strict else {}),
        "units": UNITS,
        **asdict(lab.provenance),
    }
