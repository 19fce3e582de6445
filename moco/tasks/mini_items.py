"""Makes the items of the `mini` world: one function per domain, draws from a given generator."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence

from moco.tasks import mini_wordings as wordings
from moco.tasks import mini_world as world
from moco.tasks.mini_parts import (
    ALPHABET,
    CAPITALS,
    FACTS,
    NUMBER_RELATIONS,
    OPENERS,
    Domain,
    Item,
    Split,
    counted,
    near,
    options,
    sorted_work,
    split_of,
    statement,
    until,
    wording,
)
from moco.tasks.mini_two import TWO_SKILLS, two
from moco.types import AnswerKind

__all__ = [
    "CAPITALS",
    "CHOICES",
    "FACTS",
    "OPENERS",
    "SKILLS",
    "Domain",
    "Item",
    "Split",
    "draw",
    "split_of",
    "wording",
]

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
    pair = until(rng, split, lambda: (rng.choice(world.NAMES), rng.choice(world.THINGS)))
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
        choices=options(rng, str(result), near(result)) if choice else (),
    )


# --- facts ---


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
        choices=options(rng, value, list(FACTS[skill].values())) if choice else (),
    )


# --- words ---

LETTER_SKILLS = ("first_letter", "last_letter", "length", "place")
LIST_SKILLS = ("list_first", "list_last", "list_nth", "count", "after", "sort")


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
            near(place + 1),
        )
    word = rng.choice(world.NOUNS)
    spelled = f"{word} is {' '.join(word)}."
    if skill == "length":
        return word, str(len(word)), f"{word} is {counted(word)}.", near(len(word))
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
        return str(len(words)), " ".join(words) + ".", {}, near(len(words))
    if skill == "after":
        i = rng.randrange(len(words) - 1)
        return words[i + 1], f"{words[i]} {words[i + 1]}.", {"w": words[i]}, list(words)
    others = [" ".join(order) for order in itertools.permutations(words)]
    return " ".join(sorted(words)), sorted_work(words), {}, others


def words(rng: random.Random, skill: str, split: Split, choice: bool) -> Item:
    """A question about a word's letters or about a list of words."""
    text, template = wording(rng, skill, split, wordings.WORD_WORDINGS)
    entities: tuple[str, ...]
    if skill in LETTER_SKILLS:
        subject, value, work, others = _letter_parts(rng, skill)
        entities, question = (subject,), text.format(w=subject)
    else:
        sizes = {"sort": (3, 3), "count": (2, 7)}.get(skill, (4, 6))
        entities = until(rng, split, lambda: _draw_list(rng, rng.randint(*sizes)))
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
        choices=options(rng, value, others) if choice else (),
    )


# --- all ---

SKILLS: Mapping[Domain, tuple[str, ...]] = {
    "arithmetic": SUM_SKILLS,
    "words": LETTER_SKILLS + LIST_SKILLS,
    "facts": tuple(FACTS),
    "two": TWO_SKILLS,
}
CHOICES = frozenset(
    {"list_first", "list_last", "list_nth", "after"}
    | {"capital", "continent", "symbol", "author", "young", "kind"}
)
"""The skills that are also asked with options."""
CHOICE_SHARE = 0.4
"""The share of their items that have options."""
MAKERS: Mapping[Domain, Callable[[random.Random, str, Split, bool], Item]] = {
    "arithmetic": arithmetic,
    "words": words,
    "facts": facts,
    "two": two,
}


def draw(
    rng: random.Random,
    domain: Domain,
    split: Split,
    skill: str | None = None,
    choice: float | None = None,
) -> Item:
    """An item of a domain or skill; `choice` = how probably it has options."""
    name = skill or rng.choice(SKILLS[domain])
    share = CHOICE_SHARE * (name in CHOICES) if choice is None else choice
    return MAKERS[domain](rng, name, split, rng.random() < share)
