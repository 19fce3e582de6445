"""Prompts with others' texts fit the context, or the plain prompt stands for them."""

from __future__ import annotations

import pytest

from moco import prompts
from moco.errors import PromptTooLongError
from moco.types import Prompt, messages

QUERY = prompts.plain("q", "Which one is it?", "choice", choices=("red", "green"))
TEXTS = ["word " * 200, "short"]


def room(limit: int) -> prompts.Spare:
    """A context of so many characters."""

    def spare(prompt: Prompt) -> int:
        return limit - sum(len(m.content) for m in messages(prompt))

    return spare


def text_of(prompt: Prompt) -> str:
    return messages(prompt)[-1].content


def test_texts_are_shortened_and_question_instruction_and_line_survive() -> None:
    found = text_of(prompts.aggregate(QUERY, TEXTS, spare=room(500)))
    assert len(found) <= 500
    assert found.startswith("Which one is it?\nA) red\nB) green")
    assert prompts.AGGREGATE in found and found.endswith("Answer: <letter>")
    assert prompts.CUT.strip() in found and "short" in found


def test_where_nothing_fits_the_plain_prompt_stands() -> None:
    limit = len(text_of(QUERY.prompt)) + 20
    assert prompts.aggregate(QUERY, TEXTS, spare=room(limit)) == QUERY.prompt
    assert prompts.rank(QUERY, TEXTS, spare=room(limit)) == QUERY.prompt
    with pytest.raises(PromptTooLongError, match="query 'q'"):
        prompts.aggregate(QUERY, TEXTS, spare=room(20))
    with pytest.raises(PromptTooLongError):
        prompts.with_material(QUERY, [], "Do it.", spare=room(limit // 2), strict=True)
