"""The bundled task `mini`: three domains of the bundled models, and questions that need two.

Dev has 120 items, test 300: 80 of each domain and 60 that need two (no choices among those).
`mini-large` is made on demand: 2,000 test items in the same proportions. So is `train`: 480 items
of dev's kind, for what more can be learnt from.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moco.prompts import plain
from moco.tasks.base import Dataset, Task
from moco.tasks.mini_items import CHOICES, SKILLS, Domain, Item, Split, draw
from moco.types import Json, Sample

DATA = Path(__file__).parent / "data" / "mini.jsonl"
SEED = 20_240
SIZES: Mapping[str, Mapping[Domain, int]] = {
    "dev": {"arithmetic": 32, "words": 32, "facts": 32, "two": 24},
    "test": {"arithmetic": 80, "words": 80, "facts": 80, "two": 60},
    "large": {"arithmetic": 534, "words": 533, "facts": 533, "two": 400},
    "train": {"arithmetic": 128, "words": 128, "facts": 128, "two": 96},
}
"""Items per domain."""

Part = Literal["dev", "test", "large"]


def generate(part: Part | Literal["train"]) -> list[Item]:
    """The items of a part, made from the fixed seed: skills take turns, no item comes twice."""
    split: Split = "dev" if part in ("dev", "train") else "test"
    rng = random.Random(f"{SEED}-{part}")
    items: list[Item] = []
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for domain, count in SIZES[part].items():
        start = len(items)
        while len(items) - start < count:
            skill = SKILLS[domain][(len(items) - start) % len(SKILLS[domain])]
            item = draw(rng, domain, split, skill)
            attempts = 0
            while (item.question, item.choices) in seen:
                attempts += 1
                item = draw(
                    rng,
                    domain,
                    split,
                    skill if attempts < 50 else None,
                    None if attempts < 25 or skill not in CHOICES else 1.0,
                )
            seen.add((item.question, item.choices))
            items.append(item)
    return items


def record(item: Item, item_id: str, split: str) -> dict[str, Json]:
    """An item as a line of a data file."""
    line: dict[str, Json] = {
        "id": item_id,
        "split": split,
        "question": item.question,
        "kind": item.kind,
    }
    if item.choices:
        line["choices"] = list(item.choices)
    return line | {
        "answer": item.answer,
        "domain": item.domain,
        "skill": item.skill,
        "template": item.template,
        "entities": list(item.entities),
    }


def sample(line: Mapping[str, Json]) -> Sample:
    """A line of a data file as a sample."""
    known = ("id", "split", "question", "kind", "choices", "answer")
    query = plain(
        line["id"], line["question"], line["kind"], choices=tuple(line.get("choices", ()))
    )
    answer = line["answer"]
    target = (answer,) if isinstance(answer, str) else tuple(answer)
    return Sample(query, target, {k: v for k, v in line.items() if k not in known})


@functools.cache
def _stored() -> tuple[dict[str, Json], ...]:
    return tuple(json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines())


def samples(split: Part) -> list[Sample]:
    """The samples of dev, of test, or of the larger test set, which is made on demand."""
    if split == "large":
        lines = [
            record(item, f"mini-large-{i}", "test") for i, item in enumerate(generate("large"))
        ]
    else:
        lines = [line for line in _stored() if line["split"] == split]
    return [sample(line) for line in lines]


@dataclass(frozen=True, kw_only=True)
class MiniTask(Task):
    """The task with its own data; `part` says which items are its test."""

    part: Part = "test"

    def load(self, path: Path) -> Dataset:
        """The stored dev items, and the stored or the larger test; `path` is not read."""
        dev, test = tuple(samples("dev")), tuple(samples(self.part))
        read = hashlib.sha256(DATA.read_bytes())
        if self.part != "test":
            read.update(repr(test).encode())
        return Dataset(dev, test, read.hexdigest())


TASK = MiniTask(
    name="mini",
    title="mini",
    scorer="exact",
    kinds=("number", "choice", "span"),
    domain="arithmetic, words, facts, and questions that need two of them",
    licence="Apache-2.0",
    notice="Made for the bundled models of `zoo://mini`; says nothing about other models.",
)
