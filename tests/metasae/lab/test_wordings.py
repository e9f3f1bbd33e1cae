"""Wordings measured: by whole passes on a small model, by the command, and on the real one."""

import pytest
import torch

from metasae.cli import main
from metasae.lab import wordings
from metasae.lab.wordings import Measured, Wording, measured
from metasae.lm import loading
from metasae.lm.language_model import LanguageModel
from metasae.text.cities import ATTRIBUTES, distinct_answers, find_city, load_cities
from metasae.text.prompts import CANDIDATES, POST, QUESTIONS, REWORDED, WORDINGS, fill
from tests.command_line import run
from tests.oracle import answer_logprobs

CITIES = tuple(map(find_city, ("Tokyo", "Chicago", "Lyon")))


def writes(model: LanguageModel, prompt: str, text: str) -> bool:
    """Whether a model goes on with a text when it always takes the likeliest token."""
    tokens = model.prompt_tokens(prompt)
    for token in model.encode(" " + text):
        if int(model.hf(torch.tensor([tokens])).logits[0, -1].argmax()) != token:
            return False
        tokens.append(token)
    return True


@pytest.mark.long
def test_every_wording_is_counted_as_whole_passes_count(small_model: LanguageModel) -> None:
    shares: list[float] = []
    found = measured(small_model, CITIES, lambda stage, share, note: shares.append(share))
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
    assert {(one.attribute, one.template) for one in found.wordings} == {
        (name, one) for name in ATTRIBUTES for one in (*CANDIDATES[name], REWORDED[name])
    }
    for one in found.wordings:
        known = says = 0
        for city in CITIES:
            prompt, own = fill(one.template, city.name), city.answers(one.attribute)
            others = [text for text in distinct_answers(one.attribute) if text not in own]
            mine = answer_logprobs(small_model, prompt, own)
            known += bool(mine.max() >= answer_logprobs(small_model, prompt, others).max())
            says += any(writes(small_model, prompt, form) for form in own)
        assert (one.known, one.says) == (known, says), one
    # It was taught the default questions about two of them.
    taught = {one.attribute: one.known for one in found.wordings if "default" in one.sets}
    assert min(taught.values()) >= 2
    assert found.all_four["default"] >= 2 and set(found.all_four) == set(WORDINGS)


def test_the_best_is_the_candidate_most_facts_are_known_by() -> None:
    first, second = CANDIDATES["country"][:2]
    rows = (
        Wording("country", REWORDED["country"], 9, 9, ("reworded",)),
        Wording("country", second, 8, 3, ()),
        Wording("country", first, 8, 2, ("post",)),
    )
    made = Measured(10, rows, {})
    assert made.of("country") == rows and made.of("language") == ()
    # The reworded questions are there to check what was chosen, not to be chosen.
    assert made.best("country") == second


@pytest.mark.slow
def test_the_command_prints_the_table(
    small_model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loading, "load_model", lambda *_: small_model)
    monkeypatch.setattr(wordings, "load_cities", lambda: CITIES[:1])
    values = run(capsys, "wordings")
    found = measured(small_model, CITIES[:1])
    assert values["cities"] == 1 and values["all_four"] == found.all_four
    assert values["best"] == {name: found.best(name) for name in ATTRIBUTES}
    assert [one["template"] for one in values["wordings"]] == [w.template for w in found.wordings]
    assert main(["wordings"]) == 0
    text = capsys.readouterr().out
    for one in found.wordings:
        (line,) = [line for line in text.splitlines() if line.strip().startswith(one.template)]
        assert line.split(one.template)[1].split()[:2] == [str(one.known), str(one.says)]


@pytest.mark.slow
@pytest.mark.long
def test_no_other_wording_does_clearly_better(model: LanguageModel) -> None:
    cities = load_cities()[::6]
    found = measured(model, cities)
    for attribute in ATTRIBUTES:
        known = {one.template: one.known for one in found.of(attribute)}
        default = known[QUESTIONS[attribute]]
        best = max(known[one] for one in CANDIDATES[attribute])
        assert default >= best - len(cities) / 10, (attribute, known)
        assert default >= known[POST[attribute]] - len(cities) / 20, (attribute, known)
