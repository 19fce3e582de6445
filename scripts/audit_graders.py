"""Proves the graders on every data set with a rule-graded gold: what they give for the gold in many
wrappers, for no answer at all, and for a wrong answer.

    python scripts/audit_graders.py [TASK ...] [--every N] [--jobs N]

Reads the data files that `moco data pull` has fetched, both splits. Prints one table per data set
and ends with exit code 1 where a level is missed: 1.0 for the gold in every wrapper, 0.0 for what
is no answer (on F1 data at most 0.05 on average for a hedge) and for a wrong one. An item whose
gold option is a word that a hedge says is left out of that row and counted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from moco import registry, sources
from moco.answers import numbers
from moco.answers.cleaning import fold
from moco.answers.parser import same, target
from moco.prompts import LETTERS
from moco.scorers.base import Scorer
from moco.tasks.base import Dataset
from moco.types import Prediction, Sample

HEDGES = Path(__file__).resolve().parent.parent / "tests" / "tasks" / "hedges.txt"
GRADERS = frozenset({"choice", "exact", "f1", "math", "verifier"})
"""Scorers whose verdict follows from rules; of `verifier` only the rules are asked."""
KNOWN_INVALID: Mapping[str, int] = {"bbh": 1, "math": 12}
"""Items whose gold is missing or answers nothing; more of them are told with the reason."""
F1_LEVEL = 0.05
SHOWN = 3
"""Misses shown per row."""

THOUGHT = "Let me think about this step by step.\n\n"
WRAPPERS: Mapping[str, Callable[[str], str]] = {
    "alone": str,
    "boxed": lambda gold: f"\\boxed{{{gold}}}",
    "boxed in a sentence": lambda gold: f"{THOUGHT}So the answer is $\\boxed{{{gold}}}$.",
    "bold": lambda gold: f"{THOUGHT}**{gold}**",
    "bold label": lambda gold: f"**Answer**: {gold}",
    "bold label, colon inside": lambda gold: f"{THOUGHT}**Answer:** {gold}",
    "label and answer in bold": lambda gold: f"**Final Answer: {gold}**",
    "parentheses": lambda gold: f"({gold})",
    "sentence": lambda gold: f"The answer is {gold}.",
    "sentence with a reason": lambda gold: f"So the final answer is {gold} because it fits.",
    "JSON": lambda gold: json.dumps({"answer": gold}),
    "JSON in a fence": lambda gold: f"```json\n{json.dumps({'answer': gold}, indent=1)}\n```",
    "line of its own": lambda gold: f"{THOUGHT}{gold}\n",
    "heading": lambda gold: f"{THOUGHT}### Final answer\n\n{gold}",
    "LaTeX text": lambda gold: f"$\\text{{{gold}}}$",
    "LaTeX text in a box": lambda gold: f"$\\boxed{{\\text{{{gold}}}}}$",
    "list item": lambda gold: f"- {gold}",
    "numbered item": lambda gold: f"1. {gold}",
    "quoted": lambda gold: f'"{gold}"',
    "label and quotes": lambda gold: f"Answer: “{gold}”",
    "tag": lambda gold: f"{THOUGHT}<answer>{gold}</answer>",
}
NOTHING = ("", "I do not know.")
HEDGED = ("The answer is a matter of debate.", "Other, e.g. none.")
_PLAIN = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[^\W\d_]+(?:[ -][^\W\d_]+)*")
"""A letter, words or a plain number: what may stand in parentheses and stay the same."""


@dataclass(slots=True)
class Row:
    """One check over a data set."""

    least: float = 0.0
    """Every score is at least this …"""
    most: float = 1.0
    """… and at most this."""
    mean: float = 1.0
    """The average is at most this."""
    n: int = 0
    total: float = 0.0
    exempt: int = 0
    misses: list[str] = field(default_factory=list)

    def add(self, score: float, told: str) -> None:
        """Counts one score."""
        self.n += 1
        self.total += score
        if not self.least <= score <= self.most:
            self.misses.append(told)

    @property
    def average(self) -> float:
        """The mean score, 0 where nothing was graded."""
        return self.total / self.n if self.n else 0.0

    @property
    def kept(self) -> bool:
        """Whether the level is reached."""
        return not self.misses and self.average <= self.mean


def hedges(path: Path = HEDGES) -> list[str]:
    """The further hedges, one a line; lines that start with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def said(sample: Sample, text: str) -> bool:
    """Whether a text says the words of a choice item's gold option."""
    query = sample.query
    at = LETTERS.find(sample.target[0])
    if query.kind != "choice" or not 0 <= at < len(query.choices):
        return False
    gold = fold(query.choices[at])
    return bool(gold) and f" {gold} " in f" {fold(text)} "


def wrapped(sample: Sample) -> Iterator[tuple[str, str]]:
    """The gold in every wrapper that leaves it what it is."""
    gold = sample.target[0]
    for name, wrap in WRAPPERS.items():
        if name != "parentheses" or _PLAIN.fullmatch(gold):
            yield name, wrap(gold)


def wrong(sample: Sample) -> Iterator[tuple[str, str]]:
    """Answers that are not the gold: the next option, another number, the next label."""
    query, gold = sample.query, sample.target[0]
    at = LETTERS.find(gold)
    if query.kind == "choice" and 0 <= at < len(query.choices):
        other = (at + 1) % len(query.choices)
        text = query.choices[other]
        if fold(text) != fold(query.choices[at]):
            yield "the next option", f"The answer is ({LETTERS[other]})."
            yield "the next option with its text", f"Answer: {LETTERS[other]}) {text}"
        return
    number = numbers.whole(gold) if query.kind in ("number", "math") else None
    if number is not None:
        twice = number.value + abs(number.value) + 1
        yield "a different number", f"The answer is {numbers.spell(twice)}."
        if not query.tolerance:
            yield "one more", f"The answer is {numbers.spell(number.value + 1)}."
    if query.kind == "list":
        yield "a longer list", f"Answer: {gold} {gold}"
    labels = query.labels if query.kind in ("boolean", "label") else ()
    others = [word for word in labels if not same(target(word, query), target(gold, query))]
    if others:
        yield "the next label", f"The answer is {others[0]}."


def audit(scorer: Scorer, samples: Sequence[Sample], further: Sequence[str]) -> dict[str, Row]:
    """All checks over the samples, by name."""
    rows: dict[str, Row] = {}
    f1 = type(scorer).__name__ == "F1"

    def grade(name: str, sample: Sample, text: str, row: Row) -> None:
        score = scorer.score([sample], [Prediction(sample.query.id, text)], {})[0]
        told = (
            f"{sample.query.id}: {text[-80:]!r} gives {score.value:g} ({score.status}: {score.why})"
        )
        invalid = score.status == "invalid"
        rows.setdefault(name, row).add(-1.0 if invalid else score.value, told)

    for sample in samples:
        for name, text in wrapped(sample):
            grade(f"gold: {name}", sample, text, Row(least=1.0))
        for text in NOTHING:
            grade(f"nothing: {text!r}", sample, text, Row(most=0.0))
        for text in (*HEDGED, *further):
            name = f"hedge: {text!r}" if text in HEDGED else f"hedges: {len(further)} more"
            row = Row(mean=F1_LEVEL) if f1 else Row(most=0.0)
            if said(sample, text):
                rows.setdefault(name, row).exempt += 1
            else:
                grade(name, sample, text, row)
        for name, text in wrong(sample):
            grade(f"wrong: {name}", sample, text, Row(most=0.0))
    return rows


def show(title: str, rows: Mapping[str, Row]) -> list[str]:
    """The table of a data set, one line per check, misses below it."""
    lines = [title]
    for name, row in rows.items():
        exempt = f"  ({row.exempt} left out: the gold's words are said)" if row.exempt else ""
        mark = "" if row.kept else f"  MISSED {len(row.misses) or 'the average'}"
        lines.append(f"  {name:46} {row.n:7} {row.average:7.4f}{exempt}{mark}")
        lines += [f"      {miss}" for miss in row.misses[:SHOWN]]
    return lines


def load(name: str) -> Dataset | None:
    """A data set from its pulled file, None where it has not been pulled."""
    task = registry.load("task", name)
    path = sources.resolve(task.source, pull=False)
    return None if path is None else task.load(path)


def audited(name: str, every: int, further: Sequence[str]) -> tuple[bool, list[str]]:
    """One data set: whether all levels are reached, and its table."""
    data = load(name)
    if data is None:
        return False, [f"{name}: not pulled; run `moco data pull {name}`"]
    scorer = registry.load("task", name).scorer
    rows = audit(registry.load("scorer", scorer)(), [*data.dev, *data.test][::every], further)
    left_out, known = sum(data.excluded.values()), KNOWN_INVALID.get(name, 0)
    title = f"{name} ({scorer}): dev {len(data.dev)}, test {len(data.test)}, invalid {left_out}"
    table = show(title, rows)
    if left_out != known:
        table += [
            f"  {left_out} invalid items, {known} known:",
            *(f"      {n}" for n in data.notes),
        ]
    return all(row.kept for row in rows.values()), table


def names() -> list[str]:
    """The tasks of the catalogue that rules grade, those that bring their own data left out."""
    tasks = [(name, registry.load("task", name)) for name in registry.names("task")]
    return [name for name, task in tasks if task.scorer in GRADERS and task.source]


def main(arguments: Sequence[str] | None = None) -> int:
    """Audits, prints, and says whether every level is reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK")
    parser.add_argument("--every", type=int, default=1, help="grade every N-th item only")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args(arguments)
    chosen = args.tasks or names()
    work = partial(audited, every=args.every, further=hedges())
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(args.jobs)) if args.jobs > 1 else None
        missed = []
        for name, (reached, table) in zip(
            chosen, (pool.map if pool else map)(work, chosen), strict=True
        ):
            print("\n".join(table), flush=True)
            if not reached:
                missed.append(name)
    verdict = f"levels missed: {', '.join(missed)}" if missed else "all levels reached"
    print(f"{len(chosen)} data sets; {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
