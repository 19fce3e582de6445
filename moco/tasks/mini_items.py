"""Makes the items of the `mini` world: one function per domain, draws from a given generator.

An item's wording belongs to one split by its place in its list; a tuple of entities (a person and
a thing, a list of words, a subject and a number) by a hash. So test shares neither with training,
while every fact that test asks is stated in training in other words.
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


def _until(
    rng: random.Random, split: Split, draw: Callable[[], tuple[str, ...]]
) -> tuple[str, ...]:
    while True:
        entities = draw()
        if split_of(entities) == split:
            return entities


def _options(rng: random.Random, value: str, others: Sequence[str]) -> tuple[str, ...]:
    picked = [value, *rng.sample(sorted(set(others) - {value}), 3)]
    rng.shuffle(picked)
    return tuple(picked)


def _near(value: int) -> list[str]:
    return [str(n) for n in range(max(1, value - 4), value + 5)]


# --- arithmetic ---

SUM_SKILLS = ("add", "sub", "mul", "addsub", "addadd")


def _numbers(rng: random.Random, skill: str) -> tuple[int, int, int, int, str]:
    """a, b, c, the result and the worked step."""
    a, b, c = rng.randint(2, 20), rng.randint(2, 10), rng.randint(2, 10)
    if skill == "add":
        return a, b, 0, a + b, f"{a}+{b}={a + b}"
    if skill == "sub":
        return a + b, b, 0, a, f"{a + b}-{b}={a}"
    if skill == "mul":
        a = rng.randint(2, 9)
        b = rng.randint(2, 9)
        return a, b, 0, a * b, f"{a}*{b}={a * b}"
    if skill == "addsub":
        c = rng.randint(2, min(10, a + b - 2))
        return a, b, c, a + b - c, f"{a}+{b}={a + b}, {a + b}-{c}={a + b - c}"
    a = rng.randint(2, 10)
    return a, b, c, a + b + c, f"{a}+{b}={a + b}, {a + b}+{c}={a + b + c}"


def arithmetic(rng: random.Random, skill: str, split: Split, choice: bool) -> Item:
    """A word problem about one person and one kind of thing."""
    text, template = wording(rng, skill, split, wordings.SUM_WORDINGS)
    pair = _until(rng, split, lambda: (rng.choice(world.NAMES), rng.choice(world.THINGS)))
    a, b, c, result, work = _numbers(rng, skill)
    return Item(
        domain="arithmetic",
        skill=skill,
        template=template,
        entities=pair,
        value=str(result),
        work=f"{work}.",
        question=text.format(n=pair[0], t=pair[1], a=a, b=b, c=c),
        kind="choice" if choice else "number",
        choices=_options(rng, str(result), _near(result)) if choice else (),
    )


# --- facts ---

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


def facts(rng: random.Random, skill: str, split: Split, choice: bool) -> Item:
    """A question for the object of one fact."""
    text, template = wording(rng, skill, split, wordings.FACT_WORDINGS)
    subject = rng.choice(list(FACTS[skill]))
    value = FACTS[skill][subject]
    plain: AnswerKind = "number" if skill in NUMBER_RELATIONS else "span"
    question = text.format(s=subject)
    return Item(
        domain="facts",
        skill=skill,
        template=template,
        entities=(subject,),
        value=value,
        work=statement(skill, subject),
        question=question[0].upper() + question[1:],
        kind="choice" if choice else plain,
        choices=_options(rng, value, list(FACTS[skill].values())) if choice else (),
    )


# --- words ---

LETTER_SKILLS = ("first_letter", "last_letter", "length", "place")
LIST_SKILLS = ("list_first", "list_last", "list_nth", "count", "after", "sort")
CAPITALS = tuple(FACTS["capital"].values())
ALPHABET = LETTERS.lower()


def sorted_work(words: Sequence[str]) -> str:
    """The worked step of a sorting task."""
    letters = [word[0].lower() for word in words]
    return f"{' '.join(letters)}, sorted {' '.join(sorted(letters))}."


def _draw_list(rng: random.Random, size: int) -> tuple[str, ...]:
    """Words with different first letters."""
    source = CAPITALS if rng.random() < 0.4 else world.NOUNS
    by_letter: dict[str, str] = {}
    for word in rng.sample(source, len(source)):
        by_letter.setdefault(word[0].lower(), word)
    return tuple(list(by_letter.values())[:size])


def _letter_parts(rng: random.Random, skill: str) -> tuple[str, str, str, list[str]]:
    """The word or letter asked about, the answer, the worked step and wrong options."""
    if skill == "place":
        place = rng.randrange(26)
        return (
            ALPHABET[place],
            str(place + 1),
            f"{ALPHABET[place]} is letter {place + 1}.",
            _near(place + 1),
        )
    word = rng.choice(world.NOUNS)
    spelled = f"{word} is {' '.join(word)}."
    if skill == "length":
        counted = " ".join(f"{letter}{i + 1}" for i, letter in enumerate(word))
        return word, str(len(word)), f"{word} is {counted}.", _near(len(word))
    value = word[0] if skill == "first_letter" else word[-1]
    return word, value, spelled, [*word, *rng.sample(ALPHABET, 6)]


def _list_parts(
    rng: random.Random, skill: str, words: Sequence[str]
) -> tuple[str, str, dict[str, str], list[str]]:
    """The answer, the worked step, what else the wording needs and wrong options."""
    if skill == "list_first":
        return words[0], f"The first word is {words[0]}.", {}, list(words)
    if skill == "list_last":
        return words[-1], f"The last word is {words[-1]}.", {}, list(words)
    if skill == "list_nth":
        i = rng.randrange(1, len(words) - 1)
        return words[i], " ".join(words[: i + 1]) + ".", {"o": world.ORDINALS[i]}, list(words)
    if skill == "count":
        return str(len(words)), " ".join(words) + ".", {}, _near(len(words))
    if skill == "after":
        i = rng.randrange(len(words) - 1)
        return words[i + 1], f"{words[i]} {words[i + 1]}.", {"w": words[i]}, list(words)
    others = [" ".join(rng.sample(words, len(words))) for _ in range(40)]
    return " ".join(sorted(words)), sorted_work(words), {}, others


def words(rng: random.Random, skill: str, split: Split, choice: bool) -> Item:
    """A question about a word's letters or about a list of words."""
    text, template = wording(rng, skill, split, wordings.WORD_WORDINGS)
    entities: tuple[str, ...]
    if skill in LETTER_SKILLS:
        subject, value, work, others = _letter_parts(rng, skill)
        entities, question = (subject,), text.format(w=subject)
    else:
        sizes = {"sort": (3, 4), "count": (2, 7)}.get(skill, (4, 6))
        entities = _until(rng, split, lambda: _draw_list(rng, rng.randint(*sizes)))
        value, work, extra, others = _list_parts(rng, skill, entities)
        question = text.format(l=" ".join(entities), **extra)
    plain: AnswerKind = "number" if skill in ("length", "place", "count") else "span"
    return Item(
        domain="words",
        skill=skill,
        template=template,
        entities=entities,
        value=value,
        work=work,
        question=question[0].upper() + question[1:],
        kind="choice" if choice else plain,
        choices=_options(rng, value, others) if choice else (),
    )


# --- two domains ---


def _small(relation: str) -> list[str]:
    return [s for s, o in FACTS[relation].items() if 2 <= int(o) <= 9]


def _fact_pair(rng: random.Random) -> tuple[str, str, str, str]:
    first, second = rng.sample(("month", "planet", "sides"), 2)
    return first, rng.choice(_small(first)), second, rng.choice(_small(second))


def _phrase(relation: str, subject: str) -> str:
    return wordings.PHRASES[relation].format(s=subject)


def _two_add(
    rng: random.Random, split: Split, skill: str
) -> tuple[tuple[str, ...], dict[str, str], str, str, str]:
    """Entities, what fills the wording, statement, worked step and answer of a sum."""
    pool = list(world.ELEMENTS) if skill == "fact_add" else list(ALPHABET[:20])
    relation = "number" if skill == "fact_add" else "place"
    subject, b = _until(rng, split, lambda: (rng.choice(pool), str(rng.randint(2, 10))))
    known = world.ELEMENTS[subject][1] if skill == "fact_add" else ALPHABET.index(subject) + 1
    said = statement("number", subject) if skill == "fact_add" else f"{subject} is letter {known}."
    total = str(known + int(b))
    return (
        (subject, b),
        {"x": _phrase(relation, subject), "b": b},
        said,
        f"{known}+{b}={total}.",
        total,
    )


def _two_mul(
    rng: random.Random, split: Split, skill: str
) -> tuple[tuple[str, ...], dict[str, str], str, str, str]:
    """Entities, what fills the wording, statement, worked step and answer of a product."""
    if skill == "fact_mul":
        entities = _until(rng, split, lambda: _fact_pair(rng))
        r1, s1, r2, s2 = entities
        m, n = int(FACTS[r1][s1]), int(FACTS[r2][s2])
        said = f"{statement(r1, s1)} {statement(r2, s2)}"
    else:
        letters = ALPHABET[1:9]
        entities = _until(
            rng, split, lambda: ("place", rng.choice(letters), "length", rng.choice(world.NOUNS))
        )
        r1, s1, r2, s2 = entities
        m, n = ALPHABET.index(s1) + 1, len(s2)
        counted = " ".join(f"{letter}{i + 1}" for i, letter in enumerate(s2))
        said = f"{s1} is letter {m}. {s2} is {counted}."
    fill = {"x": _phrase(r1, s1), "y": _phrase(r2, s2)}
    return entities, fill, said, f"{m}*{n}={m * n}.", str(m * n)


def _draw_countries(rng: random.Random) -> tuple[str, ...]:
    """Four countries whose capitals start with different letters."""
    by_letter: dict[str, str] = {}
    for country in rng.sample(list(world.COUNTRIES), len(world.COUNTRIES)):
        by_letter.setdefault(FACTS["capital"][country][0], country)
    return tuple(list(by_letter.values())[:4])


def _two_sort(
    rng: random.Random, split: Split
) -> tuple[tuple[str, ...], dict[str, str], str, str, str]:
    """Entities, what fills the wording, statement, worked step and answer of a sorting task."""
    entities = _until(rng, split, lambda: _draw_countries(rng))
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


# --- all ---

SKILLS: Mapping[Domain, tuple[str, ...]] = {
    "arithmetic": SUM_SKILLS,
    "words": LETTER_SKILLS + LIST_SKILLS,
    "facts": tuple(FACTS),
    "two": TWO_SKILLS,
}
MAKERS: Mapping[Domain, Callable[[random.Random, str, Split, bool], Item]] = {
    "arithmetic": arithmetic,
    "words": words,
    "facts": facts,
    "two": two,
}


def draw(
    rng: random.Random, domain: Domain, split: Split, skill: str | None = None, choice: float = 0.3
) -> Item:
    """An item of a domain or skill; single-domain items are choices with probability `choice`."""
    name = skill or rng.choice(SKILLS[domain])
    return MAKERS[domain](rng, name, split, domain != "two" and rng.random() < choice)
