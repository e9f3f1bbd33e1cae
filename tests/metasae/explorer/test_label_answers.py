"""What asking about labels costs, what is kept of the answers, and models that give none."""

import re
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.explorer.label_answers import all_questions, cost
from metasae.explorer.scoring import score_labels
from tests.builders import one_sentence
from tests.label_servers import Server, completion
from tests.metasae.explorer.scored_text import SAMPLING, asked, material, perfect, request

pytestmark = pytest.mark.usefixtures("no_pause")


def test_nothing_is_sent_before_its_cost_was_said_and_agreed_to(
    server: Server, tmp_path: Path
) -> None:
    every = all_questions(
        material().examples(SAMPLING), material().labels, material().others, SAMPLING
    )
    # Two latents: 8 questions of 5 pieces, twice, for two kinds, and 20 intruders.
    assert cost(every)[0] == len(every) == 2 * (2 * 2 * 8 + 20)
    with pytest.raises(UserError) as raised:
        score_labels(material(), request(server, agreed=False), tmp_path / "a.jsonl")
    assert re.search(r"asked 104 times, about [\d,]+ tokens .* --yes", one_sentence(raised))
    assert not server.asked
    sent = sum(len(" ".join(one.lines)) for one in every)
    assert cost(every)[1] > 0.3 * sent


def test_a_stopped_run_goes_on_and_asks_nothing_twice(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "a.jsonl"

    def off(message: str) -> str:
        if len(server.asked) > 30:
            raise ConnectionAbortedError
        return perfect(message)

    server.saying = off
    with pytest.raises(UserError, match="can't be reached"):
        score_labels(material(), request(server), kept)
    assert len(kept.read_text().splitlines()) == 30
    with kept.open("a") as file:
        file.write('{"of": "half')
    server.asked.clear()
    with pytest.raises(UserError, match=r"asked 74 times.*30 questions are answered"):
        score_labels(material(), request(server, agreed=False), kept)
    whole = asked(server, perfect, kept)
    assert len(server.asked) == 74
    assert all(one.score.value == 1.0 for one in whole.scores)
    # All is there by now: neither is anything sent nor a cost to be agreed to.
    assert score_labels(material(), request(server, agreed=False), kept) == whole
    assert len(server.asked) == 74


def test_a_model_that_answers_nothing_is_one_sentence(server: Server, tmp_path: Path) -> None:
    server.saying = None
    server.answers = [(200, completion("no idea"))]
    with pytest.raises(UserError, match="ten times in a row") as raised:
        score_labels(material(), request(server), tmp_path / "a.jsonl")
    one_sentence(raised)
