"""Facts of many cities under a change are those of whole passes, one answer at a time."""

import pytest
import torch
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.progress import silent
from metasae.steering.global_edit import GlobalEdit
from metasae.studies import city_facts as module
from metasae.studies.city_facts import CityFacts, PreparedFacts, questions
from metasae.text.cities import find_city
from metasae.text.prompts import QUESTIONS
from tests.oracle import MASSIVE, Change, answer_logprobs


@pytest.fixture(autouse=True)
def two_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 2)


@pytest.fixture(scope="module")
def edit(small_lab: Lab) -> GlobalEdit:
    latent = small_lab.records["Tokyo"].chosen[0].latent
    return GlobalEdit.of(
        small_lab.decomposition, dict.fromkeys(small_lab.decomposition.pieces(latent), -2.0)
    )


def whole(lab: Lab, edit: GlobalEdit) -> Change:
    """The edit at all tokens but the start token and massive ones."""

    def change(resid: Tensor) -> Tensor:
        out, usable = resid.clone(), resid.norm(dim=1) <= MASSIVE * lab.median_norm
        usable[0] = False
        out[usable] = edit.edited(resid[usable])
        return out

    return change


def test_facts_are_those_of_whole_passes(small_lab: Lab, edit: GlobalEdit) -> None:
    records = list(small_lab.records.values())[:5]
    ask = CityFacts.of(small_lab).prepare(records, silent)
    for change, whole_change in ((None, None), (edit.edited, whole(small_lab, edit))):
        found = ask(change)
        expected = [
            (record.name, question.attribute, answer_logprobs(
                small_lab.model, question.prompt,
                [answer.text for answer in question.answers], whole_change,
            ))
            for record in records for question in questions(small_lab.model, record)
        ]  # fmt: skip
        assert [*zip(found["city"], found["attribute"], strict=True)] == [
            one[:2] for one in expected
        ]
        nats = [float(scores[0]) for *_, scores in expected]
        assert found["nats"].tolist() == pytest.approx(nats, abs=1e-3)
        assert found["right"].tolist() == [int(scores.argmax()) == 0 for *_, scores in expected]
    # The edit did something, and left nothing behind.
    assert (ask(edit.edited)["nats"] - ask(None)["nats"]).abs().max() > 0.1
    assert ask(lambda rows: rows)["nats"].tolist() == ask(None)["nats"].tolist()


def test_a_city_is_asked_for_its_own_answer_among_others_of_one_token(small_lab: Lab) -> None:
    for record in small_lab.records.values():
        asked = questions(small_lab.model, record)
        assert [one.attribute for one in asked] == list(QUESTIONS)
        for one in asked:
            first, *others = [answer.text for answer in one.answers]
            assert first == record.answers[one.attribute]
            assert not set(others) & set(find_city(record.name).answers(one.attribute))
            assert all(len(small_lab.model.encode(" " + text)) == 1 for text in others)
    assert any(len(one.answers) > 2 for one in asked)


def test_residuals_are_those_an_sae_is_applied_to(small_lab: Lab) -> None:
    records = list(small_lab.records.values())[:3]
    prepared = PreparedFacts.of(small_lab.model, records, small_lab.median_norm)
    assert (prepared.rows.norm(dim=1) <= MASSIVE * small_lab.median_norm).all()
    none = PreparedFacts.of(small_lab.model, records, 0.0)
    assert len(none.rows) == 0 < len(prepared.rows)
    seen: list[Tensor] = []
    prepared.under(lambda rows: seen.append(rows) or torch.zeros_like(rows))  # type: ignore[func-returns-value]
    assert torch.equal(seen[0], prepared.rows)
