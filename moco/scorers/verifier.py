"""General verifier: is the answer the reference answer? Rules first, a model for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from moco.access import Access, RoleNeed
from moco.answers import numbers
from moco.answers.cleaning import fold
from moco.answers.parser import Answer, extract
from moco.model import Model
from moco.prompts import LETTERS, VERIFY, judged, shorten
from moco.scorers import parts
from moco.scorers.base import Scorer, invalid, targets
from moco.scorers.exact import Exact
from moco.scorers.judging import Case, Reply, Verdict, decide, optional, reply_of
from moco.scorers.math import Math
from moco.scorers.parts import Ruling
from moco.types import AnswerKind, Prediction, Sample, Score, Stop

DECISIVE: frozenset[AnswerKind] = frozenset({"choice", "boolean", "number"})
"""Kinds whose answers, once read, rules can also tell to be different."""
QUESTION_CHARACTERS = 8_000
"""Of a longer question the head and the tail are shown."""
STUDENT_CHARACTERS = 4_000
"""Of a longer answer the end is shown, where its conclusion stands."""


class Verifier(Scorer):
    """1 where rules find the answer equal, or a model in the role `verifier` says so.

    Rules decide where the answers are equal, where two numbers, letters or truth values differ,
    where a part of "name, number" is another number, and where there is no answer. All else goes
    to the model; without one it scores 0. A verdict that cannot be read makes the item invalid.
    """

    roles: ClassVar[Mapping[str, RoleNeed]] = {"verifier": RoleNeed(Access.TEXT)}
    kinds: ClassVar[frozenset[AnswerKind]] = frozenset(
        {"choice", "number", "boolean", "label", "list", "span", "math", "free"}
    )

    def metric(self, roles: Mapping[str, object]) -> str:
        """What the mean is, for reports."""
        model = optional(roles, "verifier")
        return f"share right (by rules{f', else by {model.name!r}' if model else ' alone'})"

    def score(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        roles: Mapping[str, object],
    ) -> list[Score]:
        """One score per prediction, in order; `why` says whether a rule or the model decided."""
        model = optional(roles, "verifier")
        replies = [reply_of(p) for p in predictions]
        found = [_by_rules(*row) for row in zip(samples, predictions, replies, strict=True)]
        open_ = [i for i, (_, decided) in enumerate(found) if not decided]
        scores = [score for score, _ in found]
        if model is not None:
            for i, score in _by_model(model, samples, replies, scores, open_).items():
                scores[i] = score
        return scores


def _by_rules(sample: Sample, prediction: Prediction, reply: Reply) -> tuple[Score, bool]:
    """The score by rules alone, and whether it is the last word."""
    golds = targets(sample)
    if not golds:
        return invalid(sample), True
    if reply.status != "parsed":
        return Score(0.0, None, reply.status, reply.why), True
    answer = extract(reply.text, sample.query, prediction.stop)
    ruling = _ruling(answer, golds)
    if ruling.equal is None:
        ruling = _in_parts(sample, golds, reply.text, prediction.stop) or ruling
    status = "parsed" if ruling.equal else answer.status
    score = Score(float(bool(ruling.equal)), answer.value, status, f"by rule: {ruling.why}")
    return score, ruling.equal is not None


def _ruling(answer: Answer, golds: Sequence[Answer]) -> Ruling:
    """The answer as a whole against every gold."""
    grader = Math() if answer.kind == "math" else Exact()
    graded = grader.grade(answer, golds)
    if graded.value == 1:
        return Ruling(True, f"equal ({graded.why})")
    if answer.value is None and fold(answer.raw) in {gold.value for gold in golds}:
        return Ruling(True, "equal as words")  # a gold such as "None" looks like an abstention
    ours, theirs = numbers.whole(answer.raw), [numbers.whole(gold.raw) for gold in golds]
    known = [number.canonical for number in theirs if number is not None]
    if ours is not None and len(known) == len(golds):
        equal = any(numbers.equal(ours.canonical, n, answer.tolerance) for n in known)
        return Ruling(equal, "the numbers are equal" if equal else "the numbers differ")
    differs = answer.value is not None and answer.kind in DECISIVE
    return Ruling(False if differs else None, f"not equal ({graded.why})")


def _in_parts(sample: Sample, golds: Sequence[Answer], text: str, stop: Stop) -> Ruling | None:
    """Part by part: equal to one gold, or different from all; None where no gold has parts."""
    compared = [parts.compare(text, gold.raw, sample.query, stop) for gold in golds]
    found = [ruling for ruling in compared if ruling is not None]
    best = next((r for r in found if r.equal), None) or next(
        (r for r in found if r.equal is None), found[0] if found else None
    )
    if best is not None and best.equal is False and len(found) < len(golds):
        return Ruling(None, best.why)
    return best


def _by_model(
    model: Model,
    samples: Sequence[Sample],
    replies: Sequence[Reply],
    ruled: Sequence[Score],
    open_: Sequence[int],
) -> dict[int, Score]:
    """Index → score of the items that rules left open."""
    verdicts = decide(model, [_case(samples[i], replies[i]) for i in open_], "verify")
    return {i: _judged(ruled[i], v) for i, v in zip(open_, verdicts, strict=True)}


def _judged(ruled: Score, verdict: Verdict) -> Score:
    if verdict.yes is None:
        return Score(0.0, ruled.answer, "invalid", verdict.why)
    return Score(float(verdict.yes), ruled.answer, "parsed", f"{verdict.why} ({ruled.why})")


def _case(sample: Sample, reply: Reply) -> Case:
    query = sample.query
    question, reference = query.body or query.text, "\nor: ".join(_shown(sample))

    def build(limit: int) -> str:
        material = {
            "question": shorten(question, min(2 * limit, QUESTION_CHARACTERS)),
            "reference answer": shorten(reference, limit),
            "student's answer": reply.text[-limit:],
        }
        return judged(material, VERIFY)

    return Case(query.id, build, STUDENT_CHARACTERS)


def _shown(sample: Sample) -> list[str]:
    """The golds as a reader knows them: a letter with its option's text."""
    choices = sample.query.choices
    by_letter = dict(zip(LETTERS, choices, strict=False))
    return [f"{g}) {by_letter[g]}" if g in by_letter else g for g in sample.target]
