"""Snapshots and files of the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

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
    errors = hub.errors
    common = {
        "repo_id": wanted.repo,
        "revision": wanted.revision,
        "repo_type": "dataset" if wanted.dataset else "model",
        "local_files_only": not pull,
    }
    try:
        if wanted.path:
            return Path(hub.hf_hub_download(filename=wanted.path, **common))
        patterns = None if wanted.dataset else list(MODEL_FILES)
        return Path(hub.snapshot_download(allow_patterns=patterns, **common))
    except errors.GatedRepoError as error:
        raise LicenceError(
            f"{wanted.repo} asks for its licence to be accepted first: open "
            f"https://huggingface.co/{wanted.repo}, accept it, and log in with `hf auth login`"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        if not pull:
            return None
        raise DownloadError(
            f"'{clip(ref)}' is not on this machine and the hub could not be reached"
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx.HTTPError, OSError) as error:
        raise DownloadError(f"'{clip(ref)}': {clip(str(error), 400)}") from error
