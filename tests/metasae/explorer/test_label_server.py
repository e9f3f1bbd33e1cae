"""Labels from a server: asked, kept, resumed, scored, and every way it may go wrong."""

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from metasae.errors import UserError
from metasae.explorer import label_server, labels
from metasae.explorer.label_server import Endpoint, ask_all, cost, read_answer, scored
from metasae.explorer.labels import UNCLEAR
from tests.builders import one_sentence
from tests.label_servers import GOOD, Server, completion, serving
from tests.metasae.explorer.test_labels import planted

pytestmark = pytest.mark.usefixtures("no_pause")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def endpoint(server: Server) -> Endpoint:
    return Endpoint(server.url, "tiny")


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


def test_certificates_are_read_once_however_many_questions_there_are(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, read = httpx.create_ssl_context(), list[int]()

    def once() -> ssl.SSLContext:
        read.append(1)
        return made

    monkeypatch.setattr(httpx, "create_ssl_context", once)
    label_server._certificates.cache_clear()
    for lines in CONTEXTS.values():
        endpoint(server).ask(lines)
    assert len(server.asked) == 2 and len(read) == 1
    label_server._certificates.cache_clear()


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
    assert len(server.asked) == 1
    with pytest.raises(UserError, match="can't be reached") as raised:
        Endpoint("http://127.0.0.1:1/v1").ask(["x"])
    one_sentence(raised)
    with pytest.raises(UserError, match="can't be reached") as raised:
        Endpoint(f"http://{'a' * 70}.example/v1").ask(["x"])
    one_sentence(raised)
    for address in ("file:///etc/passwd", "http://", "http://a:99999999", "localhost:8080/v1"):
        with pytest.raises(UserError, match="is no address") as raised:
            Endpoint(address)
        one_sentence(raised)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.answers = [(status, b"")] * 2 + [(200, completion(GOOD))]
    answers = ask_all(endpoint(server), {3: ["in «Tokyo»"]}, tmp_path / "a.jsonl")
    assert list(answers) == [3] and len(server.asked) == 3
    assert len({json.dumps(one) for one in server.asked}) == 1


def test_a_server_that_stays_broken_is_one_sentence(server: Server, tmp_path: Path) -> None:
    server.answers = [(503, b"")]
    with pytest.raises(UserError) as raised:
        ask_all(endpoint(server), CONTEXTS, tmp_path / "a.jsonl")
    assert "status 503" in one_sentence(raised)
    assert len(server.asked) == label_server.ATTEMPTS
    server.answers = [(0, b"")]
    with pytest.raises(UserError, match="can't be reached") as raised:
        endpoint(server).ask(["x"])
    one_sentence(raised)
    assert len(server.asked) == 2 * label_server.ATTEMPTS


def test_a_busy_server_says_how_long_to_wait(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers, server.retry_after = [(429, b""), (200, completion(GOOD))], "3600"
    monkeypatch.setattr(label_server, "LONGEST_PAUSE", 0.3)
    began = time.monotonic()
    endpoint(server).ask(["x"])
    assert 0.3 <= time.monotonic() - began < 10


def test_a_silent_server_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_server, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(UserError, match="can't be reached") as raised:
            Endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}/v1").ask(["x"])
        # Whoever called stands in the queue, in order.
        silent.setblocking(False)
        callers = []
        with contextlib.suppress(BlockingIOError):
            while True:
                callers.append(silent.accept()[0])
        for one in callers:
            one.close()
        assert len(callers) == 1
    one_sentence(raised)


@pytest.mark.parametrize("key", ["secrét", "secret\n", "secret\r\nX: y"])
def test_a_key_no_header_can_hold_is_one_sentence_without_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(label_server.KEY_VARIABLE, key)
    with pytest.raises(UserError, match=label_server.KEY_VARIABLE) as raised:
        endpoint(server).ask(["x"])
    assert "secr" not in one_sentence(raised) and not server.asked


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"label": "", "words": ["a"]}', '{"label": "a", "words": []}', '{"label": 1'],
)
def test_what_holds_no_label_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match="no label"):
        read_answer(completion(text))


def test_the_cost_counts_requests_and_about_their_tokens() -> None:
    requests, tokens = cost(CONTEXTS.values())
    assert requests == 2
    letters = 2 * len(label_server._ASK) + sum(
        len(line) for one in CONTEXTS.values() for line in one
    )
    assert tokens == round(0.3 * letters) + 2 * 60


def test_a_servers_labels_are_scored_like_our_own() -> None:
    contexts, near = planted(0.0)
    ours = labels.make_labels(contexts, near)
    answers = {2: ("right", ("word2",)), 4: ("wrong", ("word5",)), 99: ("nobody", ("x",))}
    found = scored(answers, ours, contexts, near)
    assert (found[2].text, found[2].f1, found[2].distinguishes) == ("right", 1.0, True)
    assert (found[4].text, found[4].distinguishes) == (UNCLEAR, False) and found[4].f1 < 0.3
    assert found[3] == ours[3]


def test_a_redirect_is_followed_nowhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers = [(302, b"")]
    server.location = f"{server.url}elsewhere"
    with pytest.raises(UserError, match="status 302") as raised:
        endpoint(server).ask(["x"])
    one_sentence(raised)
    assert len(server.asked) == 1
