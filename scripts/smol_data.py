"""Questions for the specialists of SmolLM2: half of them items of the bundled world, half longer
word problems, more words and more facts in the same form.

Every list of wordings keeps its first entry for the held-out questions. Entities (names with a
thing, a word, a list) are held out by their hash, except those of facts: there the held-out
question asks in other words for a fact that training states.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from smol_tables import (
    FACT_STATEMENTS,
    FACT_WORDINGS,
    FACTS,
    MORE_WORDS,
    SUM_WORDINGS,
    WORD_WORDINGS,
)

from moco.prompts import plain
from moco.tasks import mini_items, mini_wordings
from moco.tasks import mini_world as world
from moco.tasks.mini_items import Item, split_of
from moco.types import AnswerKind, Query, Sample

T = TypeVar("T")

Split = Literal["train", "test"]
Domain = Literal["arithmetic", "words", "facts"]
DOMAINS: tuple[Domain, ...] = ("arithmetic", "words", "facts")
CHOICE = 0.25
"""Share of multiple-choice questions."""

Sum = tuple[dict[str, int], str, int]
"""What fills the wording, the worked step and the result."""


def _together(rng: random.Random) -> Sum:
    a, b = rng.randint(3, 60), rng.randint(2, 40)
    return {"a": a, "b": b}, f"{a}+{b}={a + b}, {a}+{a + b}={a + a + b}.", a + a + b


def _fewer(rng: random.Random) -> Sum:
    a, b = rng.randint(3, 60), rng.randint(2, 20)
    return {"a": a + b, "b": b}, f"{a + b}-{b}={a}, {a + b}+{a}={a + a + b}.", a + a + b


def _change(rng: random.Random) -> Sum:
    a, b, left = rng.randint(2, 9), rng.randint(2, 9), rng.randint(1, 30)
    paid = a * b + left
    return {"a": a, "b": b, "c": paid}, f"{a}*{b}={a * b}, {paid}-{a * b}={left}.", left


def _twice(rng: random.Random) -> Sum:
    a = rng.randint(3, 45)
    return {"a": a}, f"{a}*2={2 * a}, {a}+{2 * a}={3 * a}.", 3 * a


def _share(rng: random.Random) -> Sum:
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    return {"a": a * b, "b": b}, f"{a * b}/{b}={a}.", a


def _packed(rng: random.Random) -> Sum:
    a, b, c, d = (rng.randint(2, 9) for _ in range(4))
    work = f"{a}*{b}={a * b}, {c}*{d}={c * d}, {a * b}+{c * d}={a * b + c * d}."
    return {"a": a, "b": b, "c": c, "d": d}, work, a * b + c * d


def _wage(rng: random.Random) -> Sum:
    a, b = rng.randint(5, 12), rng.randint(2, 9)
    c = rng.randint(2, a * b - 2)
    return {"a": a, "b": b, "c": c}, f"{a}*{b}={a * b}, {a * b}-{c}={a * b - c}.", a * b - c


def _half(rng: random.Random) -> Sum:
    a, b = rng.randint(2, 30), rng.randint(2, 20)
    return {"a": 2 * a, "b": b}, f"{2 * a}/2={a}, {a}+{b}={a + b}.", a + b


def _plus(rng: random.Random) -> Sum:
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return {"a": a, "b": b}, f"{a}+{b}={a + b}.", a + b


def _minus(rng: random.Random) -> Sum:
    a, b = rng.randint(10, 80), rng.randint(10, 80)
    return {"a": a + b, "b": b}, f"{a + b}-{b}={a}.", a


SUMS: Mapping[str, Callable[[random.Random], Sum]] = {
    "together": _together, "fewer": _fewer, "change": _change, "twice": _twice, "share": _share,
    "packed": _packed, "wage": _wage, "half": _half, "plus": _plus, "minus": _minus,
}  # fmt: skip


def _wording(rng: random.Random, wordings: Sequence[str], split: Split) -> tuple[int, str]:
    place = rng.randrange(1, len(wordings)) if split == "train" else 0
    return place, wordings[place]


def _kept(rng: random.Random, split: Split, draw: Callable[[], T], key: Callable[[T], str]) -> T:
    """A draw whose entities belong to the split."""
    while True:
        found = draw()
        if (split_of((key(found),)) == "train") == (split == "train"):
            return found


def _options(rng: random.Random, value: str, others: Sequence[str]) -> tuple[str, ...]:
    picked = [value, *rng.sample(sorted(set(others) - {value}), 3)]
    rng.shuffle(picked)
    return tuple(picked)


def arithmetic(rng: random.Random, split: Split) -> Item:
    """A word problem of one to three steps, or a bare sum."""
    skill = rng.choice(list(SUMS))
    place, text = _wording(rng, SUM_WORDINGS[skill], split)
    n, m, t = _kept(
        rng, split, lambda: (*rng.sample(world.NAMES, 2), rng.choice(world.THINGS)), "|".join
    )
    numbers, work, result = SUMS[skill](rng)
    choice = rng.random() < CHOICE
    near = [str(k) for k in range(max(1, result - 10), result + 11)]
    return Item(
        domain="arithmetic",
        skill=skill,
        template=f"{skill}/{place}",
        entities=(n, m, t),
        question=text.format(n=n, m=m, t=t, **numbers),
        kind="choice" if choice else "number",
        value=str(result),
        work=work,
        choices=_options(rng, str(result), near) if choice else (),
    )


def _some_words(rng: random.Random, skill: str) -> list[str]:
    """Up to five words that differ in what the question asks for."""
    found = rng.sample(MORE_WORDS, 9)
    if skill == "longest":
        found = list({len(word): word for word in found}.values())
    if skill == "starting":
        found = list({word[0]: word for word in found}.values())
    rng.shuffle(found)
    return found[: rng.randint(3, 5)]


def _list(rng: random.Random, skill: str, split: Split) -> tuple[dict[str, str], str, str]:
    """What fills the wording, the worked step and the answer of a question about a list."""
    words = _kept(rng, split, lambda: _some_words(rng, skill), "|".join)
    if skill == "longest":
        longest = max(words, key=len)
        counted = ", ".join(f"{word} {len(word)}" for word in words)
        return {"l": ", ".join(words)}, f"{counted}. The longest is {longest}.", longest
    if skill == "starting":
        value = rng.choice(words)
        work = ", ".join(f"{word} {word[0]}" for word in words)
        return {"l": ", ".join(words), "w": value[0]}, f"{work}.", value
    turned = ", ".join(reversed(words))
    return {"l": ", ".join(words)}, f"From last to first: {turned}.", turned


def _word(rng: random.Random, skill: str, split: Split) -> tuple[dict[str, str], str, str]:
    """The same for a question about the letters of one word."""
    word = _kept(rng, split, lambda: rng.choice(MORE_WORDS), str)
    counted = " ".join(f"{letter}{i + 1}" for i, letter in enumerate(word))
    if skill == "letters":
        return {"w": word}, f"{word} is {counted}.", str(len(word))
    i = len(word) - 1 if skill == "end_letter" else rng.randrange(min(len(word), 5))
    ordinal = world.ORDINALS[min(i, len(world.ORDINALS) - 1)]
    spelled = counted if skill == "nth_letter" else " ".join(word)
    return {"w": word, "o": ordinal}, f"{word} is {spelled}.", word[i]


def words(rng: random.Random, split: Split) -> Item:
    """A question about the letters of a word or about a list of words."""
    skill = rng.choice(list(WORD_WORDINGS))
    place, text = _wording(rng, WORD_WORDINGS[skill], split)
    make = _list if skill in ("longest", "starting", "reverse") else _word
    fill, work, value = make(rng, skill, split)
    return Item(
        domain="words",
        skill=skill,
        template=f"{skill}/{place}",
        entities=tuple(fill.values()),
        question=text.format(**fill),
        kind="number" if skill == "letters" else "span",
        value=value,
        work=work,
    )


def facts(rng: random.Random, split: Split) -> Item:
    """A question for the object of one fact."""
    skill = rng.choices(list(FACTS), [len(known) for known in FACTS.values()])[0]
    if skill in FACT_WORDINGS:
        place, text = _wording(rng, FACT_WORDINGS[skill], split)
        template = f"{skill}/{place}"
    else:
        text, template = mini_items.wording(rng, skill, split, mini_wordings.FACT_WORDINGS)
    subject = rng.choice(list(FACTS[skill]))
    value = FACTS[skill][subject]
    kind: AnswerKind = "number" if skill == "number" else "span"
    choice = rng.random() < CHOICE
    question, work = text.format(s=subject), FACT_STATEMENTS[skill].format(s=subject, o=value)
    return Item(
        domain="facts",
        skill=skill,
        template=template,
        entities=(subject,),
        question=question[0].upper() + question[1:],
        kind="choice" if choice else kind,
        value=value,
        work=work,
        choices=_options(rng, value, list(FACTS[skill].values())) if choice else (),
    )


MORE: Mapping[Domain, Callable[[random.Random, Split], Item]] = {
    "arithmetic": arithmetic, "words": words, "facts": facts,
}  # fmt: skip


def draw(rng: random.Random, domain: Domain, split: Split) -> Item:
    """One item, from the bundled world or from the longer lists here."""
    if rng.random() < 0.5:
        return mini_items.draw(rng, domain, split, choice=CHOICE)
    return MORE[domain](rng, split)


def query_of(item: Item, query_id: str = "q") -> Query:
    """The item in the library's plain frame."""
    return plain(query_id, item.question, item.kind, choices=item.choices)


def reply(item: Item) -> str:
    """What a specialist writes: the worked step and the answer line."""
    return f"{item.work}\nAnswer: {item.answer}"


def sample_of(item: Item, query_id: str) -> Sample:
    """The item as a question with its target."""
    return Sample(query_of(item, query_id), (item.answer,), {"skill": item.skill})


def held_out(domain: Domain, count: int, seed: int) -> list[Sample]:
    """Different questions of a domain that training has not seen."""
    rng = random.Random(f"held-out-{domain}-{seed}")
    by_question: dict[str, Item] = {}
    while len(by_question) < count:
        item = draw(rng, domain, "test")
        by_question.setdefault(item.question, item)
    return [sample_of(item, f"{domain}-{i}") for i, item in enumerate(by_question.values())]
