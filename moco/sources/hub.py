"""Snapshots and files of the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from moco.errors import DownloadError, InputError, LicenceError, MissingExtraError, clip

MOVING = frozenset({"main", "master", "head"})
MODEL_FILES = (
    "*.json",
    "*.safetensors",
    "*.model",
    "*.jinja",
    "*.txt",
    "*.md",
    "LICENSE*",
    "NOTICE*",
)
"""What a model's snapshot brings along; never pickles or code."""
DATA_FORMATS = ("parquet", "json", "csv")
"""Formats that a data set's rows are read from: no pickles, no scripts."""
FORM = "hf://owner/name@<revision>, or hf://datasets/owner/name@<revision>/path/in/it"


@dataclass(frozen=True, slots=True)
class HubRef:
    """A parsed `hf://` reference."""

    repo: str
    revision: str
    path: str = ""
    """File within the repository; empty = the whole snapshot."""
    dataset: bool = False


def parse(ref: str) -> HubRef:
    """Parses an `hf://` reference; raises `InputError` where it is malformed or not pinned."""
    match = re.fullmatch(
        r"hf://(datasets/)?([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/([^\\\0]*))?", ref, flags=re.ASCII
    )
    if match is None:
        raise InputError(f"'{clip(ref)}' is no hub reference; write {FORM}")
    kind, repo, revision, path = match.groups()
    if not revision or revision.lower() in MOVING:
        raise InputError(
            f"'{clip(ref)}' is not pinned: '{revision or 'main'}' moves; "
            f"write {FORM} with the commit's hash"
        )
    path = (path or "").strip("/")
    if ".." in path.split("/"):
        raise InputError(f"'{clip(ref)}' climbs out of the repository")
    return HubRef(repo, revision, path, bool(kind))


def fetch(ref: str, *, pull: bool) -> Path | None:
    """The snapshot's folder or the one file on this machine; None where it is not here and `pull`
    is off.
    """
    wanted = parse(ref)
    hub = _package(ref, required=pull)
    return None if hub is None else _fetch(hub, wanted, ref, pull)


def commit(repo: str) -> str:
    """The newest commit of a data set's main branch."""
    ref = f"hf://datasets/{repo}"
    hub = _package(ref, required=True)
    assert hub is not None
    with _translated(hub, ref, repo, dataset=True):
        return str(hub.HfApi().dataset_info(repo).sha)


def newest(repo: str, *, pull: bool) -> str:
    """The commit that a model's main branch has now; the one that is on this machine where the hub
    is not to be asked (empty = none).
    """
    ref = f"hf://{repo}"
    hub = _package(ref, required=pull)
    if hub is None:
        return ""
    if pull:
        with _translated(hub, ref, repo, dataset=False):
            return str(hub.HfApi().model_info(repo).sha)
    try:
        with _translated(hub, ref, repo, dataset=False):
            found = hub.snapshot_download(repo, revision="main", local_files_only=True)
    except _NotHereError:
        return ""
    return Path(found).name


def push(folder: Path, repo: str, token: str) -> str:
    """Uploads a model folder and gives its address; a repository that is new is private.

    Raises `EnvironmentProblem` where the hub refuses it.
    """
    hub = _package(f"hf://{repo}", required=True)
    assert hub is not None
    with _translated(hub, f"hf://{repo}", repo, dataset=False):
        api = hub.HfApi(token=token)
        made = api.create_repo(repo, repo_type="model", private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message="Merged with moco")
    return str(made)


def rows(repo: str, revision: str, config: str, split: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set's split, one after the other; images and sounds stay bytes.

    `repo` may be a folder that is laid out like a repository. Raises `DownloadError` where there is
    no such config or split, and for data in a format that is not read.
    """
    ref = f"hf://datasets/{repo}@{revision}"
    hub = _package(ref, required=True)
    assert hub is not None
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtraError(f"'{clip(ref)}'", "data") from error
    with _translated(hub, f"{ref} {config}/{split}", repo, dataset=True):
        builder = datasets.load_dataset_builder(repo, config or None, revision=revision or None)
        formats = {base.__module__.rpartition(".")[2] for base in type(builder).__mro__}
        if formats.isdisjoint(DATA_FORMATS):
            raise DownloadError(f"'{clip(ref)}' holds none of {', '.join(DATA_FORMATS)}")
        yield from builder.as_streaming_dataset(split=split).decode(False)


def _package(ref: str, required: bool) -> ModuleType | None:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        if required:
            raise MissingExtraError(f"'{clip(ref)}'", "hf") from error
        return None
    return huggingface_hub


def _fetch(hub: ModuleType, wanted: HubRef, ref: str, pull: bool) -> Path | None:
    common = {
        "repo_id": wanted.repo,
        "revision": wanted.revision,
        "repo_type": "dataset" if wanted.dataset else "model",
        "local_files_only": not pull,
    }
    try:
        with _translated(hub, ref, wanted.repo, wanted.dataset):
            if wanted.path:
                return Path(hub.hf_hub_download(filename=wanted.path, **common))
            patterns = None if wanted.dataset else list(MODEL_FILES)
            return Path(hub.snapshot_download(allow_patterns=patterns, **common))
    except _NotHereError:
        if pull:
            raise
        return None


class _NotHereError(DownloadError):
    """The hub's cache lacks it, and the hub was not asked or did not answer."""


@contextmanager
def _translated(hub: ModuleType, ref: str, repo: str, dataset: bool) -> Iterator[None]:
    """Turns the errors of the hub's packages into ours."""
    errors = hub.errors
    known: tuple[type[Exception], ...] = (*_transport(hub), OSError, ValueError, RuntimeError)
    try:
        yield
    except errors.LocalEntryNotFoundError as error:
        raise _NotHereError(
            f"'{clip(ref)}' is not on this machine and the hub could not be reached"
        ) from error
    except errors.GatedRepoError as error:
        raise _gated(repo, dataset) from error
    except known as error:
        if isinstance(error.__cause__, errors.GatedRepoError):
            raise _gated(repo, dataset) from error
        raise DownloadError(f"'{clip(ref)}': {clip(str(error), 400)}") from error


def _transport(hub: ModuleType) -> tuple[type[Exception], ...]:
    """Errors of `httpx`, or of its successor where `huggingface_hub` is built on that."""
    return httpx.HTTPError, getattr(hub.errors, "HTTPError", httpx.HTTPError)


def _gated(repo: str, dataset: bool) -> LicenceError:
    page = f"https://huggingface.co/{'datasets/' if dataset else ''}{repo}"
    return LicenceError(
        f"{repo} asks for its licence to be accepted first: open {page}, accept it, and log in with"
        " `hf auth login`"
    )
