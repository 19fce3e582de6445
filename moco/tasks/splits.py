"""What is odd about the questions of two splits, and a dev split drawn from test rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace

from moco.answers.cleaning import squash
from moco.prompts import LETTERS
from moco.types import Sample

INSTRUCTION = 20
"""A text that more items share tells what to do, and their options are the question."""


def oddities(dev: Sequence[Sample], test: Sequence[Sample]) -> list[str]:
    """Notes on test questions that dev asks too, on test items that repeat one another, and on
    options that cannot be told apart.
    """
    notes: list[str] = []
    options = {_question(sample) for sample in dev}
    texts = {question for question, _ in options}
    asked = [_question(sample) for sample in test]
    shared = sum(text in texts for text, _ in asked)
    if shared:
        note = f"test questions that dev asks too: {shared}"
        if any(sample.query.choices for sample in test):
            note += f", {sum(pair in options for pair in asked)} of them with the same options"
        notes.append(note)
    repeated = len(asked) - len(set(asked))
    if repeated:
        notes.append(f"test items that repeat another one: {repeated}")
    twins = [sample for sample in (*dev, *test) if _twins(sample)]
    if twins:
        on_gold = sum(_gold_text(sample) in _twins(sample) for sample in twins)
        notes.append(f"items with equal options: {len(twins)}, {on_gold} of them equal to the gold")
    return notes


def _twins(sample: Sample) -> set[str]:
    """Texts that several options have."""
    texts = [choice.strip() for choice in sample.query.choices if choice]
    return {text for text in texts if texts.count(text) > 1}


def _gold_text(sample: Sample) -> str:
    at = LETTERS.find(sample.target[0]) if sample.target else -1
    return sample.query.choices[at].strip() if 0 <= at < len(sample.query.choices) else ""


def without(dev: Sequence[Sample], test: Sequence[Sample]) -> list[Sample]:
    """The dev samples whose question test does not ask."""
    keys = _keys([*dev, *test])
    asked = set(keys[len(dev) :])
    return [sample for sample, key in zip(dev, keys, strict=False) if key not in asked]


def split_off(
    samples: Sequence[Sample], size: int, group: str = ""
) -> tuple[list[Sample], list[Sample]]:
    """About `size` samples for dev, drawn with a fixed seed, and the others for test.

    Items of one group, and items that ask the same question, stay together. Dev items get ids of
    their own.
    """
    members: dict[Hashable, list[int]] = {}
    for i, (sample, asked) in enumerate(zip(samples, _keys(samples), strict=True)):
        own = sample.meta.get(group) if group else None
        members.setdefault(asked if own is None else (group, str(own)), []).append(i)
    keys = list(members)
    random.Random("dev").shuffle(keys)
    chosen: set[int] = set()
    for key in keys:
        if len(chosen) >= size:
            break
        chosen.update(members[key])
    dev = [_renamed(sample) for i, sample in enumerate(samples) if i in chosen]
    return dev, [sample for i, sample in enumerate(samples) if i not in chosen]


def _keys(samples: Sequence[Sample]) -> list[Hashable]:
    """What each sample asks: its text, with the options where the text is an instruction."""
    asked = [_question(sample) for sample in samples]
    shared = Counter(text for text, _ in asked)
    return [pair if shared[pair[0]] > INSTRUCTION else pair[0] for pair in asked]


def _renamed(sample: Sample) -> Sample:
    name = "dev-" + sample.query.id.removeprefix("test-")
    return replace(sample, query=replace(sample.query, id=name))


def _question(sample: Sample) -> tuple[str, tuple[str, ...]]:
    query = sample.query
    text = query.bare or query.body or query.text
    return squash(text) or text, tuple(sorted(squash(choice) or choice for choice in query.choices))
