"""Members that write by segments: equal to reading everything anew, alone and in any batch; every
token is read once; any text passes unchanged."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from decoding.naive import ANY_CHARACTER, ScriptedSession
from decoding.test_joint import QUESTIONS, write
from folders import save_model
from hypothesis import given, settings
from hypothesis import strategies as st

from moco.backends.base import ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.decoding.joint import JointSession
from moco.decoding.lines import Line
from moco.decoding.views import Voice
from moco.engine.jobs import JointRow
from moco.methods.api.mentor_collab import QUESTION, MentorCollab
from moco.methods.api.nudging import MAX_WORD
from moco.methods.api.switch_generation import SwitchGeneration
from moco.methods.base import JointMethod
from moco.methods.patches import CUE, cue, read_ids
from moco.train.verifier import packed, unpacked
from moco.types import Generation, Request, Sampling

ODD = (
    "한글 𝛼+𝛽=𝛾 🙂 👩‍👩‍👧 漢字かな e\u0301 «ok» 12.5",
    "두말 𝛿-𝛽=𝛼 🙃 👨‍👨‍👦 字漢なか a\u0300 «no» 21.6",
)
"""Two texts whose characters have the same sizes, place by place."""
SWITCH = {"task": "switch", "writers": 2}
RANDOM = {"task": "random", "writers": 2}
EXPLORE = {"task": "explore", "writers": 2, "stop": ["12"]}
TRY = {"task": "try", "draw": [0, 0]}


def trained(width: int = 32, seed: int = 3) -> dict[str, Any]:
    """A verifier of random weights, as a mentor's session is given it."""
    random = np.random.default_rng(seed)
    shapes = {
        "mean": (width,), "weight0": (8, width), "bias0": (8,), "weight1": (1, 8), "bias1": (1,),
    }  # fmt: skip
    arrays = {name: random.normal(size=shape) for name, shape in shapes.items()}
    arrays |= {"scale": np.ones(width)}
    return {"task": "verify", **{name: packed(array) for name, array in arrays.items()}}


VERIFY = trained()


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HfBackend]:
    root = tmp_path_factory.mktemp("models")
    made = {}
    for name, kind, seed, vocab in (
        ("a", "llama", 0, 320), ("b", "llama", 1, 320), ("other", "gpt2", 2, 290),
        ("sliding", "gemma3", 3, 320),
    ):  # fmt: skip
        folder = save_model(root / name, kind, seed, vocab)
        made[name] = HfBackend(ModelSpec(name, name, path=folder, dtype="float32"), "cpu")
    return made


CASES: list[tuple[JointMethod[Any], tuple[str, ...], Any]] = [
    (MentorCollab(patch_size=4), ("a", "other"), None),
    (MentorCollab(patch_size=3, decision_proportion=100), ("sliding", "other"), None),
    (MentorCollab(patch_size=5, probing="uncertainty", certainty=0.9), ("other", "a"), None),
    (MentorCollab(patch_size=4, mode="train"), ("a", "other"), VERIFY),
    (MentorCollab(patch_size=3, mode="train", decision_proportion=100), ("other", "b"), VERIFY),
    (SwitchGeneration(patch_size=4), ("a", "other", "b"), SWITCH),
    (SwitchGeneration(patch_size=5), ("sliding", "a", "sliding"), SWITCH),
    (SwitchGeneration(patch_size=3), ("other", "b"), RANDOM),
    (SwitchGeneration(patch_size=4, rollouts=2), ("a", "other"), EXPLORE),
]


@pytest.mark.parametrize(("method", "names", "state"), CASES)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_cached_equals_uncached_and_alone_equals_batch(
    backends: dict[str, HfBackend],
    method: JointMethod[Any],
    names: Sequence[str],
    state: Any,
    temperature: float,
) -> None:
    own = [backends[name] for name in names]
    sampling = Sampling(temperature, max_tokens=24)
    found = write(method, own, QUESTIONS, state, sampling=sampling)
    naive = write(method, own, QUESTIONS, state, sampling=sampling, naive=True)
    narrow = write(method, own, QUESTIONS, state, sampling=sampling, room=2)
    turned = write(method, own, QUESTIONS[::-1], state, sampling=sampling, seeds=[3, 2, 1, 0])
    alone = [
        write(method, own, [q], state, sampling=sampling, seeds=[i])[0]
        for i, q in enumerate(QUESTIONS)
    ]
    assert len({g.text for g in found}) > 1
    for one, *others in zip(found, naive, narrow, turned[::-1], alone, strict=True):
        for other in others:
            assert (one.text, one.stop, one.notes) == (other.text, other.stop, other.notes)
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert one.usage.positions == other.usage.positions
            assert one.usage.rolled_back == other.usage.rolled_back


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_what_is_tried_is_the_same_cached_uncached_alone_and_in_a_batch(
    backends: dict[str, HfBackend], temperature: float
) -> None:
    own = [backends["a"], backends["other"]]
    sampling = Sampling(temperature, max_tokens=24)
    method = MentorCollab(patch_size=3, decision_proportion=60)
    found = write(method, own, QUESTIONS, TRY, sampling=sampling)
    naive = write(method, own, QUESTIONS, TRY, sampling=sampling, naive=True)
    narrow = write(method, own, QUESTIONS, TRY, sampling=sampling, room=2)
    alone = [
        write(method, own, [q], TRY, sampling=sampling, seeds=[i])[0]
        for i, q in enumerate(QUESTIONS)
    ]
    assert all((g.text, g.stop) == ("", "eos") for g in found)
    assert sum("tried" in g.notes for g in found) >= 3
    for one, *others in zip(found, naive, narrow, alone, strict=True):
        for other in others:
            assert one.notes.keys() == other.notes.keys()
            assert one.usage.positions == other.usage.positions
            if "tried" in one.notes:
                first, second = one.notes["tried"], other.notes["tried"]
                assert first["texts"] == second["texts"]
                states = [unpacked(told["state"]) for told in (first, second)]
                assert states[0].shape == (32,)
                assert states[0] == pytest.approx(states[1], abs=1e-3)


def test_a_generator_that_asks_nobody_writes_as_it_does_alone(
    backends: dict[str, HfBackend],
) -> None:
    alone = backends["a"]
    for temperature in (0.0, 0.8):
        sampling = Sampling(temperature, max_tokens=24)
        method = MentorCollab(probing="uncertainty", certainty=0)  # draws no numbers of its own
        found = write(method, [alone, backends["other"]], QUESTIONS, sampling=sampling)
        rows = [
            Row(Request("a", q, sampling), alone.spec, bytes([i]) * 32)
            for i, q in enumerate(QUESTIONS)
        ]
        single = generate(alone, rows)
        assert [(g.text, g.stop) for g in found] == [(g.text, g.stop) for g in single]
        for generation in found:
            renderer = alone.renderer(alone.spec)
            prompt = next(q for q, g in zip(QUESTIONS, found, strict=True) if g is generation)
            length = generation.usage.generated_tokens
            assert generation.usage.positions == renderer.count(prompt) + length - 1
    never = write(MentorCollab(decision_proportion=0), [alone, backends["other"]], QUESTIONS)
    plain = write(method, [alone, backends["other"]], QUESTIONS)
    assert [g.text for g in never] == [g.text for g in plain]


def session_of(
    backends: Sequence[HfBackend], questions: Sequence[str], sampling: Sampling
) -> JointSession:
    sessions = {id(b): b.session() for b in backends}
    voices = [
        Voice(str(i), sessions[id(b)], b.renderer(b.spec), {}, 1) for i, b in enumerate(backends)
    ]
    rows = [
        JointRow(q, (q,) * len(backends), sampling, bytes([i]) * 32)
        for i, q in enumerate(questions)
    ]
    return JointSession(voices, rows)


def count_asides(joint: JointSession, member: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths, in the member's tokens, of what is appended from now on."""
    sizes: list[int] = []
    inner = joint.append

    def append(rows: Sequence[int], data: bytes) -> None:
        sizes.append(len(joint.voices[member].renderer.encode(data.decode())))
        inner(rows, data)

    monkeypatch.setattr(joint, "append", append)
    return sizes


def kept_once(lines: Sequence[Line]) -> None:
    """Every member has read its prompt and its ids once, except what was rolled back."""
    for line in lines:
        for own in line.own:
            assert own.positions - own.rolled_back == own.read <= len(own.prompt) + len(own.ids)


def test_a_switched_answer_is_read_once_by_each_and_only_the_cue_is_taken_back(
    backends: dict[str, HfBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a", "other", "b")
    joint = session_of([backends[n] for n in names], QUESTIONS[:1], Sampling(max_tokens=40))
    cues = count_asides(joint, 2, monkeypatch)
    SwitchGeneration(patch_size=8).write(joint, SWITCH)
    line = joint._lines[0]
    kept_once([line])
    assert [own.rolled_back for own in line.own] == [0, 0, sum(cues)]
    assert 1 <= len(cues) <= 5
    assert joint.results[0].usage.rolled_back == sum(cues)


def test_a_mentors_cost_is_what_stands_and_the_tries(
    backends: dict[str, HfBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """n (P + L) positions, and per probe two words or segments and twice the judge's question."""
    for own in (("a", "other"), ("other", "sliding")):
        pair = [backends[n] for n in own]
        joint = session_of(pair, QUESTIONS, Sampling(max_tokens=40))
        asides = count_asides(joint, 0, monkeypatch)
        probes: list[int] = []
        forked = joint.fork

        def fork(
            row: int, count: int, forked: Any = forked, probes: list[int] = probes
        ) -> list[int]:
            probes.append(row)
            return list(forked(row, count))

        monkeypatch.setattr(joint, "fork", fork)
        method = MentorCollab(patch_size=6, decision_proportion=60)
        method.write(joint, None)
        lines = [joint._lines[i] for i in range(len(QUESTIONS))]
        kept_once(lines)
        assert 4 * len(asides) > len(probes) > len(asides) / 2 > 0  # some words were agreed on
        lost = sum(g.usage.rolled_back for g in joint.results.values())
        assert sum(asides) < lost <= sum(asides) + len(probes) * 2 * (MAX_WORD + 6)


def test_training_rows_are_the_ids_that_the_switcher_reads(
    backends: dict[str, HfBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place as exploration tells it, rendered for training, and in a session that gets there."""
    pair = [backends["a"], backends["other"]]
    sampling = Sampling(0.9, max_tokens=60)
    method = SwitchGeneration(patch_size=3, rollouts=1)
    told = write(method, pair, QUESTIONS, EXPLORE, sampling=sampling)
    places = [json.loads(g.text) for g in told]
    assert any(len(p["parts"]) > 1 for p in places)
    for question, place in zip(QUESTIONS, places, strict=True):
        assert all(len(own) == 1 for own in place["texts"]) and len(place["texts"]) == 2
        third = backends["b"]
        joint = session_of([*pair, third], [question], Sampling(max_tokens=100))
        for part in place["parts"]:
            joint.append([0], part.encode())
            joint.logits(2, [0])
        (copy,) = joint.fork(0, 1)
        joint.append([copy], cue(place["writers"], 2).encode())
        joint.options(2, [copy], ("1", "2"))
        own = joint._lines[copy].own[2]
        expected = read_ids(third.spec, question, [*place["parts"], cue(place["writers"], 2)])
        assert (*own.prompt, *own.ids) == expected
        joint.close()


class Odd(ScriptedSession):
    """Wants to write one text, from wherever the answer is; asked for a label, it names one that
    depends on what it has read.
    """

    @staticmethod
    def says(written: bytes, label: str) -> float:
        """How far it is for a label, behind this."""
        return zlib.crc32(written + label.encode()) % 7

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        written = self.renderer.bytes_of(ids[len(self.prompt) :])
        if QUESTION[:20].encode() in written or CUE[:20].encode() in written:
            logits = torch.zeros(1, len(self.renderer.token_bytes))
            for label in "12":
                (token,) = self.renderer.encode(label)
                logits[0, token] = 9.0 + self.says(written, label)
            return logits
        whole = written + self.target[len(written) :]
        return ScriptedSession(self.renderer, self.prompt, whole, self.sure).forward(ids)


def scripted(
    backends: dict[str, HfBackend],
    method: JointMethod[Any],
    state: Any,
    texts: tuple[str, str],
    salt: int = 0,
) -> Generation:
    """The first member wants to write one text, the second another, each in its own vocabulary."""
    names = ("a", "other", "b") if state == SWITCH else ("a", "other")
    voices = []
    for i, name in enumerate(names):
        renderer = backends[name].renderer(backends[name].spec)

        def sure(at: int, i: int = i) -> float:
            return 0.05 + 0.9 * (((at + 1) * 2654435761 * (i + 1) + salt) % 97) / 97

        session: Any = Odd(renderer, renderer.ids("q"), texts[i % 2].encode(), sure)
        voices.append(Voice(name, session, renderer, {}, 1))
    prompts = ("q",) * len(names)
    seed = salt.to_bytes(32, "little")
    joint = JointSession(voices, [JointRow("q", prompts, Sampling(max_tokens=400), seed)])
    method.write(joint, state)
    assert all(len(v.session.rows) == 0 for v in voices)  # type: ignore[attr-defined]
    return joint.results[0]


BY_SEGMENTS: list[tuple[Callable[[int], JointMethod[Any]], Any]] = [
    (lambda size: MentorCollab(patch_size=size, decision_proportion=100), None),
    (lambda size: MentorCollab(patch_size=size, probing="uncertainty"), None),
    (lambda size: SwitchGeneration(patch_size=size), SWITCH),
    (lambda size: SwitchGeneration(patch_size=size), RANDOM),
]


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(
        ANY_CHARACTER,
        min_size=1,
        max_size=40,
    ),
    salt=st.integers(0, 1000),
    size=st.sampled_from([1, 2, 5, 16]),
    case=st.sampled_from(BY_SEGMENTS),
)
def test_any_text_passes_unchanged(
    backends: dict[str, HfBackend],
    text: str,
    salt: int,
    size: int,
    case: tuple[Callable[[int], JointMethod[Any]], Any],
) -> None:
    if "<think" in text:
        return
    build, state = case
    found = scripted(backends, build(size), state, (text, text), salt)
    assert (found.text, found.stop) == (text, "eos")


@pytest.mark.parametrize(("build", "state"), BY_SEGMENTS)
def test_odd_characters_pass_between_writers(
    backends: dict[str, HfBackend], build: Callable[[int], JointMethod[Any]], state: Any
) -> None:
    writers: set[str] = set()
    assert [len(c.encode()) for c in ODD[0]] == [len(c.encode()) for c in ODD[1]]
    for salt in range(20):
        for size in (1, 3, 8):
            found = scripted(backends, build(size), state, ODD, salt)
            assert found.stop == "eos" and len(found.text) == len(ODD[0])
            assert all(c in pair for c, *pair in zip(found.text, *ODD, strict=True))
            assert sum(n for _, n in found.notes["spans"]) == len(ODD[0].encode())
            place = 0
            for name, length in found.notes["spans"]:
                own = ODD[name == "other"].encode()[place : place + length]
                assert own == found.text.encode()[place : place + length]
                place, writers = place + length, writers | {name}
    assert writers == {"a", "other"}


def test_a_judge_that_goes_by_the_place_or_by_who_is_asked_decides_nothing(
    backends: dict[str, HfBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Averaged over both orders a liking for a label is no verdict, and a tie is the generator's;
    a liking for what is written is one, whichever label it stands under.
    """
    method = MentorCollab(patch_size=3, decision_proportion=100)
    for liked in "12":
        monkeypatch.setattr(Odd, "says", staticmethod(lambda _, label, own=liked: label == own))
        assert scripted(backends, method, None, ODD).text == ODD[0]
    letters = str.maketrans("xy", "yx")
    text = "xx xyx yyx x xxxx"
    pair = (text, text.translate(letters))

    def fond_of_y(written: bytes, label: str) -> float:
        ways = written.rpartition(b"two ways.\n")[2].decode().splitlines()
        return float(ways[int(label) - 1].count("y"))

    monkeypatch.setattr(Odd, "says", staticmethod(fond_of_y))
    method = MentorCollab(patch_size=1, decision_proportion=100)
    assert scripted(backends, method, None, pair).text == "yy yxy yyx y yyyy"


def test_a_verifier_reads_one_question_per_disagreement_and_its_threshold_decides(
    backends: dict[str, HfBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [backends["a"], backends["other"]]
    common: dict[str, Any] = {"patch_size": 4, "decision_proportion": 60}
    lone = write(MentorCollab(decision_proportion=0), pair, QUESTIONS)
    never = MentorCollab(mode="train", mlp_threshold=0, **common)
    assert [g.text for g in write(never, pair, QUESTIONS, VERIFY)] == [g.text for g in lone]
    doubt = {**VERIFY, "weight1": packed(np.zeros((1, 8))), "bias1": packed(np.zeros(1))}
    found = {}
    for threshold in (0.5, 0.51):
        method = MentorCollab(mode="train", mlp_threshold=threshold, **common)
        found[threshold] = write(method, pair, QUESTIONS, doubt)
    assert [g.text for g in found[0.5]] == [g.text for g in lone]  # a tie is the generator's
    asked = [g for g in found[0.51] if "disagreements" in g.notes]
    assert len(asked) >= 2
    assert all("1" in {name for name, _ in g.notes["spans"]} for g in asked)
    joint = session_of(pair, QUESTIONS, Sampling(max_tokens=40))
    asides = count_asides(joint, 0, monkeypatch)
    MentorCollab(mode="train", **common).write(joint, VERIFY)
    kept_once([joint._lines[i] for i in range(len(QUESTIONS))])
    disagreements = [g.notes.get("disagreements", 0) for g in joint.results.values()]
    assert len(asides) == sum(disagreements) > 4


def test_both_ways_are_completed_by_the_generator_behind_a_place_drawn_evenly(
    backends: dict[str, HfBackend],
) -> None:
    """One wants to write x, the other y; every word is a disagreement."""
    words, places = 6, [0] * 6
    first, second = " ".join("x" * words), " ".join("y" * words)
    method = MentorCollab(patch_size=1, decision_proportion=100)
    for salt in range(240):
        told = scripted(backends, method, TRY, (first, second), salt).notes["tried"]
        by_generator, by_mentor = (text.split() for text in told["texts"])
        place = [a != b for a, b in zip(by_generator, by_mentor, strict=True)].index(True)
        places[place] += 1
        assert by_generator[:place] == by_mentor[:place]
        assert (by_generator[place], by_mentor[place]) == ("x", "y")
        assert by_generator[place + 1 :] == by_mentor[place + 1 :] == ["x"] * (words - place - 1)
    assert sum(places) == 240
    assert sum((n - 40) ** 2 / 40 for n in places) < 20.5  # 1 in 1,000 by chance


def test_exploring_leaves_control_words_and_stop_strings_to_the_reader(
    backends: dict[str, HfBackend],
) -> None:
    text = 'say "</think>" and 한글 12 more'
    voices = []
    for name in ("a", "other"):
        renderer = backends[name].renderer(backends[name].spec)
        session: Any = Odd(renderer, renderer.ids("q"), text.encode(), lambda at: 0.999)
        voices.append(Voice(name, session, renderer, {}, 1))
    for seed in range(8):
        row = JointRow("q", ("q", "q"), Sampling(max_tokens=400), bytes([seed]) * 32)
        joint = JointSession(voices, [row])
        SwitchGeneration(patch_size=3, rollouts=2).write(joint, EXPLORE)
        place = json.loads(joint.results[0].text)
        assert text.startswith("".join(place["parts"])) and "12" not in "".join(place["parts"])
        assert place["texts"] == [['" and 한글 '] * 2] * 2  # behind the thought, before the stop
