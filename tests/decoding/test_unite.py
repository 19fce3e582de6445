"""Fusion over the union of likeliest tokens: equal to plain fusion where vocabularies are equal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from decoding.naive import ANY_CHARACTER, unsure_voices
from decoding.test_joint import QUESTIONS, models, write  # noqa: F401 (a fixture)
from hypothesis import given, settings
from hypothesis import strategies as st

from moco.backends.hf import HfBackend
from moco.decoding.joint import JointSession
from moco.decoding.union import STOP, Words, union
from moco.decoding.views import Voice
from moco.engine.jobs import JointRow
from moco.methods.logit.logit_fusion import LogitFusion
from moco.methods.logit.unite import Unite
from moco.types import Generation, Sampling

Backends = dict[str, HfBackend]


@pytest.mark.parametrize("pair", [("a", "other"), ("other", "sliding"), ("a", "b")])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("boundary", ["locked", "heal"])
def test_cached_equals_uncached_and_alone_equals_batch(
    models: Backends,  # noqa: F811
    pair: tuple[str, str],
    temperature: float,
    boundary: Any,
) -> None:
    backends, method = [models[name] for name in pair], Unite(top_k=4, boundary=boundary)
    sampling = Sampling(temperature, max_tokens=24)
    found = write(method, backends, QUESTIONS, sampling=sampling)
    naive = write(method, backends, QUESTIONS, sampling=sampling, naive=True)
    for i, (one, other) in enumerate(zip(found, naive, strict=True)):
        alone = write(method, backends, QUESTIONS[i : i + 1], sampling=sampling, seeds=[i])[0]
        assert one.text == other.text == alone.text
        assert one.notes == other.notes == alone.notes
        assert one.usage.positions == alone.usage.positions
        size = len(one.text.encode()) + one.usage.generated_tokens
        limit = one.usage.prompt_tokens + 2 * size + one.usage.rolled_back
        assert one.usage.positions <= limit
        assert boundary == "heal" or one.usage.rolled_back == 0


class Restricted(LogitFusion):
    """Mixture of distributions that are each cut to the union of all members' likeliest tokens;
    control tokens that end nothing are no tokens.
    """

    top_k: int
    dead: tuple[int, ...]

    def combine(self, logits: Any, state: Any) -> torch.Tensor:
        for part in logits:
            part[:, list(self.dead)] = -torch.inf
        logp = [part.log_softmax(-1) for part in logits]
        kept = torch.zeros_like(logp[0], dtype=torch.bool)
        for part in logp:
            kept.scatter_(1, part.topk(self.top_k, -1).indices, True)
        cut = [part.masked_fill(~kept, -torch.inf).softmax(-1) for part in logp]
        return (sum(cut) / len(cut)).log()


def restricted(backend: HfBackend, top_k: int) -> Restricted:
    renderer = backend.renderer(backend.spec)
    table = renderer.token_bytes
    alive = [bool(table[i : i + 1] and table[i]) or i in renderer.stop_ids for i in range(320)]
    return Restricted(top_k=top_k, dead=tuple(i for i in range(320) if not alive[i]))


@pytest.mark.parametrize("top_k", [3, 320])
@pytest.mark.parametrize("pair", [("a", "b"), ("a", "a")])
def test_with_one_vocabulary_it_is_fusion_restricted_to_the_union(
    models: Backends,  # noqa: F811
    top_k: int,
    pair: tuple[str, str],
) -> None:
    backends = [models[name] for name in pair]
    found = write(Unite(top_k=top_k), backends, QUESTIONS)
    expected = write(restricted(backends[0], top_k), backends, QUESTIONS)
    assert [g.text for g in found] == [g.text for g in expected]
    assert [g.stop for g in found] == [g.stop for g in expected]


def test_pieces_by_hand(models: Backends) -> None:  # noqa: F811
    """Stop ids count together, a token that is lacking by the one it begins with."""
    pair = [models["a"], models["other"]]
    voices = [Voice(b.spec.name, b.session(), b.renderer(b.spec), {}, 1) for b in pair]
    joint = JointSession(voices, [JointRow("q", ("q", "q"), Sampling(), bytes(32))])
    first, second = (Words(v.renderer) for v in voices)
    longer = next(
        data for data in first._ids if len(data) > 2 and data.isalpha() and not second.ids(data)
    )
    begun = second.start(longer)
    assert len(begun) == 1 and longer.startswith(voices[1].renderer.bytes_of(begun))
    stops = sorted(voices[0].renderer.stop_ids)
    one = torch.full((320,), -20.0)
    one[first.ids(longer)[0]] = 2.0
    one[stops] = 1.0
    other = torch.full((290,), -20.0)
    other[begun] = 3.0
    other[second.ids(b"a")[0]] = 2.0
    found = union(joint, 0, {0: one.log_softmax(-1), 1: other.log_softmax(-1)}, 2)
    begins = voices[1].renderer.bytes_of(begun)
    place = {data: i for i, data in enumerate(found.pieces)}
    assert set(place) <= {STOP, longer, begins, b"a"} and {longer, begins, b"a"} <= set(place)
    probs = found.probs_MU
    assert torch.allclose(probs.sum(1), torch.ones(2))
    # the second gives the longer piece what it gives its beginning
    assert probs[1, place[longer]] == pytest.approx(float(probs[1, place[begins]]))
    ratio = probs[1, place[begins]] / probs[1, place[b"a"]]
    assert float(ratio) == pytest.approx(torch.e, rel=1e-4)
    if STOP in place:
        wanted = len(stops) * torch.exp(torch.tensor(-1.0))
        assert float(probs[0, place[STOP]] / probs[0, place[longer]]) == pytest.approx(
            float(wanted), rel=1e-3
        )
    assert 1 not in found.ids[place[longer]]
    joint.close()


def scripted(models: Backends, text: str, salt: int) -> Generation:  # noqa: F811
    voices = unsure_voices(models, text, salt, 0.3, 0.6)
    rows = [JointRow("q", ("q", "q"), Sampling(max_tokens=600), bytes(32))]
    joint = JointSession(voices, rows)
    Unite(top_k=2).write(joint, None)
    return joint.results[0]


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(
        ANY_CHARACTER,
        max_size=24,
    ),
    salt=st.integers(0, 96),
)
def test_any_text_passes_unchanged(models: Backends, text: str, salt: int) -> None:  # noqa: F811
    found = scripted(models, "x" + text, salt)
    assert found.text == "x" + text
    assert found.stop == "eos"
