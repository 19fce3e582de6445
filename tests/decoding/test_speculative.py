"""Drafted tokens: the tokens, ends and distribution of decoding without drafts, for less."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from decoding.naive import ANY_CHARACTER, NaiveSession, ScriptedSession
from decoding.test_joint import QUESTIONS, write
from folders import save_model
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from moco import Pool
from moco.access import NONE, ModelFacts
from moco.backends.base import ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.decoding import drafts, sampling
from moco.decoding.joint import JointSession
from moco.decoding.session import Session
from moco.decoding.views import Voice, boundary
from moco.engine.jobs import JointRow
from moco.methods.base import JointMethod
from moco.methods.drafting import DraftingMethod
from moco.methods.logit.logit_fusion import LogitFusion
from moco.methods.logit.speculative_cascade import SpeculativeCascade
from moco.methods.logit.speculative_decoding import SpeculativeDecoding
from moco.methods.logit.speculative_ensemble import SpeculativeEnsemble
from moco.types import Generation, Query, Request, Sampling

LONG = [*QUESTIONS, "of 9", "a question"]
Models = dict[str, HfBackend]


def backend(folder: Path) -> HfBackend:
    return HfBackend(ModelSpec(folder.name, folder.name, path=folder, dtype="float32"), "cpu")


def shaken(folder: Path, base: Path, by: float) -> Path:
    """The base with noise on its weights: a model that mostly agrees with it."""
    from safetensors.torch import load_file, save_file

    save_model(folder, "llama", 0)
    weights = load_file(base / "model.safetensors")
    noise = torch.Generator().manual_seed(5)
    for name, tensor in weights.items():
        weights[name] = tensor * (1 + by * torch.randn(tensor.shape, generator=noise))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    root = tmp_path_factory.mktemp("models")
    base = save_model(root / "a", "llama", 0)
    folders = [
        base, save_model(root / "b", "llama", 1), save_model(root / "sliding", "gemma3", 3),
        shaken(root / "near", base, 0.1), save_model(root / "eager", "qwen2", 4),
    ]  # fmt: skip
    ends = {"eos_token_id": [*range(90, 200)]}
    (root / "eager" / "generation_config.json").write_text(json.dumps(ends))
    for name, width in (("wide", 341), ("narrow", 303)):
        folders.append(save_model(root / name, "llama", 6))
        tiny.tiny_model("llama", width, 6).save_pretrained(root / name)
    made = {folder.name: backend(folder) for folder in folders}
    return made | {"twin": backend(base), "third": backend(base)}


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[int]]:
    """Row → the ids that were emitted in it."""
    found: dict[int, list[int]] = {}
    emit = JointSession.emit

    def record(
        self: JointSession, member: int, rows: Any, ids: Any, *rest: Any, **more: Any
    ) -> None:
        for row, token in zip(rows, ids, strict=True):
            found.setdefault(row, []).append(token)
        emit(self, member, rows, ids, *rest, **more)

    monkeypatch.setattr(JointSession, "emit", record)
    return found


class PlainCascade(SpeculativeCascade):
    """The same distribution without drafts."""

    def write(self, session: JointSession, state: Any) -> None:
        while rows := session.live:
            samplings = [session.sampling_of(row) for row in rows]
            heard = session.logits_each(rows)
            wanted, _ = self._chosen(heard, lambda x: drafts.distribution(x, samplings))  # noqa: B023
            session.emit(0, rows, session.draw(rows, wanted), wanted, shared=True)


PAIRS = [("a", "near"), ("near", "a"), ("a", "b"), ("sliding", "a"), ("wide", "narrow")]


def alone(model: HfBackend, questions: Sequence[str], sampling: Sampling) -> list[Generation]:
    rows = [Row(Request(model.spec.name, q, sampling), model.spec, bytes(32)) for q in questions]
    return generate(model, rows)


@pytest.mark.parametrize("pair", [*PAIRS[:4], ("eager", "a"), ("wide", "a")])
@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_greedy_speculative_decoding_is_the_target(
    models: Models, emitted: dict[int, list[int]], pair: tuple[str, str], count: int
) -> None:
    """Token for token, whatever stop ids the drafter has."""
    both = [models[name] for name in pair]
    for tokens in (1, 3, 24):
        emitted.clear()
        sampling = Sampling(max_tokens=tokens)
        single = alone(both[1], LONG, sampling)
        found = write(SpeculativeDecoding(draft_tokens=count), both, LONG, sampling=sampling)
        assert [emitted[i] for i in range(len(LONG))] == [list(g.token_ids) for g in single]
        assert [(g.text, g.stop) for g in found] == [(g.text, g.stop) for g in single]
        for one, other in zip(found, single, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("names", [*PAIRS, ("a", "near", "b"), ("narrow", "a", "twin")])
@pytest.mark.parametrize("count", [1, 3])
def test_greedy_speculative_ensemble_is_logit_fusion(
    models: Models, emitted: dict[int, list[int]], names: tuple[str, ...], count: int
) -> None:
    members = [models[name] for name in names]
    weights = tuple(float(i + 1) for i in range(len(members)))
    for chosen in ({}, {"mode": "mixture", "weights": weights}, {"mode": "confidence"}):
        plain = write(LogitFusion(**chosen), members, QUESTIONS)
        ids = dict(emitted)
        emitted.clear()
        found = write(SpeculativeEnsemble(**chosen, draft_tokens=count), members, QUESTIONS)
        assert emitted == ids
        emitted.clear()
        assert [(g.text, g.stop) for g in found] == [(g.text, g.stop) for g in plain]
        for one, other in zip(found, plain, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("pair", PAIRS[:4])
@pytest.mark.parametrize("rule", ["opt", "diff", "chow"])
def test_greedy_speculative_cascade_is_the_rule_at_every_token(
    models: Models, emitted: dict[int, list[int]], pair: tuple[str, str], rule: Any
) -> None:
    both = [models[name] for name in pair]
    for alpha in (0.5, 0.8):
        write(PlainCascade(rule=rule, alpha=alpha), both, LONG)
        ids = dict(emitted)
        emitted.clear()
        write(SpeculativeCascade(rule=rule, alpha=alpha, draft_tokens=3), both, LONG)
        assert emitted == ids
        emitted.clear()


@pytest.mark.parametrize("rule", ["opt", "diff", "chow"])
def test_the_ends_of_a_cascade_are_its_members(models: Models, rule: Any) -> None:
    both = [models["sliding"], models["a"]]
    for alpha, member in ((1, both[0]), (0, both[1])):
        found = write(SpeculativeCascade(rule=rule, alpha=alpha), both, LONG)
        single = alone(member, LONG, Sampling(max_tokens=24))
        assert [(g.text, g.stop) for g in found] == [(g.text, g.stop) for g in single]
        assert all(g.notes["tokens_by_writer"].keys() == {"01"[1 - alpha]} for g in found)


def test_cascade_rules_by_hand() -> None:
    """q = (0.5, 0.3, 0.2), p = (0.2, 0.7, 0.1): max q − max p = −0.2, TV = 0.4."""
    q, p = (torch.tensor([row]).log() for row in ([0.5, 0.3, 0.2], [0.2, 0.7, 0.1]))

    def stands(rule: Any, alpha: float) -> bool:
        method = SpeculativeCascade(rule=rule, alpha=alpha)
        return bool(method.stands(q, p, lambda x: x.softmax(-1))[0])

    assert [stands("chow", alpha) for alpha in (0.49, 0.5, 0.51)] == [False, True, True]
    assert [stands("diff", alpha) for alpha in (0.59, 0.6, 0.61)] == [False, True, True]
    assert [stands("opt", alpha) for alpha in (0.74, 0.75, 0.76)] == [False, True, True]


CASES: list[tuple[JointMethod[Any], tuple[str, ...]]] = [
    (SpeculativeDecoding(), ("near", "a")),
    (SpeculativeDecoding(draft_tokens=2), ("b", "sliding")),
    (SpeculativeEnsemble(), ("a", "near", "b")),
    (SpeculativeEnsemble(mode="mixture", draft_tokens=3), ("sliding", "a")),
    (SpeculativeCascade(), ("near", "a")),
    (SpeculativeCascade(rule="chow", alpha=0.8), ("sliding", "b")),
]


@pytest.mark.parametrize(("method", "names"), CASES)
@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.8, 1.0), (1.0, 0.7)])
def test_cached_equals_uncached_and_alone_equals_batch(
    models: Models, method: JointMethod[Any], names: tuple[str, ...], temperature: float,
    top_p: float,
) -> None:  # fmt: skip
    members = [models[name] for name in names]
    sampling = Sampling(temperature, top_p, max_tokens=12)
    found = write(method, members, QUESTIONS, sampling=sampling)
    others = [
        write(method, members, QUESTIONS, sampling=sampling, naive=True),
        write(method, members, QUESTIONS, sampling=sampling, room=2),
        [
            write(method, members, [q], sampling=sampling, seeds=[i])[0]
            for i, q in enumerate(QUESTIONS)
        ],
    ]
    for other in others:
        for one, two in zip(found, other, strict=True):
            assert (one.text, one.stop, one.notes) == (two.text, two.stop, two.notes)
            assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)
            assert one.usage.positions == two.usage.positions
            assert one.usage.rolled_back == two.usage.rolled_back


@pytest.mark.parametrize(("method", "names"), CASES)
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_positions_are_those_of_lock_step_and_rejected_drafts(
    models: Models, method: JointMethod[Any], names: tuple[str, ...], temperature: float
) -> None:
    """At most n (P + L − 1), and each rejected draft at most once per member."""
    members = [models[name] for name in names]
    n = len(members)
    for tokens in (8, 64):
        sampling = Sampling(temperature, max_tokens=tokens)
        for g in write(method, members, LONG, sampling=sampling):
            lasting = g.usage.positions - g.usage.rolled_back
            assert lasting <= g.usage.prompt_tokens + n * (g.usage.generated_tokens - 1)
            vain = g.notes.get("drafted", 0) - g.notes.get("accepted", 0)
            assert g.usage.rolled_back <= n * vain


def passes(monkeypatch: pytest.MonkeyPatch, call: Callable[[], list[Generation]]) -> float:
    """Forward passes per token of the longest answer; none was drafted in vain."""
    count, forward = Counter[str](), Session._forward

    def counted(self: Session, *args: Any, **more: Any) -> Any:
        count["passes"] += 1
        return forward(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_forward", counted)
        found = call()
    assert all(g.usage.rolled_back == 0 for g in found)
    return count["passes"] / max(g.usage.generated_tokens for g in found)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_agreeing_members_need_a_pass_per_token_instead_of_one_each(
    models: Models, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    members = [models[name] for name in ("a", "twin", "third")]
    sampling = Sampling(temperature, max_tokens=48)

    def per_token(method: JointMethod[Any], count: int) -> float:
        return passes(
            monkeypatch, lambda: write(method, members[:count], QUESTIONS, sampling=sampling)
        )

    assert per_token(LogitFusion(), 2) == 2
    assert per_token(LogitFusion(), 3) == 3
    assert per_token(SpeculativeEnsemble(), 2) < 1.3
    assert per_token(SpeculativeEnsemble(), 3) < 1.3
    assert per_token(SpeculativeEnsemble(draft_tokens=4), 2) < 1.3
    assert per_token(SpeculativeDecoding(draft_tokens=4), 2) < 1.3


def test_a_member_reads_no_id_beyond_its_own(models: Models, emitted: dict[int, list[int]]) -> None:
    """Embeddings of one vocabulary may have different numbers of spare rows."""
    for names in (("narrow", "wide"), ("wide", "narrow")):
        both = [models[name] for name in names]
        for method in (SpeculativeDecoding(), SpeculativeEnsemble(), SpeculativeCascade()):
            write(method, both, LONG, sampling=Sampling(1.0, max_tokens=24))
    assert max(token for ids in emitted.values() for token in ids) < 303


class Remembering(NaiveSession):
    """Computes the same beginning once: thousands of rows have it in common."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.known: dict[tuple[int, ...], torch.Tensor] = {}

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        if (found := self.known.get(tuple(ids))) is None:
            found = self.known[tuple(ids)] = super().forward(ids)
        return found


def seeds(count: int) -> list[bytes]:
    return [(1000 + i).to_bytes(32, "little") for i in range(count)]


def shaped(logits: np.ndarray, heat: float, top_p: float) -> np.ndarray:
    """Temperature and nucleus, by definition."""
    probs = np.exp(logits / heat - np.max(logits / heat))
    probs /= probs.sum()
    ranked = np.sort(probs)[::-1]
    last = min(int(np.searchsorted(np.cumsum(ranked), top_p)), len(ranked) - 1)
    probs[probs < ranked[last]] = 0
    return probs / probs.sum()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.max(logits) - np.log(np.exp(logits - np.max(logits)).sum())


def opt_rule(q: np.ndarray, p: np.ndarray, heat: float, top_p: float) -> np.ndarray:
    excess = np.maximum(shaped(q, heat, top_p) - shaped(p, heat, top_p), 0).sum()
    sure, surer = (np.exp(log_softmax(x)).max() for x in (q, p))
    return q if sure >= surer - 0.2 * excess else p


WANTED: list[tuple[JointMethod[Any], tuple[str, ...], Callable[..., np.ndarray]]] = [
    (SpeculativeDecoding(), ("near", "a"), lambda q, p, *_: p),
    (
        SpeculativeEnsemble(mode="mixture", weights=(1, 3)),
        ("near", "a"),
        lambda x, y, *_: np.log(0.25 * np.exp(log_softmax(x)) + 0.75 * np.exp(log_softmax(y))),
    ),
    (
        SpeculativeEnsemble(draft_tokens=2),
        ("a", "b"),
        lambda x, y, *_: (log_softmax(x) + log_softmax(y)) / 2,
    ),
    (SpeculativeCascade(alpha=0.6, draft_tokens=2), ("b", "a"), opt_rule),
]


def exact(
    members: Sequence[HfBackend],
    sessions: Sequence[NaiveSession],
    wanted: Callable[..., np.ndarray],
    heat: float,
    top_p: float,
    length: int,
) -> dict[tuple[int, ...], float]:
    """The probability of every beginning of an answer, each position computed anew."""
    stops = members[0].renderer(members[0].spec).stop_ids
    prompt = members[0].renderer(members[0].spec).ids(QUESTIONS[0])
    found: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        longer: dict[tuple[int, ...], float] = {}
        for ids, weight in found.items():
            if set(ids) & stops:
                longer[ids] = weight
                continue
            with torch.inference_mode():
                heard = [s.forward([*prompt, *ids])[-1].double().numpy() for s in sessions]
            probs = shaped(wanted(*heard, heat, top_p), heat, top_p)
            longer |= {(*ids, int(t)): weight * probs[t] for t in probs.nonzero()[0]}
        found = longer
    return found


@pytest.mark.parametrize(("method", "names", "wanted"), WANTED)
def test_drawn_tokens_have_exactly_the_wanted_distribution(
    models: Models,
    emitted: dict[int, list[int]],
    method: JointMethod[Any],
    names: tuple[str, ...],
    wanted: Callable[..., np.ndarray],
) -> None:
    """20,000 answers of two tokens, drawn with a temperature and a nucleus."""
    heat, top_p, length, count = 0.7, 0.5, 2, 20_000
    members = [models[name] for name in names]
    sessions: list[Any] = [Remembering(m.folder) for m in members]
    voices = [
        Voice(m.spec.name, session, m.renderer(m.spec), {}, 1)
        for m, session in zip(members, sessions, strict=True)
    ]
    sampling_ = Sampling(heat, top_p, max_tokens=length)
    prompts = (QUESTIONS[0],) * len(members)
    rows = [JointRow("q", prompts, sampling_, seed) for seed in seeds(count)]
    joint = JointSession(voices, rows, room=200)
    method.write(joint, None)
    drawn = Counter(tuple(ids) for ids in emitted.values())
    expected = exact(members, sessions, wanted, heat, top_p, length)
    assert sum(expected.values()) == pytest.approx(1)
    assert drawn.keys() <= expected.keys()
    cells = [ids for ids, p in expected.items() if p * count >= 5]
    seen = np.array([*(drawn[ids] for ids in cells), 0.0])
    hoped = np.array([*(expected[ids] * count for ids in cells), 0.0])
    seen[-1], hoped[-1] = count - seen.sum(), count - hoped.sum()
    used = hoped > 1e-9
    assert used.sum() > 20
    assert chisquare(seen[used], hoped[used]).pvalue > 1e-3


@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
def test_distribution_is_what_draw_draws_from(top_p: float) -> None:
    """Over an even grid of random numbers each id is drawn as often as its probability says."""
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(1)) * 2
    settings_ = Sampling(0.7, top_p)
    grid = (torch.arange(8192) + 0.5) / 8192
    drawn = sampling.draw(logits.expand(8192, -1), grid, [0.7] * 8192, [top_p] * 8192)
    found = torch.bincount(drawn, minlength=50) / 8192
    expected = drafts.distribution(logits, [settings_])[0]
    assert torch.allclose(found, expected, atol=2 / 8192)
    assert torch.equal(found > 0, expected > 1 / 8192) or top_p == 1.0
    greedy = drafts.distribution(logits, [Sampling()])[0]
    assert greedy.nonzero().tolist() == [[int(logits.argmax())]] and float(greedy.sum()) == 1


def test_a_token_stands_with_probability_p_over_q() -> None:
    p, q = torch.tensor([[0.25, 0.75]]), torch.tensor([[0.5, 0.5]])
    grid = torch.arange(1024) / 1024
    ids = torch.zeros(1024, dtype=torch.long)
    stands = drafts.kept(p.expand(1024, -1), q.expand(1024, -1), ids, grid)
    assert int(stands.sum()) == 512
    assert bool(drafts.kept(p.expand(1024, -1), q.expand(1024, -1), ids + 1, grid).all())
    almost = torch.tensor([1 - 2**-24])
    third = torch.full((1, 3), 1 / 3)
    assert bool(drafts.kept(third, third, torch.tensor([1]), almost))


class Muddled(ScriptedSession):
    """Wants to write the text, but in some of 97 places another token, and after that anything."""

    def __init__(self, *script: Any, places: int, salt: int) -> None:
        super().__init__(*script)
        self.places, self.salt = places, salt

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        written = self.renderer.bytes_of(ids[len(self.prompt) :])
        wild = (len(written) + 1) * 2654435761 * (self.salt + 1) % 97
        if self.target.startswith(written) and wild >= self.places:
            return super().forward(ids)
        logits = torch.zeros(1, len(self.renderer.token_bytes))
        logits[0, 3 + wild] = 4.0
        return logits


METHODS: list[JointMethod[Any]] = [
    SpeculativeDecoding(draft_tokens=3),
    SpeculativeEnsemble(draft_tokens=2),
    SpeculativeEnsemble(mode="mixture"),
    SpeculativeCascade(rule="chow", alpha=0.5),
]


def scripted(
    models: Models, method: JointMethod[Any], text: str, salt: int, chosen: Sampling
) -> Generation:
    """The last of two members is sure of the text, the other often is not."""
    renderer = models["a"].renderer(models["a"].spec)
    script = (renderer, renderer.ids("q"), text.encode(), lambda at: 0.9)
    members: list[Any] = [Muddled(*script, places=n, salt=salt) for n in (30, 0)]
    voices = [Voice(str(i), session, renderer, {}, 1) for i, session in enumerate(members)]
    joint = JointSession(voices, [JointRow("q", ("q", "q"), chosen, bytes(32))])
    method.write(joint, None)
    assert not any(session.rows for session in members)
    return joint.results[0]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(
        ANY_CHARACTER,
        max_size=30,
    ),
    salt=st.integers(0, 1000),
    method=st.sampled_from(METHODS),
)
def test_any_text_passes_unchanged(
    models: Models, text: str, salt: int, method: JointMethod[Any]
) -> None:
    if "<think" in text:
        return
    found = scripted(models, method, text, salt, Sampling(max_tokens=400))
    assert (found.text, found.stop) == (text, "eos")


@pytest.mark.parametrize("method", METHODS)
def test_answers_end_in_the_middle_of_a_draft(models: Models, method: JointMethod[Any]) -> None:
    """At a stop string, wherever the drafts begin, and at every limit of tokens."""
    renderer = models["a"].renderer(models["a"].spec)
    rejected = 0
    for salt in range(12):
        for lead in ("", "a", "ab ", "the en"):
            text = f"{lead}one two END three 한글"
            found = scripted(models, method, text, salt, Sampling(max_tokens=99, stop=("END",)))
            assert (found.text, found.stop) == (f"{lead}one two ", "stop")
            vain = found.notes["drafted"] - found.notes["accepted"]
            assert found.usage.rolled_back <= 2 * vain
            rejected += vain
    assert rejected > 50
    ids = renderer.encode("한 one two 글")
    for limit in range(1, len(ids) + 1):
        found = scripted(models, method, "한 one two 글", limit, Sampling(max_tokens=limit))
        data = renderer.bytes_of(ids[:limit])
        assert (found.text, found.stop) == (data[: boundary(data)].decode(), "length")
        assert found.usage.generated_tokens == limit


def test_a_draft_is_read_ahead_and_kept_or_taken_back(models: Models) -> None:
    """Nothing of it is in the answer; what was read of it in vain is counted."""
    both = [models["a"], models["near"]]
    voices = [Voice(m.spec.name, m.session(), m.renderer(m.spec), {}, 1) for m in both]
    joint = JointSession(voices, [JointRow("q", ("The end?",) * 2, Sampling(), bytes(32))])
    before = joint.logits(0, [0]).clone()
    own = joint._lines[0].own[0]
    for token in (40, 41, 42):
        joint.draft([0], [token])
    along = joint.logits_along(0, [0], [3])[0]
    assert joint.answer(0) == b"" and own.positions == len(own.prompt) + 3
    assert torch.allclose(along[0], before[0])
    joint.emit(0, [0], [40], shared=True)
    assert (own.ids, own.rolled_back) == ([40], 0)
    assert torch.equal(joint.logits(0, [0])[0], along[3])
    joint.emit(0, [0], [50], shared=True)
    assert (own.ids, own.rolled_back) == ([40, 50], 2)
    fresh = JointSession(voices, [JointRow("q", ("The end?",) * 2, Sampling(), bytes(32))])
    fresh.emit(0, [0, 0], [40, 50], shared=True)
    assert torch.allclose(joint.logits(0, [0]), fresh.logits(0, [0]), atol=1e-4)
    changes: list[Callable[[], object]] = [
        lambda: joint.append([0], b"so"), lambda: joint.emit(1, [0], [60]),
        lambda: joint.drop(joint.fork(0, 1)), lambda: joint.say(0, b"x", {}),
    ]  # fmt: skip
    for lost, change in enumerate(changes, 3):
        joint.draft([0], [43])
        joint.logits(0, [0])
        change()
        assert own.rolled_back == lost
    mark = joint.mark(0)
    joint.draft([0], [43])
    joint.logits(0, [0])
    joint.rollback(mark)
    assert own.rolled_back == 7
    joint.draft([0], [43])
    joint.logits(0, [0])
    joint.finish([0], "stop")
    assert joint.results[0].usage.rolled_back == 8
    fresh.close()
    joint.close()
    assert all(len(v.session) == 0 for v in voices)


@pytest.mark.parametrize("cls", [SpeculativeDecoding, SpeculativeCascade])
def test_unknown_members_and_one_member_twice_are_problems(cls: type[DraftingMethod]) -> None:
    facts = {name: ModelFacts(access=NONE) for name in ("one", "two")}

    def told(**named: str) -> list[str]:
        return [str(p) for p in cls(**named).problems(facts, Sampling())]  # type: ignore[arg-type]

    assert told() == told(drafter="two") == told(drafter="two", target="one") == []
    assert told(target="three") == [
        "method.target: no pool member is called 'three' (members: one, two)"
    ]
    assert told(drafter="x", target="y")[0].startswith("method.drafter: no pool member")
    assert told(drafter="one", target="one") == [
        "method.target: is the drafter itself (name another member)"
    ]


def test_the_smallest_drafts_for_the_largest_and_notes_tell_the_rates(models: Models) -> None:
    names = ["sliding", "b", "near", "a"]
    queries = [Query(q, q) for q in QUESTIONS]
    with Pool.open(
        [str(models[name].folder) for name in names],
        sampling=Sampling(max_tokens=12), engine={"devices": ["cpu"]},
    ) as pool:  # fmt: skip
        method = SpeculativeDecoding()
        state = method.fit(pool, None)  # type: ignore[arg-type]
        assert state == {"drafter": "b", "target": "sliding"}
        found = method.predict(pool, queries, state)
        assert [p.text for p in found] == [g.text for g in pool.ask_all(queries)[0]]
        assert all(p.by == ("b", "sliding") for p in found)
        for p in found:
            assert 0 <= p.notes["accepted"] <= p.notes["drafted"]
            assert p.notes["acceptance_rate"] == round(p.notes["accepted"] / p.notes["drafted"], 4)
            assert sum(size for _, size in p.notes["spans"]) == len(p.text.encode())
        assert SpeculativeCascade(target="b").fit(pool, None) == {  # type: ignore[arg-type]
            "drafter": "near", "target": "b",
        }  # fmt: skip
        shares = SpeculativeCascade(rule="diff").predict(pool, queries, None)
        assert all(sum(p.notes["share_by_writer"].values()) == pytest.approx(1) for p in shares)
        assert SpeculativeDecoding().seats(["x", "y", "z"], None) == (["x", "z"], None)
        both = pool.of(["near", "a"])
        plain = LogitFusion().predict(both, queries, None)
        fast = SpeculativeEnsemble().predict(both, queries, None)
        assert [p.text for p in fast] == [p.text for p in plain]
        assert all(0 <= p.notes["acceptance_rate"] <= 1 for p in fast)
