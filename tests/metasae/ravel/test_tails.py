"""A prompt alone is answered as it is among the others."""

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.ravel.engine import Asked
from metasae.ravel.facts import Known
from metasae.ravel.portraits import Portrait
from tests.ravel_data import ANSWERS


@pytest.mark.parametrize("read_on", [False, True])
def test_a_prompt_alone_is_answered_as_among_others(
    small_lab: Lab, known: Known, people: dict[str, Portrait], read_on: bool
) -> None:
    who = people["Tokyo"]
    longer = {name: (*some, "Paris of all") for name, some in ANSWERS.items()}
    asked = Asked(small_lab, who, known.templates(who.entity), longer)
    draw = torch.Generator().manual_seed(0)
    changes = 3 * torch.randn(5, *asked.place.rows.shape, generator=draw)
    numbers = [2, 0] if read_on else list(range(len(asked.questions)))
    count = sum(len(asked.questions[number].answers) for number in numbers)
    tails = asked._some(numbers, [True] * count) if read_on else asked._beginnings
    together = tails.answered(changes)
    full, begin = asked.changed(changes * torch.ones(1)), 0
    for place, number in enumerate(numbers):
        part = slice(begin, begin + len(asked.questions[number].answers))
        alone = tails.alone(place, part)
        assert len(alone.prepared.resid) < len(tails.prepared.resid)
        found = alone.answered(changes)
        torch.testing.assert_close(found.logprobs, together.logprobs[:, part], atol=2e-4, rtol=1e-4)
        assert torch.equal(found.says, together.says[:, part])
        if read_on:
            expected = asked.questions.split(full.logprobs)[number]
            torch.testing.assert_close(found.logprobs, expected, atol=2e-4, rtol=1e-4)
        begin = part.stop
