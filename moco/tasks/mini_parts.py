"""What all items of the `mini` world are made of: the item, splits, options, facts, spelling.

An item's wording belongs to one split by its place in its list; a tuple of entities (a person and
a thing, a list of words, two numbers) by a hash. So test shares neither with training, while every
fact that test asks is stated in training in other words.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from moco.prompts import LETTERS
from moco.tasks import mini_wordings as wordings
from moco.tasks import mini_world as world
from moco.types import AnswerKind

Split = Literal["train", "dev", "test"]
Domain = Literal["arithmetic", "words", "facts", "two"]

OPENERS = ("Question: ", "Please answer. ", "Tell me. ", "A short question: ", "Here is one: ")
"""Training rows sometimes start with one of these, so that a question is known at any position."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its answer and the worked step that a knowing member writes."""

    domain: Domain
    skill: str
    template: str
    """`skill/number`: the wording."""
    entities: tuple[str, ...]
    """What the wording was filled with."""
    question: str
    kind: AnswerKind
    value: str
    """The answer in words or digits, also for a choice."""
    work: str
    """The worked step; of a two-domain item the second half, which works on the stated facts."""
    choices: tuple[str, ...] = ()
    statement: str = ""
    """Two-domain items: the first half, the facts or numbers that one domain knows."""

    @property
    def answer(self) -> str:
        """The answer as the format line asks for it."""
        return LETTERS[self.choices.index(self.value)] if self.choices else self.value

    @property
    def half(self) -> Domain:
        """Two-domain items: the domain that can write the statement."""
        return "facts" if self.skill.startswith("fact") else "words"

    @property
    def finisher(self) -> Domain:
        """Two-domain items: the domain that can work on the statement."""
        return "words" if self.skill == "fact_sort" else "arithmetic"


def split_of(entities: Sequence[str]) -> Split:
    """The split that a tuple of entities belongs to."""
    place = hashlib.sha256("|".join(entities).encode()).digest()[0] % 20
    return "dev" if place < 3 else "test" if place < 8 else "train"


def wording(
    rng: random.Random, skill: str, split: Split, table: Mapping[str, Sequence[str]]
) -> tuple[str, str]:
    """A wording of the split, and its template id."""
    places = {"dev": range(1), "test": range(1, 3), "train": range(3, len(table[skill]))}[split]
    place = rng.choice(places)
    return table[skill][place], f"{skill}/{place}"


def until(rng: random.Random, split: Split, draw: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Draws until the entities belong to the split."""
    while True:
        entities = draw()
        if split_of(entities) == split:
            return entities


def options(rng: random.Random, value: str, others: Sequence[str]) -> tuple[str, ...]:
    """The value and three others, shuffled."""
    picked = [value, *rng.sample(sorted(set(others) - {value}), 3)]
    rng.shuffle(picked)
    return tuple(picked)


def near(value: int) -> list[str]:
    """Numbers around the value."""
    return [str(n) for n in range(max(1, value - 4), value + 5)]


FACTS: Mapping[str, Mapping[str, str]] = {
    "capital": {s: o[0] for s, o in world.COUNTRIES.items()},
    "continent": {s: o[1] for s, o in world.COUNTRIES.items()},
    "symbol": {s: o[0] for s, o in world.ELEMENTS.items()},
    "number": {s: str(o[1]) for s, o in world.ELEMENTS.items()},
    "month": {s: str(i + 1) for i, s in enumerate(world.MONTHS)},
    "planet": {s: str(i + 1) for i, s in enumerate(world.PLANETS)},
    "sides": {s: str(n) for s, n in world.POLYGONS.items()},
    "author": world.AUTHORS,
    "young": world.YOUNG,
    "kind": world.KINDS,
}
"""Relation -> subject -> object."""
NUMBER_RELATIONS = frozenset({"number", "month", "planet", "sides"})


def statement(relation: str, subject: str) -> str:
    """The fact as one sentence."""
    text = wordings.FACT_STATEMENTS[relation].format(s=subject, o=FACTS[relation][subject])
    return text[0].upper() + text[1:]


CAPITALS = tuple(FACTS["capital"].values())
ALPHABET = LETTERS.lower()


def sorted_work(words: Sequence[str]) -> str:
    """The worked step of a sorting task."""
    return f"Sorted: {' '.join(sorted(words))}."


def counted(word: str) -> str:
    """The letters with their places: `d1 o2 o3 r4`."""
    return " ".join(f"{letter}{i + 1}" for i, letter in enumerate(word))
