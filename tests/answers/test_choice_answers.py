"""Golden examples of reading a choice, every known defect of looser parsers among them."""

from __future__ import annotations

import pytest

from moco.answers.parser import extract
from moco.prompts import plain
from moco.types import Query, Status, Stop

ANIMALS = ("cat", "dog", "bird", "fish")


def ask(*choices: str) -> Query:
    return plain("q", "Which?", "choice", choices=choices or ANIMALS)


RIGHT = r"""
B
b
(B)
B.
[B]
**B**
`B`
$B$
\boxed{B}
\boxed{\text{B}}
$\boxed{\mathrm{(B)}}$
**Answer:** B
**Answer: B**
Answer: <B>
Answer: b
Answer: Option B
Answer: option (b)
Answer - B
Answer = B
Answer → B
1. Answer: B
ANSWER: B
## Answer\nB
### Final Answer:\n\n**B**
The correct answer is:\n\nB. dog
Final Answer: (B)
The answer is B.
The answer is (B).
The answer is **B**
the final answer is \(\boxed{B}\)
The final answer is $\boxed{B}$. I hope it is correct.
The answer to this question is B
The best answer is therefore B
The answer would be B.
The most likely answer is B.
Answer choice B is correct.
Correct answer: b
Answer is B
{"answer": "B"}
{"answer": "b"}
```json\n{"reasoning": "dogs bark", "answer": "B"}\n```
<answer>B</answer>
<answer>\nB\n</answer>
Ｂ
Answer：Ｂ
答案是B。
答案：B
La respuesta es B.
Die Antwort ist B.
الإجابة: B
उत्तर: B
Option B
B is the answer
B is the answer.
(B) is correct
Thus B is correct.
Thus, option B.
I choose B.
I choose option B because it fits.
I'd go with (B)
My choice is B
The correct choice: B
Therefore, (B).
It can't be A, so it must be B.
It's (B).
it's B
So my final answer is B!
So the correct option is B: dog
The correct answer is B) dog
The correct answer is B dog
The answer is: **(B) dog**.
B) dog
B. dog
Let me think.\n\nB) dog
B) dog\n\nExplanation: dogs bark.
dog
Answer: dog
The answer is dog.
\boxed{dog}
The right animal is the dog.
Answer: B. It is a dog
The answer is B because
The answer is B, not A.
<think>The answer is A</think>Answer: B
The answer is A</think>Answer: B
Both A and C look plausible. I choose B because it barks.
A) is wrong. C) is wrong. So B is right
C is wrong and B is right
The answer is not A. It is B.
I first thought the answer is A, but the answer is B.
If the answer is A then the sky is green. The answer is B.
Is the answer A? No. The answer is B.
~~\boxed{A}~~ \boxed{B}
Option A is incorrect. Option B is correct.
Answer: B\nA and D are wrong.
Answer: B\n\nNote that (A) is a common mistake.
The answer is B. A is a common mistake.
I would choose A if it were raining, but B is correct
The answer is B. I am confident.
The wrong answer is A. The answer is B.
"B"
«B»
「B」
[[B]]
*B*
- B
1. B
> B
| B |
B ✅
\[B\]
\boxed{\text{B. dog}}
**Answer**\n\nB
Answer: B) dog
{"answer": "B) dog"}
{"answer":"dog"}
{"correct_answer": "B"}
{"letter": "B"}
After elimination, only B remains.
I think B.
Probably B.
B, I think.
The correct answer is not A but B.
The answer isn't C; it's B.
I pick the dog.
The answer is dog (B).
选B
因此选择B。
正解はBです。
Đáp án: B
Đáp án đúng là B.
Jawabannya adalah B.
सही उत्तर B है
Die richtige Antwort ist B.
Ответ: B
Ⓑ
"""


@pytest.mark.parametrize("text", [line.replace("\\n", "\n") for line in RIGHT.strip().split("\n")])
def test_every_way_to_say_b(text: str) -> None:
    answer = extract(text, ask())
    assert (answer.value, answer.status) == ("B", "parsed"), answer


UNREADABLE: list[tuple[str, Status]] = [
    ("The answer is a matter of debate.", "abstained"),
    ("The answer is a question of taste, he said.", "empty"),
    ("the answer is b.", "empty"),
    ("Other, e.g. none.", "empty"),
    ("It is used in cells, i.e. everywhere.", "empty"),
    ("He lives in the U.S.A.", "empty"),
    ("It is caused by a lack of vitamin D.", "empty"),
    ("The answer is vitamin D.", "empty"),
    ("The answer is hepatitis B.", "empty"),
    ("The answer is A.D. 79", "empty"),
    ("The answer is A's brother.", "empty"),
    ("The answer is D-glucose.", "empty"),
    ("The answer is B cells.", "empty"),
    ("Answer: C++", "empty"),
    ("The answer is not A.", "empty"),
    ("A is wrong.", "empty"),
    ("I think it is not the dog.", "empty"),
    ("catalogue", "empty"),
    ("A or C", "ambiguous"),
    ("either A or B", "ambiguous"),
    ("The answer is A or C.", "ambiguous"),
    ("Answer: A, C", "ambiguous"),
    ("Answer: A/C", "ambiguous"),
    ("The answer is both A and B", "ambiguous"),
    ("The answer is B) dog or C) bird", "ambiguous"),
    ("The answer is A. Or maybe C.", "ambiguous"),
    ("Both A and B are correct", "ambiguous"),
    ("\\boxed{A} or \\boxed{C}", "ambiguous"),
    ("The dog and the cat.", "ambiguous"),
    ("I don't know.", "abstained"),
    ("I do not know.", "abstained"),
    ("I am unable to answer this question.", "abstained"),
    ("None of the above options are right.", "abstained"),
    ("The answer is C.\n\nActually, I don't know.", "abstained"),
    ("A) cat\nB) dog\nC) bird\nD) fish\n\nI do not know.", "abstained"),
    ("The answer is cat or dog.", "ambiguous"),
    ("A dog or a cat, hard to say.", "ambiguous"),
    ("It could be A or B.", "ambiguous"),
    ("The answer is unclear.", "abstained"),
    ("Answer: unknown", "abstained"),
    ('{"answer": null}', "abstained"),
    ("I cannot tell whether it is the dog.", "abstained"),
    ("I cannot tell whether (B) holds.", "abstained"),
    ("No sé la respuesta.", "abstained"),
    ("我无法判断。", "abstained"),
    ("The dog is wrong.", "empty"),
    ("Not B.", "empty"),
    ("Plan B is best.", "empty"),
    ("C is the best programming language.", "empty"),
    ("The answer is a good one.", "empty"),
    ("", "empty"),
    (" \n ", "empty"),
    ("Answer:", "empty"),
    ("<think>The answer is B", "truncated"),
    ("The answer is A. <think>But is it?", "truncated"),
]


@pytest.mark.parametrize(("text", "status"), UNREADABLE)
def test_what_is_no_answer(text: str, status: Status) -> None:
    answer = extract(text, ask())
    assert (answer.value, answer.status) == (None, status), answer


@pytest.mark.parametrize(
    ("text", "stop", "value", "status"),
    [
        ("Let us see. The dog", "length", None, "truncated"),
        ("", "length", None, "truncated"),
        ("Answer: B because the", "length", "B", "parsed"),
        ("B", "length", "B", "parsed"),
        ("", "error", None, "empty"),
    ],
)
def test_of_a_cut_off_text_only_a_commitment_counts(
    text: str, stop: Stop, value: str | None, status: Status
) -> None:
    answer = extract(text, ask(), stop)
    assert (answer.value, answer.status) == (value, status)


def test_letters_beyond_the_options_are_none() -> None:
    assert extract("The answer is E.", ask()).value is None
    assert extract("Answer: C", ask("yes", "no")).value is None


def test_many_options_make_no_letters_of_abbreviations() -> None:
    query = ask(*(f"option number {i}" for i in range(13)))
    for text in ("Other, e.g. none.", "That is, i.e. nothing.", "I think so.", "I do not know."):
        assert extract(text, query).value is None
    assert extract("I", query).value == "I"
    assert extract("Answer: M", query).value == "M"


def test_short_options_match_no_part_of_a_word_or_number() -> None:
    yes_no = ask("yes", "no")
    for text in ("I do not know.", "There is no doubt.", "Nothing."):
        assert extract(text, yes_no).value is None
    assert extract("No, it does not.", yes_no).value == "B"
    numbers = ask("4", "40", "14")
    assert extract("So there are 14", numbers).value == "C"
    assert extract("So there are 4.5 of them", numbers).value is None
    assert extract("So there are 4 of them", numbers).value == "A"
    stance = ask("support", "refute")
    assert extract("The claim is not supported.", stance).value is None
    assert extract("The paper does not support it.", stance).value is None


def test_of_nested_options_the_longer_one_is_meant() -> None:
    query = ask("Support", "Oppose", "Either support or oppose")
    assert extract("The answer is either support or oppose.", query).value == "C"
    assert extract("The answer is Oppose.", query).value == "B"
    names = ask("San Jose.", "Jose.")
    assert extract("It is San Jose.", names).value == "A"


def test_options_about_other_options() -> None:
    query = ask("red", "blue", "Both A and B", "None of the above")
    assert extract("Answer: Both A and B", query).value == "C"
    assert extract("The answer is C.", query).value == "C"
    assert extract("None of the above", query).value == "D"


def test_equal_option_texts_need_a_letter() -> None:
    query = ask("same", "same", "other")
    assert extract("The answer is same.", query).status == "ambiguous"
    assert extract("Answer: B) same", query).value == "B"
    assert extract("Answer: cc", ask("CC", "cc")).value == "B"


def test_an_option_without_text_matches_only_its_letter() -> None:
    query = ask("red", "", "[no text]")
    assert extract("", query).value is None
    assert extract("Something else altogether.", query).value is None
    assert extract("[no text]", query).value is None
    assert extract("Answer: C", query).value == "C"


def test_an_option_that_is_a_letter_is_chosen_by_position() -> None:
    query = ask("C", "Arginine", "Tyrosine")
    assert extract("The answer is C.", query).value == "C"
    assert extract("The answer is Tyrosine.", query).value == "C"


def test_raw_and_why_are_told() -> None:
    answer = extract("So, **Answer:** (B) dog", ask())
    assert answer.raw == "(B)"
    assert answer.why == "line"
    assert answer.kind == "choice"


MORE = r"""
C: bird
C, because birds fly.
(C) because it flies
I'd say C.
Choose C
It's definitely C.
Not A, but C.
That leaves C.
Ans: C
We can rule out A and B. That leaves C.
A: no. B: no. C: yes. D: no. The answer is C
D is tempting, but C is correct.
Of these, C is the best answer.
C) bird is the correct answer.
\[\boxed{\textbf{(C)}}\]
{'answer': 'C'}
{"choice": "C", "why": "A is wrong"}
La réponse est C.
A resposta correta é C.
La respuesta correcta es la C.
答えはCです
정답은 C입니다
Ответ: C
"""


@pytest.mark.parametrize("text", MORE.strip().split("\n"))
def test_more_ways_to_say_c(text: str) -> None:
    assert extract(text, ask()).value == "C"
