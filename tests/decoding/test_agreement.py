"""Drafts that others read with their own tokens: when all decide, and what then is written."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from decoding.naive import ANY_CHARACTER, unsure_voices
from decoding.test_joint import QUESTIONS, models, write  # noqa: F401 (a fixture)
from hypothesis import given, settings
from hypothesis import strategies as st

from moco import plan
from moco.backends.hf import HfBackend
from moco.config import RunConfig, parse
from moco.decoding.joint import JointSession
from moco.decoding.union import Union, words_of
from moco.engine.jobs import JointRow
from moco.methods.logit.agreement import Agreement, _Draft
from moco.pool import Pool
from moco.registry import load
from moco.types import Generation, Sampling

Backends = dict[str, HfBackend]


@pytest.mark.parametrize("names", [("a", "other"), ("other", "sliding"), ("a", "b", "other")])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_cached_equals_uncached_and_alone_equals_batch(
    models: Backends,  # noqa: F811
    names: tuple[str, ...],
    temperature: float,
) -> None:
    backends, method = [models[name] for name in names], Agreement(top_k=4)
    sampling = Sampling(temperature, max_tokens=24)
    found = write(method, backends, QUESTIONS, sampling=sampling)
    naive = write(method, backends, QUESTIONS, sampling=sampling, naive=True)
    for i, (one, other) in enumerate(zip(found, naive, strict=True)):
        alone = write(method, backends, QUESTIONS[i : i + 1], sampling=sampling, seeds=[i])[0]
        assert one.text == other.text == alone.text
        assert one.notes == other.notes == alone.notes
        size = len(one.text.encode()) + one.usage.generated_tokens
        limit = one.usage.prompt_tokens + len(names) * size + one.usage.rolled_back
        assert one.usage.positions == alone.usage.positions <= limit
    assert any(g.notes.get("changed") for g in found)


@pytest.mark.parametrize("stop", [(), ("Answer",)])
@pytest.mark.parametrize("room", [6, 48])
def test_members_that_agree_write_what_each_would(stop: tuple[str, ...], room: int) -> None:
    """Answers end where they would: at the end, at a stop string, or for want of room."""
    samples = plan.load_task(
        parse(RunConfig, {"method": "unite", "pool": "zoo://mini", "task": {"name": "mini"}}),
        load("task", "mini"),
        pull=False,
    )
    assert samples is not None
    queries = [s.query for s in samples.test[:24]]
    with Pool.open(
        ["zoo://mini/words", "zoo://mini/words"], sampling=Sampling(max_tokens=room, stop=stop)
    ) as pool:
        (single, _) = pool.ask_all(queries)
        found = Agreement().predict(pool, queries, None)
    assert [p.text for p in found] == [g.text for g in single]
    assert [p.stop for p in found] == [g.stop for g in single]
    assert not any(p.notes.get("changed") for p in found)


def test_where_all_decide(models: Backends) -> None:  # noqa: F811
    """By hand: the drafter wants b after a, with little conviction."""
    method = Agreement()
    renderer = models["a"].renderer(models["a"].spec)
    words = words_of(renderer)
    a, b = words.ids(b"a")[0], words.ids(b"b")[0]

    def logp(**chances: float) -> torch.Tensor:
        found = torch.full((320,), 1e-9)
        found[a], found[b] = chances.get("a", 1e-9), chances.get("b", 1e-9)
        return (found / found.sum()).log()

    def agree(drafter: float, **verifier: float) -> bool:
        own = logp(b=drafter, a=1 - drafter)
        mark: Any = None
        draft = _Draft(0, b"b", own, float(own[b]), mark)
        return method._agree([words, words], draft, {1: (b, logp(**verifier))})

    assert agree(0.3, b=0.6, a=0.4)  # it is the verifier's likeliest
    assert agree(0.8, b=0.3, a=0.7)  # the mean is above one half
    assert not agree(0.4, b=0.3, a=0.7)
    own = logp(b=0.4, a=0.6)
    stop = _Draft(0, b"", own, -0.1, None)  # type: ignore[arg-type]
    assert not method._agree([words, words], stop, {1: (-1, logp(a=1.0))})


def test_sharpening_by_hand() -> None:
    probs = torch.tensor([[0.3, 0.3, 0.4, 0.0], [0.1, 0.5, 0.1, 0.3]])
    found = Union((b"So", b"Sofia", b"x", b"y"), probs, ({0: 1}, {1: 7}, {0: 2}, {1: 9}))
    merged = probs.mean(0)
    assert torch.allclose(Agreement(sharpen="none")._sharpened(found), merged)
    prefix = Agreement()._sharpened(found)
    raw = torch.tensor([0.2 + 0.4, 0.4, 0.25, 0.15])
    assert torch.allclose(prefix, raw / raw.sum())
    assert int(prefix.argmax()) == 0
    product = Agreement(sharpen="geometric")._sharpened(found)
    assert int(product.argmax()) == 1 and float(product[3]) < 1e-3
    sure = Union((b"a", b"ab"), torch.tensor([[0.4, 0.6], [0.4, 0.6]]), ({0: 1}, {0: 2}))
    assert torch.allclose(Agreement()._sharpened(sure), torch.tensor([0.4, 0.6]))


def scripted(models: Backends, text: str, salt: int, size: int) -> Generation:  # noqa: F811
    voices = unsure_voices(models, text, salt, 0.3, 0.6)
    rows = [JointRow("q", ("q", "q"), Sampling(max_tokens=600), bytes(32))]
    joint = JointSession(voices, rows)
    Agreement(draft_tokens=size, top_k=2).write(joint, None)
    assert not joint._lines or all(own.row < 0 for own in joint._lines[0].own)
    return joint.results[0]


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(
        ANY_CHARACTER,
        max_size=24,
    ),
    salt=st.integers(0, 96),
    size=st.integers(1, 7),
)
def test_any_text_passes_unchanged(
    models: Backends,  # noqa: F811
    text: str,
    salt: int,
    size: int,
) -> None:
    found = scripted(models, "x" + text, salt, size)
    assert found.text == "x" + text
    assert found.stop == "eos"
