"""Getting one archive onto this machine: resumed after a break, checked, safe for two processes at
once.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import httpx

from moco import paths
from moco.errors import DownloadError, clip
from moco.sources.index import RemoteFile, client, local_path
from moco.sources.pipconfig import PipConfig, shown

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what, bytes done, bytes in all or 0 where unknown)."""

MAX_DOWNLOAD = 32 << 30
"""Largest archive that is fetched, in bytes."""
ATTEMPTS = 4
PAUSE_SECONDS = 1.0
"""Pause before the second attempt; doubled each time."""


class _Restart(Exception):
    """What has been fetched is no beginning of the file."""


def archive(
    file: RemoteFile, config: PipConfig, progress: Progress | None = None
) -> tuple[Path, str]:
    """The archive on this machine and the SHA-256 of its content; fetched where it is not there
    yet.

    Raises `DownloadError` for network trouble and for content that is not what the index says.
    """
    if file.url.startswith("file:"):
        return _local(file)
    key = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
    final = place(file)
    if not final.is_file():
        with paths.locked(paths.cache_dir() / "locks" / f"{key[:32]}.lock"):
            if not final.is_file():
                _download(file, final, config, progress)
    return final, file.sha256 or paths.known_sha256(final)


def place(file: RemoteFile) -> Path:
    """Where the archive lies once fetched."""
    if file.url.startswith("file:"):
        return local_path(file.url)
    key = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
    name = re.sub(r"[^\w.+-]", "_", file.name)[-150:]
    return paths.cache_dir() / "downloads" / f"{key[:16]}-{name}"


def _local(file: RemoteFile) -> tuple[Path, str]:
    path = local_path(file.url)
    if not path.is_file():
        raise DownloadError(f"{file.name}: the index lists {path}, which is not there")
    digest = paths.known_sha256(path)
    if file.sha256 and digest != file.sha256:
        raise DownloadError(_mismatch(file, digest))
    return path, digest


def _mismatch(file: RemoteFile, digest: str) -> str:
    return (
        f"{file.name} from {shown(file.url)} has SHA-256 {digest}, the index says {file.sha256}; "
        "it was thrown away"
    )


def _download(file: RemoteFile, final: Path, config: PipConfig, progress: Progress | None) -> None:
    part = final.with_name(final.name + ".part")
    with paths.disk_errors(f"cannot store {file.name}"):
        final.parent.mkdir(parents=True, exist_ok=True)
        if not file.sha256:
            part.unlink(
                missing_ok=True
            )  # without a checksum a torn file cannot be told from a good start
        with client(config) as http:
            _fetch_all(http, file, part, progress)
        part.replace(final)


def _fetch_all(http: httpx.Client, file: RemoteFile, part: Path, progress: Progress | None) -> None:
    """Fetch until the checksum is right; a break is resumed, a wrong start fetched anew once."""
    trouble = ""
    fresh = not part.exists()
    for attempt in range(ATTEMPTS):
        if attempt and trouble:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            _fetch_rest(http, file, part, progress)
            digest = paths.sha256_of(part)
            if not file.sha256 or digest == file.sha256:
                return
            part.unlink()
            if fresh:
                raise DownloadError(_mismatch(file, digest))
            fresh, trouble = True, ""
        except _Restart:
            part.unlink(missing_ok=True)
            fresh, trouble = True, ""
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise DownloadError(f"{shown(file.url)} answered {status}") from error
            trouble = f"answered {status}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            trouble = clip(str(error) or type(error).__name__, 300)
    raise DownloadError(
        f"{file.name} could not be fetched from {shown(file.url)} in {ATTEMPTS} attempts: "
        f"{trouble}; the same command continues where it broke off"
    )


def _fetch_rest(
    http: httpx.Client, file: RemoteFile, part: Path, progress: Progress | None
) -> None:
    """Append what is missing of the file to `part`."""
    start = part.stat().st_size if part.exists() else 0
    if file.size and start == file.size:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    with http.stream("GET", file.url, headers=headers) as reply:
        if reply.status_code == 416:
            raise _Restart
        reply.raise_for_status()
        if reply.status_code != 206:
            start = 0  # the server sends the whole file again
        elif not reply.headers.get("content-range", "").startswith(f"bytes {start}-"):
            raise _Restart
        length = int(reply.headers.get("content-length") or 0)
        total = file.size or (start + length if length else 0)
        _check_size(file, total)
        paths.need_space(part.parent, max(total - start, 0), file.name)
        done = start
        with part.open("r+b" if start else "wb") as handle:
            handle.seek(start)
            for block in reply.iter_raw():
                handle.write(block)
                done += len(block)
                _check_size(file, done)
                if progress is not None:
                    progress(file.name, done, total)
        if total and done < total:
            raise httpx.ReadError(f"the connection ended after {done} of {total} bytes")


def _check_size(file: RemoteFile, num_bytes: int) -> None:
    limit = min(file.size or MAX_DOWNLOAD, MAX_DOWNLOAD)
    if num_bytes > limit:
        raise DownloadError(f"{file.name}: {num_bytes} bytes and more, the limit is {limit}")
