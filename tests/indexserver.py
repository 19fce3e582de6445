"""A package index on this machine that can misbehave on request, and archives to put on it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def wheel(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """A wheel (any zip archive) with these files and symbolic links."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return buffer.getvalue()


def sdist(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """A source archive with these files and symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


class Index:
    """Files of a simple index and how to serve them."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.hashes: dict[str, str] = {}
        """File name → digest that the index claims, where it is not the true one; empty = none."""
        self.html = False
        self.cut_after: dict[str, list[int]] = {}
        """File name → after how many bytes each next transfer breaks off."""
        self.status: dict[str, list[int]] = {}
        """Path → status codes of the next answers."""
        self.ranges = True
        self.pages: dict[str, Any] = {}
        """Path → JSON of further pages."""
        self.log: list[tuple[str, str]] = []
        """(path, Range header) of every request."""

    def asked(self, name: str) -> list[str]:
        """Range headers of the requests for a file."""
        return [ranges for path, ranges in self.log if path.endswith("/" + name)]

    def page(self, package: str) -> tuple[str, bytes]:
        """The index page of a package."""
        entries = []
        for name, content in self.files.items():
            if name.replace("_", "-").lower().startswith(package):
                digest = self.hashes.get(name, hashlib.sha256(content).hexdigest())
                entries.append((name, digest, len(content)))
        if self.html:
            pairs = [(name, f"#sha256={digest}" if digest else "") for name, digest, _ in entries]
            anchors = "".join(f'<a href="../../files/{n}{end}">{n}</a><br>' for n, end in pairs)
            return "text/html", f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode()
        files = [
            {
                "filename": name,
                "url": f"{self.url}/files/{name}",
                "hashes": {"sha256": digest} if digest else {},
                "size": size,
            }
            for name, digest, size in entries
        ]
        return "application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode()


def _handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            index.log.append((path, self.headers.get("Range", "")))
            codes = index.status.get(path)
            if codes:
                self._send(codes.pop(0), b"no", "text/plain")
            elif path.startswith("/simple/"):
                kind, body = index.page(path.split("/")[2])
                self._send(200 if body.count(b"files/") else 404, body, kind)
            elif path in index.pages:
                self._page(path)
            elif path.removeprefix("/files/") in index.files:
                self._file(path.removeprefix("/files/"))
            else:
                self._send(404, b"no", "text/plain")

        def _page(self, path: str) -> None:
            page = index.pages[path]
            if isinstance(page, bytes):
                digest = hashlib.sha256(page).hexdigest()
                extra = {"ETag": f'"{digest}"', "X-Repo-Commit": "a" * 40}
                self._send(200, page, "application/octet-stream", extra)
            else:
                self._send(200, json.dumps(page).encode(), "application/json")

        def _file(self, name: str) -> None:
            body, start = index.files[name], 0
            asked = self.headers.get("Range", "")
            if asked and index.ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self._send(416, b"", "text/plain")
                    return
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
            cuts = index.cut_after.get(name)
            cut = cuts.pop(0) if cuts else None
            status = 206 if start else 200
            self._send(status, body[start:], "application/octet-stream", extra, cut)

        def _send(
            self, status: int, body: bytes, kind: str, extra: Mapping[str, str] | None = None,
            cut: int | None = None,
        ) -> None:  # fmt: skip
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

    return Handler


@contextmanager
def serving() -> Iterator[Index]:
    """An index that serves on a free local port."""
    index = Index()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(index))
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
