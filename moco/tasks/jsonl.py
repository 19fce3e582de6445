"""Reads users' own data: JSON lines, one item each, or a file in the `modelco` package's format.

A line is an object with `question`, `answer` and optionally `id`, `split` ("dev" or "test", the
default), `kind`, `choices`, `labels`; every other member is kept as metadata. `answer` is text, a
number, a boolean, or a list of acceptable answers (of a `list` item: the list itself). A choice is
answered by its letter or its text. A path may be a `.jsonl` file, a `.json` file in the package's
format, or a folder with `dev.jsonl` and `test.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from moco.answers.options import MISSING_OPTION
from moco.answers.parser import target
from moco.errors import ConfigError, DataError, clip, nearest
from moco.prompts import LETTERS, plain
from moco.tasks import peer
from moco.tasks.base import (
    OPEN_ENDED,
    Dataset,
    OnBadItem,
    Split,
    Task,
    kinds_in,
    scorer_for,
)
from moco.tasks.guessing import Form
from moco.tasks.reading import Tally, decode, digest, need_text, parse, read_bytes, well_formed
from moco.tasks.splits import oddities
from moco.types import AnswerKind, Json, Query, Sample

KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
KNOWN = ("split", "question", "kind", "choices", "labels", "answer")


@dataclass(frozen=True, kw_only=True)
class FileTask(Task):
    """A user's own data set."""

    kind: AnswerKind | None = None
    """The kind of items that name none; None goes by the item's other members."""
    labels: tuple[str, ...] = ()
    on_bad_item: OnBadItem = "error"
    task_type: peer.TaskType | None = None
    """Of a file in the package's format; None goes by the item members."""

    def load(self, path: Path) -> Dataset:
        """Reads a `.jsonl` file, a `.json` file or a folder of both splits."""
        if path.is_dir():
            return self._lines([(path / f"{name}.jsonl", name) for name in peer.SPLITS], path)
        if path.suffix.lower() == ".json":
            return self._peer(path)
        return self._lines([(path, None)], path)

    def _peer(self, path: Path) -> Dataset:
        task_type = self.task_type or _peer_type(path)
        form = None
        if self.kind is not None and self.kind != "choice":
            form = Form(self.kind, self.labels)
        return peer.load(path, peer.Reading(task_type, form), self.on_bad_item)

    def _lines(self, files: Sequence[tuple[Path, Split | None]], path: Path) -> Dataset:
        present = [(file, split) for file, split in files if split is None or file.is_file()]
        if not present:
            raise DataError(
                f"{clip(str(path), 300)}: the folder has neither dev.jsonl nor test.jsonl"
            )
        reader = _Lines(self, Tally(path))
        contents: list[bytes] = []
        for file, split in present:
            contents.append(read_bytes(file))
            for number, line in enumerate(decode(contents[-1], file).split("\n"), start=1):
                if line.strip():
                    reader.add(line, f"{file.name} line {number}", split)
        tally = reader.tally
        tally.settle(self.on_bad_item)
        dev, test = tuple(reader.rows["dev"]), tuple(reader.rows["test"])
        if not dev and not test:
            raise DataError(f"{clip(str(path), 300)}: no items")
        notes = (*tally.notes(), *oddities(dev, test))
        return Dataset(dev, test, digest(*contents), notes, dict(tally.excluded))

    def sample(self, item: dict[str, Json], name: str) -> Sample:
        """One line's object as a sample; DataError says why it cannot be used."""
        question = need_text(item, "question")
        choices = _texts(item, "choices")
        labels = _texts(item, "labels") or self.labels
        kind = _kind(item, self.kind, choices, labels)
        if kind == "choice" and not 2 <= len(choices) <= len(LETTERS):
            raise DataError(f"a choice item needs 2 to {len(LETTERS)} 'choices'")
        shown = [text if text.strip() else MISSING_OPTION for text in choices]
        query = plain(name, question, kind, choices=shown, labels=labels)
        meta = {key: value for key, value in item.items() if key not in KNOWN}
        return Sample(query, _targets(item, query), meta)


class _Lines:
    """Collects the samples of a file's lines, and what was wrong with others."""

    def __init__(self, task: FileTask, tally: Tally) -> None:
        self.task = task
        self.tally = tally
        self.rows: dict[Split, list[Sample]] = {"dev": [], "test": []}
        self._seen: set[str] = set()

    def add(self, line: str, place: str, split: Split | None) -> None:
        """Reads one line into its split, or counts it as bad."""
        where: Split = split or "test"
        try:
            item = parse(line, "the line")
            if not isinstance(item, dict):
                raise DataError("the line is no JSON object")
            where = split or _split(item)
            row = len(self.rows[where]) + self.tally.excluded[where]
            sample = self.task.sample(item, f"{where}-{row}")
            self._new_id(item)
            self.rows[where].append(sample)
        except DataError as problem:
            self.tally.reject(place, where, str(problem))

    def _new_id(self, item: dict[str, Json]) -> None:
        if "id" not in item:
            return
        key = json.dumps(item["id"], sort_keys=True)
        if key in self._seen:
            raise DataError(f"the id {clip(key, 40)} occurs twice")
        self._seen.add(key)


def _split(item: dict[str, Json]) -> Split:
    split = item.get("split", "test")
    if split == "dev":
        return "dev"
    if split == "test":
        return "test"
    raise DataError('\'split\' must be "dev" or "test"')


def _texts(item: dict[str, Json], name: str) -> tuple[str, ...]:
    values = item.get(name)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(v, str | int | float) for v in values):
        raise DataError(f"'{name}' must be a list of texts")
    return tuple(well_formed(v if isinstance(v, str) else json.dumps(v)) for v in values)


def _kind(
    item: dict[str, Json], default: AnswerKind | None, choices: Sequence[str], labels: Sequence[str]
) -> AnswerKind:
    """The item's own kind, else the config's, else what its members tell."""
    named = item.get("kind", default)
    if named is not None:
        if named not in KINDS:
            known = ", ".join(KINDS)
            raise DataError(
                f"unknown kind '{clip(named, 30)}'; kinds are {known}.{nearest(str(named), KINDS)}"
            )
        return KINDS[KINDS.index(named)]
    answer = item.get("answer")
    if choices:
        return "choice"
    if isinstance(answer, bool):
        return "boolean"
    if labels:
        return "label"
    return "number" if isinstance(answer, int | float) else "span"


def _targets(item: dict[str, Json], query: Query) -> tuple[str, ...]:
    """The acceptable answers, each one that can be compared; a choice as its letter."""
    answer = item.get("answer")
    if answer is None or answer == "" or answer == []:
        if query.kind in OPEN_ENDED:
            return ()
        raise DataError("no 'answer'")
    values = answer if isinstance(answer, list) else [answer]
    if (
        query.kind == "list"
        and isinstance(answer, list)
        and not any(isinstance(v, list) for v in answer)
    ):
        values = [answer]
    texts = [_spell(value) for value in values]
    if query.kind in OPEN_ENDED:
        return tuple(texts)
    read = [target(text, query) for text in texts]
    if any(given.value is None for given in read):
        words = {
            "choice": "one of the choices",
            "label": "one of the labels",
            "boolean": "a boolean",
        }
        raise DataError(f"'answer' is not {words.get(query.kind, f'a {query.kind}')}")
    return tuple(
        given.value if query.kind == "choice" and given.value else text
        for given, text in zip(read, texts, strict=True)
    )


def _spell(value: Json) -> str:
    return well_formed(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _peer_type(path: Path) -> peer.TaskType:
    """The task type of a file in the package's format, told by the members of its items."""
    file = peer.read_file(path)
    items = [item for item in (*(file.dev or []), *(file.test or [])) if isinstance(item, dict)]
    if any("choices" in item for item in items):
        return "multiple_choice"
    if any(str(item.get("output", "")).lstrip().startswith('["') for item in items):
        return "f1_match"
    return "exact_match"


def read_task(
    path: Path,
    *,
    name: str,
    kind: AnswerKind | None = None,
    labels: Sequence[str] = (),
    task_type: peer.TaskType | None = None,
    scorer: str | None = None,
    on_bad_item: OnBadItem = "error",
    group: str = "",
) -> tuple[FileTask, Dataset]:
    """A user's data as a task with its samples: kinds and scorer follow from the items where they
    are not given.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"unknown answer kind '{clip(kind, 30)}'.{nearest(kind, KINDS)}")
    draft = FileTask(
        name=name,
        scorer=scorer or "",
        kinds=(),
        kind=kind,
        labels=tuple(labels),
        on_bad_item=on_bad_item,
        task_type=task_type,
        source=str(path),
        group=group,
    )
    data = draft.load(path)
    kinds = kinds_in((*data.dev, *data.test))
    if not scorer and path.suffix.lower() == ".json":
        scorer = (
            "f1"
            if (task_type or _peer_type(path)) == "f1_match"
            else "exact"
            if kinds == ("span",)
            else None
        )
    fields = {**{f: getattr(draft, f) for f in draft.__dataclass_fields__}, "kinds": kinds}
    return FileTask(**{**fields, "scorer": scorer or scorer_for(kinds)}), data
