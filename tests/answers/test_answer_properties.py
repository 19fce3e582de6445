"""Properties of the answer parser over generated texts."""

from __future__ import annotations

from typing import get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st

from moco.answers.parser import Answer, cluster, extract, same, target
from moco.prompts import LETTERS
from moco.types import AnswerKind, Query, Status, Stop

KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
QUERIES = {
    kind: Query(
        "q",
        "?",
        kind,
        choices=("yes", "no", "Either yes or no", "") if kind == "choice" else (),
        labels=("yes", "no", "maybe") if kind == "label" else (),
        tolerance=0.01 if kind in ("number", "list") else 0.0,
    )
    for kind in KINDS
}
PIECES = (
    "Answer:", "the answer is", "\\boxed{", "}", "{", "**", "`", "$", "\\(", "\\)", "\\frac",
    "\\text{", "A", "B", "(C)", "a", "or", "and", "not", "is wrong", "is correct", "1", "2.5",
    "1/2", "1e400", "10^", "%", ",", "=", "-", "[", "]", "<think>", "</think>", "<answer>",
    "</answer>", '{"answer": ', '"', "yes", "no", "I don't know", "\n", ".", "?", "Ｂ", "答案", "①",
    "\u200b", "\ud800", "\x00", "####", "```", "I choose", "\\", "\\sqrt", "^", "_", "!",
    "\\begin{pmatrix}",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, kind=st.sampled_from(KINDS), stop=st.sampled_from(get_args(Stop)))
@example(text="\\boxed{" * 50, kind="math", stop="eos")
@example(text="1/" * 50, kind="number", stop="eos")
def test_reading_never_raises_and_always_says_what_happened(
    text: str, kind: AnswerKind, stop: Stop
) -> None:
    answer = extract(text, QUERIES[kind], stop)
    assert answer.status in get_args(Status)
    assert (answer.value is not None) == (answer.status == "parsed")
    assert answer.value != ""
    assert answer == extract(text, QUERIES[kind], stop)
    as_target = target(text, QUERIES[kind])
    assert (as_target.value is not None) == (as_target.status == "parsed")


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=8), kind=st.sampled_from(KINDS))
def test_same_is_reflexive_and_symmetric_and_clusters_partition(
    texts: list[str], kind: AnswerKind
) -> None:
    answers = [extract(text, QUERIES[kind]) for text in texts]
    for a in answers:
        assert same(a, a) == (a.value is not None)
        for b in answers:
            assert same(a, b) == same(b, a)
    groups = cluster(answers)
    grouped = sorted(i for group in groups for i in group)
    assert grouped == [i for i, a in enumerate(answers) if a.value is not None]
    assert [g[0] for g in groups] == sorted(g[0] for g in groups)
    assert all(same(answers[g[0]], answers[i]) for g in groups for i in g)
    leaders = [answers[g[0]] for g in groups]
    assert not any(same(a, b) for i, a in enumerate(leaders) for b in leaders[:i])


WRAPPERS = (
    "{}", "Answer: {}", "**Answer:** {}", "**Answer: {}**", "Let me think.\n\nThe answer is {}.",
    "\\boxed{{{}}}", "Final Answer: {}", "The final answer is **{}**", "$\\boxed{{\\text{{{}}}}}$",
    '{{"answer": "{}"}}', "<answer>{}</answer>",
    "<think>The answer is E or 7.</think>\nAnswer: {}", "Some words.\n\nAnswer: {}\n", "`{}`",
    "The answer is {} because it fits.", "### Final answer\n{}", "ANSWER: {}",
)  # fmt: skip


@given(letter=st.sampled_from(LETTERS[:13]), wrapper=st.sampled_from(WRAPPERS))
@settings(max_examples=200, deadline=None)
def test_a_letter_is_read_in_every_wrapper(letter: str, wrapper: str) -> None:
    query = Query("q", "?", "choice", choices=tuple(f"text number {i}" for i in range(13)))
    assert extract(wrapper.format(letter), query).value == letter
    assert extract(wrapper.format(f"({letter})"), query).value == letter


@given(
    value=st.integers(0, 10**6),
    wrapper=st.sampled_from(WRAPPERS),
    before=st.integers(0, 3_000),
    after=st.sampled_from(("", "\n\nI hope this helps!", "\n\n" + "Thanks to all of you. " * 60)),
)
@settings(max_examples=150, deadline=None)
def test_prose_around_an_announced_answer_changes_nothing(
    value: int, wrapper: str, before: int, after: str
) -> None:
    if wrapper in ("{}", "`{}`"):
        return
    prose = "We count the apples in the 12 baskets, as he said, and find 7 in each. " * 50
    text = f"{prose[:before]}\n\n{wrapper.format(value)}{after}"
    assert extract(text, QUERIES["number"]).value == str(value)


@given(
    value=st.integers(-(10**9), 10**9),
    wrapper=st.sampled_from(WRAPPERS),
    form=st.sampled_from(("{}", "{:,}", "{}.0", "${}")),
)
@settings(max_examples=200, deadline=None)
def test_a_number_is_read_in_every_wrapper(value: int, wrapper: str, form: str) -> None:
    answer = extract(wrapper.format(form.format(value)), QUERIES["number"])
    assert answer.value == str(value)


@given(
    word=st.sampled_from(("Background", "FutureWork", "Uses")), wrapper=st.sampled_from(WRAPPERS)
)
@settings(max_examples=100, deadline=None)
def test_a_label_is_read_in_every_wrapper(word: str, wrapper: str) -> None:
    query = Query("q", "?", "label", labels=("Background", "FutureWork", "Uses"))
    assert extract(wrapper.format(word), query).value == word


@given(a=st.fractions(max_denominator=1000), b=st.fractions(max_denominator=1000))
@settings(max_examples=200, deadline=None)
def test_numbers_are_same_when_their_values_are(a: object, b: object) -> None:
    exact = Query("q", "?", "number")
    one, other = (extract(f"Answer: {x}", exact) for x in (a, b))
    assert one.value is not None and other.value is not None
    assert same(one, other) == (a == b)


@given(text=TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_closed_thought_changes_nothing(text: str) -> None:
    query = QUERIES["choice"]
    thought = "<think>The answer is A. No, B.</think>"
    if "think" in text:
        return
    plainly: Answer = extract(text, query)
    assert extract(thought + text, query).value == plainly.value
    assert extract(text + "\n<think>but", query).status == "truncated"
