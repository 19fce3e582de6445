"""What says nothing, and what only sounds like it."""

from __future__ import annotations

import pytest

from moco.answers.hedging import abstains, doubts, gives_up, is_title


@pytest.mark.parametrize(
    "text",
    [
        "I have no way of knowing that.",
        "We can't really tell.",
        "It is impossible to say for certain.",
        "Nobody has established this.",
        "There isn't enough evidence for a verdict.",
        "That is a disputed question.",
        "It depends on whom you ask.",
        "Historians are divided; opinions differ.",
        "Any of these would work.",
        "It could well be either.",
        "More details are needed.",
        "Could you rephrase that?",
        "unknown",
        "N/A",
        "null",
        "Nessuno lo sa, non saprei.",
        "Nie jestem pewien, nie wiem.",
        "Bunu bilmiyorum.",
        "Tôi không chắc.",
        "ไม่แน่ใจ",
        "我不确定。",
        "判断できません。",
        "알 수 없습니다.",
        "لا يمكن الجزم بذلك",
        "मुझे मालूम नहीं है।",
    ],
)
def test_doubt_is_heard(text: str) -> None:
    assert abstains(text)


@pytest.mark.parametrize(
    "text",
    [
        "It is the dog.",
        "So there are 14 of them.",
        "There is no doubt that it is red.",
        "The claim is supported by the evidence.",
        "This is not the case.",
        "It was built in 1903 by Victor Hugo.",
        "Le chien est grand.",
        "Der Hund ist nicht klein.",
        "El perro es grande.",
        "這是一隻狗。",
        "犬です。",
        "",
    ],
)
def test_statements_are_none(text: str) -> None:
    assert not doubts(text)


def test_only_a_whole_sentence_takes_an_answer_back() -> None:
    assert gives_up("Actually, I don't know.")
    assert gives_up("But this cannot be determined.")
    assert gives_up("我不知道。")
    assert not gives_up("I am certain.")
    assert not gives_up("I do not see how the first one could be right, which leaves the second.")
    assert not gives_up("I don't know why anybody would think otherwise.")


def test_a_title_is_no_excuse() -> None:
    assert is_title("Nobody Knows")
    assert is_title("Baby! 1")
    assert not is_title("nobody knows")
    assert not is_title("Unknown")
