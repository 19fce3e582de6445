"""Joint decoding: equal to reading everything anew, equal in any batch, linear in tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from decoding.naive import ANY_CHARACTER, NaiveSession, unsure_voices
from folders import save_adapter, save_model
from hypothesis import given, settings
from hypothesis import strategies as st

from moco.backends.base import ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.decoding.joint import JointSession
from moco.decoding.views import Voice, boundary
from moco.engine.jobs import JointRow
from moco.methods.api.nudging import Nudging
from moco.methods.base import JointMethod
from moco.methods.logit.logit_fusion import LogitFusion
from moco.types import Generation, Request, Sampling

SHORT = Sampling(max_tokens=24)
QUESTIONS = ["The end?", "What is the answer: 1, 2 or 3 and so on?", "And 4 5 6", "12. The"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HfBackend]:
    root = tmp_path_factory.mktemp("models")
    made = {}
    for name, kind, seed, vocab in (
        ("a", "llama", 0, 320), ("b", "llama", 1, 320), ("other", "gpt2", 2, 290),
        ("sliding", "gemma3", 3, 320),
    ):  # fmt: skip
        folder = save_model(root / name, kind, seed, vocab)
        made[name] = HfBackend(ModelSpec(name, name, path=folder, dtype="float32"), "cpu")
    save_adapter(root / "lora", root / "a", 5)
    return made


def write(
    method: JointMethod[Any],
    backends: Sequence[HfBackend],
    questions: Sequence[str],
    state: Any = None,
    *,
    naive: bool = False,
    sampling: Sampling = SHORT,
    seeds: Sequence[int] = (),
    room: int = 64,
) -> list[Generation]:
    own = {id(b): NaiveSession(b.folder) if naive else b.session() for b in backends}
    voices = [
        Voice(str(i), own[id(b)], b.renderer(b.spec), {}, b.num_parameters)
        for i, b in enumerate(backends)
    ]
    rows = [
        JointRow(q, (q,) * len(backends), sampling, bytes([s]) * 32)
        for q, s in zip(questions, seeds or range(len(questions)), strict=True)
    ]
    joint = JointSession(voices, rows, room=room)
    method.write(joint, state)
    joint.finish(joint.live, "length")
    for session in own.values():
        session.close()
    return [joint.results[i] for i in range(len(rows))]


CASES: list[tuple[JointMethod[Any], tuple[str, str], Any]] = [
    (LogitFusion(), ("a", "b"), None),
    (LogitFusion(mode="mixture", weights=(1, 3)), ("a", "b"), None),
    (LogitFusion(mode="confidence"), ("a", "sliding"), None),
    (Nudging(), ("a", "other"), {"gamma": 0.2}),
    (Nudging(), ("sliding", "other"), {"gamma": 0.5}),
    (Nudging(), ("other", "a"), {"gamma": 0.05}),
]


@pytest.mark.parametrize(("method", "pair", "state"), CASES)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_cached_equals_uncached_and_alone_equals_batch(
    models: dict[str, HfBackend],
    method: JointMethod[Any],
    pair: tuple[str, str],
    state: Any,
    temperature: float,
) -> None:
    backends = [models[name] for name in pair]
    sampling = Sampling(temperature, max_tokens=24)
    found = write(method, backends, QUESTIONS, state, sampling=sampling)
    naive = write(method, backends, QUESTIONS, state, sampling=sampling, naive=True)
    alone = [
        write(method, backends, [q], state, sampling=sampling, seeds=[i])[0]
        for i, q in enumerate(QUESTIONS)
    ]
    for one, other, single in zip(found, naive, alone, strict=True):
        assert one.text == other.text == single.text
        assert one.stop == other.stop == single.stop
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert one.notes == other.notes == single.notes
        assert one.usage.positions == single.usage.positions


@pytest.mark.parametrize("name", ["a", "sliding"])
@pytest.mark.parametrize("mode", ["product", "mixture", "confidence"])
def test_fusion_of_a_model_with_itself_is_the_model(
    models: dict[str, HfBackend], name: str, mode: Any
) -> None:
    backend = models[name]
    sampling = Sampling(max_tokens=24)
    rows = [Row(Request(name, q, sampling), backend.spec, bytes(32)) for q in QUESTIONS]
    single = generate(backend, rows)
    fused = write(LogitFusion(mode=mode), [backend, backend], QUESTIONS, sampling=sampling)
    assert [g.text for g in fused] == [g.text for g in single]
    assert [g.stop for g in fused] == [g.stop for g in single]


def test_fusion_matches_hand_computation(models: dict[str, HfBackend]) -> None:
    """The first token's log-probability is that of the averaged log-distributions."""
    backends = [models["a"], models["b"]]
    ids = torch.tensor([backends[0].rendered(backends[0].spec, QUESTIONS[0], "")])

    def raw(backend: HfBackend) -> torch.Tensor:
        session = NaiveSession(backend.folder)
        row = session.add()[0]
        return session.extend([row], [ids[0].tolist()]).logits_NV[0].log_softmax(-1)

    with torch.inference_mode():
        first, second = (raw(b) for b in backends)
    product = ((first + second) / 2).log_softmax(-1)
    mixture = torch.logaddexp(first + math.log(0.25), second + math.log(0.75))
    got = write(LogitFusion(), backends, QUESTIONS[:1])[0]
    assert got.logprobs[0] == pytest.approx(float(product.max()), abs=1e-5)
    got = write(LogitFusion(mode="mixture", weights=(1, 3)), backends, QUESTIONS[:1])[0]
    assert got.logprobs[0] == pytest.approx(float(mixture.max()), abs=1e-5)


def test_positions_are_linear(models: dict[str, HfBackend]) -> None:
    """n (P + L − 1) positions for lock-step; nudging at most that plus what was rolled back."""
    backends = [models["a"], models["b"]]
    fused = write(LogitFusion(), backends, QUESTIONS)
    for generation in fused:
        length = generation.usage.generated_tokens
        assert generation.usage.positions == generation.usage.prompt_tokens + 2 * (length - 1)
        assert generation.usage.rolled_back == 0
    nudged = write(Nudging(), [models["a"], models["other"]], QUESTIONS, {"gamma": 0.2})
    for generation in nudged:
        size = len(generation.text.encode()) + generation.usage.generated_tokens
        limit = generation.usage.prompt_tokens + 2 * size + generation.usage.rolled_back
        assert generation.usage.positions <= limit


def test_rollback_and_fork(models: dict[str, HfBackend]) -> None:
    backends = [models["a"], models["other"]]
    voices = [Voice(b.spec.name, b.session(), b.renderer(b.spec), {}, 1) for b in backends]
    rows = [JointRow(q, (q, q), Sampling(max_tokens=50), bytes(32)) for q in QUESTIONS[:2]]
    joint = JointSession(voices, rows)
    first = joint.logits(0, [0, 1]).clone()
    mark = joint.mark(0)
    token = joint.draw([0], first[:1])[0]
    joint.emit(0, [0], [token], first[:1])
    moved = joint.logits(1, [0]).clone()
    written = joint.answer(0)
    joint.rollback(mark)
    assert joint.answer(0) == b""
    assert torch.allclose(joint.logits(0, [0, 1]), first, atol=1e-4)
    joint.append([0], written)
    assert torch.allclose(joint.logits(1, [0]), moved, atol=1e-4)
    twin = joint.fork(0, 1)[0]
    assert torch.allclose(joint.logits(0, [0]), joint.logits(0, [twin]), atol=1e-4)
    joint.append([twin], b" more")
    assert joint.answer(0) == written
    assert joint.answer(twin) == written + b" more"
    joint.finish([0, 1, twin], "stop")
    joint.close()
    assert all(len(v.session) == 0 for v in voices)


def test_options_are_likelihoods(models: dict[str, HfBackend]) -> None:
    backend = models["a"]
    voice = Voice("a", backend.session(), backend.renderer(backend.spec), {}, 1)
    joint = JointSession([voice], [JointRow("q", ("The end?",), Sampling(), bytes(32))])
    texts = ["the end", "1", "question 12"]
    found = joint.options(0, [0], texts)[0].tolist()
    prompt = list(voice.renderer.ids("The end?"))
    naive = NaiveSession(backend.folder)
    for text, value in zip(texts, found, strict=True):
        ids = list(voice.renderer.encode(text))
        with torch.inference_mode():
            logp = naive.forward(prompt + ids).log_softmax(-1)
        expected = sum(float(logp[len(prompt) - 1 + i, t]) for i, t in enumerate(ids))
        assert value == pytest.approx(expected, abs=1e-4)


def test_stop_ids_end_the_answer_and_special_tokens_stay_out(models: dict[str, HfBackend]) -> None:
    """Every stop id of the active model ends the row, and no control token becomes text."""
    backend = models["a"]
    for stop in backend.renderer(backend.spec).stop_ids:
        voice = Voice("a", backend.session(), backend.renderer(backend.spec), {}, 1)
        joint = JointSession([voice], [JointRow("q", ("x",), Sampling(), bytes(32))])
        joint.append([0], b"so")
        joint.emit(0, [0], [stop])
        assert joint.results[0].text == "so"
        assert joint.results[0].stop == "eos"
    assert all("<|" not in g.text for g in write(LogitFusion(), [backend, backend], QUESTIONS))


def scripted(
    models: dict[str, HfBackend], text: str, salt: int, gamma: float, stop: tuple[str, ...] = ()
) -> Generation:
    """Two models of different vocabularies that both want to write `text`, unsure at random."""
    voices = unsure_voices(models, text, salt, 0.05, 0.9)
    rows = [JointRow("q", ("q", "q"), Sampling(max_tokens=400, stop=stop), bytes(32))]
    joint = JointSession(voices, rows)
    Nudging().write(joint, {"gamma": gamma})
    return joint.results[0]


@settings(max_examples=120, deadline=None)
@given(
    text=st.text(
        ANY_CHARACTER,
        min_size=1,
        max_size=40,
    ),
    salt=st.integers(0, 1000),
    gamma=st.sampled_from([0.2, 0.5, 0.8]),
)
def test_any_text_passes_nudging_unchanged(
    models: dict[str, HfBackend], text: str, salt: int, gamma: float
) -> None:
    words = text.split()
    if any(words[i : i + 4] == [words[i]] * 4 for i in range(len(words))) or "<think" in text:
        return
    found = scripted(models, text, salt, gamma)
    if found.stop == "eos":
        assert found.text == text


def test_emoji_hangul_and_mathematical_letters_pass_nudging(models: dict[str, HfBackend]) -> None:
    text = "한글 𝛼+𝛽=𝛾 🙂 👩‍👩‍👧 漢字かな e\u0301 «ok» 12.5"
    for salt in range(20):
        for gamma in (0.1, 0.4, 0.7):
            found = scripted(models, text, salt, gamma)
            assert (found.text, found.stop) == (text, "eos")
    assert {name for name, _ in scripted(models, text, 3, 0.5).notes["spans"]} == {"a", "other"}


def test_stop_strings_cut_across_writers(models: dict[str, HfBackend]) -> None:
    for salt in range(10):
        found = scripted(models, "one two END three", salt, 0.5, stop=("END",))
        assert (found.text, found.stop) == ("one two ", "stop")


@given(st.binary(max_size=12))
def test_boundary_never_cuts_a_character(data: bytes) -> None:
    text = data.decode("utf-8", "replace").encode()
    for end in range(len(text) + 1):
        size = boundary(text[:end])
        text[:size].decode()
        assert end - size < 4


@pytest.mark.parametrize("room", [1, 2, 3])
def test_rows_that_end_make_room_for_waiting_ones(models: dict[str, HfBackend], room: int) -> None:
    """Whoever is written beside whom, every row gets what it gets alone."""
    backends = [models["a"], models["other"]]
    for method, state in ((LogitFusion(), None), (Nudging(), {"gamma": 0.2})):
        pair = [models["a"], models["b"]] if state is None else backends
        whole = write(method, pair, QUESTIONS * 2, state)
        some = write(method, pair, QUESTIONS * 2, state, room=room)
        assert [(g.text, g.stop, g.notes) for g in some] == [
            (g.text, g.stop, g.notes) for g in whole
        ]
        assert [g.usage.positions for g in some] == [g.usage.positions for g in whole]


def test_a_copy_is_adopted_or_dropped_and_what_was_read_in_vain_is_counted(
    models: dict[str, HfBackend],
) -> None:
    backends = [models["a"], models["other"]]
    voices = [Voice(b.spec.name, b.session(), b.renderer(b.spec), {}, 1) for b in backends]
    joint = JointSession(voices, [JointRow("q", ("q", "q"), Sampling(max_tokens=8), bytes(32))])
    joint.append([0], b"so")
    for member in (0, 1):
        joint.logits(member, [0])
    line = joint._lines[0]
    before = [own.positions for own in line.own]
    kept, lost = joint.fork(0, 2)
    assert joint.live == [0]
    joint.append([kept], b" it is")
    joint.logits(0, [kept])
    joint.append([lost], b" and 12 more")
    joint.logits(1, [lost])
    joint.append([0], b" no")
    joint.logits(0, [0])
    own_reads = line.own[0].positions - before[0]
    copy_reads = [joint._lines[c].own[m].positions for c, m in ((kept, 0), (lost, 1))]
    joint.drop([lost])
    joint.adopt(kept)
    assert joint.live == [0] and joint.answer(0) == b"so it is"
    first, second = joint._lines[0].own
    assert first.positions == before[0] + own_reads + copy_reads[0]
    assert first.rolled_back == own_reads
    assert (second.positions, second.rolled_back) == (before[1] + copy_reads[1], copy_reads[1])
    fresh = JointSession(voices, [JointRow("q", ("q", "q"), Sampling(max_tokens=8), bytes(32))])
    fresh.append([0], b"so")
    fresh.logits(0, [0])
    fresh.append([0], b" it is")
    assert torch.allclose(joint.logits(0, [0]), fresh.logits(0, [0]), atol=1e-4)
    (ended,) = joint.fork(0, 1)
    joint.finish([ended], "stop")
    assert joint.live == [0]
    joint.adopt(ended)
    assert joint.live == [] and joint.results[0].text == "so it is"
    fresh.close()
    joint.close()
    assert all(len(v.session) == 0 for v in voices)


def test_logits_along_a_draft_are_those_of_reading_it_token_by_token(
    models: dict[str, HfBackend],
) -> None:
    backends = [models["a"], models["b"]]
    voices = [Voice(b.spec.name, b.session(), b.renderer(b.spec), {}, 1) for b in backends]
    rows = [JointRow(q, (q, q), Sampling(max_tokens=20), bytes(32)) for q in QUESTIONS[:2]]
    joint = JointSession(voices, rows)
    joint.logits(1, [0])  # row 0: the draft starts where the member has read; row 1: nothing read
    for _ in range(3):
        logits = joint.logits(0, [0, 1])
        joint.emit(0, [0, 1], joint.draw([0, 1], logits), logits, shared=True)
    along = joint.logits_along(1, [0, 1], [3, 3])
    for row, found in enumerate(along):
        own = joint._lines[row].own[1]
        naive = NaiveSession(backends[1].folder)
        with torch.inference_mode():
            every = naive.forward([*own.prompt, *own.ids])
        assert torch.allclose(found, every[-4:].float(), atol=1e-4)
    with pytest.raises(ValueError, match="already"):
        joint.logits_along(1, [0], [3])
    joint.close()
