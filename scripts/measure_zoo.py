"""Measures the bundled pool `zoo://mini` on the task `mini` and prints every figure with its level.

OMP_WAIT_POLICY=passive python scripts/measure_zoo.py [--zoo moco/zoo/mini] [--part test]
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from zoo_data import SINGLE, query_of, read, right, text_of  # noqa: E402
from zoo_model import load, render, reply_all  # noqa: E402

from moco import prompts  # noqa: E402
from moco.tasks.mini import generate  # noqa: E402
from moco.tasks.mini_items import Item  # noqa: E402

MEMBERS = ("base", *SINGLE)
CELL = 40
"""At most this many items per specialist and domain in the frame figures."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured share and the level it has to reach."""

    name: str
    value: float
    level: float | None = None
    at_least: bool = True
    note: str = ""

    @property
    def verdict(self) -> str:
        """`pass`, `FAIL`, or nothing where there is no level."""
        if self.level is None:
            return ""
        met = self.value >= self.level if self.at_least else self.value <= self.level
        return "pass" if met else "FAIL"

    @property
    def line(self) -> str:
        """The figure as a line of a Markdown table."""
        sign = "≥" if self.at_least else "≤"
        level = "" if self.level is None else f"{sign} {self.level:.0%}"
        return f"| {self.name} | {self.value:.1%} | {level} | {self.verdict} | {self.note} |"


@dataclass(frozen=True, slots=True)
class Answered:
    """A test item with every member's plain reply."""

    item: Item
    texts: Mapping[str, str]

    def names(self, good: bool, but: Sequence[str] = ()) -> list[str]:
        """The members whose reply is right (or wrong), without those in `but`."""
        return [
            n for n, text in self.texts.items() if right(text, self.item) == good and n not in but
        ]


def share(hits: Sequence[bool]) -> float:
    """The share of true values; 0 of an empty list."""
    return sum(hits) / max(len(hits), 1)


def parsable(text: str, item: Item) -> bool:
    """Whether the reply ends with an answer of the item's kind."""
    found = read(text)
    if item.kind == "choice":
        return found in ("A", "B", "C", "D")
    return found.isdigit() if item.kind == "number" else bool(found)


def rate(answered: Sequence[Answered], name: str, domain: str) -> float:
    """The share of a domain's items that a member has right."""
    return share([right(a.texts[name], a.item) for a in answered if a.item.domain == domain])


def plain_figures(answered: Sequence[Answered]) -> list[Figure]:
    """The figures of the members alone."""
    figures = [
        Figure(f"{name} in its own domain", rate(answered, name, name), 0.85) for name in SINGLE
    ]
    for name in (*SINGLE, "base"):
        level = None if name == "base" else 0.45
        for domain in SINGLE:
            if name != domain:
                value = rate(answered, name, domain)
                figures.append(Figure(f"{name} on {domain}", value, level, False))
    for name in MEMBERS:
        outside = [a for a in answered if a.item.domain not in (name, "two")]
        read_well = share([parsable(a.texts[name], a.item) for a in outside])
        figures.append(Figure(f"{name}: parsable outside its domain", read_well, 0.9))
    singles = {name: share([right(a.texts[name], a.item) for a in answered]) for name in MEMBERS}
    best = max(singles, key=lambda name: singles[name])
    solved = share([bool(a.names(True)) for a in answered])
    figures.append(Figure("best single", singles[best], 0.55, False, best))
    figures.append(Figure("oracle over the four", solved, 0.7))
    for name in MEMBERS:
        value = rate(answered, name, "two")
        figures.append(Figure(f"{name} on two-domain items", value, 0.1, False))
    return figures


Loaded = tuple[Any, Any]
"""A model and its tokenizer."""
Frame = Callable[[Answered, str, random.Random], tuple[str, str] | None]
"""Gives the prompt and, for a pick, the right letter; None where the item does not fit."""


def aggregate_frame(one: Answered, member: str, rng: random.Random) -> tuple[str, str] | None:
    """Three candidates, one of them right."""
    good, bad = one.names(True), one.names(False)
    if not good or len(bad) < 2:
        return None
    shown = [rng.choice(good), *rng.sample(bad, 2)]
    rng.shuffle(shown)
    return text_of(prompts.aggregate(query_of(one.item), [one.texts[n] for n in shown])), ""


def refine_frame(one: Answered, member: str, rng: random.Random) -> tuple[str, str] | None:
    """One's own answer and two peers', one peer right and one wrong."""
    good, bad = one.names(True, (member,)), one.names(False, (member,))
    if not good or not bad:
        return None
    shown = [member, rng.choice(good), rng.choice(bad)]
    rng.shuffle(shown)
    texts = [one.texts[n] for n in shown]
    return text_of(prompts.refine(query_of(one.item), texts, shown.index(member))), ""


def cells(
    answered: Sequence[Answered],
    members: Mapping[str, Loaded],
    frame: Frame,
    own_wrong: bool = False,
) -> dict[tuple[str, str], float]:
    """The share of right replies per specialist and domain."""
    rates: dict[tuple[str, str], float] = {}
    for name in SINGLE:
        for domain in SINGLE:
            rng = random.Random(f"{name}-{domain}")
            asked: list[tuple[Item, str]] = []
            for one in rng.sample(answered, len(answered)):
                made = frame(one, name, rng) if one.item.domain == domain else None
                if (
                    made
                    and len(asked) < CELL
                    and not (own_wrong and right(one.texts[name], one.item))
                ):
                    asked.append((one.item, made[0]))
            replies = reply_all(*members[name], [prompt for _, prompt in asked])
            hits = [right(text, item) for text, (item, _) in zip(replies, asked, strict=True)]
            if hits:
                rates[name, domain] = share(hits)
    return rates


@torch.inference_mode()  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def letter_gap(model: Any, tokenizer: Any, prompt: str) -> float:
    """Log-probability of `A` less that of `B` as the reply."""
    ids = tokenizer(render(tokenizer, prompt), add_special_tokens=False, return_tensors="pt")[
        "input_ids"
    ]
    logits = model(input_ids=ids).logits[0, -1]
    a, b = (tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "AB")
    return float(logits[a] - logits[b])


def pick_cells(
    answered: Sequence[Answered], members: Mapping[str, Loaded]
) -> dict[tuple[str, str], float]:
    """The share of pairs in which the right answer wins on the mean of both orders."""
    rates: dict[tuple[str, str], float] = {}
    for name in SINGLE:
        for domain in SINGLE:
            rng = random.Random(f"{name}-{domain}")
            hits: list[bool] = []
            for one in rng.sample(answered, len(answered)):
                good, bad = one.names(True), one.names(False)
                if one.item.domain != domain or not good or not bad or len(hits) >= CELL:
                    continue
                pair = [one.texts[rng.choice(good)], one.texts[rng.choice(bad)]]
                query = query_of(one.item)
                first = letter_gap(*members[name], text_of(prompts.pick(query, pair)))
                second = letter_gap(*members[name], text_of(prompts.pick(query, pair[::-1])))
                hits.append(first - second > 0)
            rates[name, domain] = share(hits)
    return rates


def mean_figure(name: str, rates: Mapping[tuple[str, str], float], level: float | None) -> Figure:
    """The nine cells' mean, the cells in the note."""
    note = ", ".join(
        f"{member[0]}/{domain[0]} {rate:.0%}" for (member, domain), rate in rates.items()
    )
    return Figure(name, sum(rates.values()) / max(len(rates), 1), level, True, note)


def team_figure(answered: Sequence[Answered], members: Mapping[str, Loaded]) -> Figure:
    """Two-domain items solved by the member that can finish, shown the three others' replies."""
    hits = []
    for name in ("arithmetic", "words"):
        asked = [one for one in answered if one.item.domain == "two" and one.item.finisher == name]
        shown = [[one.texts[n] for n in MEMBERS if n != name] for one in asked]
        frames = [
            text_of(prompts.aggregate(query_of(one.item), s))
            for one, s in zip(asked, shown, strict=True)
        ]
        replies = reply_all(*members[name], frames)
        hits += [right(text, one.item) for text, one in zip(replies, asked, strict=True)]
    return Figure(
        "two-domain items as a team", share(hits), note="the finisher aggregates the three others"
    )


def measure(zoo: Path, part: Any) -> list[Figure]:
    """All figures."""
    items = generate(part)
    members = {name: load(zoo / name) for name in MEMBERS}
    asked = [query_of(item).text for item in items]
    replies = {name: reply_all(*member, asked) for name, member in members.items()}
    answered = [
        Answered(item, {name: replies[name][i] for name in MEMBERS}) for i, item in enumerate(items)
    ]
    figures = plain_figures(answered)
    figures.append(
        mean_figure("reviser, one of two peers right", cells(answered, members, refine_frame), 0.6)
    )
    figures.append(
        mean_figure(
            "reviser, own answer wrong",
            cells(answered, members, refine_frame, own_wrong=True),
            None,
        )
    )
    figures.append(
        mean_figure(
            "aggregator, one of three right", cells(answered, members, aggregate_frame), 0.45
        )
    )
    figures.append(mean_figure("pick between A and B", pick_cells(answered, members), 0.62))
    figures.append(team_figure(answered, members))
    for name in ("outsider_a", "outsider_b", *(f"{domain}_lora" for domain in SINGLE)):
        if (zoo / name).exists():
            texts = reply_all(*load(zoo / name), asked)
            figures.append(
                Figure(
                    f"{name} on all",
                    share([right(t, i) for t, i in zip(texts, items, strict=True)]),
                )
            )
    return figures


def main() -> None:
    """Prints the table; exit code 1 where a level is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=HERE.parent / "moco" / "zoo" / "mini")
    parser.add_argument("--part", choices=("dev", "test", "large"), default="test")
    chosen = parser.parse_args()
    figures = measure(chosen.zoo, chosen.part)
    print("| figure | measured | level | | note |\n|---|---|---|---|---|")
    print("\n".join(figure.line for figure in figures))
    sys.exit(any(figure.verdict == "FAIL" for figure in figures))


if __name__ == "__main__":
    main()
