"""Picks among labelled options: what a text names, and scores that no order of options changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from folders import save_model
from scripted import member

from moco import Pool
from moco.choosing import Ballot, by_text
from moco.engine.jobs import Call, Kind
from moco.pool import Model
from moco.prompts import labels_for
from moco.types import Json

FOUR = ("1", "2", "3", "4")
OPTIONS = ("sums and products", "capitals", "spelling of words", "none of these")
DEVICE = {"devices": ["cpu"], "dtype": "float32"}


@pytest.mark.parametrize(
    ("text", "picked", "rule"),
    [
        ("2. It handles 4-step arithmetic", 2, "start"),
        ("I choose model 1 of 4", 1, "phrase"),
        ("The best is 1 (score 0.93)", 1, "phrase"),
        ("3", 3, "line"),
        ("**Option 4.**", 4, "line"),
        ("(2)", 2, "line"),
        ("2\nIt is good at sums.", 2, "line"),
        ("Model 2: it knows 4 things", 2, "start"),
        ("1 - it spells well", 1, "start"),
        ("I'd pick number 3.", 3, "phrase"),
        ("Assistant 3 would be right.", 3, "mention"),
        ("the answer is 2", 2, "mention"),
    ],
)
def test_what_a_text_names(text: str, picked: int, rule: str) -> None:
    found = by_text(text, FOUR)
    assert (found.index, found.rule) == (picked - 1, rule)
    assert by_text(text, FOUR, retry=True).rule == "retry"


@pytest.mark.parametrize(
    "text",
    [
        "either 1 or 3", "none of 1-4", "11", "1.5", "", "5", "0", "1 or 3", "1. or 2.", "1, 3",
        "3/4", "1,2", "I choose 1 or 3", "I pick 2 and 3", "I choose 2.5", "I would not choose 2",
        "Model 3 isn't good", "best is 2, not 1", "1. sums\n2. words", "2: 0.9, 1: 0.1",
        "somewhere in 1–4", "A 4-step problem",
    ],
)  # fmt: skip
def test_what_leaves_a_doubt_is_no_choice(text: str) -> None:
    found = by_text(text, FOUR)
    assert (found.index, found.rule) == (None, "none")


@pytest.mark.parametrize(
    ("text", "picked"),
    [("B.", 1), ("c", 2), ("I think C", 2), ("A dog can run", None), ("I like it", None)],
)
def test_letters_are_told_from_words(text: str, picked: int | None) -> None:
    assert by_text(text, "ABCDEFGHI").index == picked


@pytest.mark.parametrize("count", [1, 4, 9, 10, 26, 27, 120])
def test_no_label_is_the_start_of_another(count: int) -> None:
    labels = labels_for(count)
    assert len(set(labels)) == count
    pairs = itertools.permutations(labels, 2)
    assert not any(b.startswith(a) for a, b in pairs)


def shown(options: Sequence[str], question: str, order: Sequence[int]) -> str:
    labels = labels_for(len(order))
    lines = [f"{label}. {options[i]}" for label, i in zip(labels, order, strict=True)]
    return "\n".join([question, *lines, "Number:"])


def ballot(options: Sequence[str], question: str = "What is 7 + 5?", **changes: Any) -> Ballot:
    blank = changes.pop("blank", "N/A")
    return Ballot(
        tuple(options),
        lambda order: shown(options, question, order),
        (lambda order: shown(options, blank, order)) if blank else None,
        **changes,
    )


class Jobs:
    """A meter that keeps what jobs there were."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Kind, int]] = []

    def on_call(self, kind: Kind, call: Call, data: Mapping[str, Json], *, cached: bool) -> None:
        """Calls are not looked at."""

    def on_job(self, kind: Kind, calls: Sequence[Call]) -> None:
        self.jobs.append((kind, len(calls)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("chooser") / "tiny", "llama", 3)


@pytest.fixture
def model(folder: Path) -> Iterator[Model]:
    with Pool.open([str(folder)], engine=DEVICE) as pool:
        yield pool[0]


def test_every_order_of_the_options_gives_the_same_choice(model: Model) -> None:
    questions = ["What is 7 + 5?", "Which city is it?", "Spell it.", "The end of 12?"]
    standing = {text: i / 10 for i, text in enumerate(OPTIONS)}
    seen: dict[str, set[Any]] = {q: set() for q in questions}
    for options in itertools.permutations(OPTIONS):
        ranks = tuple(standing[text] for text in options)
        asked = [ballot(options, question, standing=ranks) for question in questions]
        for question, choice in zip(questions, model.choose_among(asked), strict=True):
            assert choice.index is not None
            assert choice.rule == "orders"
            scores = frozenset(zip(options, choice.scores, strict=True))
            seen[question].add((options[choice.index], scores))
    assert all(len(found) == 1 for found in seen.values())
    plain = [model.choose([shown(p, questions[0], range(4))], FOUR)[0] for p in
             itertools.permutations(OPTIONS)]  # fmt: skip
    places = {choice.index for choice in plain}
    texts = {p[c.index or 0] for p, c in zip(itertools.permutations(OPTIONS), plain, strict=True)}
    assert len(texts) > 1, f"one order alone should decide by place, here {places}"


def test_scores_are_means_over_the_cyclic_orders_less_the_content_free_prompts(
    model: Model,
) -> None:
    order = sorted(range(4), key=lambda i: OPTIONS[i])
    means = {}
    for question in ("What is 7 + 5?", "N/A"):
        sums = [0.0] * 4
        for turn in range(4):
            turned = order[turn:] + order[:turn]
            prompt = shown(OPTIONS, question, turned)
            for label, option in zip(FOUR, turned, strict=True):
                sums[option] += model.loglikelihood([(prompt, label)])[0].total
        means[question] = [s / 4 for s in sums]
    raw, less = model.choose_among([ballot(OPTIONS, blank=""), ballot(OPTIONS)])
    assert raw.scores == pytest.approx(means["What is 7 + 5?"], abs=1e-3)
    differences = [a - b for a, b in zip(raw.scores, less.scores, strict=True)]
    assert differences == pytest.approx(means["N/A"], abs=1e-3)
    prior = (5.0, 0.0, 0.0, 0.0)
    (moved,) = model.choose_among([ballot(OPTIONS, prior=prior)])
    assert moved.index == 0
    assert moved.scores[0] == pytest.approx(less.scores[0] + 5, abs=1e-3)


def test_all_pairs_are_one_job_and_content_free_prompts_are_asked_once(folder: Path) -> None:
    jobs = Jobs()
    with Pool.open([str(folder)], engine=DEVICE) as pool:
        chooser = pool.with_(meter=jobs)[0]
        asked = [ballot(OPTIONS, f"question {i}") for i in range(3)]
        together = chooser.choose_among(asked)
        assert jobs.jobs == [("loglikelihood", 3 * 16 + 16)]
        assert [chooser.choose_among([one])[0] for one in asked] == together


def test_ties_go_to_the_better_standing_then_to_the_earlier_text() -> None:
    flat = [[-1.0, -1.00001, -1.00002]] * 6
    options = ("c", "a", "b")
    assert ballot(options).result(flat).index == 1
    assert ballot(options, standing=(0.2, 0.5, 0.5)).result(flat).index == 1
    assert ballot(options, standing=(0.9, 0.5, 0.5)).result(flat).index == 0
    assert ballot(options).result(flat).scores == (0.0, 0.0, 0.0)


def test_labels_that_a_model_likes_cancel_out() -> None:
    liked = [[-0.1, -3.0, -3.0]] * 3
    found = ballot(("c", "a", "b"), blank="").result(liked)
    assert len(set(found.scores)) == 1
    clear = [[-3.0, -0.1, -3.0], [-0.1, -3.0, -3.0], [-3.0, -3.0, -0.1]]  # b, wherever it stands
    assert ballot(("c", "a", "b"), blank="").result(clear).index == 2


def test_options_of_equal_text_are_shown_once_and_the_better_stands_for_them(
    model: Model,
) -> None:
    doubled = ("capitals", "spelling", "capitals")
    ranks = (0.1, 0.2, 0.3)
    three, two = model.choose_among(
        [ballot(doubled, standing=ranks), ballot(doubled[1:], standing=ranks[1:])]
    )
    assert three.scores[0] == three.scores[2]
    assert three.scores[1:] == two.scores
    assert three.index is not None and two.index is not None
    assert three.index == two.index + 1
    (only,) = model.choose_among([ballot(("same", "same"), standing=(0.1, 0.2))])
    assert (only.index, only.rule) == (1, "only")


def test_a_model_without_logprobs_is_asked_in_one_order_and_once_more() -> None:
    rules = [
        {"match": "exactly one of: 1, 2, 3, 4", "reply": "2"},
        {"match": "seven", "reply": "3. It handles 4-step arithmetic"},
        {"match": "eight", "reply": "either 1 or 3"},
    ]
    spoken = member("spoken", "no idea", access=["text"], rules=rules)
    jobs = Jobs()
    with Pool.open([spoken], engine={"devices": ["cpu"]}) as pool:
        speaker = pool.with_(meter=jobs)[0]
        for options in itertools.permutations(OPTIONS):
            asked = [ballot(options, "seven"), ballot(options, "eight")]
            read, again = speaker.choose_among(asked)
            assert (read.rule, again.rule) == ("start", "retry")
            assert options[read.index or 0] == sorted(OPTIONS)[2]
            assert options[again.index or 0] == sorted(OPTIONS)[1]
    assert jobs.jobs[:2] == [("generate", 2), ("generate", 1)]


def test_a_model_that_never_names_a_label_makes_no_choice() -> None:
    mute = member("mute", "either 1 or 3", access=["text"])
    with Pool.open([mute], engine={"devices": ["cpu"]}) as pool:
        (found,) = pool[0].choose_among([ballot(OPTIONS)])
    assert (found.index, found.rule) == (None, "none")
