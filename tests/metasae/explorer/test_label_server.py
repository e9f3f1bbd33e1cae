"""Labels from a server: asked, kept, resumed, scored, and every way it may go wrong."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.explorer import corrections, label_server, labels
from metasae.explorer.label_server import Endpoint, ask_all, cost, read_answer, scored
from metasae.explorer.labels import UNCLEAR
from tests.builders import one_sentence
from tests.metasae.explorer.test_labels import planted


def completion(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


GOOD = '{"label": "A city\\nof Japan", "words": ["Tokyo", " Kyoto "]}'


class Server(HTTPServer):
    """Answers with what it is given, in turn; the last again and again."""

    answers: list[tuple[int, bytes]]
    asked: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.asked.append(json.loads(body) | {"key": self.headers.get("Authorization")})
        status, content = server.answers[min(len(server.asked), len(server.answers)) - 1]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.answers, made.asked = [(200, completion(GOOD))], []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def endpoint(server: Server) -> Endpoint:
    return Endpoint(f"http://127.0.0.1:{server.server_port}/v1/", "tiny")


CONTEXTS = {3: ["in «Tokyo»"], 5: ["to «Kyoto»", "«Osaka»"]}


def test_every_latent_is_asked_about_once_and_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(label_server.KEY_VARIABLE, "secret")
    kept = tmp_path / "answers.jsonl"
    found = ask_all(endpoint(server), CONTEXTS, kept)
    assert found == dict.fromkeys((3, 5), ("A city of Japan", ("tokyo", "kyoto")))
    assert [one["messages"][1]["content"] for one in server.asked] == [
        "in «Tokyo»", "to «Kyoto»\n«Osaka»",
    ]  # fmt: skip
    assert all((one["model"], one["key"]) == ("tiny", "Bearer secret") for one in server.asked)
    with kept.open("a") as file:
        file.write('{"latent": 9, "lab')  # a killed run's last line
    assert ask_all(endpoint(server), CONTEXTS, kept) == found
    assert len(server.asked) == 2


def test_another_model_or_other_contexts_are_asked_anew(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "answers.jsonl"
    ask_all(endpoint(server), CONTEXTS, kept)
    ask_all(endpoint(server), CONTEXTS | {3: ["in «Kobe»"]}, kept)
    assert len(server.asked) == 3
    ask_all(Endpoint(endpoint(server).url, "other"), CONTEXTS, kept)
    assert len(server.asked) == 5
    ask_all(endpoint(server), CONTEXTS, kept)
    assert len(server.asked) == 5


def test_nonsense_is_asked_again_and_then_left_out(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, b"no json"), (200, completion("I cannot")), (200, completion(GOOD))]
    found = ask_all(endpoint(server), CONTEXTS, tmp_path / "a.jsonl")
    assert list(found) == [5]


def test_nothing_but_nonsense_ends_in_a_sentence(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, completion("{}"))]
    with pytest.raises(UserError) as raised:
        ask_all(endpoint(server), {latent: ["x"] for latent in range(30)}, tmp_path / "a.jsonl")
    assert "ten times in a row" in one_sentence(raised)


def test_a_server_that_refuses_or_is_down_is_one_sentence(server: Server, tmp_path: Path) -> None:
    server.answers = [(401, b"")]
    with pytest.raises(UserError) as raised:
        ask_all(endpoint(server), CONTEXTS, tmp_path / "a.jsonl")
    assert "status 401" in one_sentence(raised)
    with pytest.raises(UserError, match="can't be reached"):
        Endpoint("http://127.0.0.1:1/v1").ask(["x"])
    with pytest.raises(UserError, match="is no address"):
        Endpoint("file:///etc/passwd").ask(["x"])


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"label": "", "words": ["a"]}', '{"label": "a", "words": []}', '{"label": 1'],
)
def test_what_holds_no_label_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match="no label"):
        read_answer(completion(text))


def test_the_cost_counts_requests_and_about_their_tokens() -> None:
    requests, tokens = cost(CONTEXTS)
    assert requests == 2
    letters = 2 * len(label_server._ASK) + sum(
        len(line) for one in CONTEXTS.values() for line in one
    )
    assert tokens == round(0.3 * letters) + 2 * 60


def test_a_servers_labels_are_scored_like_our_own() -> None:
    contexts, near = planted(0.0)
    ours = labels.make(contexts, near)
    answers = {2: ("right", ("word2",)), 4: ("wrong", ("word5",)), 99: ("nobody", ("x",))}
    found = scored(answers, ours, contexts, near)
    assert (found[2].text, found[2].f1, found[2].told) == ("right", 1.0, True)
    assert (found[4].text, found[4].told) == (UNCLEAR, False) and found[4].f1 < 0.3
    assert found[3] == ours[3]


def test_neuronpedias_files_are_read() -> None:
    rows = [
        {"index": "7", "description": "cities"},
        {"feature": 8, "description": "x"},
        {"index": 7, "description": "again"},
    ]
    expected = {"7": "cities", "8": "x"}
    assert corrections.explained(json.dumps(rows)) == expected
    assert corrections.explained("\n".join(map(json.dumps, rows)).encode()) == expected
    for bad in ("", "3", '[{"index": 1}]', '[{"index": "x", "description": "a"}]'):
        if bad:
            with pytest.raises(UserError, match="no file of Neuronpedia"):
                corrections.explained(bad)
