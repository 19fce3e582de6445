"""Golden examples of reading numbers, labels, lists, spans and mathematics."""

from __future__ import annotations

import pytest

from moco.answers import latex
from moco.answers.parser import Answer, cluster, extract, same, target
from moco.prompts import format_line, plain
from moco.types import AnswerKind, Query

SCIRIFF = ("Background", "Extends", "Uses", "Motivation", "CompareOrContrast", "FutureWork")


def ask(kind: AnswerKind, labels: tuple[str, ...] = (), tolerance: float = 0.0) -> Query:
    return Query("q", "?", kind, labels=labels, tolerance=tolerance)


NUMBERS: list[tuple[str, str | None]] = [
    ("18", "18"),
    ("The answer is 18.", "18"),
    ("\\boxed{18}", "18"),
    ("\\boxed 18", "18"),
    ("$18", "18"),
    ("\\boxed{\\$18}", "18"),
    ("\\boxed{18 \\text{ dollars}}", "18"),
    ("\\boxed{18 dollars}", "18"),
    ("**Answer:** 1,200", "1200"),
    ("Answer: 1{,}200", "1200"),
    ("Answer: 70,\\!000", "70000"),
    ("Answer: 70\u202f000", "70000"),
    ("Answer: <18>", "18"),
    ("#### 42", "42"),
    ("Final Answer:\n\n**18**", "18"),
    ('{"answer": 18}', "18"),
    ('{"answer": "1,800"}', "1800"),
    ("The answer is $\\frac{1}{2}$.", "0.5"),
    ("1/2", "0.5"),
    (".50", "0.5"),
    ("\\frac12", "0.5"),
    ("½", "0.5"),
    ("1½", "1.5"),
    ("1 1/2", "1.5"),
    ("1\\frac{1}{2}", "1.5"),
    ("The answer is 1/3", "1/3"),
    ("\\boxed{x=5}", "5"),
    ("The answer is 3 + 4 = 7.", "7"),
    ("Answer: 18 because 20 - 2 = 18", "18"),
    ("Answer: 5 (since 3 = 8 - 5)", "5"),
    ("Answer: 5 km^2", "5"),
    ("The answer is approximately 3.14", "3.14"),
    ("−5", "-5"),
    ("The answer is - 5", "-5"),
    ("-0.0", "0"),
    ("3.54e-07", "0.000000354"),
    ("3.54 \\times 10^{-7}", "0.000000354"),
    ("3.54 x 10^-7", "0.000000354"),
    ("3.54 × 10⁻⁷", "0.000000354"),
    ("10^5", "100000"),
    ("25%", "25%"),
    ("1.2 million", "1200000"),
    ("twelve", "12"),
    ("The answer is twenty-one.", "21"),
    ("So she makes 18 dollars every day.", "18"),
    ("She has 3 + 4 = 7 apples", "7"),
    ("The total is 18. I hope this helps!", "18"),
    ("So 2 * 9 = 18 and 20 remain. Total is **18** of 20.", "18"),
    ("\\boxed{20} is wrong. \\boxed{18}", "18"),
    ("~~\\boxed{20}~~ \\boxed{18}", "18"),
    ("The answer is 20. Wait, no. The answer is 18.", "18"),
    ("<think>20</think>18", "18"),
    ("Answer: 12 345 678", "12345678"),
    ("The answer is 0.333...", "0.333"),
    ("Answer: +7", "7"),
    ("Final answer: x = 7.5 m/s", "7.5"),
    ("- 18", "18"),
    ("1. 18", "18"),
    ("18. That is all of them.", "18"),
    ("“18”", "18"),
    ("６０", "60"),
    ("60^\\circ", "60"),
    ("\\boxed{60^{\\circ}}", "60"),
    ("60 degrees", "60"),
    ("60\\text{ km}", "60"),
    ("60 cm^2", "60"),
    ("€60", "60"),
    ("1'200", "1200"),
    ("1.2 thousand", "1200"),
    ("0,5", "0.5"),
    ("half", "0.5"),
    ("two thirds", "2/3"),
    ("minus 3", "-3"),
    ("2^10", "1024"),
    ("2^{-1}", "0.5"),
    ("2 \\times 3", "6"),
    ("$6 \\cdot 10$", "60"),
    ("\\frac{120}{2}", "60"),
    ("The answer is $\\frac{2+1}{4}$.", "0.75"),
    ("(2+3)*4", "20"),
    ("-(-60)", "60"),
    ("\\binom{9}{3}", "84"),
    ("\\sqrt{16}", "4"),
    ("Answer: 2√3", "3.46410161514"),
    ("答案是60。", "60"),
    ("정답은 60입니다", "60"),
    ("Die Antwort lautet 60.", "60"),
    ("उत्तर: 60", "60"),
    # what is no number
    ("Answer: 3x", None),
    ("1,2", None),
    ("12:30", None),
    ("1/0", None),
    ("10^{10^{10}}", None),
    ("1e999999", None),
    ("18-20", None),
    ("One could argue for each of them.", None),
    ("1/2/1999", None),
    ("The answer is not 18.", None),
    ("The answer is 5 or 6.", None),
    ("\\boxed{5} or \\boxed{6}", None),
    ("She has 5 apples and 3 oranges.", None),
    ("Answer: 10 - 15", None),
    ("The answer is unknown", None),
    ("I don't know.", None),
    ("", None),
    ("the", None),
    ("...", None),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_numbers(text: str, value: str | None) -> None:
    assert extract(text, ask("number")).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", "true"),
        ("Yes", "true"),
        ("yes, because it is", "true"),
        ("No.", "false"),
        ("**False**", "false"),
        ("\\boxed{\\text{True}}", "true"),
        ("Answer: No", "false"),
        ("Answer: <yes>", "true"),
        ("Answer: yes (it does)", "true"),
        ("So the statement is false.", "false"),
        ("True or False? True", "true"),
        ("It's true", "true"),
        ("I think yes.", "true"),
        ('"Yes"', "true"),
        ("- No", "false"),
        ('{"answer": false}', "false"),
        ("Oui", "true"),
        ("はい。", "true"),
        ("нет", "false"),
        ("There is no doubt.", None),
        ("No one knows.", None),
        ("No idea.", None),
        ("It is partly true.", None),
        ("It could be true.", None),
        ("Neither true nor false.", None),
        ("The true cost of rent is high.", None),
        ("No problem, happy to help.", None),
        ("If true, then fine.", None),
        ("The premise of the question is false.", None),
        ("It is not true.", None),
        ("Yes or no", None),
        ("The answer is yes or no.", None),
        ("I don't know", None),
        ("The answer is a matter of debate.", None),
    ],
)
def test_booleans(text: str, value: str | None) -> None:
    assert extract(text, ask("boolean", ("yes", "no"))).value == value


@pytest.mark.parametrize(
    ("text", "labels", "value"),
    [
        ("maybe", ("yes", "no", "maybe"), "maybe"),
        ("The answer is 'maybe'.", ("yes", "no", "maybe"), "maybe"),
        ("Answer: yes, because", ("yes", "no", "maybe"), "yes"),
        ("The answer is yes or maybe", ("yes", "no", "maybe"), None),
        ("actually", ("yes", "no", "maybe"), None),
        ("True", ("yes", "no", "maybe"), "yes"),
        ("The answer is false.", ("yes", "no", "maybe"), "no"),
        ("yes", ("True", "False", "Unknown"), "True"),
        ("Maybe it is, maybe it isn't.", ("yes", "no", "maybe"), None),
        ("maybe not", ("yes", "no", "maybe"), None),
        ("Background noise is loud.", SCIRIFF, None),
        ("This is a background citation.", SCIRIFF, "Background"),
        ("The paper uses it.", SCIRIFF, None),
        ("compare or contrast", SCIRIFF, "CompareOrContrast"),
        ("Compare-Or-Contrast", SCIRIFF, "CompareOrContrast"),
        ("The answer is **Future Work**.", SCIRIFF, "FutureWork"),
        ("It is a Motivation citation.", SCIRIFF, "Motivation"),
        ("The argument is deductively valid.", ("valid", "invalid"), "valid"),
        ("The argument is invalid.", ("valid", "invalid"), "invalid"),
        ("The argument is not valid.", ("valid", "invalid"), None),
        ("valid or invalid", ("valid", "invalid"), None),
    ],
)
def test_labels(text: str, labels: tuple[str, ...], value: str | None) -> None:
    assert extract(text, ask("label", labels)).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Paris", "paris"),
        ("The answer is Paris.", "paris"),
        ("**Answer:** Paris", "paris"),
        ("Answer: Paris because it is", "paris"),
        ("Answer: Victor Hugo. He wrote it.", "victor hugo"),
        ("Answer: St. Louis", "st louis"),
        ("Answer: J. R. R. Tolkien", "j r r tolkien"),
        ("\\boxed{\\text{São Paulo}}", "sao paulo"),
        ("Answer: The Beatles", "beatles"),
        ("Answer: Dennis O’Keefe", "dennis okeefe"),
        ("Answer: Jean–Paul Sartre", "jean paul sartre"),
        ('Answer: "Hey Jude"', "hey jude"),
        ("U.S.A.", "usa"),
        ("It is Paris.", "paris"),
        ("- Paris", "paris"),
        ("1. Paris", "paris"),
        ("(Paris)", "paris"),
        ("Answer: Baby! 1", "baby 1"),
        ("The answer is Not My Responsibility.", "not my responsibility"),
        ("Nobody Knows", "nobody knows"),
        ("nobody knows", None),
        ("Answer: HMS\n             \n              Chichester", "hms chichester"),
        ("Answer: V.\nP. Taranovsky", "v p taranovsky"),
        ("The answer is unknown.", None),
        ("Answer: it depends", None),
        ("I do not know.", None),
        ("The answer is a matter of debate.", None),
        ("...", None),
    ],
)
def test_spans(text: str, value: str | None) -> None:
    assert extract(text, ask("span")).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, 2]", '["1", "2"]'),
        ("(1,2)", '["1", "2"]'),
        ("Answer: [1.0, 2]", '["1", "2"]'),
        ("Answer: <[1, 2]>", '["1", "2"]'),
        ("1, 2 and 3", '["1", "2", "3"]'),
        ("\\boxed{\\{1, 2\\}}", '["1", "2"]'),
        ("Answer: (\\frac{1}{2}, 3)", '["0.5", "3"]'),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", '["1", "2"]'),
        ("[[1,2],[3,4]]", '[["1", "2"], ["3", "4"]]'),
        ("Answer: ] ) }", '["]", ")", "}"]'),
        ("Answer: ])}", '["]", ")", "}"]'),
        ("apple banana cherry", '["apple", "banana", "cherry"]'),
        ("Answer: apple, banana, cherry", '["apple", "banana", "cherry"]'),
        ("**Answer:** ['apple', 'banana']", '["apple", "banana"]'),
        ('Answer: "[1, 2]"', '["1", "2"]'),
        ("The list is 1, 2, 3.", '["1", "2", "3"]'),
        ("Sorted:\n- apple\n- banana", '["apple", "banana"]'),
        ("The answer is:\n1. apple\n2. banana", '["apple", "banana"]'),
        ("\\boxed{] ) }}", '["]", ")", "}"]'),
        ("\\boxed{\\text{} }}}", '["}", "}"]'),
        ("Answer: <) >>", '[")", ">"]'),
        ("The weather is nice today.", None),
        ("I cannot sort these words.", None),
        ("...", None),
        ("", None),
    ],
)
def test_lists(text: str, value: str | None) -> None:
    assert extract(text, ask("list")).value == value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\\frac{1}{2}", "0.5"),
        ("\\dfrac12", "1/2"),
        ("\\tfrac{3}{4}", "0.75"),
        ("7/17", "\\frac{7}{17}"),
        ("x=5", "5"),
        ("60^\\circ", "60"),
        ("60°", "60^{\\circ}"),
        ("\\$1.05", "1.05"),
        ("83\\%", "83"),
        ("2 \\text{ euros}", "2"),
        ("840\\text{ square inches}", "840"),
        ("1,\\!000,\\!000", "1000000"),
        ("2 \\sqrt10", "2\\sqrt{10}"),
        ("2√10", "2\\sqrt{10}"),
        (
            "\\begin{pmatrix} -5 \\\\ 9 \\end{pmatrix}",
            "\\begin{pmatrix}-5\\\\9\\end{pmatrix}",
        ),
        ("\\text{Friday}", "friday"),
        ("\\text{(A)}", "A"),
        ("\\left( 2, \\frac{7 \\pi}{4} \\right)", "(2, 7π/4)"),
        ("-1, \\; -5", "-5,-1"),
        ("1 \\text{ and } 5", "5, 1"),
        ("\\{1, 2\\}", "\\{2,1\\}"),
        ("x^2 + 12x + 35", "35+12x+x^{2}"),
        ("x \\in [1,2]", "[1,2]"),
        ("3 \\cdot x", "3x"),
        ("−41", "-41"),
        ("(0.5, 1)", "\\left(\\frac12,1\\right)"),
        ("2^{10}", "1024"),
        ("2 \\times 512", "1,024"),
        ("5!", "120"),
        ("\\frac{2}{4}", "0.5"),
        ("(1\\frac{1}{2}, 3)", "(1.5, 3)"),
        ("\\text{\\$425}", "425"),
    ],
)
def test_mathematics_that_is_equal(one: str, other: str) -> None:
    assert latex.canonical(one) == latex.canonical(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\\frac{11}{2}", "\\frac{1}{12}"),
        ("\\frac{13}{6}", "\\frac{1}{36}"),
        ("12", "(1,2)"),
        ("-41", "(-4,1)"),
        ("[2,5)", "(2,5]"),
        ("128", "12,9"),
        ("105", "\\$1.05"),
        ("158", "157.5"),
        ("(1,2)", "(2,1)"),
        ("x+1", "x-1"),
        ("2^3", "23"),
    ],
)
def test_mathematics_that_is_not(one: str, other: str) -> None:
    assert latex.canonical(one) != latex.canonical(other)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The answer is $\\frac{1}{2}$.", "0.5"),
        ("So \\boxed{20}... corrected: \\boxed{18}", "18"),
        ("The final answer is \\boxed{-\\frac{8}{27}}.", "-8/27"),
        ("Answer: <23>", "23"),
        ("The answer is \\(x^2\\) because it is.", "x^2"),
        ("Let me see.\n\n23", "23"),
        ("Let me see.\n\n- \\frac{1}{2}", "0.5"),
        ("1. 3x^2", "3x^2"),
        ('"\\text{orange}"', "orange"),
        ("$\\text{\\$425}$", "425"),
        ("$\\text{y = x+2}$", "2+x"),
        ('{"answer": "\\frac{1}{2}"}', "0.5"),
        ("So the total is 34.", "34"),
        ("\\boxed{5}\n\nAnswer: \\frac{1}{2}", "0.5"),
        ("There is something to be said for both.", None),
        ("\\boxed{x} or \\boxed{y}", None),
        ("\\boxed{", None),
        ("I do not know.", None),
    ],
)
def test_mathematics_in_texts(text: str, value: str | None) -> None:
    assert extract(text, ask("math")).value == value


def test_open_kinds() -> None:
    code = extract("Here:\n```python\ndef f():\n    return 1\n```\nDone.", ask("code"))
    assert code.value == "def f():\n    return 1"
    assert extract("```py\nx = 1", ask("code")).value == "x = 1"
    assert extract("Some Prose.", ask("free")).value == "some prose"
    assert extract("", ask("free")).value is None


def number(text: str, tolerance: float = 0.0) -> Answer:
    return extract(text, ask("number", tolerance=tolerance))


def test_same_is_the_equality_of_values() -> None:
    half = [number(t) for t in ("0.5", "1/2", ".50", "\\frac12", "50%")]
    assert all(same(a, half[0]) for a in half)
    assert same(number("50%"), number("50"))
    assert not same(number("50"), number("0.5"))
    assert same(number("1,200"), number("1200"))
    assert not same(number("6,660"), number("6,600"))
    assert not same(number("3.33"), number("3.30"))
    assert same(number("3.3"), number("3.30"))
    assert not same(number(""), number(""))


def test_a_unit_on_one_side_only_is_ignored() -> None:
    assert same(number("5 cm"), number("5"))
    assert same(number("$5"), number("5 euros"))
    assert same(number("5 centimeters"), number("5 cm"))
    assert same(number("5%"), number("5"))
    assert same(number("5 eggs"), number("5 boxes of eggs"))
    assert not same(number("5 cm"), number("5 m"))
    assert not same(number("5 dollars"), number("5 euros"))
    assert not same(number("5 cm"), number("5 cm^2"))
    math = ask("math")
    gold = target("5\\text{ cm}", math)
    assert same(extract("\\boxed{5}", math), gold)
    assert not same(extract("\\boxed{5 \\text{ m}}", math), gold)


def test_a_tolerance_is_declared_by_the_query() -> None:
    assert same(number("3.141", 0.01), number("3.14", 0.01))
    assert not same(number("3.2", 0.01), number("3.14", 0.01))
    query = ask("list", tolerance=0.01)
    assert same(extract("[0.333, 2]", query), target("[1/3, 2.0]", query))
    assert not same(extract("[2, 0.333]", query), target("[1/3, 2.0]", query))


def test_clusters_follow_the_earliest_leader() -> None:
    answers = [number(t, 0.1) for t in ("100", "nothing at all", "108", "116", "1/2", "0.5", "109")]
    assert cluster(answers) == [[0, 2, 6], [3], [4, 5]]
    assert cluster([number("18"), number("18.0"), number("$18"), number("")]) == [[0, 1, 2]]
    assert cluster([]) == []


def test_what_normalises_to_nothing_equals_nothing() -> None:
    query = ask("span")
    assert target("...", query).value is None
    assert not same(extract("", query), target("...", query))
    assert target("(a)", Query("q", "?", "choice", choices=("x", "y"))).value == "A"
    brackets = ask("list")
    assert not same(extract("", brackets), target("] )", brackets))
    assert not same(extract("Answer: ] ]", brackets), target("] )", brackets))


@pytest.mark.parametrize(
    ("kind", "labels", "answer", "value"),
    [
        ("choice", (), "B", "B"),
        ("number", (), "1,200", "1200"),
        ("math", (), "\\boxed{\\frac12}", "0.5"),
        ("span", (), "Victor Hugo", "victor hugo"),
        ("boolean", ("True", "False"), "True", "true"),
        ("label", ("yes", "no", "maybe"), "maybe", "maybe"),
        ("list", (), "[1, 2]", '["1", "2"]'),
    ],
)
def test_our_own_format_lines_are_read(
    kind: AnswerKind, labels: tuple[str, ...], answer: str, value: str
) -> None:
    choices = ("x1", "x2") if kind == "choice" else ()
    query = plain("q", "What?", kind, choices=choices, labels=labels)
    text = answer if kind == "math" else f"Answer: {answer}"
    assert format_line(kind, labels)
    assert extract(f"I thought about it.\n{text}", query).value == value
