"""Deferring token by token: who writes, what is read, the threshold, what is learnt from, training
on the bundled models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding.naive import NaiveSession
from folders import save_model
from pydantic import ValidationError

from moco import Pool
from moco.access import CAUSAL, Access, ModelFacts
from moco.backends.base import ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.decoding.joint import JointSession
from moco.decoding.views import Voice
from moco.engine.jobs import JointRow
from moco.errors import DataError
from moco.methods.api.collm import CoLlm, State
from moco.methods.deferring import Point, chance, log_odds
from moco.pool import Dev
from moco.prompts import as_answer, plain
from moco.registry import load
from moco.train.lora_model import LOG_FILE
from moco.types import Generation, Query, Request, Sample, Sampling

QUESTIONS = ["The end?", "What is the answer: 1, 2 or 3 and so on?", "And 4 5 6", "12. The"]
GREEDY = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[HfBackend]:
    """Two tiny models of one vocabulary."""
    root = tmp_path_factory.mktemp("models")
    folders = [save_model(root / "a", "llama", 0), save_model(root / "b", "llama", 1)]
    return [HfBackend(ModelSpec(f.name, f.name, path=f, dtype="float32"), "cpu") for f in folders]


def head(threshold: float) -> dict[str, Any]:
    """A head whose output changes from token to token."""
    weight = torch.randn(32, generator=torch.Generator().manual_seed(3))
    return {"weight": weight.tolist(), "bias": 0.1, "threshold": threshold}


def write(
    method: CoLlm,
    backends: Sequence[HfBackend],
    questions: Sequence[str],
    threshold: float = 0.5,
    *,
    naive: bool = False,
    sampling: Sampling = GREEDY,
    seeds: Sequence[int] = (),
    room: int = 64,
) -> list[Generation]:
    own: list[Any] = [NaiveSession(b.folder) if naive else b.session() for b in backends]
    voices = [
        Voice(b.spec.name, session, b.renderer(b.spec), {}, b.num_parameters)
        for b, session in zip(backends, own, strict=True)
    ]
    rows = [
        JointRow(q, (q, q), sampling, bytes([s]) * 32)
        for q, s in zip(questions, seeds or range(len(questions)), strict=True)
    ]
    joint = JointSession(voices, rows, room=room)
    method.write(joint, head(threshold))
    for session in own:
        session.close()
    return [joint.results[i] for i in range(len(rows))]


def alone(backend: HfBackend) -> list[Generation]:
    rows = [Row(Request("x", q, GREEDY), backend.spec, bytes(32)) for q in QUESTIONS]
    return generate(backend, rows)


VARIANTS = (CoLlm(), CoLlm(deferral_strategy="compose"), CoLlm(threshold_warmup_schedule="cosine"))


@pytest.mark.parametrize("method", VARIANTS)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_cached_equals_uncached_and_alone_equals_batch(
    models: list[HfBackend], method: CoLlm, temperature: float
) -> None:
    sampling = Sampling(temperature, max_tokens=24)
    found = write(method, models, QUESTIONS, sampling=sampling)
    naive = write(method, models, QUESTIONS, sampling=sampling, naive=True)
    narrow = write(method, models, QUESTIONS, sampling=sampling, room=2)
    single = [
        write(method, models, [q], sampling=sampling, seeds=[i])[0] for i, q in enumerate(QUESTIONS)
    ]
    assert any(0 < g.notes["deferred"] < g.notes["tokens"] for g in found)
    for one, *others in zip(found, naive, narrow, single, strict=True):
        for other in others:
            assert (one.text, one.stop, one.notes) == (other.text, other.stop, other.notes)
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert one.usage.positions == other.usage.positions


def test_the_ends_of_the_threshold_are_the_two_models(models: list[HfBackend]) -> None:
    for threshold, backend, share in ((1.0, models[0], 0.0), (0.0, models[1], 1.0)):
        found = write(CoLlm(), models, QUESTIONS, threshold)
        assert [(g.text, g.stop) for g in found] == [(g.text, g.stop) for g in alone(backend)]
        assert {g.notes["deferral"] for g in found} == {share}
    clones = write(CoLlm(), [models[0], models[0]], QUESTIONS)
    assert [g.text for g in clones] == [g.text for g in alone(models[0])]
    assert any(g.notes["deferred"] for g in clones)


def test_the_assistant_reads_late_and_nothing_twice(models: list[HfBackend]) -> None:
    """At most 2 (P + L) positions; an assistant that is never asked reads none."""
    read = [len(models[0].rendered(models[0].spec, q, "")) for q in QUESTIONS]
    for threshold in (0.0, 0.3, 0.6, 0.9, 1.0):
        for prompt, found in zip(read, write(CoLlm(), models, QUESTIONS, threshold), strict=True):
            length, own = found.usage.generated_tokens, found.usage.positions
            assert found.usage.rolled_back == 0
            first = prompt + length - 1  # what the base reads
            assert first <= own <= 2 * first
            if found.notes["deferred"] == 0:
                assert own == first
            else:
                assert own >= first + prompt
    late = write(
        CoLlm(threshold_warmup_schedule="linear", threshold_warmup_steps=8), models, QUESTIONS
    )
    assert all(
        g.usage.positions <= 2 * (p + len(g.logprobs) - 1) for g, p in zip(late, read, strict=True)
    )


def test_notes_say_who_wrote_what(models: list[HfBackend]) -> None:
    for threshold in (0.0, 0.5, 1.0):
        for found in write(CoLlm(), models, QUESTIONS, threshold):
            tokens, deferred = found.notes["tokens"], found.notes["deferred"]
            assert tokens == found.usage.generated_tokens
            assert found.notes["deferral"] == round(deferred / tokens, 4)
            writers = {name for name, _ in found.notes["spans"]}
            if found.stop == "length":
                asked = {"b"} if deferred else set()
                assert writers == asked | ({"a"} if deferred < tokens else set())


def test_a_composed_token_is_of_the_mixture(models: list[HfBackend]) -> None:
    """Its log-probability by hand, from both models' distributions and the head."""
    (found,) = write(CoLlm(deferral_strategy="compose"), models, QUESTIONS[:1], 0.0)
    (deferred,) = write(CoLlm(), models, QUESTIONS[:1], 0.0)
    said = []
    for backend in models:
        session = NaiveSession(backend.folder)
        ids = backend.rendered(backend.spec, QUESTIONS[0], "")
        said.append(session.extend(session.add(), [ids]))
    given = head(0.0)
    output = float(said[0].hidden_NW[0] @ torch.tensor(given["weight"])) + given["bias"]
    d = 1 / (1 + math.exp(-output))
    own, other = (read.logits_NV[0].softmax(-1) for read in said)
    assert found.logprobs[0] == pytest.approx(math.log(((1 - d) * own + d * other).max()), abs=1e-4)
    assert deferred.logprobs[0] == pytest.approx(math.log(other.max()), abs=1e-4)


def test_padding_of_a_vocabulary_is_never_written(models: list[HfBackend], tmp_path: Path) -> None:
    wide = save_model(tmp_path / "wide", "llama", 1, 340)
    (wide / "tokenizer.json").write_bytes((models[0].folder / "tokenizer.json").read_bytes())
    backend = HfBackend(ModelSpec("wide", "wide", path=wide, dtype="float32"), "cpu")
    hot = Sampling(1.5, max_tokens=24)
    pair = [models[0], backend]
    for method in VARIANTS[:2]:
        together = write(method, pair, QUESTIONS, 0.4, sampling=hot)
        single = [
            write(method, pair, [q], 0.4, sampling=hot, seeds=[i])[0]
            for i, q in enumerate(QUESTIONS)
        ]
        assert [g.text for g in together] == [g.text for g in single]
        assert all(logprob > -math.inf for g in together for logprob in g.logprobs)


def test_the_threshold_warms_up_from_one() -> None:
    assert [CoLlm().threshold(0.4, t) for t in (0, 3, 99)] == [0.4] * 3
    linear = CoLlm(threshold_warmup_schedule="linear", threshold_warmup_steps=4)
    found = [linear.threshold(0.2, t) for t in range(6)]
    assert found == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
    cosine = CoLlm(threshold_warmup_schedule="cosine", threshold_warmup_steps=4)
    found = [cosine.threshold(0.2, t) for t in (0, 1, 2, 4, 9)]
    low = 0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2
    assert found == pytest.approx([1.0, low, 0.6, 0.2, 0.2])


def test_log_odds_and_chance_are_inverse() -> None:
    assert (log_odds(0), log_odds(1)) == (-math.inf, math.inf)
    for value in (-12.3456, -0.5, 0.0, 3.25, 15.1):
        assert log_odds(chance(value)) == value
    assert log_odds(0.5) == 0


def point(deferral: float, score: float) -> Point:
    return {"threshold": 1 - deferral, "deferral": deferral, "score": score}


CURVE = [point(0.0, 0.2), point(0.1, 0.5), point(0.3, 0.6), point(0.4, 0.6), point(0.9, 0.8)]


@pytest.mark.parametrize(
    ("bounds", "deferral"),
    [
        ({}, 0.3),
        ({"max_deferral": 0.3}, 0.3),
        ({"max_deferral": 1.0}, 0.9),
        ({"max_deferral": 0.2}, 0.1),
        ({"min_deferral": 0.35}, 0.4),
        ({"max_deferral": 0.0}, 0.0),
        ({"min_deferral": 0.5, "max_deferral": 0.6}, 0.4),
        ({"min_deferral": 0.95, "max_deferral": 1.0}, 0.9),
    ],
)
def test_the_threshold_that_scores_best_within_bounds(bounds: Any, deferral: float) -> None:
    assert CoLlm(**bounds).chosen(CURVE)["deferral"] == deferral
    lucky = [point(i / 10, s) for i, s in enumerate([0.2, 0.7, 0.2, 0.6, 0.6])]
    assert CoLlm().chosen(lucky)["deferral"] == 0.4


def test_settings_that_cannot_hold_are_refused() -> None:
    for wrong in (
        {"min_deferral": 0.6, "max_deferral": 0.5}, {"deferral_threshold": 1.1},
        {"threshold_warmup_steps": 0}, {"shares": (0.1, 1.2)}, {"cost": -1}, {"tune": "full"},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            CoLlm(**wrong)
    paper = CoLlm(preset="paper")
    assert (paper.cost, paper.epochs, paper.learning_rate) == (0, 2, 2e-5)


FACTS = {
    "one": ModelFacts(CAUSAL, tokenizer="x"),
    "two": ModelFacts(CAUSAL, tokenizer="x"),
    "frozen": ModelFacts(CAUSAL & ~(Access.TRAIN | Access.WEIGHTS), tokenizer="x"),
    "other": ModelFacts(CAUSAL, tokenizer="y"),
}


def problems(**fields: Any) -> list[str]:
    return [str(p) for p in CoLlm(**fields).problems(FACTS, Sampling())]


def test_the_two_share_a_vocabulary_and_the_base_is_trainable() -> None:
    assert problems() == problems(assistant="frozen") == []
    assert "pool.other: differs from 'one' in its vocabulary" in problems(assistant="other")[0]
    assert problems(base="frozen") == [
        "pool.frozen: does not give train (it gives text, prefix, logprobs, logits, hidden, embed)"
    ]
    assert "method.base: no pool member is called 'oen'" in problems(base="oen")[0]
    assert "is the base itself" in problems(base="two", assistant="two")[0]
    unknown = {"one": None, "two": None}
    assert CoLlm().problems(unknown, Sampling()) == []


def asked(name: str, kind: Any = "number") -> Query:
    return plain(name, f"What is {name}?", kind)


def test_references_are_written_as_answers() -> None:
    assert as_answer(asked("q"), "12") == "Answer: 12"
    assert as_answer(asked("q", "math"), "\\frac12") == "\\boxed{\\frac12}"
    assert as_answer(asked("q", "free"), "So it is.") == "So it is."


def sums(count: int, name: str = "d") -> Dev:
    """Sums that the arithmetic model can do, and letters that the words model knows."""
    samples = []
    for i in range(count):
        a, b = 2 + i % 7, 3 + (i * 5) % 11
        query = plain(
            f"{name}{i}", f"Carl has {a} balls and is given {b} more. How many balls does Carl have"
            " now?", "number",
        )  # fmt: skip
        samples.append(Sample(query, (str(a + b),)))
        letter = "abcdefghijklmnopqrstuvwxyz"[(i * 7) % 26]
        query = plain(
            f"{name}w{i}", f"Give the place of the letter {letter} in the alphabet.", "number"
        )
        samples.append(Sample(query, (str(1 + (i * 7) % 26),)))
    return Dev(samples, load("scorer", "exact")())


def opened(**changes: Any) -> Pool:
    sampling = Sampling(**{"max_tokens": 24, **changes})
    members = ["zoo://mini/words", "zoo://mini/facts", "zoo://mini/arithmetic"]
    return Pool.open(members, sampling=sampling, engine={"devices": ["cpu"]})


METHOD = CoLlm(assistant="arithmetic", epochs=4, shares=(0.0, 0.1, 0.2, 0.4, 1.0))


def test_what_is_learnt_from() -> None:
    dev = sums(6)
    with opened() as pool:
        pair = pool.of(["words", "arithmetic"])
        answers = METHOD._completions(pair, dev)
        given = METHOD._given(pair, dev)
        assert given[:2] == pair.ask_all(dev.queries) and len(given) == 2 * (1 + METHOD.samples)
        plainly = METHOD.model_copy(update={"samples": 0})._completions(pair, dev)
        pairs = [[(q.id, text) for q, text in found] for found in (plainly, answers)]
        assert set(pairs[0]) < set(pairs[1]) and len(set(pairs[1])) == len(answers)
        for query, text in answers:
            assert dev.score_alone(query.id, [text]) == [1.0]
        assert {text for _, text in answers} <= {g.text for own in given for g in own}
        both = CoLlm(learn="both")._completions(pair, dev)
        assert {q.id for q, _ in both} == {q.id for q in dev.queries}
        right = {q.id for q, _ in answers}
        extra = [(q.id, text) for q, text in both if q.id not in right]
        assert extra == [
            (q.id, f"Answer: {dev.references(q)[0]}") for q in dev.queries if q.id not in right
        ]
        plain_ones = CoLlm(learn="references")._completions(pair, dev)
        assert [t for _, t in plain_ones] == [
            f"Answer: {dev.references(q)[0]}" for q in dev.queries
        ]
        few = CoLlm(num_examples=2, learn="references")._rows(pair, dev)
        assert [row["completion"] for row in few] == [t for _, t in plain_ones[:2]]
        with pytest.raises(DataError, match=r"no answer to learn from.*'words' or 'arithmetic'"):
            CoLlm(assistant="arithmetic", max_length=8).fit(pool, dev)


def test_the_assistants_view_is_its_likelihood() -> None:
    """Log-probabilities are those that scoring gives, with the end of the turn besides."""
    dev = sums(3)
    with opened() as pool:
        pair = pool.of(["words", "arithmetic"])
        rows = METHOD._rows(pair, dev)
        assert len(rows) >= 3
        pairs = [(row["prompt"], row["completion"]) for row in rows]
        for row, scored in zip(rows, pair[1].token_logprobs(pairs), strict=True):
            assert row["assistant"][:-1] == pytest.approx(scored, abs=2e-4)
            assert len(row["first"]) == len(scored) + 1
        own = [row for row in rows if "+" in row["completion"]]
        assert own and all(all(row["first"]) for row in own)  # its own greedy answers


def training_of(pool: Pool, state: State) -> Any:
    assert state["tuned"] is not None
    adapter = pool.kept_model(state["tuned"]).spec.adapter
    assert adapter is not None
    return json.loads((adapter / LOG_FILE).read_text())


def test_it_learns_when_to_ask() -> None:
    """Sums are the assistant's, letters the base's; together they beat each of them."""
    dev, test = sums(24), sums(16, "t")
    with opened() as pool:
        state = METHOD.fit(pool, dev)
        told = training_of(pool, state)["head"]
        assert told["loss"] < told["own_loss"]
        found = METHOD.predict(pool, test.queries, state)
        singles = {
            name: test.mean([g.text for g in own])
            for name, own in zip(pool.names, pool.ask_all(test.queries), strict=True)
        }
        assert test.mean([p.text for p in found]) > max(singles.values()) + 0.1
        shares = [p.notes["deferral"] for p in found]
        assert sum(shares[::2]) > 2 * sum(shares[1::2])
        assert {p.by for p in found} == {("words+deferral", "arithmetic")}
        assert set(state["alone"]) == {"words", "arithmetic"}
        deferrals = [p["deferral"] for p in state["curve"]]
        assert deferrals == sorted(deferrals) and deferrals[0] == 0 and deferrals[-1] == 1
        assert state["threshold"] in [p["threshold"] for p in state["curve"]]
        calls = pool.context.engine.fresh_calls
        again = METHOD.fit(pool, dev)
        assert again == state and pool.context.engine.fresh_calls == calls
        turned = METHOD.predict(pool, test.queries[::-1], state)
        assert [p.text for p in turned[::-1]] == [p.text for p in found]
        assert pool.context.engine.fresh_calls == calls
        assert json.loads(json.dumps(state)) == state


def test_a_half_of_dev_without_a_right_answer_teaches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dev = sums(2)
    taught = {q.id for q in dev.split(0.5)[0].queries}
    own = CoLlm._completions
    monkeypatch.setattr(
        CoLlm, "_completions",
        lambda self, pair, part: [(q, t) for q, t in own(self, pair, part) if q.id in taught],
    )  # fmt: skip
    method = CoLlm(assistant="arithmetic", learn="both", tune="head", cost=1, samples=0)
    with opened() as pool:
        state = method.fit(pool, dev)
        assert len(state["curve"]) == len(method.shares) and state["rows"] == len(taught)


def test_a_head_alone_and_a_given_threshold_leave_the_base_as_it_is() -> None:
    dev = sums(8)
    with opened() as pool:
        method = CoLlm(assistant="arithmetic", tune="head", deferral_threshold=1.0)
        state = method.fit(pool, dev)
        assert (state["tuned"], state["curve"], state["threshold"]) == (None, [], 1.0)
        found = method.predict(pool, dev.queries, state)
        base = pool.of(["words"]).ask_all(dev.queries)[0]
        assert [p.text for p in found] == [g.text for g in base]
        never = CoLlm(assistant="arithmetic", tune="head", deferral_threshold=0.0)
        state = never.fit(pool, dev)
        found = never.predict(pool, dev.queries, state)
        other = pool.of(["arithmetic"]).ask_all(dev.queries)[0]
        assert [p.text for p in found] == [g.text for g in other]
        with pytest.raises(DataError, match="nothing was learnt"):
            method.predict(pool, dev.queries, None)
