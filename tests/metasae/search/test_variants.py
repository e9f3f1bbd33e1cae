"""The same pattern in other ways."""

import json
import math

import pytest

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.patterns import FoundEdit
from metasae.search.variants import Reached, Variant, variants
from metasae.steering.edits import MetaLatentEdit
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import pattern_name
from metasae.text.prompts import QUESTIONS


@pytest.mark.slow
def test_ways(small_lab: Lab, found: tuple[FoundEdit, ...]) -> None:
    source, target = small_lab.subject("Paris"), small_lab.subject("Tokyo")
    told: list[float] = []
    tried = variants(
        small_lab,
        source,
        target,
        most=32,
        progress=lambda stage, fraction, note: told.append(fraction),
    )
    default = tried[0]
    assert default.name == "default" and len({way.name for way in tried}) == len(tried) == 8
    assert told == sorted(told) and told[-1] == 1.0
    known = [one.pattern for one in default.reached]
    assert default.added == () and known[0] == dict.fromkeys(QUESTIONS, False)
    assert all(pattern in [one.pattern for one in found] for pattern in known)
    for way in tried:
        assert 0 < way.searched <= 32 and way.seconds > 0
        assert bool(way.note) == (way.searched < way.combinations)
        assert all(one.new == (one.pattern not in known) for one in way.reached if way != default)
        json.dumps(way.to_dict())
    by = {way.name: way for way in tried}
    best = by["best latent of each only"]
    assert (best.source_latents, best.target_latents) == (source.latents[:1], target.latents[:1])
    grid = by["strengths −1 and 2 as well"]
    assert grid.combinations == 3 ** (grid.removable + grid.addable)
    more = by["6 meta-latents a latent"]
    assert more.combinations == 2 ** (more.removable + more.addable) > default.combinations
    # Every edit of the ways on the default's own latents and pieces does what the table says.
    experiment = small_lab.experiment(source, target)
    for name in ("default", "strengths −1 and 2 as well", "SAE's error dropped"):
        for one in by[name].reached:
            if one.edit.strengths:
                check(experiment, one)


def check(experiment: Experiment, one: Reached) -> None:
    judged = experiment.verdict(experiment.apply(one.edit).logprobs[None])
    assert pattern_name(experiment.questions, int(judged.pattern[0])) == one.pattern
    assert float(judged.margin[0]) == pytest.approx(one.margin, abs=1e-3)


def test_an_edit_without_rivals_is_json() -> None:
    reached = Reached({"language": True}, MetaLatentEdit(((3, 0.0),)), math.inf, True)
    way = Variant("default", (1,), (2,), 1, 1, 4, 4, (reached,), 0.1, "")
    (one,) = json.loads(json.dumps(way.to_dict(), allow_nan=False))["reached"]
    assert one["margin"] is None and one["edit"] == reached.edit.to_dict()


def test_a_way_that_does_not_work_says_why(small_lab: Lab, leaking: Experiment) -> None:
    tried = variants(small_lab, leaking.source, leaking.target, most=4)
    assert "Latents chosen by number belong to one SAE" in tried[-1].note
    assert tried[-1].reached == () and tried[-1].combinations == 0
    assert tried[0].searched > 0  # the others went on


def test_ways_of_a_city_to_itself_are_refused(small_lab: Lab) -> None:
    with pytest.raises(UserError, match="Source and target are both Tokyo"):
        variants(small_lab, small_lab.subject("Tokyo"), small_lab.subject("Tokyo"))
