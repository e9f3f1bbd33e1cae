"""Scores of models whose answers are known, their controls, and how scores are kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.explorer.label_questions import DETECTION, FUZZING, INTRUDER, KINDS
from metasae.explorer.label_scores import Scores, kept_scores
from metasae.explorer.score_examples import Sampling
from metasae.sources.files import read_json, write_json
from tests.builders import one_sentence
from tests.label_servers import Server
from tests.metasae.explorer.scored_text import SAMPLING, asked, coin, inverted, material, perfect


def test_a_perfect_model_gives_one_and_the_controls_what_they_are_worth(
    server: Server, tmp_path: Path
) -> None:
    found = asked(server, perfect, tmp_path / "a.jsonl")
    assert {(one.latent, one.kind) for one in found.scores} == {
        (latent, kind) for latent in (0, 1) for kind in KINDS
    }
    for one in found.scores:
        assert (one.score.value, one.score.high, one.score.unanswered) == (1.0, 1.0, 0)
        assert 0.8 < one.score.low < 1.0
        assert one.score.count == (20 if one.kind == INTRUDER else 40)
        if one.kind == INTRUDER:
            assert one.control is None and one.score.f1 is None
            assert one.chance == pytest.approx(1 / 5)
        else:
            # The other label fits nowhere: half of the answers are right.
            assert one.control is not None and one.score.f1 == 1.0
            assert (one.control.value, one.control.f1) == (0.5, 0.0)


def test_an_inverted_model_gives_nothing(server: Server, tmp_path: Path) -> None:
    for one in asked(server, inverted, tmp_path / "a.jsonl").scores:
        assert (one.score.value, one.score.low) == (0.0, 0.0) and one.score.high < 0.2


def test_a_coin_gives_what_chance_does(server: Server, tmp_path: Path) -> None:
    for one in asked(server, coin(), tmp_path / "a.jsonl").scores:
        assert one.score.low < one.chance < one.score.high
        assert 0.0 < one.score.value < 1.0


def test_what_is_no_answer_is_counted_as_none(server: Server, tmp_path: Path) -> None:
    odd = material().examples(SAMPLING)[0].silent[0].text()

    def some(message: str) -> str:
        return "I can't tell." if odd in message else perfect(message)

    (one, *_) = (
        one for one in asked(server, some, tmp_path / "a.jsonl").scores
        if (one.latent, one.kind) == (0, DETECTION)
    )  # fmt: skip
    assert (one.score.value, one.score.count, one.score.unanswered) == (1.0, 35, 5)


def test_scores_are_read_back(server: Server, tmp_path: Path) -> None:
    found = asked(server, coin(), tmp_path / "a.jsonl")
    found.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == found
    table = found.table().set_index(["latent", "kind"])
    assert table.loc[(0, FUZZING), "label"] == "tokyo"
    assert table.loc[(1, FUZZING), "value"] == next(
        one.score.value for one in found.scores if (one.latent, one.kind) == (1, FUZZING)
    )
    (tmp_path / "scores.json").write_text('{"sae": 1}')
    with pytest.raises(UserError) as raised:
        Scores.load(tmp_path / "scores.json")
    one_sentence(raised)


def test_scores_of_other_latents_stay_where_they_were_asked_alike(
    server: Server, tmp_path: Path
) -> None:
    found = asked(server, coin(), tmp_path / "a.jsonl")
    first, *rest = found.scores
    again = replace(first, label="new")
    former = replace(found, scores=(first, *rest))
    both = replace(found, scores=(again,)).beside(former)
    assert {one.label for one in both.scores if one.latent == first.latent
            and one.kind == first.kind} == {"new"}  # fmt: skip
    assert set(both.scores) == {again, *rest}
    for change in ({"sae": "other"}, {"model": "other"}, {"sampling": Sampling(seed=9)}):
        alone = replace(found, scores=(again,), **change)
        assert alone.beside(former) == alone


def test_a_newer_file_of_scores_is_refused_and_a_damaged_one_left_out(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    assert kept_scores(path) is None
    Scores("x", "y", SAMPLING, ()).save(path)
    assert kept_scores(path) == Scores("x", "y", SAMPLING, ())
    assert read_json(path)["format"] == 1
    write_json(path, read_json(path) | {"format": 2})
    with pytest.raises(UserError, match="a newer one"):
        kept_scores(path)
    path.write_text("{")
    assert kept_scores(path) is None
