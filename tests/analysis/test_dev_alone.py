"""Texts of one dev question are scored by themselves, also where whole groups are reported."""

from __future__ import annotations

from moco.analysis.units import Counting
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Sample


def test_four_texts_of_one_question_are_no_group() -> None:
    query = plain("q", "Which one?", "choice", choices=("red", "green"))
    samples = [Sample(query, ("A",), {"group": "g"})]
    counting = Counting(group="group", size=4, reducer="all")
    dev = Dev(samples, load("scorer", "choice")(), counting=counting)
    texts = ["Answer: A", "Answer: A", "Answer: B", "who knows"]
    assert dev.score_alone("q", texts) == [1.0, 1.0, 0.0, 0.0]
