"""A small OpenAI-compatible server on this machine, which answers what a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


def completion(text: str) -> bytes:
    """What a server answers whose model says this."""
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


GOOD = '{"label": "A city\\nof Japan", "words": ["Tokyo", " Kyoto "]}'


class Server(HTTPServer):
    """Answers with what it is given, in turn; the last again and again."""

    answers: list[tuple[int, bytes]]
    asked: list[dict[str, Any]]
    retry_after: str | None = None
    location: str | None = None
    saying: Callable[[str], str] | None = None
    """What its model says to a user's message, in place of ``answers``."""
    before: Callable[[int], object] = staticmethod(lambda number: None)
    """Called with the number of each question before it is answered."""

    @property
    def url(self) -> str:
        """Its address, as a person types it."""
        return f"http://127.0.0.1:{self.server_port}/v1/"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {"key": self.headers.get("Authorization"), "host": self.headers.get("Host")}
        server.asked.append(json.loads(body) | said)
        server.before(len(server.asked))
        status, content = server.answers[min(len(server.asked), len(server.answers)) - 1]
        if server.saying is not None:
            status, content = (
                200,
                completion(server.saying(server.asked[-1]["messages"][1]["content"])),
            )
        if status == 0:
            return  # hangs up without a word
        self.send_response(status)
        if status == 429 and server.retry_after is not None:
            self.send_header("Retry-After", server.retry_after)
        if server.location is not None:
            self.send_header("Location", server.location)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """A server that gives the same good label to every question."""
    made = Server(("127.0.0.1", 0), Handler)
    made.answers, made.asked = [(200, completion(GOOD))], []
    # Looks for its end every hundredth of a second; the library's half would be the longest wait.
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
