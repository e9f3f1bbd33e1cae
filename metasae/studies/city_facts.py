"""What a model answers about many cities when the residual stream is changed everywhere.

The four questions of each city run up to the hook once; a change reruns what is above it. An answer
is right when it is likelier than every other answer of the table that is one token, in the form the
unedited model finds likeliest. Log-probabilities are in nats.

Shapes: N usable positions of all prompts, D = d_model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.steering.prompt_set import PreparedPrompts, PromptSet
from metasae.steering.questions import Answer, Question
from metasae.studies.held_out_text import Change
from metasae.text.cities import distinct_answers, find_city
from metasae.text.prompts import QUESTIONS, fill

_TOGETHER = 8
"""Cities that go through the model as one row."""

Ask = Callable[[Change | None], pd.DataFrame]
"""What is answered under a change of the residual stream (none: as the model is): a row a fact.

Columns: city, attribute, nats (of the right answer), right (whether it leads).
"""


@dataclass(frozen=True)
class CityFacts:
    """Cities with their latents, and how they are asked about.

    Attributes:
        records: those that have a latent.
        prepare: gets some of them ready to be asked about.
    """

    records: tuple[CityRecord, ...]
    prepare: Callable[[Sequence[CityRecord], Progress], Ask]

    @staticmethod
    def of(lab: Lab) -> "CityFacts":
        """The cities of a lab's table."""
        records = tuple(record for record in lab.records.values() if record.chosen)
        return CityFacts(
            records,
            lambda some, progress: (
                PreparedFacts.of(lab.model, some, lab.median_norm, progress).under
            ),
        )


@dataclass(frozen=True)
class _Group:
    """Some cities' questions, run up to the hook.

    Attributes:
        touched: positions an SAE is applied to.
    """

    asked: PromptSet
    prompts: PreparedPrompts
    touched: Bool[Tensor, " T"]


@dataclass(frozen=True)
class PreparedFacts:
    """Cities ready to be asked about."""

    groups: tuple[_Group, ...]

    @staticmethod
    def of(
        model: LanguageModel,
        records: Sequence[CityRecord],
        median_norm: float,
        progress: Progress = silent,
    ) -> "PreparedFacts":
        """Run the questions about some cities up to the hook.

        Args:
            median_norm: of the residual stream; massive activations are left alone.
        """
        groups = []
        for begin in range(0, len(records), _TOGETHER):
            some = records[begin : begin + _TOGETHER]
            asked = PromptSet(model, [one for record in some for one in questions(model, record)])
            prompts = asked.prepare()
            groups.append(_Group(asked, prompts, prompts.touched(median_norm)))
            done = begin + len(some)
            progress("Getting the cities ready", done / len(records), some[-1].name)
        return PreparedFacts(tuple(groups))

    @cached_property
    def rows(self) -> Float[Tensor, "N D"]:
        """The residuals an SAE is applied to."""
        return torch.cat([one.prompts.resid[one.touched] for one in self.groups])

    @torch.inference_mode()
    def under(self, change: Change | None = None) -> pd.DataFrame:
        """See `Ask`."""
        sizes = [int(one.touched.sum()) for one in self.groups]
        rows = self.rows if change is None else change(self.rows)
        made = []
        for group, changed in zip(self.groups, rows.split(sizes), strict=True):
            prompts, resid = group.prompts, group.prompts.resid.clone()
            resid[group.touched] = changed
            hidden = prompts.prefilled.finish(resid[None], only=prompts.only)
            questions = group.asked.questions
            scores = questions.split(prompts.read(hidden)[0])
            made += [
                {
                    "city": question.answers[0].cities[0],
                    "attribute": question.attribute,
                    "nats": float(nats[0]),
                    "right": int(nats.argmax()) == 0,
                }
                for question, nats in zip(questions, scores, strict=True)
            ]
        return pd.DataFrame(made)


def questions(model: LanguageModel, record: CityRecord) -> list[Question]:
    """The four questions about a city, the right answer first, then all others of one token."""
    city, made = find_city(record.name), []
    for attribute, template in QUESTIONS.items():
        own = city.answers(attribute)
        others = (text for text in distinct_answers(attribute) if text not in own)
        rivals = [text for text in others if len(model.encode(" " + text)) == 1]
        texts = (record.answers[attribute], *rivals)
        answers = tuple(
            Answer((record.name,) if n == 0 else (), text) for n, text in enumerate(texts)
        )
        made.append(Question(attribute, fill(template, record.name), answers))
    return made
