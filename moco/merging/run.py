"""A merge from its configuration to a folder: planned, merged, verified, described.

Nothing appears under the result's name before it is whole. torch is imported when the weights are
read, transformers only for the check of the result.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from moco import members, paths
from moco.errors import EnvironmentProblem, InputError, MissingExtraError, clip
from moco.merging import config as merge_config
from moco.merging.card import Facts, Figures, card
from moco.merging.config import MergeConfig
from moco.merging.plan import MergePlan, plan
from moco.sources import hub

if TYPE_CHECKING:
    from moco.weights.verify import Verification

LOG = logging.getLogger("moco")
TOKEN = "HF_TOKEN"
"""The environment variable that holds the hub's token."""
TERMS = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*")
"""Files of the parents' terms, which the result brings along."""


class Progress(Protocol):
    """Who is told how far a merge is."""

    def download(self, what: str, done: int, total: int) -> None:
        """So many bytes of so many are there."""


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How a merge is written; nothing here changes what is merged."""

    verify: bool = True
    """Whether the result is loaded and read in afterwards."""
    shard_bytes: int | None = None
    """Largest weights file; None = 5 GiB."""
    accept_licence: bool = False
    push: str = ""
    """`owner/name` on the Hugging Face Hub, where the result is uploaded to; empty = nowhere."""
    kind: Literal["merged", "adapter"] = "merged"
    """A checkpoint; or, of adapters, their composition as one adapter."""
    rank: int | None = None
    """Largest rank of that adapter; None = the sum of its parents' ranks, which is exact."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge came to."""

    path: Path
    method: str
    weights: Mapping[str, str]
    """Member → its share, in words; empty where the weights themselves decide."""
    figures: Figures
    verification: Verification | None
    notes: tuple[str, ...]
    extra: tuple[str, ...] = ()
    """Of an adapter: its ranks and error."""
    warnings: tuple[str, ...] = ()
    """What the check found odd, or why there was none although one was asked for."""
    url: str = ""
    """Where it was uploaded to."""


def merge(
    config: MergeConfig | str | Path,
    out: str | Path,
    options: MergeOptions = MergeOptions(),
    *,
    progress: Progress | None = None,
) -> MergeReport:
    """Merge models and write the result as a folder that does not exist yet.

    `config` is a configuration, or the path of a file in our form or mergekit's. Raises
    `InputError` for everything that is wrong before any weights are read, and `BrokenMergeError`
    for a result that is no usable model; that one is kept as `<out>.bad`.
    """
    final = Path(out).expanduser()
    given = config if isinstance(config, MergeConfig) else merge_config.read(Path(config))
    token = _early(final, options)
    planned = plan(given, pull=False)
    planned.require()
    _check_options(planned, options)
    planned = plan(given, pull=True, accept_licence=options.accept_licence)
    planned.require()
    report = _Run(planned, final, options, progress).report()
    if not options.push:
        return report
    return _pushed(report, options.push, token)


def _early(final: Path, options: MergeOptions) -> str:
    """What the options alone show; gives the hub's token."""
    if paths.present(final):
        raise InputError(f"{final} exists already; choose another folder or remove it")
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("a merge", "hf")
    if options.verify and importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("checking a merged model (--no-verify skips it)", "hf")
    if not options.push:
        return ""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", options.push, re.ASCII):
        raise InputError(f"--push: '{clip(options.push)}' is no name on the hub; write owner/name")
    token = os.environ.get(TOKEN, "")
    if not token:
        raise EnvironmentProblem(f"--push needs a token of the hub in the variable {TOKEN}")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtraError("--push", "hf")
    return token


def _check_options(planned: MergePlan, options: MergeOptions) -> None:
    """Whether the members can be written as one adapter, where that is asked for."""
    from moco.weights.shares import is_sum

    if options.rank is not None and options.rank < 1:
        raise InputError(f"--rank: is {options.rank}; an adapter has rank 1 or more")
    if options.kind == "merged":
        if options.rank is not None:
            raise InputError("--rank: belongs to --as adapter")
        return
    name = planned.method.name()
    if not planned.adapters:
        raise InputError("--as adapter: the members are checkpoints; only adapters add up to one")
    if not is_sum(planned.method):
        raise InputError(f"--as adapter: {name} is no weighted sum; use linear or task_arithmetic")


def _pushed(report: MergeReport, repo: str, token: str) -> MergeReport:
    try:
        url = hub.push(report.path, repo, token)
    except EnvironmentProblem as error:
        told = f"{report.path} is written, but not uploaded: {error}"
        raise EnvironmentProblem(told) from error
    return replace(report, url=url)


class _Run:
    """One merge under way."""

    def __init__(
        self, planned: MergePlan, final: Path, options: MergeOptions, progress: Progress | None
    ) -> None:
        self.plan = planned
        self.final = final
        self.options = options
        self.progress = progress
        found, notes = members.devices(planned.config.engine)
        for note in notes:
            LOG.warning(note)
        self.device = found[0]

    def report(self) -> MergeReport:
        """Merge, verify, describe; then the folder gets its name."""
        from moco.weights.assemble import weights_in_words

        with _stage(self.final) as work:
            figures, extra = self._written(work)
            verification, unchecked = self._verified(work) if self.options.verify else (None, "")
            weights = weights_in_words(self.plan)
            kind = "model" if self.options.kind == "merged" else "adapter"
            told = card(self.plan, Facts(weights, figures, verification, extra, kind), self.final)
            with paths.disk_errors(f"cannot write {self.final}"):
                (work / "README.md").write_text(told, encoding="utf-8")
                self._copy_terms(work)
                _finish(work, self.final)
        notes = tuple(str(p) for p in self.plan.problems if p.note)
        warnings = verification.warnings if verification else (unchecked,) if unchecked else ()
        name = self.plan.method.name()
        return MergeReport(
            self.final, name, weights, figures, verification, notes, tuple(extra), warnings
        )

    def _written(self, work: Path) -> tuple[Figures, list[str]]:
        from moco.weights.assemble import Meter, write_adapter, write_checkpoint

        meter, options = Meter(self._tell), self.options
        start, extra = time.perf_counter(), list[str]()
        with paths.disk_errors(f"cannot write {self.final}"):
            if options.kind == "adapter":
                extra = write_adapter(self.plan, work, options.rank, meter)
            else:
                write_checkpoint(self.plan, work, self.device, meter, options.shard_bytes)
        return Figures(time.perf_counter() - start, meter.read, meter.written), extra

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress.download(f"merging {self.final.name}", done, total)

    def _copy_terms(self, work: Path) -> None:
        """The parents' licence texts, a folder each."""
        for own in self.plan.models:
            target = work / "licences" / re.sub(r"[^\w.-]+", "_", own.name)
            for folder in (own.path, own.adapter):
                files = [f for p in TERMS for f in folder.glob(p)] if folder is not None else []
                for file in (f for f in files if f.is_file()):
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target / file.name)

    def _verified(self, work: Path) -> tuple[Verification | None, str]:
        """What the check found, or why there was none."""
        from moco.weights import verify
        from moco.weights.assemble import folder_of

        name = self.final.name
        result = verify.Candidate(name, work)
        if self.options.kind == "adapter":
            result = verify.Candidate(name, folder_of(self.plan.parts[0]), work)
        parents = [verify.Candidate(m.name, folder_of(m), m.adapter) for m in self.plan.models]
        try:
            return verify.verify(result, parents, self.device), ""
        except verify.UncheckedMergeError as error:
            return None, str(error)
        except verify.BrokenMergeError as error:
            bad = _free(self.final.with_name(f"{name}.bad"))
            _finish(work, bad)
            raise verify.BrokenMergeError(f"the merge, kept as {bad}, {error}") from error


@contextmanager
def _stage(final: Path) -> Iterator[Path]:
    """A folder beside the result's place, gone afterwards unless it was renamed."""
    with paths.disk_errors(f"cannot write {final}"):
        final.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _finish(work: Path, final: Path) -> None:
    if paths.present(final):
        raise InputError(f"{final} exists already; it was made meanwhile")
    work.chmod(0o755)
    work.rename(final)


def _free(path: Path) -> Path:
    """The path, or the first of path2, path3 … that is not taken."""
    count = 1
    found = path
    while paths.present(found):
        count += 1
        found = path.with_name(f"{path.name}{count}")
    return found
