"""The whole evaluation on the small lab: exact where it must be, and resumable."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel import evaluation
from metasae.ravel.data import RavelData
from metasae.ravel.evaluation import Configuration, evaluate
from metasae.ravel.methods import METHODS, Fitted, Method
from metasae.studies.parts import Parts
from tests.builders import never, one_sentence
from tests.ravel_data import HELD_OUT, small_data

SMALL = Configuration(
    methods=("nothing", "latent-swap", "mask-gradient", "DAS"),
    seeds=1, sources=3, training_sources=2, targets=2, views=1, learned_towards=2, steps=6,
)  # fmt: skip


def test_scores_are_of_held_out_names_and_nothing_is_a_half(small_lab: Lab) -> None:
    finding = evaluate(small_lab, small_data(), SMALL)
    triples = finding.tables["triples"]
    assert set(triples["source"]) | set(triples["target"]) <= set(HELD_OUT)
    scores = finding.tables["scores"]
    for row in scores[scores["method"] == "nothing"].to_dict("records"):
        assert (row["cause"], row["isolate"], row["disentangle"]) == (0.0, 1.0, 0.5)
    swap = scores[(scores["method"] == "latent-swap") & (scores["attribute"] == "all")]
    assert (swap["cause"] > 0.5).all() and (swap["isolate"] < 0.5).all()
    assert finding.figures["triples"] == len(triples)
    on_training = [row for row in finding.figures["on_training_names"] if row["rule"] == "greedy"]
    assert {row["sources"] for row in on_training} == {SMALL.training_sources}
    assert {row["disentangle"] for row in on_training if row["method"] == "nothing"} == {0.5}
    own = {row["attribute"]: row["prompts_cause"] for row in scores.to_dict("records")}
    assert own != {row["attribute"]: row["prompts_cause"] for row in on_training}
    assert "mask" in finding.verdict


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(tmp_path)
    first = evaluate(small_lab, small_data(), SMALL, parts)
    for name in ("views", "portrait"):
        monkeypatch.setattr(evaluation, name, never("it is kept"))
    again = evaluate(small_lab, small_data(), SMALL, parts)
    assert again.tables["triples"].equals(first.tables["triples"])
    assert again.figures["methods"] == first.figures["methods"]


def test_what_means_nothing_everywhere_is_left_out(small_lab: Lab) -> None:
    finding = evaluate(small_lab, small_data(), replace(SMALL, where="all"))
    assert "DAS" not in set(finding.tables["scores"]["method"])
    assert any(text.startswith("DAS is left out") for text in finding.left_out)


def test_dropping_the_error_is_another_edit(small_lab: Lab) -> None:
    some = replace(SMALL, methods=("nothing", "latent-swap"))
    kept = evaluate(small_lab, small_data(), some).tables["triples"]
    dropped = evaluate(small_lab, small_data(), replace(some, keep_error=False)).tables["triples"]
    nothing = kept["method"] == "nothing"
    assert kept[nothing].equals(dropped[nothing])
    assert not kept[~nothing]["target_nats"].equals(dropped[~nothing]["target_nats"])


def test_a_users_method_is_scored_beside_the_others(small_lab: Lab) -> None:
    def fit(training: object, attribute: str, seed: int) -> Fitted:
        return Fitted(lambda pair: torch.zeros_like(pair.rows))

    mine = Method("mine", "no edit either", fit)
    config = replace(SMALL, methods=("nothing", "mine"))
    finding = evaluate(small_lab, small_data(), config, methods={**METHODS, "mine": mine})
    rows = finding.tables["scores"]
    assert set(rows[rows["method"] == "mine"]["disentangle"]) == {0.5}


@pytest.mark.parametrize("change", [{"sources": 0}, {"methods": ()}, {"where": "first"}])
def test_a_configuration_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError) as raised:
        replace(SMALL, **change)  # type: ignore[arg-type]
    one_sentence(raised)


def test_an_unknown_method_and_a_single_attribute_are_refused(small_lab: Lab) -> None:
    with pytest.raises(UserError) as raised:
        evaluate(small_lab, small_data(), replace(SMALL, methods=("magic",)))
    assert "magic" in one_sentence(raised)
    data = small_data()
    alone = tuple(one for one in data.templates if one.attribute == "country")
    with pytest.raises(UserError) as raised:
        evaluate(small_lab, RavelData(data.name, data.entities, alone), SMALL)
    assert "at least two attributes" in one_sentence(raised)
