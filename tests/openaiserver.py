"""A server on this machine that speaks the OpenAI API and misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = Any


def question_of(body: Json) -> str:
    """The last turn of a chat request."""
    return str(body["messages"][-1]["content"])


def completion(text: str, **changes: Json) -> Json:
    """A reply of /v1/chat/completions."""
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": changes.pop("finish", "stop")}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage, **changes}


def vector_of(text: str) -> list[float]:
    """The vector that the server gives to a text."""
    return [float(len(text)), float(text.count("e")), 0.25]


@dataclass
class Server:
    """What was asked of it, and how it answers."""

    url: str = ""
    key: str = ""
    """The key it wants; empty = none."""
    chat: Callable[[Json], Json] = lambda body: completion("re: " + question_of(body))
    """Request body → reply: JSON, or bytes that are sent as they are."""
    failures: list[tuple[int, Json]] = field(default_factory=list)
    """(status, body) of the next replies."""
    pause: float = 0.0
    requests: list[tuple[str, dict[str, str], Json]] = field(default_factory=list)
    """(path, headers, body) of every request."""
    most_open: int = 0
    """The most requests that were open at once."""
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bodies(self) -> list[Json]:
        """The bodies of all requests."""
        return [body for _, _, body in self.requests]

    def reply(self, path: str, headers: dict[str, str], body: Json) -> tuple[int, Json]:
        """(status, body) for a request."""
        with self._lock:
            self.requests.append((path, headers, body))
            self._open += 1
            self.most_open = max(self.most_open, self._open)
        try:
            time.sleep(self.pause)
            return self._reply(path, headers, body)
        finally:
            with self._lock:
                self._open -= 1

    def _reply(self, path: str, headers: dict[str, str], body: Json) -> tuple[int, Json]:
        given = headers.get("authorization", "")
        if self.key and given != f"Bearer {self.key}":
            return 401, {"error": {"message": f"Incorrect API key provided: {given[7:]}"}}
        with self._lock:
            if self.failures:
                return self.failures.pop(0)
        if body.get("model", "").startswith("no-"):
            return 404, {"error": {"message": "the model does not exist", "code": "404"}}
        if path == "/v1/chat/completions":
            return 200, self.chat(body)
        if path == "/v1/embeddings":
            items = [{"index": i, "embedding": vector_of(t)} for i, t in enumerate(body["input"])]
            return 200, {"data": items[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        return 404, {"error": {"message": "no such path"}}


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {k.lower(): v for k, v in self.headers.items()}
            status, found = server.reply(self.path, headers, body)
            raw = found if isinstance(found, bytes) else json.dumps(found).encode()
            kind = "text/html" if raw.startswith(b"<") else "application/json"
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(raw)))
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(raw)
            except OSError:  # the client went away, as it does after a time-out
                self.close_connection = True

    return Handler


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free local port."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=lambda: http.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
