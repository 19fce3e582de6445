"""Answer text as it streams: whole characters, stop strings across tokens, thoughts."""

from __future__ import annotations

import pytest

from moco.decoding.text import AnswerText


def stream(pieces: list[bytes], stops: tuple[str, ...] = (), thinking: bool = False) -> tuple:
    text, shown = AnswerText(stops, thinking), []
    for piece in pieces:
        shown.append(text.feed(piece))
        if text.stopped:
            break
    shown.append(text.finish())
    return text, shown


def test_characters_are_held_back_until_complete() -> None:
    data = "né😀가".encode()
    text, shown = stream([bytes([byte]) for byte in data])
    assert [piece for piece in shown if piece] == ["n", "é", "😀", "가"]
    assert text.split() == ("", "né😀가")


def test_bytes_that_never_complete_a_character_are_left_out_at_the_end() -> None:
    text, shown = stream([b"a", "😀".encode()[:3]])
    assert "".join(shown) == text.split()[1] == "a"


@pytest.mark.parametrize(
    "pieces", [["ab\nQues", "tion: x"], ["a", "b", "\n", "Question:"], ["ab\nQuestion: and more"]]
)
def test_stop_string_is_found_across_tokens_and_cut(pieces: list[str]) -> None:
    text, shown = stream([piece.encode() for piece in pieces], stops=("\nQuestion:", "zz"))
    assert text.stopped
    assert "".join(shown) == text.split()[1] == "ab"


def test_possible_start_of_a_stop_string_is_shown_once_it_is_none() -> None:
    text, shown = stream([b"a<", b"/", b"b", b" <"], stops=("</s>",))
    assert shown == ["a", "", "</b", " ", "<"]
    assert not text.stopped


def test_the_earliest_of_several_stop_strings_counts() -> None:
    text, _ = stream([b"one two three"], stops=("three", "two"))
    assert text.text == "one "


def test_thoughts_are_neither_shown_nor_searched() -> None:
    pieces = [b" <th", b"ink>a STOP b</thi", b"nk>\n\n", b"ans", b"wer STOP x"]
    text, shown = stream(pieces, stops=("STOP",))
    assert "".join(shown) == "answer "
    assert text.split() == ("a STOP b", "answer ")


def test_thought_opened_by_the_prompt() -> None:
    text, shown = stream([b"hm", b"</think>", b" 42"], thinking=True)
    assert "".join(shown) == "42"
    assert text.split() == ("hm", "42")


def test_unclosed_thought_leaves_no_answer() -> None:
    text, shown = stream([b"<think>", b"so much to say"])
    assert text.unclosed
    assert text.split() == ("so much to say", "")
    assert "".join(shown) == ""


@pytest.mark.parametrize("answer", ["<", "<thin", "  ", "<thing>x"])
def test_what_only_looks_like_a_thought_is_answer(answer: str) -> None:
    text, shown = stream([bytes([byte]) for byte in answer.encode()])
    assert "".join(shown) == text.split()[1] == answer
