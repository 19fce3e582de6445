"""The files of one release on the indexes that pip is set up for: simple API (HTML and JSON),
folders, pages.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import httpx

from moco.errors import DownloadError, clip
from moco.sources.pipconfig import PipConfig, shown, ssl_context

_SIMPLE = "application/vnd.pypi.simple.v1"
ACCEPT = f"{_SIMPLE}+json, {_SIMPLE}+html;q=0.2, text/html;q=0.1"
MAX_PAGE = 64 << 20
"""Largest index page that is read."""
SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One archive of a release."""

    name: str
    url: str
    """`http(s)://` or `file://`."""
    sha256: str = ""
    size: int = 0
    """0 = the index does not say."""

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else a source archive."""
        return self.name.endswith(".whl")


def normalise(name: str) -> str:
    """A package name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def client(config: PipConfig) -> httpx.Client:
    """An HTTP client with pip's certificates, proxy and time limit."""
    return httpx.Client(
        verify=ssl_context(config.cert),
        proxy=config.proxy or None,
        timeout=config.timeout_seconds,
        follow_redirects=True,
        headers={"User-Agent": "moco-collab", "Accept-Encoding": "identity"},
    )


def release_files(package: str, version: str, config: PipConfig) -> list[RemoteFile]:
    """Archives of one release, best first: pure wheels, other wheels, source archives; then by name
    and index order.

    A file that several indexes list counts once, the first listing with a checksum before one
    without. Raises `DownloadError` where no index has the release.
    """
    found: list[RemoteFile] = []
    troubles: list[str] = []
    with client(config) as http:
        for place in config.find_links:
            found += _listed(http, place, place, troubles)
        for index in config.indexes:
            page = index.rstrip("/") + "/" + normalise(package) + "/"
            found += _listed(http, page, index, troubles)
    matching = [f for f in found if _is_release(f.name, package, version)]
    by_name: dict[str, RemoteFile] = {}
    for file in matching:
        known = by_name.setdefault(file.name, file)
        if file.sha256 and not known.sha256:
            by_name[file.name] = file
    if not by_name:
        raise DownloadError(_nothing(package, version, config, found, troubles))
    return sorted(by_name.values(), key=_preference)


def _preference(file: RemoteFile) -> tuple[int, str]:
    if file.name.endswith("-none-any.whl"):
        return 0, file.name
    if file.is_wheel:
        return 1, file.name
    return 2 + next(i for i, end in enumerate(SDISTS) if file.name.endswith(end)), file.name


def _nothing(
    package: str, version: str, config: PipConfig, found: list[RemoteFile], troubles: list[str]
) -> str:
    places = (
        ", ".join(shown(p) for p in (*config.find_links, *config.indexes))
        or "no index (no-index is set)"
    )
    others = sorted({f.name for f in found if _is_release(f.name, package, "")})
    message = f"{package}=={version} was not found on {clip(places, 300)}"
    if others:
        message += f"; there are: {clip(', '.join(others[-5:]), 300)}"
    if troubles:
        message += f"; {clip('; '.join(troubles), 600)}"
    return message


def _is_release(filename: str, package: str, version: str) -> bool:
    """Whether an archive belongs to a release; an empty version accepts all."""
    if filename.endswith(".whl"):
        parts = filename.removesuffix(".whl").split("-")
        if len(parts) not in (5, 6):
            return False
        name, found = parts[0], parts[1]
    else:
        stem = next((filename.removesuffix(end) for end in SDISTS if filename.endswith(end)), "")
        name, _, found = stem.rpartition("-")
    return normalise(name) == normalise(package) and (not version or _same_version(found, version))


def _same_version(a: str, b: str) -> bool:
    def key(text: str) -> str:
        return re.sub(
            r"(\.0)+(?=$|[^0-9.])", "", text.lower().lstrip("v").replace("-", "_").replace("_", ".")
        )

    return key(a) == key(b)


def local_path(url: str) -> Path:
    """The path that a `file://` URL names."""
    return Path(url2pathname(unquote(urlsplit(url).path)))


def _listed(http: httpx.Client, place: str, source: str, troubles: list[str]) -> list[RemoteFile]:
    """The archives that an index page, a page of links or a folder lists."""
    if not re.match(r"https?://", place):
        path = local_path(place) if place.startswith("file:") else Path(place).expanduser()
        return _listed_locally(path)
    try:
        with http.stream("GET", place, headers={"Accept": ACCEPT}) as reply:
            if reply.status_code in (404, 410):
                return []
            if reply.status_code >= 400:
                troubles.append(f"{shown(source)} answered {reply.status_code}")
                return []
            body = b""
            for block in reply.iter_bytes():
                body += block
                if len(body) > MAX_PAGE:
                    troubles.append(f"{shown(source)}: the page is over {MAX_PAGE >> 20} MiB")
                    return []
            kind = reply.headers.get("content-type", "")
            return _parse(body, str(reply.url), as_json="json" in kind)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        troubles.append(
            f"{shown(source)} could not be reached: {clip(str(error) or type(error).__name__, 200)}"
        )
    except ValueError as error:
        troubles.append(f"{shown(source)}: unreadable page: {clip(str(error), 200)}")
    return []


def _listed_locally(path: Path) -> list[RemoteFile]:
    if path.is_dir():
        page = path / "index.html"
        if page.is_file():
            return _parse(page.read_bytes(), path.absolute().as_uri() + "/", as_json=False)
        return [
            RemoteFile(p.name, p.absolute().as_uri()) for p in sorted(path.iterdir()) if p.is_file()
        ]
    if path.is_file() and path.suffix in (".html", ".htm"):
        return _parse(path.read_bytes(), path.absolute().as_uri(), as_json=False)
    return [RemoteFile(path.name, path.absolute().as_uri())] if path.is_file() else []


def _parse(body: bytes, base: str, as_json: bool) -> list[RemoteFile]:
    text = body.decode("utf-8", errors="replace")
    if as_json:
        entries = json.loads(text)
        if not isinstance(entries, dict) or not isinstance(entries.get("files"), list):
            raise ValueError("no list of files in it")
        return [_from_json(entry, base) for entry in entries["files"] if isinstance(entry, dict)]
    parser = _Links(base)
    parser.feed(text)
    return parser.files


def _from_json(entry: dict[str, object], base: str) -> RemoteFile:
    hashes = entry.get("hashes")
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else ""
    size = entry.get("size")
    return RemoteFile(
        str(entry.get("filename", "")),
        _logged_in(urljoin(base, str(entry.get("url", ""))), base),
        str(sha256 or "").lower(),
        size if isinstance(size, int) else 0,
    )


def _logged_in(url: str, base: str) -> str:
    """A file's URL with the index's user name and password, where both are on one host."""
    file, index = urlsplit(url), urlsplit(base)
    login, at, host = index.netloc.rpartition("@")
    if at and file.netloc == host and file.scheme == index.scheme:
        return urlunsplit(file._replace(netloc=f"{login}@{host}"))
    return url


class _Links(HTMLParser):
    """Collects the anchors of an index page."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base, self.files = base, list[RemoteFile]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        href = values.get("href")
        if tag == "base" and href:
            self.base = urljoin(self.base, href)
        if tag == "a" and href:
            url, fragment = urldefrag(urljoin(self.base, href))
            digest = re.search(r"(?:^|&)sha256=([0-9a-fA-F]{64})", fragment)
            name = unquote(urlsplit(url).path).rpartition("/")[2]
            url = _logged_in(url, self.base)
            self.files.append(RemoteFile(name, url, digest.group(1).lower() if digest else ""))
