"""Items of the `mini` world: one domain knows the first half, another works out the second."""

from __future__ import annotations

import random

from moco.tasks import mini_wordings as wordings
from moco.tasks import mini_world as world
from moco.tasks.mini_parts import (
    ALPHABET,
    FACTS,
    Item,
    Split,
    counted,
    sorted_work,
    split_of,
    statement,
    until,
    wording,
)


def _small(relation: str) -> list[str]:
    return [s for s, o in FACTS[relation].items() if 2 <= int(o) <= 9]


def _fact_pair(rng: random.Random) -> tuple[str, str, str, str]:
    first, second = rng.sample(("month", "planet", "sides"), 2)
    return first, rng.choice(_small(first)), second, rng.choice(_small(second))


def _word_pair(rng: random.Random) -> tuple[str, str, str, str]:
    return "place", rng.choice(ALPHABET[1:9]), "length", rng.choice(world.NOUNS)


def _number(relation: str, subject: str) -> int:
    """The number that a phrase stands for."""
    if relation == "place":
        return ALPHABET.index(subject) + 1
    return len(subject) if relation == "length" else int(FACTS[relation][subject])


def _said(relation: str, subject: str) -> str:
    """The sentence that tells the number."""
    if relation == "place":
        return f"{subject} is letter {_number(relation, subject)}."
    if relation == "length":
        return f"{subject} is {counted(subject)}."
    return statement(relation, subject)


def _phrase(relation: str, subject: str) -> str:
    return wordings.PHRASES[relation].format(s=subject)


def _two_add(
    rng: random.Random, split: Split, skill: str
) -> tuple[tuple[str, ...], dict[str, str], str, str, str]:
    """Entities, what fills the wording, statement, worked step and answer of a sum."""
    pool = list(world.ELEMENTS) if skill == "fact_add" else list(ALPHABET[:20])
    relation = "number" if skill == "fact_add" else "place"
    known, subject, b = 0, "", ""
    while not known or split_of((str(known), b)) != split:
        subject, b = rng.choice(pool), str(rng.randint(2, 10))
        known = _number(relation, subject)
    total = str(known + int(b))
    fill = {"x": _phrase(relation, subject), "b": b}
    return (subject, b), fill, _said(relation, subject), f"{known}+{b}={total}.", total


def _two_mul(
    rng: random.Random, split: Split, skill: str
) -> tuple[tuple[str, ...], dict[str, str], str, str, str]:
    """Entities, what fills the wording, statement, worked step and answer of a product."""
    pair = _fact_pair if skill == "fact_mul" else _word_pair
    m = n = 0
    while not m or split_of(("product", str(min(m, n)), str(max(m, n)))) != split:
        entities = pair(rng)
        (r1, s1), (r2, s2) = entities[:2], entities[2:]
        m, n = _number(r1, s1), _number(r2, s2)
    fill = {"x": _phrase(r1, s1), "y": _phrase(r2, s2)}
    said = f"{_said(r1, s1)} {_said(r2, s2)}"
    return entities, fill, said, f"{m}*{n}={m * n}.", str(m * n)


def _draw_countries(rng: random.Random) -> tuple[str, ...]:
    """Three countries whose capitals start with different letters."""
    by_letter: dict[str, str] = {}
    for country in rng.sample(list(world.COUNTRIES), len(world.COUNTRIES)):
        by_letter.setdefault(FACTS["capital"][country][0], country)
    return tuple(list(by_letter.values())[:3])


def _two_sort(
    rng: random.Random, split: Split
) -> tuple[tuple[str, ...], dict[str, str], str, str, str]:
    """Entities, what fills the wording, statement, worked step and answer of a sorting task."""
    entities = until(rng, split, lambda: _draw_countries(rng))
    capitals = [FACTS["capital"][c] for c in entities]
    listed = ", ".join(_phrase("capital", c) for c in entities)
    said = f"The capitals are {' '.join(capitals)}."
    return entities, {"l": listed}, said, sorted_work(capitals), " ".join(sorted(capitals))


TWO_SKILLS = ("fact_add", "fact_mul", "fact_sort", "word_add", "word_mul")


def two(rng: random.Random, skill: str, split: Split, choice: bool) -> Item:
    """A question whose first half one domain knows and whose second another works out."""
    text, template = wording(rng, skill, split, wordings.TWO_WORDINGS)
    if skill == "fact_sort":
        entities, fill, said, work, value = _two_sort(rng, split)
    elif skill.endswith("add"):
        entities, fill, said, work, value = _two_add(rng, split, skill)
    else:
        entities, fill, said, work, value = _two_mul(rng, split, skill)
    return Item(
        domain="two",
        skill=skill,
        template=template,
        entities=entities,
        question=text.format(**fill),
        kind="span" if skill == "fact_sort" else "number",
        value=value,
        work=work,
        statement=said,
    )
